//! One socket of one agent: decodes and verifies on the web worker that accepted it, then passes
//! typed messages.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::Addr;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, Session};
use ed25519_dalek::{Signature, VerifyingKey};
use futures_util::StreamExt as _;
use protocol::id::IncarnationId;
use protocol::link::{
    Challenge, FRAME_BYTES_MAX, Handshake, HandshakeReply, Hello, Refused, RefusedReason, ToEngine,
    VERSION, VERSION_MIN, decode, encode, signed_bytes,
};
use tokio::sync::mpsc;

use crate::access::index::AccessIndex;
use crate::actor::deliver;
use crate::actor::directory::Directory;
use crate::actor::terminal::{LinkClosed, LinkHello, LinkSaid, Outbound, TerminalActor};
use crate::domain::merchant::Terminal;
use crate::id_source::SystemIds;
use crate::owner::terminal::VerifiedHello;

/// Messages that may wait for a slow socket. A till's sale has about ten; beyond this it does not
/// drain and is closed.
const OUTBOUND_MAX: usize = 256;
/// Time for the hello. Signing takes an agent a millisecond.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Sockets of this process so far.
static SOCKETS: AtomicU64 = AtomicU64::new(0);

/// What a socket needs.
#[derive(Debug, Clone)]
pub struct LinkState {
    /// Where owners are.
    pub directory: Directory,
    /// Device keys.
    pub index: AccessIndex,
    /// The life of the engine's database.
    pub incarnation: IncarnationId,
}

/// Takes an agent's socket.
///
/// # Errors
/// When the request is no WebSocket upgrade.
pub async fn accept(
    request: HttpRequest,
    body: web::Payload,
    state: web::Data<LinkState>,
) -> Result<HttpResponse, actix_web::Error> {
    let (response, session, stream) = actix_ws::handle(&request, body)?;
    let stream = stream
        .max_frame_size(FRAME_BYTES_MAX)
        .aggregate_continuations()
        .max_continuation_size(FRAME_BYTES_MAX);
    actix_web::rt::spawn(run(session, stream, state.into_inner().as_ref().clone()));
    Ok(response)
}

async fn run(mut session: Session, mut stream: AggregatedMessageStream, state: LinkState) {
    match handshake(&mut session, &mut stream, &state).await {
        Ok((terminal, hello)) => serve(session, stream, &state, &terminal, hello).await,
        Err(reason) => {
            let refused = HandshakeReply::Refused(Refused { reason });
            send(&mut session, &refused).await;
            session.close(None).await.ok();
        }
    }
}

/// Challenges the agent and verifies its answer.
async fn handshake(
    session: &mut Session,
    stream: &mut AggregatedMessageStream,
    state: &LinkState,
) -> Result<(std::sync::Arc<Terminal>, Hello), RefusedReason> {
    let mut nonce = vec![0; 32];
    SystemIds
        .fill(&mut nonce)
        .map_err(|_| RefusedReason::Busy)?;
    let challenge = Challenge {
        version_min: VERSION_MIN,
        version_max: VERSION,
        nonce: nonce.clone(),
        incarnation: state.incarnation,
    };
    if !send(session, &HandshakeReply::Challenge(challenge)).await {
        return Err(RefusedReason::Busy);
    }
    let first = tokio::time::timeout(HELLO_TIMEOUT, next_frame(session, stream)).await;
    let frame = first.ok().flatten().ok_or(RefusedReason::Unauthorized)?;
    let Handshake::Hello(hello) =
        decode::<Handshake>(&frame).map_err(|_| RefusedReason::Unauthorized)?;
    if !(VERSION_MIN..=VERSION).contains(&hello.version) {
        return Err(RefusedReason::Version);
    }
    let terminal = state
        .index
        .terminal(hello.terminal_id)
        .ok_or(RefusedReason::Unauthorized)?;
    if is_signed(&terminal, &hello, &nonce, state.incarnation) {
        Ok((terminal, *hello))
    } else {
        Err(RefusedReason::Unauthorized)
    }
}

fn is_signed(terminal: &Terminal, hello: &Hello, nonce: &[u8], incarnation: IncarnationId) -> bool {
    let key = terminal
        .device_key
        .and_then(|key| VerifyingKey::from_bytes(&key.0).ok());
    let (Some(key), Ok(signature)) = (key, Signature::from_slice(&hello.signature)) else {
        return false;
    };
    let (terminal_id, journal_id) = (hello.terminal_id, hello.journal_id);
    let (boot, connection) = (hello.boot, hello.connection);
    let bytes = signed_bytes(
        nonce,
        incarnation,
        terminal_id,
        journal_id,
        boot,
        connection,
    );
    key.verify_strict(&bytes, &signature).is_ok()
}

/// Carries messages both ways until either side ends.
async fn serve(
    mut session: Session,
    mut stream: AggregatedMessageStream,
    state: &LinkState,
    terminal: &Terminal,
    hello: Hello,
) {
    let socket = SOCKETS.fetch_add(1, Ordering::Relaxed);
    let (outbound, mut queue) = mpsc::channel(OUTBOUND_MAX);
    let Ok(actor) = state
        .directory
        .terminal(terminal.merchant_id, terminal.id)
        .await
    else {
        session.close(None).await.ok();
        return;
    };
    let hello = VerifiedHello {
        socket,
        journal_id: hello.journal_id,
        boot: hello.boot,
        connection: hello.connection,
        open: hello.open,
        prints: hello.prints,
        has_simulator: hello.has_simulator,
    };
    deliver(&actor, LinkHello { outbound, hello });
    loop {
        let goes_on = tokio::select! {
            outbound = queue.recv() => match outbound {
                Some(Outbound::Handshake(reply)) => send(&mut session, &reply).await,
                Some(Outbound::Message(message)) => send(&mut session, &message).await,
                None => false,
            },
            frame = next_frame(&mut session, &mut stream) => match frame {
                Some(frame) => said(&actor, socket, &frame),
                None => false,
            },
        };
        if !goes_on {
            break;
        }
    }
    deliver(&actor, LinkClosed { socket });
    session.close(None).await.ok();
}

/// Passes one message on; false when it is not one and the link must end.
fn said(actor: &Addr<TerminalActor>, socket: u64, frame: &[u8]) -> bool {
    match decode::<ToEngine>(frame) {
        Ok(message) => {
            deliver(actor, LinkSaid { socket, message });
            true
        }
        Err(error) => {
            tracing::warn!(socket, %error, "agent sent something that is no message");
            false
        }
    }
}

/// The next binary frame; `None` when the socket has ended or breaks the protocol.
async fn next_frame(
    session: &mut Session,
    stream: &mut AggregatedMessageStream,
) -> Option<bytes::Bytes> {
    loop {
        match stream.next().await? {
            Ok(AggregatedMessage::Binary(frame)) => return Some(frame),
            Ok(AggregatedMessage::Ping(payload)) => session.pong(&payload).await.ok()?,
            Ok(AggregatedMessage::Pong(_)) => {}
            Ok(AggregatedMessage::Text(_) | AggregatedMessage::Close(_)) | Err(_) => return None,
        }
    }
}

async fn send<T: serde::Serialize>(session: &mut Session, message: &T) -> bool {
    match encode(message) {
        Ok(frame) => session.binary(frame).await.is_ok(),
        Err(error) => {
            tracing::error!(%error, "message was not sent");
            false
        }
    }
}

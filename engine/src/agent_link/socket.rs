//! One socket of one agent: decodes and verifies on the web worker that accepted it, then passes
//! typed messages.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::Addr;
use ed25519_dalek::{Signature, VerifyingKey};
use futures_util::{SinkExt as _, StreamExt as _};
use protocol::id::IncarnationId;
use protocol::link::{
    Challenge, Handshake, HandshakeReply, Hello, Refused, RefusedReason, ToEngine, VERSION,
    VERSION_MIN, decode, encode, signed_bytes,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::admission::Admission;
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
/// Time for a frame to leave: the other side has stopped reading.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the word that the link ends, which is a courtesy.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
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
    /// Who may come in when.
    pub admission: Admission,
}

/// What a link goes over: plain TCP, or TLS over it. Each has its own code, so that the plain way
/// pays nothing for the other.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + 'static> Stream for T {}

type Socket<T> = WebSocketStream<T>;

impl LinkState {
    /// Waits until it is this till's turn; false when there are too many before it.
    pub(crate) async fn waits_for_turn(&self) -> bool {
        match self.admission.turn(tokio::time::Instant::now().into_std()) {
            Some(wait) if wait.is_zero() => true,
            Some(wait) => {
                tokio::time::sleep(wait).await;
                true
            }
            None => false,
        }
    }
}

/// Lives for as long as the socket does.
pub(crate) async fn run<T: Stream>(mut socket: Socket<T>, state: LinkState) {
    // In a box of its own, so that what only the handshake needs is not kept while a link idles.
    match Box::pin(handshake(&mut socket, &state)).await {
        Ok((terminal, hello)) => serve(socket, &state, &terminal, hello).await,
        Err(reason) => {
            let refused = HandshakeReply::Refused(Refused { reason });
            send(&mut socket, &refused).await;
            close(socket).await;
        }
    }
}

/// Challenges the agent and verifies its answer.
async fn handshake<T: Stream>(
    socket: &mut Socket<T>,
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
    if !send(socket, &HandshakeReply::Challenge(challenge)).await {
        return Err(RefusedReason::Busy);
    }
    let first = timeout(HELLO_TIMEOUT, next_frame(socket)).await;
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
async fn serve<T: Stream>(
    mut socket: Socket<T>,
    state: &LinkState,
    terminal: &Terminal,
    hello: Hello,
) {
    let number = SOCKETS.fetch_add(1, Ordering::Relaxed);
    let (outbound, mut queue) = mpsc::channel(OUTBOUND_MAX);
    let directory = &state.directory;
    let actor = directory.terminal(terminal.merchant_id, terminal.id).await;
    let Ok(actor) = actor else {
        return close(socket).await;
    };
    let hello = VerifiedHello {
        socket: number,
        version: hello.version,
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
            first = queue.recv() => match first {
                Some(first) => send_all(&mut socket, first, &mut queue).await,
                None => false,
            },
            frame = next_frame(&mut socket) => match frame {
                Some(frame) => said(&actor, number, &frame),
                None => false,
            },
        };
        if !goes_on {
            break;
        }
    }
    deliver(&actor, LinkClosed { socket: number });
    close(socket).await;
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
async fn next_frame<T: Stream>(socket: &mut Socket<T>) -> Option<bytes::Bytes> {
    loop {
        match socket.next().await? {
            Ok(Message::Binary(frame)) => return Some(frame),
            // The library answers a ping by itself.
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(_) | Err(_) => return None,
        }
    }
}

/// Sends what is ready together with one write.
async fn send_all<T: Stream>(
    socket: &mut Socket<T>,
    first: Outbound,
    queue: &mut mpsc::Receiver<Outbound>,
) -> bool {
    let mut next = Some(first);
    while let Some(outbound) = next {
        let is_taken = match &outbound {
            Outbound::Handshake(reply) => put(socket, reply.as_ref()).await,
            Outbound::Message(message) => put(socket, message.as_ref()).await,
        };
        if !is_taken {
            return false;
        }
        next = queue.try_recv().ok();
    }
    flush(socket).await
}

async fn send<T: Stream>(socket: &mut Socket<T>, message: &impl serde::Serialize) -> bool {
    put(socket, message).await && flush(socket).await
}

/// Puts a message with those that leave at the next flush.
async fn put<T: Stream>(socket: &mut Socket<T>, message: &impl serde::Serialize) -> bool {
    match encode(message) {
        Ok(frame) => is_done(timeout(SEND_TIMEOUT, socket.feed(Message::binary(frame))).await),
        Err(error) => {
            tracing::error!(%error, "message was not sent");
            false
        }
    }
}

async fn flush<T: Stream>(socket: &mut Socket<T>) -> bool {
    is_done(timeout(SEND_TIMEOUT, socket.flush()).await)
}

async fn close<T: Stream>(mut socket: Socket<T>) {
    timeout(CLOSE_TIMEOUT, socket.close(None)).await.ok();
}

fn is_done<E>(sent: Result<Result<(), E>, tokio::time::error::Elapsed>) -> bool {
    matches!(sent, Ok(Ok(())))
}

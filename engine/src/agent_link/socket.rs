//! One socket of one agent: challenges and verifies on the web worker that accepted it, and hands the
//! link over.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ed25519_dalek::{Signature, VerifyingKey};
use futures_util::{SinkExt as _, StreamExt as _};
use protocol::id::IncarnationId;
use protocol::link::{
    Challenge, Handshake, HandshakeReply, Hello, Refused, RefusedReason, VERSION, VERSION_MIN,
    decode, encode, signed_bytes,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::admission::Admission;
use super::conversation::Conversation;
use crate::access::index::AccessIndex;
use crate::actor::directory::Directory;
use crate::clock::SharedClock;
use crate::domain::merchant::Terminal;
use crate::id_source::SystemIds;
use crate::owner::terminal::VerifiedHello;

/// Time for the hello. Signing takes an agent a millisecond.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a frame to leave: the other side has stopped reading.
pub(super) const SEND_TIMEOUT: Duration = Duration::from_secs(10);
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
    /// The time.
    pub clock: SharedClock,
}

/// What a link goes over: plain TCP, or TLS over it. Each has its own code, so that the plain way
/// pays nothing for the other.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + 'static> Stream for T {}

pub(super) type Socket<T> = WebSocketStream<T>;

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
        Ok((terminal, hello)) => serve(socket, state, &terminal, hello).await,
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

/// Hands a verified link to its terminal's actor, and carries on until either side ends.
async fn serve<T: Stream>(socket: Socket<T>, state: LinkState, terminal: &Terminal, hello: Hello) {
    let number = SOCKETS.fetch_add(1, Ordering::Relaxed);
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
    let socket = Conversation::begin(socket, actor, state.clock, hello).run();
    close(socket.await).await;
}

/// The next binary frame; `None` when the socket has ended or breaks the protocol.
pub(super) async fn next_frame<T: Stream>(socket: &mut Socket<T>) -> Option<bytes::Bytes> {
    loop {
        match socket.next().await? {
            Ok(Message::Binary(frame)) => return Some(frame),
            // The library answers a ping by itself.
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(_) | Err(_) => return None,
        }
    }
}

/// Sends a message of the handshake.
async fn send<T: Stream>(socket: &mut Socket<T>, reply: &HandshakeReply) -> bool {
    match encode(reply) {
        Ok(frame) => {
            let sent = timeout(SEND_TIMEOUT, socket.send(Message::binary(frame))).await;
            matches!(sent, Ok(Ok(())))
        }
        Err(error) => {
            tracing::error!(%error, "message was not sent");
            false
        }
    }
}

async fn close<T: Stream>(mut socket: Socket<T>) {
    timeout(CLOSE_TIMEOUT, socket.close(None)).await.ok();
}

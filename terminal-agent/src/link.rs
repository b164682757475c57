//! The agent's end of the link: one outbound WebSocket, opened again whenever it breaks.
//!
//! Knows the handshake, the heartbeat and the frame limit; knows nothing of payments. Every
//! connection gets a channel of its own, so nothing that was meant for an earlier one can be
//! sent: what was in flight when a link broke is forgotten.

mod address;
mod fault;

use std::time::Duration;

use ed25519_dalek::{Signer, SigningKey};
use futures_util::{SinkExt, StreamExt};
use protocol::id::TerminalId;
use protocol::link::{
    AGENT_HEARTBEAT_MS, Digest, FRAME_BYTES_MAX, Handshake, HandshakeReply, Hello, PrintReport,
    RefusedReason, SILENCE_MS_MAX, ToAgent, ToEngine, VERSION, VERSION_MIN, Welcome, decode,
    encode, signed_bytes,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::id_source;
use crate::simulator_control::{Simulator, simulate};
use crate::tls::TlsFault;
use address::Carrier;
pub use address::{AddressError, LinkAddress, is_loopback_url, is_tls_url};
pub(crate) use address::{host_of, port_of};
pub use fault::LinkError;

/// First delay before another connection.
const RETRY_DELAY_MS_MIN: u64 = 250;
/// Longest delay before another connection.
const RETRY_DELAY_MS_MAX: u64 = 10_000;
/// How long opening the socket and each step of the handshake may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one frame may take to leave.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages that wait for the socket. A till says a few a second; more means a dead socket.
const OUTBOUND_MAX: usize = 256;

/// What the link reports.
#[derive(Debug)]
pub enum LinkEvent {
    /// The challenge has come; the first command must be the hello. Later ones are for this
    /// connection only.
    Connecting {
        /// The protocol version that both sides speak.
        version: u16,
        /// Where commands for this connection go.
        commands: mpsc::Sender<LinkCommand>,
    },
    /// The engine has welcomed the hello.
    Up(Welcome),
    /// The engine says something.
    Message(Box<ToAgent>),
    /// The connection is gone.
    Down(LinkError),
}

/// What the link is to do.
#[derive(Debug)]
pub enum LinkCommand {
    /// Answers the challenge.
    Hello {
        /// Open work.
        open: Vec<Digest>,
        /// Ends of print jobs.
        prints: Vec<PrintReport>,
    },
    /// Sends a message.
    Send(Box<ToEngine>),
}

/// Who connects.
pub struct LinkIdentity {
    /// The terminal.
    pub terminal_id: TerminalId,
    /// The device's key.
    pub key: SigningKey,
    /// The journal.
    pub journal_id: protocol::id::JournalId,
    /// How often the agent has started on it.
    pub boot: u64,
    /// Version of the program.
    pub agent_version: String,
    /// The simulator of reader and printer, where they are simulated.
    pub simulator: Option<Simulator>,
}

type Socket = WebSocketStream<Box<dyn Carrier>>;

/// Keeps a link open until nobody listens to `events` any more.
pub async fn run<E>(
    address: LinkAddress,
    identity: LinkIdentity,
    events: mpsc::Sender<E>,
    wrap: fn(LinkEvent) -> E,
) {
    let mut delay_ms = RETRY_DELAY_MS_MIN;
    let mut connection = 0u64;
    while !events.is_closed() {
        connection = connection.saturating_add(1);
        let session = Session {
            identity: &identity,
            events: &events,
            wrap,
            connection,
        };
        let mut was_up = false;
        let error = session.live(&address, &mut was_up).await;
        if was_up {
            delay_ms = RETRY_DELAY_MS_MIN;
        }
        if needs_a_person(&error) {
            delay_ms = RETRY_DELAY_MS_MAX;
        }
        if events.send(wrap(LinkEvent::Down(error))).await.is_err() {
            return;
        }
        sleep(Duration::from_millis(id_source::jittered(delay_ms))).await;
        delay_ms = delay_ms.saturating_mul(2).min(RETRY_DELAY_MS_MAX);
    }
}

/// Asking often would not help.
const fn needs_a_person(error: &LinkError) -> bool {
    match error {
        LinkError::Refused(reason) => !matches!(reason, RefusedReason::Busy),
        LinkError::Tls(fault) => !matches!(fault, TlsFault::Unreachable { .. }),
        _ => false,
    }
}

struct Session<'a, E> {
    identity: &'a LinkIdentity,
    events: &'a mpsc::Sender<E>,
    wrap: fn(LinkEvent) -> E,
    connection: u64,
}

impl<E> Session<'_, E> {
    async fn live(&self, address: &LinkAddress, was_up: &mut bool) -> LinkError {
        match self.try_live(address, was_up).await {
            Ok(()) => LinkError::Closed,
            Err(error) => error,
        }
    }

    async fn try_live(&self, address: &LinkAddress, was_up: &mut bool) -> Result<(), LinkError> {
        let mut socket = timeout(STEP_TIMEOUT, connect(address))
            .await
            .map_err(|_| LinkError::TimedOut("connecting"))??;
        let HandshakeReply::Challenge(challenge) = receive_reply(&mut socket).await? else {
            return Err(LinkError::Protocol);
        };
        if challenge.version_max < VERSION_MIN || challenge.version_min > VERSION {
            return Err(LinkError::Refused(RefusedReason::Version));
        }
        let (commands_tx, mut commands) = mpsc::channel(OUTBOUND_MAX);
        let version = VERSION.min(challenge.version_max);
        self.report(LinkEvent::Connecting {
            version,
            commands: commands_tx,
        })
        .await?;
        let Some(LinkCommand::Hello { open, prints }) = commands.recv().await else {
            return Err(LinkError::Closed);
        };
        let identity = self.identity;
        let signed = signed_bytes(
            &challenge.nonce,
            challenge.incarnation,
            identity.terminal_id,
            identity.journal_id,
            identity.boot,
            self.connection,
        );
        let hello = Handshake::Hello(Box::new(Hello {
            version,
            terminal_id: identity.terminal_id,
            agent_version: identity.agent_version.clone(),
            journal_id: identity.journal_id,
            boot: identity.boot,
            connection: self.connection,
            signature: identity.key.sign(&signed).to_bytes().to_vec(),
            open,
            prints,
            has_simulator: identity.simulator.is_some(),
        }));
        send(&mut socket, &hello).await?;
        match receive_reply(&mut socket).await? {
            HandshakeReply::Welcome(welcome) => self.report(LinkEvent::Up(welcome)).await?,
            HandshakeReply::Refused(refused) => return Err(LinkError::Refused(refused.reason)),
            HandshakeReply::Challenge(_) => return Err(LinkError::Protocol),
        }
        *was_up = true;
        self.converse(&mut socket, &mut commands).await
    }

    async fn converse(
        &self,
        socket: &mut Socket,
        commands: &mut mpsc::Receiver<LinkCommand>,
    ) -> Result<(), LinkError> {
        let mut last_heard = Instant::now();
        let mut last_said = Instant::now();
        loop {
            let silence_ends = last_heard + Duration::from_millis(SILENCE_MS_MAX);
            let ping_due = last_said + Duration::from_millis(AGENT_HEARTBEAT_MS);
            tokio::select! {
                received = socket.next() => {
                    last_heard = Instant::now();
                    match decode_frame::<ToAgent>(received)? {
                        None | Some(ToAgent::Pong) => {}
                        Some(ToAgent::Ping) => {
                            send(socket, &ToEngine::Pong).await?;
                            last_said = Instant::now();
                        }
                        // Not beside the conversation: what the engine says next counts on it.
                        Some(ToAgent::Simulate(command)) => {
                            let simulator = self.identity.simulator.as_ref();
                            send(socket, &simulate(simulator, &command).await).await?;
                            last_said = Instant::now();
                        }
                        Some(message) => self.report(LinkEvent::Message(Box::new(message))).await?,
                    }
                }
                command = commands.recv() => match command {
                    Some(LinkCommand::Send(message)) => {
                        send(socket, &*message).await?;
                        last_said = Instant::now();
                    }
                    Some(LinkCommand::Hello { .. }) => return Err(LinkError::Protocol),
                    // The agent has given this connection up.
                    None => return Ok(()),
                },
                () = sleep_until(silence_ends) => {
                    return Err(LinkError::TimedOut("the engine's heartbeat"));
                }
                () = sleep_until(ping_due) => {
                    send(socket, &ToEngine::Ping).await?;
                    last_said = Instant::now();
                }
            }
        }
    }

    async fn report(&self, event: LinkEvent) -> Result<(), LinkError> {
        let sent = self.events.send((self.wrap)(event)).await;
        sent.map_err(|_| LinkError::Closed)
    }
}

async fn connect(address: &LinkAddress) -> Result<Socket, LinkError> {
    let stream = address.open().await?;
    let config = WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * FRAME_BYTES_MAX)
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX));
    let (socket, _) =
        tokio_tungstenite::client_async_with_config(address.url(), stream, Some(config))
            .await
            .map_err(|error| LinkError::Socket(error.to_string()))?;
    Ok(socket)
}

async fn receive_reply(socket: &mut Socket) -> Result<HandshakeReply, LinkError> {
    let deadline = Instant::now() + STEP_TIMEOUT;
    loop {
        let received = tokio::time::timeout_at(deadline, socket.next())
            .await
            .map_err(|_| LinkError::TimedOut("the handshake"))?;
        if let Some(reply) = decode_frame(received)? {
            return Ok(reply);
        }
    }
}

type Received = Option<Result<Message, tokio_tungstenite::tungstenite::Error>>;

fn decode_frame<T: serde::de::DeserializeOwned>(
    received: Received,
) -> Result<Option<T>, LinkError> {
    match received {
        None => Err(LinkError::Closed),
        Some(Err(error)) => Err(LinkError::Socket(error.to_string())),
        Some(Ok(Message::Binary(bytes))) => {
            decode(&bytes).map(Some).map_err(|_| LinkError::Protocol)
        }
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Close(_))) => Err(LinkError::Closed),
        Some(Ok(Message::Text(_) | Message::Frame(_))) => Err(LinkError::Protocol),
    }
}

async fn send<T: serde::Serialize>(socket: &mut Socket, message: &T) -> Result<(), LinkError> {
    let bytes = encode(message).map_err(|_| LinkError::Protocol)?;
    timeout(SEND_TIMEOUT, socket.send(Message::binary(bytes)))
        .await
        .map_err(|_| LinkError::TimedOut("sending"))?
        .map_err(|error| LinkError::Socket(error.to_string()))
}

#[cfg(test)]
mod tests;

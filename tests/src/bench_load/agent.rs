//! Simulated agents: the real link protocol over real sockets, and answers without delay.
//!
//! All of them share one thread. What a till does between messages (reader, chip, paper) takes no
//! time here, so that what is measured is the engine.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ed25519_dalek::{Signer, SigningKey};
use futures_util::{SinkExt, StreamExt};
use protocol::id::{JournalId, PosTransactionId, TerminalId};
use protocol::link::{
    AGENT_HEARTBEAT_MS, CardReport, ChipOutcome, Completion, Handshake, HandshakeReply, Hello,
    PrintReport, PrintState, TillStatus, ToAgent, ToEngine, VERSION, decode, encode, signed_bytes,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::wire::Wire;

/// After a link has ended. These tills have sales in progress; the patient ones are elsewhere.
const RETRY_DELAY: Duration = Duration::from_millis(20);

/// Card data by amount in minor units.
pub(crate) type Cards = BTreeMap<i64, Vec<u8>>;

/// One paired till.
#[derive(Debug)]
pub(crate) struct Till {
    pub(crate) terminal_id: TerminalId,
    pub(crate) key: SigningKey,
    offered: Mutex<Option<(PosTransactionId, Instant)>>,
}

impl Till {
    pub(crate) fn new(terminal_id: TerminalId, key: SigningKey) -> Self {
        Self {
            terminal_id,
            key,
            offered: Mutex::new(None),
        }
    }

    /// When the offer of this POS transaction arrived, if it is the last one that did.
    pub(crate) fn offered_at(&self, pos_id: &str) -> Option<Instant> {
        let offered = *self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        offered
            .filter(|(offered, _)| offered.to_string() == pos_id)
            .map(|(_, at)| at)
    }

    fn note_offer(&self, pos_id: PosTransactionId) {
        let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        *offered = Some((pos_id, Instant::now()));
    }
}

/// What the agents have seen.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Links that are up.
    pub(crate) up: AtomicU64,
    /// Print jobs.
    pub(crate) prints: AtomicU64,
    troubles: Mutex<BTreeMap<String, u64>>,
}

impl Counts {
    /// Links that ended, and messages that a healthy sale does not have, since they were last asked for.
    pub(crate) fn take_troubles(&self) -> BTreeMap<String, u64> {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut troubles)
    }

    fn note(&self, trouble: &str) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        *troubles.entry(format!("agent: {trouble}")).or_default() += 1;
    }
}

/// Links every till from a thread of its own; returns at once.
///
/// # Errors
/// When there is no thread to be had.
pub(crate) fn link_all(
    tills: Vec<Arc<Till>>,
    address: &str,
    cards: Cards,
    counts: Arc<Counts>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let address: Arc<str> = address.into();
    let cards = Arc::new(cards);
    std::thread::Builder::new()
        .name("agents".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                let mut links = Vec::new();
                for till in tills {
                    let (address, cards) = (Arc::clone(&address), Arc::clone(&cards));
                    let counts = Arc::clone(&counts);
                    links.push(tokio::spawn(async move {
                        let agent = Agent {
                            till,
                            cards,
                            counts,
                        };
                        for connection in 1.. {
                            if let Err(error) = agent.live(&address, connection).await {
                                agent.counts.note(&error.to_string());
                            }
                            tokio::time::sleep(RETRY_DELAY).await;
                        }
                    }));
                }
                for link in links {
                    link.await.ok();
                }
            });
        })?;
    Ok(())
}

struct Agent {
    till: Arc<Till>,
    cards: Arc<Cards>,
    counts: Arc<Counts>,
}

type Socket = WebSocketStream<Wire>;

impl Agent {
    async fn live(&self, address: &str, connection: u64) -> io::Result<()> {
        let stream = Wire::connect(address).await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(8 * 1024)
            .write_buffer_size(0);
        let url = format!("ws://{address}{}", engine::server::LINK_PATH);
        let opened = tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await;
        let (mut socket, _) = opened.map_err(io::Error::other)?;
        self.shake_hands(&mut socket, connection).await?;
        say(&mut socket, &ToEngine::Status(TillStatus::healthy())).await?;
        self.counts.up.fetch_add(1, Ordering::Relaxed);
        let error = self.converse(&mut socket).await;
        self.counts.up.fetch_sub(1, Ordering::Relaxed);
        error
    }

    async fn converse(&self, socket: &mut Socket) -> io::Result<()> {
        let mut heartbeat = tokio::time::interval(Duration::from_millis(AGENT_HEARTBEAT_MS));
        heartbeat.reset();
        loop {
            tokio::select! {
                message = hear(socket) => {
                    if let Some(answer) = self.answer(message?) {
                        say(socket, &answer).await?;
                    }
                }
                _ = heartbeat.tick() => say(socket, &ToEngine::Ping).await?,
            }
        }
    }

    async fn shake_hands(&self, socket: &mut Socket, connection: u64) -> io::Result<()> {
        let HandshakeReply::Challenge(challenge) = hear(socket).await? else {
            return Err(io::Error::other("no challenge"));
        };
        let terminal_id = self.till.terminal_id;
        let journal_id = JournalId::from_bytes(terminal_id.bytes());
        let (nonce, incarnation) = (&challenge.nonce, challenge.incarnation);
        let signed = signed_bytes(nonce, incarnation, terminal_id, journal_id, 1, connection);
        let hello = Hello {
            version: VERSION,
            terminal_id,
            agent_version: "bench".to_owned(),
            journal_id,
            boot: 1,
            connection,
            signature: self.till.key.sign(&signed).to_bytes().to_vec(),
            open: Vec::new(),
            prints: Vec::new(),
            has_simulator: false,
        };
        say(socket, &Handshake::Hello(Box::new(hello))).await?;
        match hear(socket).await? {
            HandshakeReply::Welcome(_) => Ok(()),
            refused => Err(io::Error::other(format!("{refused:?}"))),
        }
    }

    fn answer(&self, message: ToAgent) -> Option<ToEngine> {
        match message {
            ToAgent::Offer(offer) => {
                self.till.note_offer(offer.pos_id);
                Some(ToEngine::Accept {
                    pos_id: offer.pos_id,
                })
            }
            ToAgent::ReadCard(grant) => match self.cards.get(&grant.amount.minor()) {
                Some(data) => Some(ToEngine::Card(CardReport {
                    pos_id: grant.pos_id,
                    attempt_id: grant.attempt_id,
                    amount: grant.amount,
                    data: data.clone(),
                    chip_waits: false,
                })),
                None => self.trouble("no card data for this amount"),
            },
            ToAgent::HostAnswer(answer) => Some(ToEngine::Completed(Completion {
                pos_id: answer.pos_id,
                attempt_id: answer.attempt_id,
                chip: ChipOutcome::Agreed,
                data: Vec::new(),
                cause: None,
            })),
            ToAgent::Print(print) => {
                self.counts.prints.fetch_add(1, Ordering::Relaxed);
                let state = PrintState::Printed;
                Some(ToEngine::Print(PrintReport {
                    job_id: print.job_id,
                    state,
                }))
            }
            ToAgent::Ping => Some(ToEngine::Pong),
            ToAgent::Concluded(_) | ToAgent::Pong => None,
            ToAgent::SelectTip { .. } => self.trouble("select tip"),
            ToAgent::Stop { .. } => self.trouble("stop"),
            ToAgent::AttemptClosed { .. } => self.trouble("attempt closed"),
            ToAgent::Answer { .. } => self.trouble("answer"),
            ToAgent::Simulate(_) => self.trouble("simulate"),
            ToAgent::ReportStatus { .. } => self.trouble("report status"),
            ToAgent::Configure(_) => self.trouble("configure"),
        }
    }

    fn trouble(&self, what: &str) -> Option<ToEngine> {
        self.counts.note(what);
        None
    }
}

async fn say<T: Serialize>(socket: &mut Socket, message: &T) -> io::Result<()> {
    let frame = encode(message).map_err(io::Error::other)?;
    socket
        .send(Message::binary(frame))
        .await
        .map_err(io::Error::other)
}

async fn hear<T: DeserializeOwned>(socket: &mut Socket) -> io::Result<T> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Binary(frame))) => return decode(&frame).map_err(io::Error::other),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(_)) | None => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(Err(error)) => return Err(io::Error::other(error)),
        }
    }
}

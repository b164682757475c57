//! Tills that have nothing to do: the agent's own link, with its heartbeat and its patience, and
//! nobody who buys anything.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ed25519_dalek::SigningKey;
use protocol::id::JournalId;
use protocol::link::{TillStatus, ToEngine};
use terminal_agent::link::{self, LinkAddress, LinkCommand, LinkEvent, LinkIdentity};
use terminal_agent::tls::{Authority, Trust};
use tokio::sync::{Notify, mpsc};

use crate::agent::Till;

/// Events of one link that wait. An idle one has hardly any.
const EVENTS_MAX: usize = 4;

/// What the links have seen.
#[derive(Debug, Default)]
struct Seen {
    up: AtomicU64,
    opened: AtomicU64,
    ended: Mutex<BTreeMap<String, u64>>,
}

/// Links that are kept open from a thread of their own.
#[derive(Debug)]
pub(crate) struct IdleLinks {
    seen: Arc<Seen>,
    cut: Arc<Notify>,
}

impl IdleLinks {
    /// Links every till; returns at once.
    ///
    /// # Errors
    /// When there is no thread to be had, or no such authority.
    pub(crate) fn open(
        tills: Vec<Arc<Till>>,
        address: &str,
        authority: Option<Authority>,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let scheme = authority.as_ref().map_or("ws", |_| "wss");
        let address = LinkAddress::parse(&format!("{scheme}://{address}"));
        let address = address.map_err(io::Error::other)?;
        let trust = authority.map_or(Trust::Nobody, Trust::Pinned);
        // Each till has tickets of its own.
        let addresses = tills.iter().map(|_| address.clone().trusting(&trust));
        let addresses: Result<Vec<_>, _> = addresses.collect();
        let addresses = addresses.map_err(io::Error::other)?;
        let (seen, cut) = (Arc::new(Seen::default()), Arc::new(Notify::new()));
        let links = Self {
            seen: Arc::clone(&seen),
            cut: Arc::clone(&cut),
        };
        let thread = std::thread::Builder::new().name("idle".to_owned());
        thread.spawn(move || {
            runtime.block_on(async {
                let links = tills.iter().zip(addresses).map(|(till, address)| {
                    let (seen, cut) = (Arc::clone(&seen), Arc::clone(&cut));
                    tokio::spawn(live(address, identity(till), seen, cut))
                });
                for link in links.collect::<Vec<_>>() {
                    link.await.ok();
                }
            });
        })?;
        Ok(links)
    }

    /// How many are up.
    pub(crate) fn up(&self) -> u64 {
        self.seen.up.load(Ordering::Relaxed)
    }

    /// How often one of them has come up.
    pub(crate) fn opened(&self) -> u64 {
        self.seen.opened.load(Ordering::Relaxed)
    }

    /// Ends all of them at once, as a switch that is started anew does. They come back by themselves.
    pub(crate) fn cut(&self) {
        self.cut.notify_waiters();
    }

    /// Why connections ended since this was last asked, and how often.
    pub(crate) fn take_ended(&self) -> BTreeMap<String, u64> {
        let ended = self.seen.ended.lock();
        std::mem::take(&mut *ended.unwrap_or_else(PoisonError::into_inner))
    }
}

fn identity(till: &Till) -> LinkIdentity {
    LinkIdentity {
        terminal_id: till.terminal_id,
        key: SigningKey::from_bytes(till.key.as_bytes()),
        journal_id: JournalId::from_bytes(till.terminal_id.bytes()),
        boot: 1,
        agent_version: "bench".to_owned(),
        simulator: None,
    }
}

async fn live(address: LinkAddress, identity: LinkIdentity, seen: Arc<Seen>, cut: Arc<Notify>) {
    let (events_tx, events) = mpsc::channel(EVENTS_MAX);
    tokio::join!(
        link::run(address, identity, events_tx, |event| event),
        listen(events, seen, cut)
    );
}

/// What an agent without work says.
async fn listen(mut events: mpsc::Receiver<LinkEvent>, seen: Arc<Seen>, cut: Arc<Notify>) {
    let mut commands = None;
    let mut is_up = false;
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = cut.notified() => {
                commands = None;
                continue;
            }
        };
        let Some(event) = event else { return };
        let said = match event {
            LinkEvent::Connecting {
                commands: to_link, ..
            } => {
                commands = Some(to_link);
                Some(LinkCommand::Hello {
                    open: Vec::new(),
                    prints: Vec::new(),
                })
            }
            LinkEvent::Up(_) => {
                is_up = true;
                seen.up.fetch_add(1, Ordering::Relaxed);
                seen.opened.fetch_add(1, Ordering::Relaxed);
                Some(LinkCommand::Send(Box::new(ToEngine::Status(
                    TillStatus::healthy(),
                ))))
            }
            LinkEvent::Message(_) => None,
            LinkEvent::Down(error) => {
                seen.up.fetch_sub(u64::from(is_up), Ordering::Relaxed);
                is_up = false;
                commands = None;
                let ended = seen.ended.lock();
                let mut ended = ended.unwrap_or_else(PoisonError::into_inner);
                *ended.entry(error.to_string()).or_default() += 1;
                None
            }
        };
        if let (Some(said), Some(commands)) = (said, &commands) {
            // A link that is gone says so with its own event.
            commands.try_send(said).ok();
        }
    }
}

//! Who owns a merchant, and how to ask.
//!
//! A seam: on several machines this is where another process's owner is found. No code outside may
//! assume that there is one process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use actix::{Actor, Addr, Arbiter, ArbiterHandle};
use protocol::id::{MerchantId, TerminalId};
use tokio::sync::oneshot;

use super::Surroundings;
use super::merchant::{AskMerchant, MerchantActor, Stop, TerminalOf};
use super::platform::{AskPlatform, PlatformActor};
use super::terminal::{AskStatus, TerminalActor};
use crate::domain::rejection::Rejection;
use crate::owner::request::{ClaimRequest, PlatformAnswer, PlatformRequest, Reply, Request};
use crate::owner::terminal::{FRESH_MS_MAX, Freshness};

/// The threads that owners live on: those that serve sockets, so that half of what passes between a
/// socket and an owner does not leave its thread.
#[derive(Debug, Clone, Default)]
pub struct Arbiters(Arc<RwLock<Vec<ArbiterHandle>>>);

impl Arbiters {
    /// Adds the calling thread, and forgets those that have ended.
    pub fn join(&self) {
        let mut arbiters = self.0.write().unwrap_or_else(PoisonError::into_inner);
        arbiters.retain(|arbiter| arbiter.spawn_fn(|| {}));
        arbiters.push(Arbiter::current());
    }

    /// The one of a merchant, by the last byte of its id: in a UUIDv7 that is random.
    fn of(&self, merchant_id: MerchantId) -> Option<ArbiterHandle> {
        let arbiters = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let at = usize::from(merchant_id.bytes()[15]).checked_rem(arbiters.len())?;
        arbiters.get(at).cloned()
    }
}

/// The owners of this process.
#[derive(Debug, Clone)]
pub struct Directory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    around: Surroundings,
    arbiters: Arbiters,
    platform: Addr<PlatformActor>,
    merchants: Mutex<BTreeMap<MerchantId, Addr<MerchantActor>>>,
}

/// The directory, as the owners in it know it.
#[derive(Debug, Clone, Default)]
pub(super) struct Home(Weak<Inner>);

impl Home {
    /// From now on nobody is led to this owner: whoever asks for the merchant next gets another.
    /// The caller must be at rest, and must never decide anything again; what still reaches it
    /// belongs to [`Home::successor`].
    pub(super) fn retire(&self, merchant_id: MerchantId, retiring: &Addr<MerchantActor>) {
        let Some(inner) = self.0.upgrade() else {
            return;
        };
        let directory = Directory(inner);
        let mut merchants = directory.merchants();
        if merchants.get(&merchant_id) == Some(retiring) {
            merchants.remove(&merchant_id);
        }
    }

    /// Who owns the merchant now.
    pub(super) fn successor(&self, merchant_id: MerchantId) -> Option<Addr<MerchantActor>> {
        let directory = Directory(self.0.upgrade()?);
        Some(directory.merchant(merchant_id))
    }
}

/// How often an owner may retire between its look-up and a question to it. Arbitrary: twice in a
/// row it takes a caller that is suspended for minutes.
const LOOK_UPS_MAX: u32 = 3;

impl Directory {
    /// Starts the platform's actor on this thread; merchants' actors start when they are first
    /// asked, on the threads that have joined by then.
    pub fn start(around: Surroundings, arbiters: Arbiters) -> Self {
        let platform = PlatformActor::new(around.clone()).start();
        let merchants = Mutex::new(BTreeMap::new());
        Self(Arc::new(Inner {
            around,
            arbiters,
            platform,
            merchants,
        }))
    }

    /// Asks a merchant's owner and waits for its one answer.
    ///
    /// # Errors
    /// [`Rejection`]; `Busy` when the owner has too much to do already.
    pub async fn ask(
        &self,
        merchant_id: MerchantId,
        claim: Option<ClaimRequest>,
        request: Request,
    ) -> Result<Reply, Rejection> {
        let (reply_to, reply) = oneshot::channel();
        // Kept until the answer is there: an owner that retires lives on for those who hold it.
        let merchant = self.merchant(merchant_id);
        if merchant
            .try_send(AskMerchant {
                claim,
                request,
                reply_to,
            })
            .is_err()
        {
            return Err(Rejection::Busy);
        }
        let answer = reply.await.unwrap_or(Err(Rejection::Busy));
        drop(merchant);
        answer
    }

    /// Asks the platform's owner.
    ///
    /// # Errors
    /// [`Rejection`].
    pub async fn ask_platform(
        &self,
        claim: Option<ClaimRequest<PlatformAnswer>>,
        request: PlatformRequest,
    ) -> Result<Reply<PlatformAnswer>, Rejection> {
        let (reply_to, reply) = oneshot::channel();
        if self
            .0
            .platform
            .try_send(AskPlatform {
                claim,
                request,
                reply_to,
            })
            .is_err()
        {
            return Err(Rejection::Busy);
        }
        reply.await.unwrap_or(Err(Rejection::Busy))
    }

    /// The actor of a terminal.
    ///
    /// # Errors
    /// `Busy` when the merchant's owner has too much to do already.
    pub(crate) async fn terminal(
        &self,
        merchant_id: MerchantId,
        terminal_id: TerminalId,
    ) -> Result<Addr<TerminalActor>, Rejection> {
        for _ in 0..LOOK_UPS_MAX {
            let merchant = self.merchant(merchant_id);
            match merchant.send(TerminalOf(terminal_id)).await {
                Ok(Some(terminal)) => return Ok(terminal),
                // It has retired meanwhile.
                Ok(None) => {}
                Err(_) => break,
            }
        }
        Err(Rejection::Busy)
    }

    /// Asks a terminal's till how it is now; the registry has the answer then. Takes no longer than
    /// [`FRESH_MS_MAX`].
    pub async fn refresh(&self, merchant_id: MerchantId, terminal_id: TerminalId) -> Freshness {
        let asked = async {
            let Ok(terminal) = self.terminal(merchant_id, terminal_id).await else {
                return Freshness::TimedOut;
            };
            let (reply_to, reply) = oneshot::channel();
            if terminal.try_send(AskStatus(reply_to)).is_err() {
                return Freshness::TimedOut;
            }
            reply.await.unwrap_or(Freshness::Offline)
        };
        let bound = std::time::Duration::from_millis(FRESH_MS_MAX);
        let told = tokio::time::timeout(bound, asked).await;
        told.unwrap_or(Freshness::TimedOut)
    }

    /// How many merchants have an owner in memory.
    pub fn owners(&self) -> usize {
        self.merchants().len()
    }

    /// Starts the owners that have open work: nobody may have to ask before somebody is asking the
    /// acquirer.
    pub fn wake(&self, merchants: impl IntoIterator<Item = MerchantId>) {
        for merchant_id in merchants {
            self.merchant(merchant_id);
        }
    }

    /// Turns everybody away and stops the owners.
    pub fn stop(&self) {
        for merchant in self.merchants().values() {
            super::deliver(merchant, Stop);
        }
    }

    fn merchants(&self) -> std::sync::MutexGuard<'_, BTreeMap<MerchantId, Addr<MerchantActor>>> {
        self.0
            .merchants
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn merchant(&self, merchant_id: MerchantId) -> Addr<MerchantActor> {
        let mut merchants = self.merchants();
        if let Some(merchant) = merchants.get(&merchant_id)
            && merchant.connected()
        {
            return merchant.clone();
        }
        // A merchant and its terminals share one arbiter: a wake-up across costs 66 µs, within
        // 0.7 µs.
        let around = self.0.around.clone();
        let home = Home(Arc::downgrade(&self.0));
        let merchant = match self.0.arbiters.of(merchant_id) {
            Some(arbiter) => MerchantActor::start_in_arbiter(&arbiter, move |_| {
                MerchantActor::new(merchant_id, around, home)
            }),
            None => MerchantActor::new(merchant_id, around, home).start(),
        };
        merchants.insert(merchant_id, merchant.clone());
        merchant
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use protocol::id::IncarnationId;
    use uuid::Uuid;

    use super::*;
    use crate::access::guard::Guard;
    use crate::access::index::AccessIndex;
    use crate::acquirer::{Acquirer, AcquirerRequest, Answered};
    use crate::agent_link::registry::Registry;
    use crate::clock::{Clock as _, SystemClock};
    use crate::domain::merchant::Merchant;
    use crate::domain::time::Timestamp;
    use crate::domain::token::SecretHash;
    use crate::owner::key;
    use crate::owner::merchant::Limits;
    use crate::owner::work::Stored as _;
    use crate::store::{
        Commit, DiskStore, Record, Row, Rows as _, SharedStore, Store as _, StoreConfig, StreamId,
        Urgency,
    };

    #[derive(Debug)]
    struct NoAcquirer;

    impl Acquirer for NoAcquirer {
        fn submit(&self, _request: AcquirerRequest, _answered: Answered) {}

        fn name(&self) -> &'static str {
            "none"
        }
    }

    /// A store with these merchants.
    fn store(root: &Path, merchants: &[MerchantId]) -> Arc<DiskStore> {
        let config = StoreConfig::new(root, IncarnationId::from_uuid(Uuid::from_u128(9)));
        let config = StoreConfig {
            segment_bytes: 1024 * 1024,
            reserve_bytes: 64 * 1024,
            free_bytes_min: 0,
            ..config
        };
        let store = DiskStore::open(config, Box::new(|reason| panic!("{reason}"))).unwrap();
        let rows = merchants.iter().map(|id| Row {
            key: key::merchant(*id),
            value: Some(
                Merchant {
                    id: *id,
                    partner_id: None,
                    name: "Corner Shop".into(),
                    address: Vec::new(),
                    phone: None,
                    currencies: vec!["EUR".parse().unwrap()],
                    utc_offset_minutes: 60,
                    created_at: Timestamp(0),
                }
                .to_bytes(),
            ),
        });
        let commit = Commit {
            stream: StreamId([0xFE; 17]),
            expected_seq: 0,
            records: vec![Record {
                event: Vec::new(),
                rows: rows.collect(),
            }],
            urgency: Urgency::New,
        };
        let (told, hear) = std::sync::mpsc::channel();
        store.commit(commit, Box::new(move |fate| told.send(fate).unwrap()));
        hear.recv().unwrap().unwrap();
        store
    }

    fn directory(store: SharedStore, idle_ms: u64) -> (Directory, Vec<Arbiter>) {
        let clock = Arc::new(SystemClock::start());
        let index = AccessIndex::load(store.as_ref(), clock.now()).unwrap();
        let around = Surroundings {
            store,
            acquirer: Arc::new(NoAcquirer),
            guard: Guard::new(index.clone(), SecretHash::of(b"operator")),
            index,
            registry: Registry::default(),
            clock,
            limits: Limits {
                idle_ms,
                ..Limits::default()
            },
        };
        let arbiters: Vec<Arbiter> = (0..2).map(|_| Arbiter::new()).collect();
        let joined = Arbiters::default();
        for arbiter in &arbiters {
            let (joining, told) = (joined.clone(), std::sync::mpsc::channel());
            arbiter.spawn_fn(move || {
                joining.join();
                told.0.send(()).unwrap();
            });
            told.1.recv().unwrap();
        }
        (Directory::start(around, joined), arbiters)
    }

    async fn create_terminal(directory: &Directory, merchant_id: MerchantId) {
        let request = Request::CreateTerminal {
            label: "Lane 1".to_owned(),
            serial_number: None,
        };
        let answer = directory.ask(merchant_id, None, request).await;
        assert!(matches!(answer, Ok(Reply::Fresh(_))), "{answer:?}");
    }

    async fn await_owners(directory: &Directory, count: usize) {
        while directory.owners() != count {
            tokio::task::yield_now().await;
        }
    }

    fn merchants() -> [MerchantId; 2] {
        [1, 2].map(|number| MerchantId::from_uuid(Uuid::from_u128(number)))
    }

    // With no time to idle an owner goes as soon as it has nothing to do: requests meet it in every
    // state. A commit of two owners at once would be refused for its sequence number.
    #[actix::test]
    async fn owners_that_go_all_the_time_lose_no_request_and_never_overlap() {
        let root = tempfile::tempdir().unwrap();
        let store = store(root.path(), &merchants());
        let (directory, arbiters) = directory(store.clone(), 0);
        for _ in 0..20 {
            create_terminal(&directory, merchants()[0]).await;
            await_owners(&directory, 0).await;
        }
        let callers = (0..8).map(|caller| {
            let directory = directory.clone();
            actix::spawn(async move {
                for turn in 0..40 {
                    let merchant_id = merchants()[(caller + turn) % 2];
                    create_terminal(&directory, merchant_id).await;
                    let terminal_id = TerminalId::from_uuid(Uuid::from_u128(5));
                    let terminal = directory.terminal(merchant_id, terminal_id).await;
                    assert!(terminal.is_ok());
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.unwrap();
        }
        await_owners(&directory, 0).await;
        let made = store.scan(&key::space(key::TERMINAL), None, usize::MAX);
        assert_eq!(made.unwrap().len(), 20 + 8 * 40);
        for arbiter in arbiters {
            arbiter.stop();
            arbiter.join().unwrap();
        }
    }

    #[actix::test]
    async fn owners_stay_for_as_long_as_they_are_told_to() {
        let root = tempfile::tempdir().unwrap();
        let (directory, _arbiters) = directory(store(root.path(), &merchants()), 300_000);
        for merchant_id in merchants() {
            create_terminal(&directory, merchant_id).await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
            assert_eq!(directory.owners(), 2);
        }
    }
}

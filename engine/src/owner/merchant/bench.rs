//! A merchant's owner on a test bench: memory store, stepped clock, counted ids, recorded effects.

use std::sync::mpsc::{Receiver, Sender, channel};

use protocol::id::{AttemptId, JournalId, MerchantId, PosTransactionId, TerminalId, TransactionId};
use protocol::link::{AttemptEnd, CardReport, ChipOutcome, Completion, PosKind, ToAgent, ToEngine};
use protocol::money::Money;
use uuid::Uuid;

use super::{Effect, Limits, MerchantInput, MerchantOwner, TerminalEvent};
use crate::acquirer::{AcquirerAction, AcquirerAnswer, AuthorizationAnswer, Sending};
use crate::domain::idempotency::{ClaimKey, Fingerprint, StoredAnswer};
use crate::domain::installation::Installations;
use crate::domain::merchant::{DeviceKey, Merchant, Terminal};
use crate::domain::pos::{Origin, PosTransaction};
use crate::domain::rejection::Rejection;
use crate::domain::time::Timestamp;
use crate::domain::transaction::HostResult;
use crate::owner::inspect::inspect;
use crate::owner::key;
use crate::owner::machine::{Input, Output, Owner, Surroundings};
use crate::owner::request::{Answer, Ask, CallerId, ClaimRequest, Reply, Request, StartPos};
use crate::owner::work::{Ids, Stored};
use crate::store::memory::MemoryStore;
use crate::store::{
    Commit, CommitRefused, Committed, Record, Row, Rows as _, Store as _, StreamId, Urgency,
};

/// The contactless read of 12.34 EUR that the reader's documentation lays out.
const TAP: &str = "E1DFEE120A62994901300000000014500956495341205445535457A1114761CCCCCCCC0010D2812201CCCCCCCCCC57C118F73EB3EEBE9E9143BED5BD2BFF47FCC1B071EBF9C67BE1555AA1084761CCCCCCCC00105AC1101C7E951134A1F06170442D066EE94AE65F340101820220008407A0000000031010950500000000009A032611209C01005F2A0209789F02060000000012349F03060000000000009F100706011203A000009F1A0202769F260801020304050607089F2701809F3303E0F8C89F360200019F3704A1B2C3D49F6604360040009F6E04207000009F390107FFEE0105DFEE300100DFEE2602E100";

/// Of every link here.
pub(super) const SOCKET: u64 = 1;
pub(super) const T0: Timestamp = Timestamp(1_800_000_000_000);
/// The sending whose answer is never too old.
pub(super) const LATEST: Sending = Sending {
    number: u32::MAX,
    at: Timestamp(i64::MAX),
};

struct CountedIds(u128);

impl Ids for CountedIds {
    fn next(&mut self) -> Uuid {
        self.0 += 1;
        Uuid::from_u128((0x0190 << 112) | self.0)
    }
}

type Fate = Result<Committed, CommitRefused>;

/// An owner with everything around it.
pub(super) struct Bench {
    pub(super) store: MemoryStore,
    pub(super) now: Timestamp,
    pub(super) effects: Vec<Effect>,
    pub(super) terminal_id: TerminalId,
    pub(super) merchant_id: MerchantId,
    pub(super) limits: Limits,
    /// Whether every commit is held against the invariants: slow when a test makes many.
    pub(super) is_inspected: bool,
    owner: Option<Owner<MerchantOwner>>,
    ids: CountedIds,
    fates: (Sender<Fate>, Receiver<Fate>),
    callers: u64,
}

impl Bench {
    /// A boarded merchant with one paired terminal whose link is up.
    pub(super) fn new() -> Self {
        let merchant_id = MerchantId::from_uuid(Uuid::from_u128(1));
        let terminal_id = TerminalId::from_uuid(Uuid::from_u128(2));
        let mut bench = Self {
            store: MemoryStore::new(),
            now: T0,
            effects: Vec::new(),
            terminal_id,
            merchant_id,
            limits: Limits::default(),
            is_inspected: true,
            owner: None,
            ids: CountedIds(1_000),
            fates: channel(),
            callers: 0,
        };
        bench.board();
        bench.restart();
        bench.link_back(Vec::new());
        bench.effects.clear();
        bench
    }

    fn board(&self) {
        let merchant = Merchant {
            id: self.merchant_id,
            partner_id: None,
            name: "Corner Shop".into(),
            address: vec!["1 High Street".into()],
            phone: None,
            currencies: vec!["EUR".parse().unwrap()],
            utc_offset_minutes: 60,
            created_at: T0,
        };
        let terminal = Terminal {
            id: self.terminal_id,
            merchant_id: self.merchant_id,
            label: "Lane 1".into(),
            serial_number: None,
            device_key: Some(DeviceKey([7; 32])),
            paired_at: Some(T0),
            installations: Installations::default(),
            created_at: T0,
            location: None,
            own: crate::domain::terminal_settings::Versioned::default(),
        };
        let rows = vec![
            Row {
                key: key::merchant(merchant.id),
                value: Some(merchant.to_bytes()),
            },
            Row {
                key: key::terminal(merchant.id, terminal.id),
                value: Some(terminal.to_bytes()),
            },
        ];
        let commit = Commit {
            stream: StreamId([0xFE; 17]),
            expected_seq: 0,
            records: vec![Record {
                event: Vec::new(),
                rows,
            }],
            urgency: Urgency::New,
        };
        self.store
            .commit(commit, Box::new(|fate| assert!(fate.is_ok())));
        self.store.sync();
    }

    /// Drops the owner with everything that was in flight and loads it anew.
    pub(super) fn restart(&mut self) {
        self.owner = MerchantOwner::load(self.merchant_id, self.limits, &self.store).unwrap();
        self.feed(Input::Resume);
        self.settle();
    }

    /// Gives one input without making anything durable.
    pub(super) fn feed(&mut self, input: Input<MerchantInput>) {
        let mut out = Vec::new();
        let mut around = Surroundings {
            now: self.now,
            ids: &mut self.ids,
            rows: &self.store,
        };
        self.owner
            .as_mut()
            .unwrap()
            .handle(input, &mut around, &mut out);
        for output in out {
            match output {
                Output::Commit(commit) => {
                    let fates = self.fates.0.clone();
                    self.store
                        .commit(commit, Box::new(move |fate| fates.send(fate).unwrap()));
                }
                Output::Effect(effect) => self.effects.push(effect),
                Output::Discard(fault) => panic!("owner discarded: {fault}"),
            }
        }
    }

    /// Makes everything durable that waits, until nothing does. Whatever is stored by then keeps
    /// every invariant.
    pub(super) fn settle(&mut self) {
        loop {
            self.store.sync();
            if self.is_inspected {
                self.inspect();
            }
            let Ok(fate) = self.fates.1.try_recv() else {
                return;
            };
            self.feed(Input::Committed(fate.unwrap()));
        }
    }

    /// Holds everything stored against the invariants.
    pub(super) fn inspect(&self) {
        let rows = self.store.scan(&[], None, usize::MAX).unwrap();
        assert_eq!(inspect(rows), []);
    }

    /// When the owner acts by itself.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.owner.as_ref().unwrap().poll_deadline()
    }

    pub(super) fn is_at_rest(&self) -> bool {
        let owner = self.owner.as_ref().unwrap();
        owner.is_idle() && owner.decider().is_at_rest()
    }

    pub(super) fn terminal_event(&mut self, event: TerminalEvent) {
        let terminal_id = self.terminal_id;
        self.input(MerchantInput::Terminal { terminal_id, event });
    }

    pub(super) fn input(&mut self, input: MerchantInput) {
        self.feed(Input::Outside(input));
        self.settle();
    }

    pub(super) fn said(&mut self, message: ToEngine) {
        let event = TerminalEvent::Said(message);
        self.input(MerchantInput::Terminal {
            terminal_id: self.terminal_id,
            event,
        });
    }

    pub(super) fn link_up(&mut self, journal_id: JournalId, open: Vec<protocol::link::Digest>) {
        let event = TerminalEvent::Up {
            socket: SOCKET,
            journal_id,
            open,
            prints: Vec::new(),
        };
        self.input(MerchantInput::Terminal {
            terminal_id: self.terminal_id,
            event,
        });
    }

    /// The installation that has always been there comes back.
    pub(super) fn link_back(&mut self, open: Vec<protocol::link::Digest>) {
        self.link_up(journal(), open);
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
        self.feed(Input::Deadline);
        self.settle();
    }

    pub(super) fn caller(&mut self) -> CallerId {
        self.callers += 1;
        CallerId(self.callers)
    }

    /// Asks, and returns the answer if there is one already.
    pub(super) fn ask(
        &mut self,
        key: Option<&str>,
        request: Request,
    ) -> Option<Result<Reply, Rejection>> {
        let caller = self.caller();
        let claim = key.map(|key| claim(key, &format!("{request:?}")));
        self.input(MerchantInput::Ask(Ask {
            caller,
            claim,
            request,
        }));
        self.answer(caller)
    }

    pub(super) fn answer(&self, wanted: CallerId) -> Option<Result<Reply, Rejection>> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Answer { caller, reply } if *caller == wanted => Some(reply.clone()),
            _ => None,
        })
    }

    pub(super) fn start(&mut self, with_tip: bool) -> PosTransactionId {
        let request = self.start_request(with_tip);
        match self.ask(None, request) {
            Some(Ok(Reply::Fresh(Answer::Started(pos)))) => pos.id,
            other => panic!("not started: {other:?}"),
        }
    }

    pub(super) fn start_request(&self, with_tip: bool) -> Request {
        Request::StartPos(StartPos {
            terminal_id: self.terminal_id,
            kind: PosKind::Sale,
            amount: euros(1234),
            reference: Some("order 7".into()),
            tip_prompt: with_tip.then(crate::domain::tip::default_prompt),
            accept_partial: false,
            origin: Origin::Api(protocol::id::ApiKeyId::from_uuid(Uuid::from_u128(4))),
        })
    }

    pub(super) fn pos(&self, pos_id: PosTransactionId) -> PosTransaction {
        let bytes = self
            .store
            .get(&key::pos(self.merchant_id, pos_id))
            .unwrap()
            .unwrap();
        PosTransaction::from_bytes(&bytes).unwrap()
    }

    pub(super) fn transaction_of(
        &self,
        pos_id: PosTransactionId,
    ) -> crate::domain::transaction::Transaction {
        self.transaction(self.pos(pos_id).current_transaction().unwrap())
    }

    pub(super) fn transaction(&self, id: TransactionId) -> crate::domain::transaction::Transaction {
        let bytes = self
            .store
            .get(&key::transaction(self.merchant_id, id))
            .unwrap()
            .unwrap();
        crate::domain::transaction::Transaction::from_bytes(&bytes).unwrap()
    }

    pub(super) fn attempt(&self, pos_id: PosTransactionId) -> AttemptId {
        self.pos(pos_id).current_attempt().unwrap().id
    }

    pub(super) fn tap(&mut self, pos_id: PosTransactionId) {
        let attempt_id = self.attempt(pos_id);
        self.said(ToEngine::Card(card(pos_id, attempt_id)));
    }

    pub(super) fn completed(&mut self, pos_id: PosTransactionId, chip: ChipOutcome) {
        self.completed_for(pos_id, chip, None);
    }

    pub(super) fn completed_for(
        &mut self,
        pos_id: PosTransactionId,
        chip: ChipOutcome,
        cause: Option<AttemptEnd>,
    ) {
        let attempt_id = self.attempt(pos_id);
        let completion = Completion {
            pos_id,
            attempt_id,
            chip,
            data: Vec::new(),
            cause,
        };
        self.said(ToEngine::Completed(completion));
    }

    pub(super) fn host(&mut self, pos_id: PosTransactionId, answer: AuthorizationAnswer) {
        let Some(transaction_id) = self.pos(pos_id).current_transaction() else {
            return;
        };
        self.acquirer(transaction_id, AcquirerAnswer::Authorization(answer));
    }

    /// The acquirer answers the latest that it was asked.
    pub(super) fn acquirer(&mut self, transaction_id: TransactionId, answer: AcquirerAnswer) {
        self.input(MerchantInput::Acquirer {
            transaction_id,
            sending: LATEST,
            answer,
        });
    }

    /// A sale that the till has accepted: it waits for a card.
    pub(super) fn accepted(&mut self) -> PosTransactionId {
        let pos_id = self.start(false);
        self.said(ToEngine::Accept { pos_id });
        pos_id
    }

    /// A sale whose card was read: it waits for the acquirer.
    pub(super) fn tapped(&mut self) -> PosTransactionId {
        let pos_id = self.accepted();
        self.tap(pos_id);
        pos_id
    }

    /// An approved sale.
    pub(super) fn approved(&mut self) -> PosTransactionId {
        let pos_id = self.tapped();
        self.host(pos_id, approval());
        self.completed(pos_id, ChipOutcome::Agreed);
        pos_id
    }

    /// What the owner last asked the acquirer.
    pub(super) fn last_sending(&self) -> Sending {
        let asked = self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Acquirer(request) => Some(request.sending),
            _ => None,
        });
        asked.unwrap()
    }

    /// How many reversals the acquirer was asked for.
    pub(super) fn reversals(&self) -> usize {
        let is_reversal = |effect: &&Effect| {
            matches!(effect, Effect::Acquirer(request)
                if matches!(request.action, AcquirerAction::Reverse { .. }))
        };
        self.effects.iter().filter(is_reversal).count()
    }

    /// Messages sent to the terminal so far.
    pub(super) fn sent(&self) -> Vec<ToAgent> {
        self.effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::ToTerminal { message, .. } => Some(message.as_ref().clone()),
                _ => None,
            })
            .collect()
    }
}

/// The journal of the installation that has always been there.
pub(super) fn journal() -> JournalId {
    JournalId::from_uuid(Uuid::from_u128(3))
}

pub(super) fn euros(minor: i64) -> Money {
    Money::new(minor, "EUR".parse().unwrap())
}

pub(super) fn card(pos_id: PosTransactionId, attempt_id: AttemptId) -> CardReport {
    let data = hex::decode(TAP).unwrap();
    CardReport {
        pos_id,
        attempt_id,
        amount: euros(1234),
        data,
        chip_waits: false,
    }
}

pub(super) fn host_result(code: &str) -> HostResult {
    HostResult {
        response_code: code.into(),
        authorization_code: (code == "00").then(|| "123456".into()),
        retrieval_reference: Some("000000000001".into()),
    }
}

pub(super) fn approval() -> AuthorizationAnswer {
    AuthorizationAnswer::Approved {
        amount: euros(1234),
        host: host_result("00"),
        issuer_data: Vec::new(),
    }
}

pub(super) fn decline() -> AuthorizationAnswer {
    AuthorizationAnswer::Declined {
        host: host_result("05"),
        issuer_data: Vec::new(),
    }
}

pub(super) fn claim(key: &str, body: &str) -> ClaimRequest {
    use sha2::{Digest as _, Sha256};
    ClaimRequest {
        key: ClaimKey(Sha256::digest(key).into()),
        fingerprint: Fingerprint(Sha256::digest(body).into()),
        render: |answer| StoredAnswer {
            status: 200,
            body: format!("{answer:?}").into_bytes(),
        },
    }
}

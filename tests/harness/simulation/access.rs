//! The doors of the engine: the guard that ships is asked at each, and what it says is held against
//! the rights that were committed.
//!
//! [`Rights`] knows scopes and permissions by its own table, from the log, never from the index.

use std::collections::BTreeMap;

use engine::access::guard::{Denied, Guard};
use engine::access::index::AccessIndex;
use engine::access::operation::Operation;
use engine::access::principal::Principal;
use engine::agent_link::till_request;
use engine::domain::merchant::{Merchant, Partner};
use engine::domain::permission::{Allowlist, Permission};
use engine::domain::pos::IfTooLate;
use engine::domain::scope::Scope;
use engine::domain::time::Timestamp;
use engine::domain::token::{ApiKey, SecretHash};
use engine::owner::access_change::AccessChange;
use engine::owner::key;
use engine::owner::request::Request;
use engine::owner::work::Stored as _;
use engine::store::Row;
use protocol::id::{ApiKeyId, MerchantId, PartnerId, RequestId, TerminalId};
use protocol::link::{TillRequest, ToAgent};

use super::checker::{Checked, Violation};
use super::sabotage::Sabotage;
use super::world::World;

/// The operator's token.
pub const OPERATOR: &str = "operator";

/// What an operation takes, by the checkers' own table.
type Wanted = (Scope, Permission);

/// Who may do what, as it was committed.
#[derive(Debug, Default)]
pub struct Rights {
    partner_of: BTreeMap<MerchantId, Option<PartnerId>>,
    lists: BTreeMap<PartnerId, Allowlist>,
    keys: BTreeMap<ApiKeyId, ApiKey>,
}

impl Rights {
    /// Takes a committed row in.
    pub fn learn(&mut self, row: &Row) {
        let value = row.value.as_deref().unwrap_or_default();
        match row.key.first() {
            Some(&key::MERCHANT) => {
                if let Some(merchant) = Merchant::from_bytes(value) {
                    self.partner_of.insert(merchant.id, merchant.partner_id);
                }
            }
            Some(&key::PARTNER) => {
                if let Some(partner) = Partner::from_bytes(value) {
                    self.lists.insert(partner.id, partner.allowlist);
                }
            }
            Some(&key::API_KEY) => {
                if let Some(api_key) = ApiKey::from_bytes(value) {
                    self.keys.insert(api_key.id, api_key);
                }
            }
            _ => {}
        }
    }

    fn allows(&self, merchant_id: MerchantId, wanted: &[Wanted]) -> bool {
        let partner_id = self.partner_of.get(&merchant_id).copied().flatten();
        let list = partner_id.and_then(|id| self.lists.get(&id));
        list.is_none_or(|list| wanted.iter().all(|(_, one)| list.allows(*one)))
    }

    fn is_good(&self, id: ApiKeyId, now: Timestamp) -> bool {
        let known = self.keys.get(&id);
        known.is_some_and(|key| {
            key.revoked_at.is_none() && key.expires_at.is_none_or(|end| now < end)
        })
    }

    fn key_may(&self, id: ApiKeyId, wanted: &[Wanted]) -> bool {
        let known = self.keys.get(&id);
        known.is_some_and(|key| {
            wanted.iter().all(|(scope, _)| key.scopes.contains(scope))
                && self.allows(key.merchant_id, wanted)
        })
    }
}

/// Nobody does what they may not, and nobody is kept from what they may.
fn nobody_does_what_they_may_not(may: bool, is_let_in: bool, who: &str) -> Checked {
    let what = match (may, is_let_in) {
        (false, true) => format!("{who} was let in"),
        (true, false) => format!("{who} was turned away"),
        _ => return Ok(()),
    };
    Err(Violation::new("nobody_does_what_they_may_not", what))
}

/// What a client is told at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turned {
    /// Its key does not work.
    Unauthorized,
    /// It may not.
    Denied,
}

impl World {
    /// Reads who may do what, as the engine's start does.
    pub(super) fn load_access(&mut self) {
        let now = self.engine_now();
        match AccessIndex::load(self.engine.store.as_ref(), now) {
            Ok(index) => {
                self.engine.guard = Guard::new(index, SecretHash::of(OPERATOR.as_bytes()));
            }
            Err(fault) => self.broken(format!("access was not loaded: {fault}")),
        }
    }

    /// A committed change reaches the index.
    pub(super) fn publish(&mut self, change: AccessChange) {
        if self.sabotage != Some(Sabotage::StaleAccess) {
            self.engine.guard.index().apply(change);
        }
    }

    /// A client knocks.
    ///
    /// # Errors
    /// What it is told when it is not let in.
    pub(super) fn api_door(&mut self, client: usize, request: &Request) -> Result<(), Turned> {
        let now = self.engine_now();
        let (operations, wanted) = of_request(request);
        let key_id = self.clients[client].key_id;
        let token = &self.clients[client].token;
        let guard = &self.engine.guard;
        let turned = match guard.authenticate(token, now) {
            Err(_) => Err(Turned::Unauthorized),
            Ok(principal) => operations
                .iter()
                .try_for_each(|one| guard.authorize(&principal, *one))
                .map_err(|_| Turned::Denied),
        };
        let is_good = self.rights.is_good(key_id, now);
        let may = is_good && self.rights.key_may(key_id, &wanted);
        let who = format!("client {client} with {operations:?}");
        self.check(nobody_does_what_they_may_not(may, turned.is_ok(), &who));
        if turned.is_err() {
            self.turned_away += 1;
            self.note(|| format!("{who} is turned away: {turned:?}"));
        }
        turned
    }

    /// A till asks for something; what it is told when it may not.
    pub(super) fn till_door(
        &mut self,
        merchant: usize,
        terminal_id: TerminalId,
        request_id: RequestId,
        request: &TillRequest,
    ) -> Option<ToAgent> {
        let merchant_id = self.engine.merchants[merchant].id;
        let principal = Principal::Terminal {
            merchant_id,
            terminal_id,
        };
        let guard = &self.engine.guard;
        let mut operations = till_request::operations(request).iter();
        let denied: Result<(), Denied> =
            operations.try_for_each(|one| guard.authorize(&principal, *one));
        let may = self.rights.allows(merchant_id, &of_till(request));
        let who = format!("{terminal_id} with {request:?}");
        self.check(nobody_does_what_they_may_not(may, denied.is_ok(), &who));
        let denied = denied.err()?;
        self.turned_away += 1;
        Some(till_request::denied(request_id, denied))
    }

    /// The answer to a change leaves: it is in force by then.
    pub(super) fn check_in_force(&mut self, partner: &Partner) {
        let known = self.engine.guard.index().partner(partner.id);
        if known.is_none_or(|known| known.allowlist != partner.allowlist) {
            let what = format!("{} was answered and is not in force", partner.id);
            self.violate(Violation::new("nobody_does_what_they_may_not", what));
        }
    }
}

fn of_request(request: &Request) -> (Vec<Operation>, Vec<Wanted>) {
    let void = (Scope::TransactionsVoid, Permission::Void);
    match request {
        Request::StartPos(_) => (
            vec![Operation::StartPos],
            vec![(Scope::PosCreate, Permission::StartPosTransaction)],
        ),
        Request::ReadPos { .. } => (
            vec![Operation::ReadPos],
            vec![(Scope::PosRead, Permission::ReadPosTransaction)],
        ),
        Request::CancelPos(cancel) => {
            let plain = (Scope::PosCancel, Permission::CancelPosTransaction);
            match cancel.if_too_late {
                IfTooLate::Keep => (vec![Operation::CancelPos], vec![plain]),
                IfTooLate::Void => (
                    vec![Operation::CancelPos, Operation::VoidTransaction],
                    vec![plain, void],
                ),
            }
        }
        Request::PrintReceipt(_) => (
            vec![Operation::PrintReceipt],
            vec![(Scope::PosPrint, Permission::PrintPosReceipt)],
        ),
        Request::AdjustTip { .. } => (
            vec![Operation::AdjustTip],
            vec![(Scope::TransactionsTip, Permission::SubmitTipAdjustment)],
        ),
        Request::Void { .. } => (vec![Operation::VoidTransaction], vec![void]),
        // Clients of a world ask for nothing else.
        _ => (Vec::new(), Vec::new()),
    }
}

fn of_till(request: &TillRequest) -> Vec<Wanted> {
    let void = (Scope::TransactionsVoid, Permission::Void);
    let cancel = (Scope::PosCancel, Permission::CancelPosTransaction);
    match request {
        TillRequest::Start(_) => vec![(Scope::PosCreate, Permission::StartPosTransaction)],
        TillRequest::Cancel {
            void_if_too_late: true,
            ..
        } => vec![cancel, void],
        TillRequest::Cancel { .. } => vec![cancel],
        TillRequest::Print { .. } => vec![(Scope::PosPrint, Permission::PrintPosReceipt)],
        TillRequest::TipAdjust { .. } => {
            vec![(Scope::TransactionsTip, Permission::SubmitTipAdjustment)]
        }
        TillRequest::Void { .. } => vec![void],
    }
}

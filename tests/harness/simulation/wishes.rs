//! What clients of the API want.

use engine::domain::pos::{IfTooLate, Origin};
use engine::domain::time::Timestamp;
use engine::owner::request::{CancelPos, PrintReceipt, Request, StartPos, TransactionTarget};
use protocol::id::ApiKeyId;
use protocol::link::PosKind;
use protocol::money::Money;
use protocol::receipt::Copy;

use super::client::euro;
use super::world::World;

impl World {
    /// What a client asks for next.
    pub(super) fn a_request(&mut self, client: usize) -> Request {
        let (pos, transaction) = (self.clients[client].pos, self.clients[client].transaction);
        let wait_until = Timestamp(0);
        let if_too_late = *self.random.pick(&[IfTooLate::Keep, IfTooLate::Void]);
        match (self.random.below(100), pos, transaction) {
            (0..=29, Some(pos_id), _) => Request::ReadPos {
                pos_id,
                wait_until: Some(wait_until),
            },
            (30..=44, Some(pos_id), _) => Request::CancelPos(CancelPos {
                pos_id,
                if_too_late,
                asked_by: None,
                wait_until,
            }),
            (45..=52, Some(pos_id), _) => {
                let copy = *self.random.pick(&[Copy::Merchant, Copy::Customer]);
                Request::PrintReceipt(PrintReceipt {
                    pos_id,
                    copy,
                    terminal_id: None,
                })
            }
            (53..=58, _, Some(transaction_id)) => Request::Void {
                transaction_id,
                wait_until,
            },
            (59..=68, _, Some(id)) => {
                let tip = Money::new(i64::try_from(self.random.below(300)).unwrap_or(0), euro());
                let target = TransactionTarget::Transaction(id);
                Request::AdjustTip {
                    target,
                    tip,
                    wait_until,
                }
            }
            _ => Request::StartPos(self.a_start(client)),
        }
    }

    fn a_start(&mut self, client: usize) -> StartPos {
        let merchant = self.clients[client].merchant;
        let tills: Vec<_> = self
            .tills
            .iter()
            .filter(|till| till.merchant == merchant)
            .collect();
        let terminal_id = tills[self.random.index(tills.len())].terminal_id;
        let tip_prompt = engine::domain::tip::default_prompt();
        StartPos {
            terminal_id,
            kind: *self.random.pick(&[PosKind::Sale, PosKind::Authorization]),
            amount: self.an_amount(),
            reference: Some(self.a_reference("api")),
            tip_prompt: self.random.chance(20).then_some(tip_prompt),
            accept_partial: self.random.chance(30),
            origin: Origin::Api(ApiKeyId::from_bytes([9; 16])),
        }
    }
}

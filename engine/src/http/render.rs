//! Answers of owners as HTTP status and body: one function for what goes out first and for what
//! is stored for repeats, so that the two cannot differ in anything but secrets.

use crate::domain::idempotency::StoredAnswer;
use crate::domain::token::Secret;
use crate::owner::request::{Answer, PlatformAnswer};

use super::envelope::body_of;
use super::view::access::{ApiKeyView, MerchantView, MintedKeyView, PartnerView};
use super::view::pairing::{MadeTillView, PairingCodeView};
use super::view::pos::{PosView, PrintJobView};
use super::view::sandbox::FaultView;
use super::view::terminal::TerminalView;
use super::view::terminal_configuration::{TerminalConfigurationView, TerminalDefaultsView};
use super::view::transaction::TransactionView;

/// An answer as its caller gets it, secrets included.
pub(super) fn fresh(answer: &Answer) -> StoredAnswer {
    render(answer, true)
}

/// An answer as repeats of the request get it: without secrets.
pub(super) fn stored(answer: &Answer) -> StoredAnswer {
    render(answer, false)
}

fn render(answer: &Answer, shows_secrets: bool) -> StoredAnswer {
    let shown = |secret: &'_ Secret| shows_secrets.then(|| secret.clone());
    let (status, body) = match answer {
        Answer::Started(pos) => (201, body_of(&PosView::of(pos))),
        Answer::Pos(pos) => (200, body_of(&PosView::of(pos))),
        Answer::Canceled(pos) => {
            let is_settled = pos.cancel.is_none_or(|cancel| cancel.verdict.is_some());
            (settled(is_settled), body_of(&PosView::of(pos)))
        }
        Answer::PrintQueued(job) => (202, body_of(&PrintJobView::of(job))),
        Answer::TipAdjusted(transaction) | Answer::Voided(transaction) => (
            settled(transaction.intent.is_none()),
            body_of(&TransactionView::of(transaction)),
        ),
        Answer::Resolved(transaction) => (200, body_of(&TransactionView::of(transaction))),
        Answer::TerminalCreated(terminal) | Answer::Paired(terminal, _) => {
            (201, body_of(&TerminalView::of(terminal)))
        }
        Answer::TerminalChanged(terminal) => (200, body_of(&TerminalView::of(terminal))),
        Answer::TerminalConfigured(terminal, defaults) => {
            let view = TerminalConfigurationView::of(terminal, defaults);
            (200, body_of(&view))
        }
        Answer::TerminalDefaultsSet(defaults) => {
            (200, body_of(&TerminalDefaultsView::of(defaults)))
        }
        Answer::PairingCodeCreated(code, secret) => {
            let secret = shown(secret);
            let view = PairingCodeView::of(code, code.created_at);
            (201, body_of(&view.with_secret(secret.as_ref())))
        }
        Answer::TillsCreated(tills) => {
            let views = tills
                .iter()
                .map(|till| MadeTillView::of(till, shows_secrets));
            (201, body_of(&views.collect::<Vec<_>>()))
        }
        Answer::PairingCodeRevoked(code) => {
            let at = code.revoked_at.unwrap_or(code.created_at);
            (200, body_of(&PairingCodeView::of(code, at)))
        }
        Answer::Unpaired(terminal) => (200, body_of(&TerminalView::of(terminal))),
        Answer::ApiKeyCreated(key, secret) => {
            let secret = shown(secret);
            (201, body_of(&MintedKeyView::of(key, secret.as_ref())))
        }
        Answer::ApiKeyRevoked(key) => (200, body_of(&ApiKeyView::of(key))),
        Answer::FaultArmed(fault) => (201, body_of(&FaultView::of(fault))),
        Answer::FaultDisarmed(fault) => (200, body_of(&FaultView::of(fault))),
        Answer::Retired(rows) => (200, body_of(rows)),
    };
    StoredAnswer { status, body }
}

/// An answer of the platform's owner; there are no secrets in it.
pub(super) fn of_platform(answer: &PlatformAnswer) -> StoredAnswer {
    match answer {
        PlatformAnswer::PartnerCreated(partner) => StoredAnswer {
            status: 201,
            body: body_of(&PartnerView::of(partner)),
        },
        PlatformAnswer::PartnerChanged(partner) => StoredAnswer {
            status: 200,
            body: body_of(&PartnerView::of(partner)),
        },
        PlatformAnswer::MerchantBoarded(merchant) => StoredAnswer {
            status: 201,
            body: body_of(&MerchantView::of(merchant)),
        },
    }
}

const fn settled(is_settled: bool) -> u16 {
    if is_settled { 200 } else { 202 }
}

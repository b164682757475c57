//! Stored forms: what rows look like on disk, apart from the domain types.
//!
//! MessagePack, fields by position: without their names a sale's rows take a third less of the log
//! and of what follows from it. A field is added at the end and optional; none is ever moved,
//! removed or given another meaning, also in the types of `protocol` that are part of a form.
//! `to_bytes` writes this, `from_bytes` also reads the maps of names that version 1 wrote.

mod fleet;
mod merchant;
mod pos;
mod sandbox;
mod transaction;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use merchant::Counters;

use super::work::Stored;

/// A stored form of a domain value.
pub(super) trait Form: Serialize + DeserializeOwned {
    /// The domain value.
    type Value;

    /// The form of a value.
    fn of(value: &Self::Value) -> Self;

    /// The value, or `None` when the form cannot be one.
    fn value(self) -> Option<Self::Value>;
}

/// What most rows take: one allocation instead of four. Those that take more grow.
const ROW_BYTES: usize = 1_024;

fn to_bytes<F: Form>(value: &F::Value) -> Vec<u8> {
    written(&F::of(value))
}

/// The bytes of a form.
fn written(form: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ROW_BYTES);
    // Serializing numbers and strings into memory has no way to fail.
    rmp_serde::encode::write(&mut bytes, form).unwrap_or_default();
    bytes
}

fn from_bytes<F: Form>(bytes: &[u8]) -> Option<F::Value> {
    rmp_serde::from_slice::<F>(bytes).ok().and_then(F::value)
}

macro_rules! stored {
    ($($value:ty = $form:ty),* $(,)?) => {$(
        impl Stored for $value {
            fn to_bytes(&self) -> Vec<u8> {
                to_bytes::<$form>(self)
            }

            fn from_bytes(bytes: &[u8]) -> Option<Self> {
                from_bytes::<$form>(bytes)
            }
        }
    )*};
}

stored! {
    crate::domain::merchant::Partner = merchant::PartnerForm,
    crate::domain::merchant::Merchant = merchant::MerchantForm,
    crate::domain::merchant::Terminal = merchant::TerminalForm,
    crate::domain::token::ApiKey = merchant::ApiKeyForm,
    crate::domain::pairing::PairingCode = merchant::PairingCodeForm,
    crate::domain::idempotency::Claim = merchant::ClaimForm,
    crate::domain::terminal_settings::TerminalDefaults = fleet::TerminalDefaultsForm,
    Counters = merchant::CountersForm,
    crate::domain::pos::PosTransaction = pos::PosForm,
    crate::domain::print::PrintJob = pos::PrintJobForm,
    crate::domain::sandbox::Fault = sandbox::FaultForm,
    crate::domain::transaction::Transaction = transaction::TransactionForm,
}

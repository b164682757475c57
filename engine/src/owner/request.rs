//! What can be asked of a merchant's owner, and what it answers.

use protocol::id::{
    ApiKeyId, FaultId, PairingCodeId, PosTransactionId, RequestId, TerminalId, TransactionId,
};
use protocol::link::{PosKind, TipPrompt};
use protocol::money::Money;
use protocol::receipt::Copy;

use crate::domain::idempotency::{ClaimKey, Fingerprint, StoredAnswer};
use crate::domain::merchant::{DeviceKey, Merchant, Partner, Terminal};
use crate::domain::pairing::PairingCode;
use crate::domain::permission::Allowlist;
use crate::domain::pos::{IfTooLate, Origin, PosTransaction};
use crate::domain::print::PrintJob;
use crate::domain::resolution::ResolutionOutcome;
use crate::domain::sandbox::{self, Fault};
use crate::domain::scope::ScopeSet;
use crate::domain::terminal_settings::{TerminalDefaults, TerminalSettings};
use crate::domain::time::Timestamp;
use crate::domain::token::{ApiKey, Secret, SecretHash};
use crate::domain::transaction::Transaction;

/// A caller that waits for exactly one answer. Numbered by the shell; meaningless elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallerId(pub u64);

/// An idempotency key that a request comes with.
#[derive(Debug)]
pub struct ClaimRequest<A = Answer> {
    /// The key, hashed with its merchant.
    pub key: ClaimKey,
    /// The request, hashed.
    pub fingerprint: Fingerprint,
    /// Turns the answer into what a repeat will get. Must not contain secrets.
    pub render: fn(&A) -> StoredAnswer,
}

// Not derived: a pointer to a function that takes an answer is copied whatever the answer is.
impl<A> Clone for ClaimRequest<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> std::marker::Copy for ClaimRequest<A> {}

/// A request with the caller that waits for its answer.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Who waits.
    pub caller: CallerId,
    /// The key, where the operation takes one.
    pub claim: Option<ClaimRequest>,
    /// What is asked.
    pub request: Request,
}

/// Something asked of a merchant's owner. Whoever sends it has been authenticated and holds scope
/// and permission for it.
#[derive(Debug, Clone)]
pub enum Request {
    /// Starts a POS transaction.
    StartPos(StartPos),
    /// Reads a POS transaction, waiting for its end until an instant.
    ReadPos {
        /// It.
        pos_id: PosTransactionId,
        /// Answer with what there is at this instant, if it has not ended by then.
        wait_until: Option<Timestamp>,
    },
    /// Cancels a POS transaction.
    CancelPos(CancelPos),
    /// Prints a receipt.
    PrintReceipt(PrintReceipt),
    /// Changes the tip of a transaction.
    AdjustTip {
        /// The transaction, or the approved one of a POS transaction.
        target: TransactionTarget,
        /// The new tip, replacing the old one.
        tip: Money,
        /// How long to wait for the acquirer's answer.
        wait_until: Timestamp,
    },
    /// Undoes an approved transaction before settlement.
    Void {
        /// The transaction.
        transaction_id: TransactionId,
        /// How long to wait for the acquirer's answer.
        wait_until: Timestamp,
    },
    /// Says what became of a transaction in doubt.
    Resolve(Resolve),
    /// Makes a terminal.
    CreateTerminal {
        /// What people call it.
        label: String,
        /// Serial number to bind pairing to.
        serial_number: Option<String>,
    },
    /// Changes what people call a terminal, and where it stands.
    ChangeTerminal(ChangeTerminal),
    /// Replaces the own settings of a terminal.
    SetTerminalSettings {
        /// The terminal.
        terminal_id: TerminalId,
        /// The settings.
        settings: TerminalSettings,
    },
    /// Replaces the settings of all terminals.
    SetTerminalDefaults {
        /// The settings.
        settings: TerminalSettings,
        /// Whether they come to one terminal first, then to a tenth, then to all.
        in_waves: bool,
    },
    /// Makes a pairing code for a terminal.
    CreatePairingCode {
        /// The terminal.
        terminal_id: TerminalId,
        /// Its life in seconds.
        life_s: u64,
        /// The serial number of the only till that may redeem it.
        serial_number: Option<String>,
        /// The code, made by the shell; shown in the answer.
        code: Secret,
    },
    /// Makes terminals, each with a pairing code: all of them or none.
    CreateTills(Vec<NewTill>),
    /// Takes a pairing code back; again and again gives the same answer.
    RevokePairingCode {
        /// The code.
        code_id: PairingCodeId,
    },
    /// Redeems a pairing code; the caller has found the code by its hash.
    RedeemPairingCode(RedeemPairingCode),
    /// Pairs a till that a person has approved.
    ApprovePairing(ApprovePairing),
    /// A terminal's till is this terminal no more; again and again gives the same answer.
    Unpair {
        /// The terminal.
        terminal_id: TerminalId,
        /// The key whose till asks; `None` when the merchant does.
        device_key: Option<DeviceKey>,
    },
    /// Mints an API key.
    CreateApiKey {
        /// What people call it.
        label: String,
        /// What it may do.
        scopes: ScopeSet,
        /// When it stops working.
        expires_at: Option<Timestamp>,
        /// The secret, made by the shell; shown in the answer.
        secret: Secret,
    },
    /// Revokes an API key; again and again gives the same answer.
    RevokeApiKey {
        /// The key.
        key_id: ApiKeyId,
    },
    /// Arms a fault, in test mode.
    ArmFault(sandbox::Order),
    /// Takes a fault back; again and again gives the same answer.
    DisarmFault {
        /// The fault.
        fault_id: FaultId,
    },
    /// Removes rows that history holds, as far as they are still the same.
    Retire(Vec<ArchivedRow>),
}

/// A row as history holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct ArchivedRow {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

impl std::fmt::Debug for ArchivedRow {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (key, bytes) = (hex::encode(&self.key), self.value.len());
        write!(formatter, "{key} ({bytes} bytes)")
    }
}

/// A change of a terminal; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeTerminal {
    /// The terminal.
    pub terminal_id: TerminalId,
    /// What people are to call it.
    pub label: Option<String>,
    /// Where it stands; none within forgets it.
    pub location: Option<Option<String>>,
}

/// A POS transaction to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartPos {
    /// Where.
    pub terminal_id: TerminalId,
    /// Sale or authorization.
    pub kind: PosKind,
    /// The amount without tip.
    pub amount: Money,
    /// The merchant's reference.
    pub reference: Option<String>,
    /// Tips to offer before the card is read.
    pub tip_prompt: Option<TipPrompt>,
    /// Whether an approval for less than asked is wanted.
    pub accept_partial: bool,
    /// Who asks.
    pub origin: Origin,
}

/// A cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelPos {
    /// The POS transaction.
    pub pos_id: PosTransactionId,
    /// What happens to an approval that wins the race.
    pub if_too_late: IfTooLate,
    /// Set when the till asks: only its own transactions are found.
    pub asked_by: Option<TerminalId>,
    /// How long to wait for a verdict that depends on the acquirer.
    pub wait_until: Timestamp,
}

/// What a person knows about a transaction in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolve {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// What became of it.
    pub outcome: ResolutionOutcome,
    /// Why that is known.
    pub reason: String,
    /// Who says so.
    pub by: String,
}

/// A receipt to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrintReceipt {
    /// The POS transaction.
    pub pos_id: PosTransactionId,
    /// Which copy.
    pub copy: Copy,
    /// Another terminal of the merchant than the one that it ran on.
    pub terminal_id: Option<TerminalId>,
}

/// A transaction, or the POS transaction whose approved one is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionTarget {
    /// Named directly.
    Transaction(TransactionId),
    /// The one that stands in this POS transaction.
    OfPos(PosTransactionId),
}

/// A pairing code typed at a till.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedeemPairingCode {
    /// The code's id.
    pub code_id: PairingCodeId,
    /// The key made on the device.
    pub device_key: DeviceKey,
    /// The till's serial number.
    pub serial_number: Option<String>,
}

/// A terminal to make, with its pairing code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTill {
    /// What people call it.
    pub label: String,
    /// Where it stands.
    pub location: Option<String>,
    /// The serial number of the only till that may redeem the code.
    pub serial_number: Option<String>,
    /// The code's life in seconds.
    pub life_s: u64,
    /// The code, made by the shell; shown in the answer.
    pub code: Secret,
}

/// A terminal that was made, with its pairing code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeTill {
    /// The terminal.
    pub terminal: Terminal,
    /// The pairing code.
    pub pairing_code: PairingCode,
    /// Its text, shown once.
    pub code: Secret,
}

/// A till that showed a code, and what a person made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovePairing {
    /// What it becomes.
    pub target: PairingTarget,
    /// The key made on the device.
    pub device_key: DeviceKey,
    /// The till's serial number.
    pub serial_number: Option<String>,
    /// Hash of the secret by which the till asks for the answer.
    pub hash: SecretHash,
}

/// What a till becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairingTarget {
    /// A terminal that there is.
    Existing(TerminalId),
    /// One that is made for it, with this label.
    New(String),
}

/// What an owner answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A POS transaction was started.
    Started(Box<PosTransaction>),
    /// A POS transaction as it stands.
    Pos(Box<PosTransaction>),
    /// A POS transaction with its cancel.
    Canceled(Box<PosTransaction>),
    /// A print job was made.
    PrintQueued(Box<PrintJob>),
    /// The tip stands, or its intent is under way.
    TipAdjusted(Box<Transaction>),
    /// The void is acknowledged, or its intent is under way.
    Voided(Box<Transaction>),
    /// The transaction is in doubt no more.
    Resolved(Box<Transaction>),
    /// A terminal was made.
    TerminalCreated(Box<Terminal>),
    /// A terminal is as it was asked for.
    TerminalChanged(Box<Terminal>),
    /// A terminal has these settings of its own, over those of all.
    TerminalConfigured(Box<Terminal>, Box<TerminalDefaults>),
    /// All terminals are to have these settings.
    TerminalDefaultsSet(Box<TerminalDefaults>),
    /// A pairing code was made; the code is shown once.
    PairingCodeCreated(Box<PairingCode>, Secret),
    /// Terminals were made, each with a pairing code that is shown once.
    TillsCreated(Vec<MadeTill>),
    /// The pairing code pairs nobody any more.
    PairingCodeRevoked(Box<PairingCode>),
    /// The terminal is paired.
    Paired(Box<Terminal>, Box<Merchant>),
    /// The terminal is paired with no till.
    Unpaired(Box<Terminal>),
    /// An API key was minted; the secret is shown once.
    ApiKeyCreated(Box<ApiKey>, Secret),
    /// The API key does not work any more.
    ApiKeyRevoked(Box<ApiKey>),
    /// A fault was armed.
    FaultArmed(Box<Fault>),
    /// A fault does not happen any more.
    FaultDisarmed(Box<Fault>),
    /// So many rows were removed that history holds.
    Retired(usize),
}

/// An answer, first or repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply<A = Answer> {
    /// For the first time.
    Fresh(A),
    /// As it first went out.
    Replayed(StoredAnswer),
}

/// Something asked of the platform's owner by the operator.
#[derive(Debug, Clone)]
pub enum PlatformRequest {
    /// Makes a partner; its allowlist starts full.
    CreatePartner {
        /// What people call it.
        name: String,
    },
    /// Replaces a partner's allowlist; in force for the very next operation.
    SetAllowlist {
        /// The partner.
        partner_id: protocol::id::PartnerId,
        /// The new list.
        allowlist: Allowlist,
    },
    /// Boards a merchant.
    CreateMerchant(Box<NewMerchant>),
}

/// A merchant to board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMerchant {
    /// The partner, or none for a standalone merchant.
    pub partner_id: Option<protocol::id::PartnerId>,
    /// Trading name.
    pub name: String,
    /// Address lines.
    pub address: Vec<String>,
    /// Telephone.
    pub phone: Option<String>,
    /// Currencies that its terminals charge.
    pub currencies: Vec<protocol::money::Currency>,
    /// Minutes to add to UTC for receipts.
    pub utc_offset_minutes: i16,
}

/// What the platform's owner answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlatformAnswer {
    /// A partner was made.
    PartnerCreated(Box<Partner>),
    /// A partner's allowlist was replaced.
    PartnerChanged(Box<Partner>),
    /// A merchant was boarded.
    MerchantBoarded(Box<Merchant>),
}

/// Names the request of a till, so that its answer can be sent back on its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TillCaller {
    /// The terminal.
    pub terminal_id: TerminalId,
    /// Its name for the request.
    pub request_id: RequestId,
}

/// Hash that a minted secret is stored under.
pub fn hash_of(secret: &Secret) -> SecretHash {
    SecretHash::of(secret.expose().as_bytes())
}

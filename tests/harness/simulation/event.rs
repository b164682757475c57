//! Everything that can happen in a world.

use engine::acquirer::{AcquirerAnswer, Sending};
use engine::domain::rejection::Rejection;
use engine::owner::merchant::MerchantInput;
use engine::owner::request::{Reply, Request};
use protocol::id::{PosTransactionId, PrintJobId, TransactionId};

use super::access::Turned;
use super::client::Call;
use super::fault::Fault;
use super::staff::Errand;
use super::till::Persist;

/// Something that happens.
#[derive(Debug)]
pub enum Event {
    /// Bytes arrive on a connection.
    Frame {
        connection: u64,
        to_engine: bool,
        bytes: Vec<u8>,
    },
    /// A side of a connection learns that it is closed.
    Hangup { connection: u64, to_engine: bool },
    /// A commit reaches the disk.
    StoreSteps,
    /// The engine's process starts.
    EngineStarts,
    /// What the engine has committed is copied.
    BacksUp,
    /// The copy takes the place of the engine's database.
    Restores,
    /// An owner that was given up is loaded again.
    Reloads {
        life: u64,
        merchant: usize,
        kept: Vec<MerchantInput>,
    },
    /// There is room on the disk again.
    SpaceReturns,
    /// There is room on a till's disk again.
    JournalSpaceReturns { till: usize },
    /// Somebody does what has to be done.
    Staff { errand: Errand },
    /// An office wants something of its tills.
    Office,
    /// A technician comes to a till.
    Technician { till: usize },
    /// A client learns that it was not let in.
    TurnedAway {
        client: usize,
        call: u64,
        turned: Turned,
    },
    /// An answer of the acquirer reaches the engine.
    HostAnswers {
        life: u64,
        merchant: usize,
        transaction_id: TransactionId,
        sending: Sending,
        answer: AcquirerAnswer,
    },
    /// The agent's process starts.
    TillStarts { till: usize },
    /// The agent tries to connect.
    Connects { till: usize, life: u64 },
    /// The journal has written; then it says so.
    JournalWrites {
        till: usize,
        life: u64,
        bytes: Persist,
    },
    /// The journal says so.
    JournalDone {
        till: usize,
        life: u64,
        is_written: bool,
    },
    /// Bytes reach the reader.
    ToReader {
        till: usize,
        plug: u64,
        bytes: Vec<u8>,
    },
    /// Bytes come from the reader.
    FromReader {
        till: usize,
        life: u64,
        plug: u64,
        bytes: Vec<u8>,
    },
    /// The reader is plugged in.
    Plugs { till: usize, plug: u64 },
    /// Somebody comes with a card, or takes it away.
    Customer {
        till: usize,
        poll: u64,
        is_leaving: bool,
    },
    /// Bytes reach the printer.
    ToPrinter {
        till: usize,
        life: u64,
        plug: u64,
        bytes: Vec<u8>,
    },
    /// Bytes come from the printer.
    FromPrinter {
        till: usize,
        life: u64,
        plug: u64,
        bytes: Vec<u8>,
    },
    /// Something happens to the printer.
    PrinterAccident { till: usize, fault: Fault },
    /// Somebody looks after the printer.
    PrinterHelped { till: usize, which: usize },
    /// The printer is plugged in.
    PrinterPlugs { till: usize, plug: u64 },
    /// The printer is done with a job.
    Prints {
        till: usize,
        life: u64,
        job_id: PrintJobId,
    },
    /// The cashier does something.
    Cashier { till: usize },
    /// The payer presses a key of the tip prompt.
    TipKey {
        till: usize,
        pos_id: PosTransactionId,
    },
    /// A client does something.
    Client { client: usize },
    /// A client's request reaches the engine.
    CallArrives {
        client: usize,
        call: Box<Call>,
        request: Box<Request>,
    },
    /// An answer reaches a client.
    AnswerArrives {
        client: usize,
        call: u64,
        reply: Box<Result<Reply, Rejection>>,
    },
    /// A fault strikes.
    Trouble,
    /// The last fault has struck.
    Heals,
    /// Everything may have an end now.
    Looks,
}

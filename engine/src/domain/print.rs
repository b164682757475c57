//! Print jobs: a receipt on its way to paper. Nothing about them touches money.

use std::sync::Arc;

use protocol::id::{MerchantId, PosTransactionId, PrintJobId, TerminalId};
use protocol::link::PrintState;
use protocol::receipt::{Copy, Receipt};

use super::time::Timestamp;

/// A print job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrintJob {
    /// Its id; the till prints it at most once.
    pub id: PrintJobId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// What it is the receipt of.
    pub pos_id: PosTransactionId,
    /// Where it prints.
    pub terminal_id: TerminalId,
    /// Which copy.
    pub copy: Copy,
    /// Whether it says DUPLICATE.
    pub is_duplicate: bool,
    /// What to print; dropped when the job has ended.
    pub receipt: Option<Arc<Receipt>>,
    /// Where it stands, as the till last said.
    pub state: PrintState,
    /// Whether the till has ever said that it printed: from then on paper may have come out, also
    /// when it waits for a person again.
    pub has_begun: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last moved.
    pub updated_at: Timestamp,
}

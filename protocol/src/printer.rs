//! ESC/POS between the agent and a receipt printer.
//!
//! [`encode`] turns receipts into bytes, [`status`] reads what comes back, [`code_page`] and
//! [`paper`] hold what both sides of the encoder need to know about a printer. All of it is pure.
//! Nothing here knows about jobs, ports or time.

pub mod code_page;
pub mod encode;
pub mod layout;
pub mod paper;
pub mod status;

pub use code_page::CodePage;
pub use encode::{EncodeError, Encoder};
pub use layout::{encode_receipt, receipt_blocks};
pub use paper::{Font, Paper};
pub use status::{PaperState, PrinterStatus, RealTimeQuery, StatusDecoder, StatusEvent};

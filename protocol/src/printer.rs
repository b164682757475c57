//! ESC/POS between the agent and a receipt printer.
//!
//! [`encode`] turns receipts into bytes, [`status`] reads what comes back, [`code_page`], [`logo`]
//! and [`paper`] hold what the encoder needs to know about a printer, [`trouble`] has the words for
//! what can be wrong with one. All of it is pure.
//! Nothing here knows about jobs, ports or time.

pub mod code_page;
pub mod encode;
pub mod layout;
pub mod logo;
pub mod paper;
pub mod status;
pub mod trouble;

pub use code_page::CodePage;
pub use encode::{DrawerPin, EncodeError, Encoder};
pub use layout::{encode_receipt, receipt_blocks};
pub use logo::{Logo, LogoError};
pub use paper::{Cut, Font, Paper};
pub use status::{PaperState, PrinterStatus, RealTimeQuery, StatusDecoder, StatusEvent};
pub use trouble::Trouble;

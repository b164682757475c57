//! Agent ↔ card reader: ID TECH NEO2 ("ViVOtech2", protocol 2).
//!
//! Owns the bytes of commands, responses and card data. It never decides what a sale does next
//! (the agent's and the simulator's machines do) and it never decrypts ([`crate::dukpt`] does).
//!
//! # Layout
//! * [`frame`]: header, length, CRC; streaming decoders for both ends.
//! * [`hid`]: frames as USB-HID reports.
//! * [`tlv`]: tag, length, value with the vendor's masked and encrypted length flags.
//! * [`command`]: the commands that the agent sends.
//! * [`outcome`]: status bytes, result codes, the error block, the data of a final response.
//! * [`prompt`]: what the reader asks of the host's display and keypad.
//! * [`swipe`]: the magstripe block of tag DFEE23.

pub mod command;
pub mod frame;
pub mod hid;
pub mod outcome;
pub mod prompt;
pub mod swipe;
pub mod tlv;

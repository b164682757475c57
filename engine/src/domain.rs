//! The rules of payment at a till, as pure values and functions.
//!
//! No I/O, no clock, no randomness: instants and ids come in as arguments. Nothing here knows
//! how it is stored, sent or shown.

pub mod card;
pub mod idempotency;
pub mod installation;
pub mod invariant;
pub mod merchant;
pub mod pairing;
pub mod permission;
pub mod pos;
pub mod print;
pub mod reason;
pub mod receipt;
pub mod rejection;
pub mod resolution;
pub mod reversal;
pub mod rollout;
pub mod sandbox;
pub mod scope;
pub mod terminal_settings;
pub mod time;
pub mod tip;
pub mod token;
pub mod transaction;

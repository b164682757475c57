//! What is done to a database without serving it: check, backup, restore.
//!
//! Owns the order of these works and their reports; must never change what it checks or copies.

mod book;
mod fsck;
mod scratch;

pub use fsck::{Finding, Report, fsck};

/// Where the store is, in the data directory.
pub const STORE_DIRECTORY: &str = "store";

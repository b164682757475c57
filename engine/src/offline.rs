//! What is done to a database without serving it: check, backup, restore.
//!
//! Owns the order of these works and their reports; must never change what it checks.

mod fsck;

pub use fsck::{Finding, Report, fsck};

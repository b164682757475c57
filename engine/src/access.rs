//! Who may do what: one table of operations, and one guard that every door asks.
//!
//! Scope and partner permission attach to the operation, never to a URL or a message. The index
//! follows every commit before its answer leaves, so that a change governs the very next
//! operation. No door keeps a copy of anything found here.

pub mod guard;
pub mod index;
pub mod operation;
pub mod principal;

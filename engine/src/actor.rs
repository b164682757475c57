//! Shells around the owners: mailbox, timer, store and outside world; no rules.

pub mod directory;

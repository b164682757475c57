//! The pure machines that decide, and the one way in which they commit.
//!
//! An owner is the single writer of its stream. It takes inputs, decides, and emits outputs; the
//! outputs that a commit justifies leave only after that commit is durable. That rule lives in
//! [`machine`] once, for everything. No I/O here: rows are read through [`crate::store::Rows`],
//! instants and ids are arguments.

pub mod access_change;
pub mod event;
pub mod inspect;
pub mod key;
pub mod machine;
pub mod merchant;
pub mod platform;
pub mod quarantine;
pub mod request;
pub mod stored;
pub mod sweep;
pub mod terminal;
pub mod work;

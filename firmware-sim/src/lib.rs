//! Card reader and receipt printer firmware in software.
//!
//! The device machines are pure: time, bytes and cards are arguments. Only [`pty`], [`control`],
//! [`run`], [`clock`] and [`cli`] touch the machine they run on.

pub mod cards;
pub mod printer;
pub mod reader;

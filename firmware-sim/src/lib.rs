//! Card reader and receipt printer firmware in software.
//!
//! The device machines are pure: time, bytes and cards are arguments. Only [`pty`],
//! [`network`], [`control`], [`device`], [`run`], [`clock`] and [`cli`] touch the machine they run on.

pub mod cards;
pub mod cli;
pub mod clock;
pub mod control;
pub mod device;
pub mod gadget;
pub mod network;
pub mod printer;
pub mod pty;
pub mod reader;
pub mod run;
pub mod script;

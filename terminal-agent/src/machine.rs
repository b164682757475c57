//! The agent's pure machines: inputs and instants in, outputs out. No I/O, no clock, no randomness.

pub mod printer;
pub mod reader;

//! The agent's pure machines: no clock, no port, no file; time and bytes are arguments.

pub mod reader;

//! The agent's printer machine and the simulated printer, on a real pseudo-terminal.
//!
//! Each fault strikes in the middle of a job. What is held against the machine's word is the paper.

mod bench;
mod fault;
mod paper;

//! The reader's firmware and the agent's conversation with it, coupled in virtual time: every
//! switch, every fault, every card. No process, no cable, no waiting.

mod bench;
mod cards;
mod faults;
mod loss;
mod switches;

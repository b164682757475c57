//! The PURE machines of the agent: no I/O, no clock, no randomness; time and ids are arguments.

pub mod agent;
pub mod printer;
pub mod reader;
pub mod record;
pub mod screen;
pub mod settings;
pub mod test_page;
pub mod till;
pub mod translate;

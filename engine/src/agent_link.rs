//! The engine's end of terminals' links: sockets, what tills ask for, and who is linked.

pub mod admission;
mod conversation;
pub mod fleet;
pub mod pulse;
pub mod registry;
pub mod socket;
pub mod till_request;
pub mod upgrade;

//! Tillway's payment transaction engine.

pub mod acquirer;
pub mod actor;
pub mod agent_link;
pub mod domain;
pub mod owner;
pub mod store;

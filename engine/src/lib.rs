//! Tillway's payment transaction engine.

pub mod acquirer;
pub mod domain;
pub mod owner;
pub mod store;

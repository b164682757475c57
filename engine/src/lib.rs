//! Tillway's payment transaction engine.

pub mod store;

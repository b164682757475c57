//! The engine's end of terminals' links.

pub mod registry;

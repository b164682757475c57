//! firmware-sim

pub mod printer;

//! Everything that needs more than one crate, in one test program.

mod crash;
mod hostile;
mod simulation;
mod tidy;
mod wire;

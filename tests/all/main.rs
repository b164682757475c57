//! Everything that needs more than one crate, in one test program.

mod simulation;
mod tidy;

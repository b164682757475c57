//! Everything that needs more than one crate, in one test program.

mod check;
mod end_to_end;
mod http;
mod simulation;
mod tidy;

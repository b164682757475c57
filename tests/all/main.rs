//! Everything that needs more than one crate, in one test program.

mod hostile;
mod tidy;
mod wire;

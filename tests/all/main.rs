//! Everything that needs more than one crate, in one test program.

mod backup;
mod canary;
mod check;
mod crash;
mod end_to_end;
mod fixture;
mod fsck;
mod hostile;
mod http;
mod simulation;
mod tidy;
mod wire;

//! Everything that needs more than one crate, in one test program.

mod archive;
mod backup;
mod canary;
mod check;
mod crash;
mod end_to_end;
mod fixture;
mod fsck;
mod fuzz;
mod hostile;
mod http;
mod pairing;
mod power;
mod printer;
mod reader;
mod sandbox;
mod simulation;
mod tidy;
mod tls;
mod usb;
mod wire;

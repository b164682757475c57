//! What tests, demo and bench share: the real programs, the API, a whole shop, a simulated world.

#![allow(clippy::missing_panics_doc, reason = "tests may panic")]

pub mod api;
pub mod fuzz;
pub mod hand;
pub mod power;
pub mod programs;
pub mod raw;
pub mod reaper;
pub mod shop;
pub mod simulation;
pub mod usb;
pub mod wait;

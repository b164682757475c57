//! A small machine with real USB: a Debian kernel in QEMU, the shipped programs inside.
//!
//! What a pseudo-terminal cannot have is tried there: enumeration, names that change, device
//! files that vanish, drivers of the kernel. Two kinds of devices: serial adapters that QEMU
//! emulates, with the simulator outside, and gadgets of the guest's own kernel (CDC, HID, printer
//! class), with the simulator inside. `tests/src/usb_shop.rs` is what runs in the guest.

mod archive;
mod image;
mod machine;

pub use image::{Absent, Kernel};
pub use machine::run;

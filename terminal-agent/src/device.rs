//! Transports to the devices. They carry bytes and know no protocol.

pub mod serial;

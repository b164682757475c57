//! Tillway's agent on the till: card reader, receipt printer, one link to the engine.
//!
//! Pure machines decide, thin shells act.
//!
//! # Layout
//! * [`machine`]: PURE: the agent's rules, the reader's and the printer's conversations.
//! * [`journal`]: writes and syncs what the agent machine says; decides nothing.
//! * [`link`]: the WebSocket to the engine. [`device`]: the ports. [`control`]: the local
//!   socket through which a cashier's program speaks to a running agent.
//! * [`till_screen`]: the cashier's screen, a client of the control socket in a process of its own.
//! * [`tls`]: whom the till believes that it is the engine.
//! * [`simulator_control`]: faults asked for in test mode, for simulated devices only.
//! * [`run`]: the loop that ties them together. [`service`]: what it tells systemd. [`pair`]:
//!   makes the key and redeems a code. [`logo`]: reads the picture above receipts, once.
//! * [`facts`]: what the machine says of itself.
//! * [`doctor`]: what a technician asks first. [`decode`]: PURE: captured bytes as text.
//!   [`redact`]: PURE: hides card data and secrets in what is sent to support.
//!   [`bundle`]: the file for support. [`print_test`]: a test page without an agent.
//! * [`cli`], [`config`], [`log`], [`clock`], [`id_source`]: the edges.
//!
//! # Never
//! Card data is encrypted by the reader and passes through as opaque bytes: nothing here holds a
//! key for it, prints it, or writes it to disk.

pub mod bundle;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod decode;
pub mod device;
pub mod doctor;
pub mod facts;
pub mod id_source;
pub mod journal;
pub mod link;
pub mod log;
pub mod logo;
pub mod machine;
pub mod pair;
pub mod print_test;
pub mod redact;
pub mod run;
pub mod service;
pub mod shell;
pub mod simulator_control;
pub mod till_screen;
pub mod tls;
#[cfg(test)]
mod trial;

//! Every byte format that crosses a wire in Tillway, and nothing else.
//!
//! No I/O, no clock, no randomness: instants and identifiers come in as arguments.
//! A decoder in this crate never panics and never allocates by a length it has not checked.
//!
//! # Layout
//! * [`id`], [`money`]: names of things and amounts, as every other format carries them.
//! * [`link`]: engine ↔ agent, MessagePack over one WebSocket.
//! * [`pairing`]: what a till signs when it gives its identity back.
//! * [`reader`]: agent ↔ card reader, ID TECH NEO2 ("ViVOtech2").
//! * [`printer`]: agent ↔ receipt printer, ESC/POS.
//! * [`receipt`]: the one document that paper, HTML and JSON are rendered from.
//! * [`certificate`]: what a TLS certificate says of itself, for people.
//! * [`dukpt`]: derivation of card data keys; used by the simulated reader and by the acquirer
//!   boundary of the engine, never by the agent.

pub mod certificate;
pub mod dukpt;
pub mod id;
pub mod link;
pub mod money;
pub mod pairing;
pub mod printer;
pub mod reader;
pub mod receipt;

//! One world under one seed: owners, agents, readers, acquirer, store and network in one process,
//! with virtual time and faults.
//!
//! The code that ships decides; everything here only carries, delays, loses and watches. A seed is
//! the whole input: the same seed gives the same trace, byte for byte. This module never reads a
//! clock, never starts a thread and never draws a random number outside [`random`].
//!
//! # Layout
//! * [`random`], [`queue`]: the seed's numbers and ids; events in order of virtual time.
//! * [`fault`]: which faults a seed switches on, and the deliberate bugs ([`fault::Sabotage`]).
//! * [`world`]: the loop over [`event`]s. [`trouble`]: its beginning and the faults that strike at an
//!   instant. [`ending`]: what is left to do, and the report.
//! * Inhabitants. The engine: [`engine`], [`mail`], [`commit`], [`rows`]. The tills: [`till`],
//!   [`reader`], [`printer`], [`journal`]. Between them: [`link`], [`wire`]. The acquirer: [`host`]. People:
//!   [`client`], [`cashier`].
//! * [`history`]: what was committed, read from the store's log. [`checker`]: the rules;
//!   [`answer`]: those about answers.

pub mod answer;
pub mod cashier;
pub mod checker;
pub mod client;
pub mod commit;
pub mod ending;
pub mod engine;
pub mod event;
pub mod fault;
pub mod hazard;
pub mod history;
pub mod host;
pub mod journal;
pub mod link;
pub mod mail;
pub mod paper;
pub mod printer;
pub mod queue;
pub mod random;
pub mod reader;
pub mod rows;
pub mod till;
pub mod trouble;
pub mod wire;
pub mod world;

pub use checker::Violation;
pub use ending::Report;
pub use fault::Sabotage;
pub use world::World;

/// Runs one seed to its end.
pub fn run(seed: u64, sabotage: Option<Sabotage>, is_verbose: bool) -> Report {
    World::new(seed, sabotage, is_verbose).run()
}

/// Seeds that once found a bug: `tests/seeds.txt`, one to a line.
pub fn saved_seeds() -> impl Iterator<Item = u64> {
    const SAVED: &str = include_str!("../seeds.txt");
    SAVED
        .lines()
        .filter_map(|line| line.split('#').next()?.trim().parse().ok())
}

//! One world under one seed: owners, agents, readers, acquirer, store and network in one process,
//! with virtual time and faults.
//!
//! The code that ships decides; everything here only carries, delays, loses and watches. A seed is
//! the whole input: the same seed gives the same trace, byte for byte. This module never reads a
//! clock, never starts a thread and never draws a random number outside [`random`].
//!
//! # Layout
//! * [`random`], [`queue`]: the seed's numbers and ids; events in order of virtual time. [`clock`]:
//!   the clocks of the engine and of the tills.
//! * [`fault`]: which faults a seed switches on, and the deliberate bugs ([`sabotage::Sabotage`]).
//! * [`world`]: the loop over [`event`]s; [`happen`]: what each leads to. [`board`]: its beginning.
//!   [`trouble`], [`hazard`], [`twins`]: faults that strike at an instant, at devices, and about
//!   tills that are copied or restored. [`ending`]: what is left to do, and the report;
//!   [`summary`]: the sum of a run; [`shrink`]: smaller worlds that fail alike.
//! * Inhabitants. The engine: [`engine`], [`process`], [`mail`], [`commit`], [`rows`]. The tills:
//!   [`till`], [`shell`], [`reader`], [`printer`], [`paper`], [`journal`]. Between them: [`link`],
//!   [`wire`], [`receive`], `pulse`. The acquirer: [`host`]. People: [`client`], [`wishes`], [`cashier`],
//!   [`staff`]. Readers of other makes: [`variety`]. Doors: [`access`].
//! * [`history`]: what was committed, read from the store's log. [`checker`]: the rules;
//!   [`answer`]: those about answers. [`model`]: what everybody outside may be told.
//!   [`watch`]: where the world shows them what happens. [`restore`]: an engine of the past;
//!   [`lost`]: which rules that relaxes, and for what.

pub mod access;
pub mod answer;
pub mod board;
pub mod cashier;
pub mod checker;
pub mod client;
pub mod clock;
pub mod commit;
pub mod ending;
pub mod engine;
pub mod event;
pub mod fault;
mod fleet;
pub mod happen;
pub mod hazard;
pub mod history;
pub mod host;
pub mod journal;
pub mod link;
pub mod lost;
pub mod mail;
pub mod model;
pub mod paper;
pub mod printer;
pub mod process;
mod pulse;
pub mod queue;
pub mod random;
pub mod reader;
pub mod receive;
pub mod restore;
pub mod rows;
pub mod sabotage;
pub mod shell;
pub mod shrink;
pub mod staff;
pub mod summary;
pub mod till;
pub mod trouble;
pub mod twins;
pub mod variety;
pub mod watch;
pub mod wire;
pub mod wishes;
pub mod world;

pub use checker::Violation;
pub use ending::Report;
pub use sabotage::{CASES, Case, Sabotage};
pub use summary::Summary;
pub use world::{Setup, World};

use ::engine::store::Rows;

/// Runs one seed to its end.
pub fn run(seed: u64, sabotage: Option<Sabotage>, is_verbose: bool) -> Report {
    replay(&Setup {
        sabotage,
        is_verbose,
        ..Setup::new(seed)
    })
}

/// Values of the rows of one key space that a seed's world leaves in its store, for fuzz targets.
pub fn rows_left(seed: u64, space: u8) -> Vec<Vec<u8>> {
    let world = World::new(&Setup::new(seed));
    let store = std::sync::Arc::clone(&world.engine.store);
    drop(world.run());
    let rows = store.scan(&[space], None, 1_000).unwrap_or_default();
    rows.into_iter().map(|(_, value)| value).collect()
}

/// Runs a world to its end.
pub fn replay(setup: &Setup) -> Report {
    World::new(setup).run()
}

/// How many seeds, from 1, it takes until the named checker catches a deliberate bug; none when it
/// is not caught within the case's bound.
pub fn seeds_until_caught(case: &Case) -> Option<u64> {
    (1..=case.seeds_max).find(|seed| {
        let violation = run(*seed, Some(case.sabotage), false).violation;
        violation.is_some_and(|violation| violation.rule == case.rule)
    })
}

/// The file of worlds that once found a bug, one to a line.
pub const SEEDS_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds.txt");

/// Worlds that once found a bug.
pub fn saved_seeds() -> impl Iterator<Item = Setup> {
    const SAVED: &str = include_str!("../seeds.txt");
    SAVED.lines().filter_map(|line| {
        // A line that cannot be read must not be passed over.
        Setup::from_line(line).unwrap_or_else(|error| unreachable!("tests/seeds.txt: {error}"))
    })
}

//! Power cuts on the shipped programs: what they answered is there when the power is back.
//!
//! Engine and agent run under the recorder of `harness::power`, with real load. From what they
//! wrote and synced, the disks that a cut may leave are built for many instants and seeds, and
//! opened with the shipped code. `TILLWAY_POWER_STATES` sets how many states are looked at,
//! `TILLWAY_SEED` the seed, `TILLWAY_POWER_LIE=1` a disk on which `fdatasync` does nothing: then
//! answers must be found missing, and the test must fail.

mod agent_check;
mod archive;
mod converge;
mod engine_check;
mod full_disk;
mod instants;
mod recording;
mod told;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use harness::power::cut::Cut;
use harness::power::dice::Dice;
use harness::power::history::History;
use harness::power::recorder;
use recording::Recording;
use tempfile::TempDir;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn seed() -> u64 {
    u64::try_from(number("TILLWAY_SEED", 1)).unwrap_or(1)
}

/// A directory in memory, if there is such a thing: what is on it is not what is tested.
fn scratch() -> TempDir {
    let shared = PathBuf::from("/dev/shm");
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("tillway-power-");
    builder
        .tempdir_in(&shared)
        .or_else(|_| builder.tempdir())
        .expect("a directory")
}

/// One day in a shop, recorded once for all tests.
fn recorded() -> Option<&'static Recording> {
    static RECORDED: OnceLock<Option<Recording>> = OnceLock::new();
    let make = || recorder::library().map(|_| recording::record());
    RECORDED.get_or_init(make).as_ref()
}

/// What a check found wrong with one state.
#[derive(Debug)]
struct Trouble {
    cut: Cut,
    problems: Vec<String>,
}

/// Builds and checks the states of these cuts, on two threads; what is wrong with them.
fn check_all(
    history: &History,
    cuts: &[Cut],
    check: impl Fn(&std::path::Path, &Cut) -> Vec<String> + Sync,
) -> Vec<Trouble> {
    let next = AtomicUsize::new(0);
    let work = || {
        let dir = scratch();
        let mut troubles = Vec::new();
        while let Some(cut) = cuts.get(next.fetch_add(1, Ordering::Relaxed)) {
            let root = dir.path().join("state");
            cut.image(history)
                .write(&root)
                .expect("an image is written");
            let problems = check(&root, cut);
            std::fs::remove_dir_all(&root).expect("an image is removed");
            if !problems.is_empty() {
                let cut = *cut;
                troubles.push(Trouble { cut, problems });
            }
        }
        troubles
    };
    thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        let results = threads.map(|thread| thread.join().expect("a check does not panic"));
        results.into_iter().flatten().collect()
    })
}

/// Fails with the first troubles in full.
fn expect_none(what: &str, states: usize, troubles: &[Trouble]) {
    println!("{what}: {states} states, {} with problems", troubles.len());
    let first: Vec<String> = troubles
        .iter()
        .take(3)
        .map(|trouble| format!("{}: {:#?}", trouble.cut, trouble.problems))
        .collect();
    assert!(troubles.is_empty(), "{what}: {}", first.join("\n"));
}

fn is_lying() -> bool {
    std::env::var("TILLWAY_POWER_LIE").is_ok_and(|value| value == "1")
}

#[test]
fn the_recorder_sees_everything_that_is_written() {
    let Some(recording) = recorded() else { return };
    for (what, part) in [("engine", &recording.engine), ("agent", &recording.agent)] {
        assert_eq!(part.history.gaps(), [""; 0], "{what}");
        let differences = part.history.whole().differences(&part.real);
        assert_eq!(differences, [""; 0], "{what}: trace against files");
        assert!(part.real.files.len() > 2, "{what}: {:?}", part.real);
    }
    println!("{}", recording.summary());
}

#[test]
fn no_answer_of_the_engine_is_lost() {
    let Some(recording) = recorded() else { return };
    let states = number("TILLWAY_POWER_STATES", 150);
    let lying = recording.engine_history_lying();
    let history = if is_lying() {
        &lying
    } else {
        &recording.engine.history
    };
    let mut dice = Dice(seed());
    let cuts = instants::choose(history, &recording.times(), states, &mut dice);
    let troubles = check_all(history, &cuts, |root, cut| {
        engine_check::problems(root, recording.told_by(cut.instant))
    });
    expect_none("engine", states, &troubles);
}

#[test]
fn no_promise_of_the_agent_is_lost() {
    let Some(recording) = recorded() else { return };
    let states = number("TILLWAY_POWER_STATES", 150);
    let history = &recording.agent.history;
    let mut dice = Dice(seed() ^ 1);
    let times: Vec<u64> = recording.sent.iter().map(|sent| sent.at).collect();
    let cuts = instants::choose(history, &times, states, &mut dice);
    let troubles = check_all(history, &cuts, |root, cut| {
        agent_check::problems(root, cut.instant, recording)
    });
    expect_none("agent", states, &troubles);
}

/// The start after a cut writes too: what it did may be cut again.
#[test]
fn a_start_after_a_cut_may_be_cut_too() {
    let Some(recording) = recorded() else { return };
    let states = number("TILLWAY_POWER_STATES", 150);
    let mut dice = Dice(seed() ^ 2);
    let times = recording.times();
    for _ in 0..states.div_ceil(150) {
        let history = &recording.engine.history;
        let [first] = instants::choose(history, &times, 1, &mut dice)[..] else {
            return;
        };
        let again = recording::start_again(recording, &first);
        assert_eq!(again.part.history.gaps(), [""; 0], "{first}");
        let differences = again.part.history.whole().differences(&again.part.real);
        assert_eq!(differences, [""; 0], "{first}: trace against files");
        let history = &again.part.history;
        let cuts = instants::choose(history, &again.times(), 30, &mut dice);
        let troubles = check_all(history, &cuts, |root, cut| {
            engine_check::problems(root, again.told_by(cut.instant))
        });
        expect_none(&format!("start after {first}"), cuts.len(), &troubles);
    }
}

/// The test of the tests: where `fdatasync` does nothing, answers and promises are lost, and the
/// checks say so.
#[test]
fn a_lying_disk_is_found_out() {
    let Some(recording) = recorded() else { return };
    let lying = recording.engine_history_lying();
    let cuts = instants::choose(&lying, &recording.times(), 40, &mut Dice(seed()));
    let troubles = check_all(&lying, &cuts, |root, cut| {
        engine_check::problems(root, recording.told_by(cut.instant))
    });
    let is_lost = |trouble: &&Trouble| trouble.problems.iter().any(|one| one.contains("lost"));
    let lost = troubles.iter().filter(is_lost).count();
    assert!(lost > 0, "nothing is lost in 40 states: {troubles:#?}");
    let lying = recording.agent_history_lying();
    let times: Vec<u64> = recording.sent.iter().map(|sent| sent.at).collect();
    let cuts = instants::choose(&lying, &times, 100, &mut Dice(seed()));
    let troubles = check_all(&lying, &cuts, |root, cut| {
        agent_check::problems(root, cut.instant, recording)
    });
    let forgotten = troubles.iter().filter(is_lost).count();
    assert!(
        forgotten > 0,
        "nothing is lost in 100 states: {troubles:#?}"
    );
    println!("a lying disk: {lost} of 40 engine states, {forgotten} of 100 agent states");
}

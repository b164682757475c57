//! What goes wrong with printers in shops, each in the middle of a job.

use protocol::printer::Trouble;
use terminal_agent::machine::printer::{Confirmation, Drawer, HoldReason, JobState, PrinterConfig};

use super::bench::{Bench, config, quick, receipt};

/// Nothing was lost and nothing came twice: each line of each job once, in order.
fn assert_whole(bench: &Bench, jobs: &[u128]) {
    let papers = bench.papers();
    assert_eq!(papers.len(), jobs.len(), "pieces of paper");
    for (paper, n) in papers.iter().zip(jobs) {
        assert_lines(paper, *n);
        assert!(!paper.contains("DUPLICATE"), "{paper}");
    }
    assert_eq!(bench.status()["violations"], 0, "{}", bench.status());
}

fn assert_lines(paper: &str, n: u128) {
    let name = format!("job {n} line ");
    let printed: Vec<&str> = paper.lines().filter(|line| line.contains(&name)).collect();
    let wanted = receipt(&format!("job {n}")).entries.len();
    assert_eq!(printed.len(), wanted, "{paper}");
    for (number, line) in printed.iter().enumerate() {
        assert!(line.contains(&format!("{name}{number:03}")), "{line}");
    }
}

#[test]
fn a_person_helps_and_the_same_job_goes_on() {
    for (trouble, reason, help) in [
        ("paper-out", HoldReason::NoPaper, "paper-in"),
        ("cover-open", HoldReason::CoverOpen, "cover-close"),
        ("cutter-jam", HoldReason::Cutter, "cutter-clear"),
        ("paper-jam", HoldReason::Mechanical, "jam-clear"),
        ("head-hot", HoldReason::Overheated, "head-cool"),
        ("feed-press", HoldReason::Feeding, "feed-release"),
    ] {
        let mut bench = Bench::new(config(), &[]);
        bench.begin(1);
        bench.hands(trouble);
        bench.run_until_state(1, JobState::Held(reason));
        assert_eq!(bench.machine.trouble(), Some(reason.trouble()));
        bench.hands(help);
        bench.run_until_state(1, JobState::Printed);
        assert_eq!(bench.machine.trouble(), None, "{trouble}");
        bench.begin(2);
        bench.run_until_state(2, JobState::Printed);
        assert_whole(&bench, &[1, 2]);
    }
}

#[test]
fn some_printers_want_their_button_pressed_after_new_paper() {
    let mut bench = Bench::new(config(), &["feed-button=yes", "near-end-sensor=no"]);
    bench.begin(1);
    bench.hands("paper-out");
    bench.run_until_state(1, JobState::Held(HoldReason::NoPaper));
    bench.hands("paper-in");
    bench.run_until_state(1, JobState::Held(HoldReason::FeedButton));
    bench.hands("feed-press");
    bench.hands("feed-release");
    bench.run_until_state(1, JobState::Printed);
    assert_whole(&bench, &[1]);
}

#[test]
fn a_power_cut_within_a_job_leaves_it_unknown_and_the_next_one_whole() {
    let mut bench = Bench::new(quick(), &[]);
    bench.begin_and_stall(1);
    bench.hands("power-cycle");
    bench.run_until_state(1, JobState::Unknown);
    bench.hands("tear-off");
    bench.begin(2);
    bench.run_until_state(2, JobState::Printed);
    let papers = bench.papers();
    assert_lines(papers.last().unwrap(), 2);
    assert!(!bench.states(1).contains(&JobState::Printed));
}

#[test]
fn a_power_cut_is_made_good_by_one_duplicate_when_that_is_asked_for() {
    let config = PrinterConfig {
        reprints_interrupted: true,
        ..quick()
    };
    let mut bench = Bench::new(config, &[]);
    bench.begin_and_stall(1);
    bench.hands("power-cycle");
    bench.run_until_state(1, JobState::Queued);
    bench.hands("tear-off");
    bench.run_until_state(1, JobState::Printed);
    let papers = bench.papers();
    let last = papers.last().unwrap();
    assert_lines(last, 1);
    assert!(last.contains("DUPLICATE"), "{last}");
    let unmarked = papers.iter().filter(|paper| !paper.contains("DUPLICATE"));
    assert!(
        unmarked.filter(|paper| paper.contains("line 099")).count() == 0,
        "a second whole receipt without its mark"
    );
}

#[test]
fn a_printer_that_stays_off_holds_the_next_job() {
    let mut bench = Bench::new(quick(), &[]);
    bench.begin_and_stall(1);
    bench.hands("power-off");
    bench.run_until_state(1, JobState::Unknown);
    bench.print(2, receipt("job 2"), false);
    bench.run_until_state(2, JobState::Held(HoldReason::Offline));
    assert_eq!(bench.machine.trouble(), Some(Trouble::Offline));
    bench.hands("power-on");
    bench.hands("tear-off");
    bench.run_until_state(2, JobState::Printed);
    assert_lines(bench.papers().last().unwrap(), 2);
}

#[test]
fn what_breaks_leaves_the_job_unknown_and_fails_the_next() {
    let mut bench = Bench::new(config(), &[]);
    bench.begin_and_stall(1);
    bench.hands("break");
    bench.run_until_state(1, JobState::Unknown);
    bench.print(2, receipt("job 2"), false);
    bench.run_until("job 2 to fail", |bench| {
        matches!(bench.states(2).last(), Some(JobState::Failed(_)))
    });
    assert_eq!(bench.machine.trouble(), Some(Trouble::Unrecoverable));
}

#[test]
fn a_cable_pulled_within_a_job_leaves_it_unknown_and_holds_the_next() {
    let mut bench = Bench::new(config(), &[]);
    bench.begin_and_stall(1);
    bench.hands("unplug");
    bench.run_until_state(1, JobState::Unknown);
    bench.print(2, receipt("job 2"), false);
    bench.run_until_state(2, JobState::Held(HoldReason::PortClosed));
    bench.hands("go-on");
    bench.hands("plug-in");
    bench.run_until_state(2, JobState::Printed);
    // The printer had power all the time: what it had of the first job stands before.
    assert_lines(bench.papers().last().unwrap(), 2);
}

#[test]
fn a_long_pause_loses_nothing() {
    let mut bench = Bench::new(quick(), &[]);
    bench.begin(1);
    bench.hands("stall");
    bench.run_until_state(1, JobState::Held(HoldReason::Busy));
    assert_eq!(bench.status()["busy"], true);
    bench.hands("go-on");
    bench.run_until_state(1, JobState::Printed);
    assert_whole(&bench, &[1]);
}

/// Bytes that come into a full buffer are a violation of the simulator.
#[test]
fn a_small_buffer_is_never_overrun() {
    for (buffer_bytes, settings) in [
        (4_096, &["buffer=4096", "flow=none"][..]),
        (512, &["buffer=512", "xoff-free=128", "xon-free=256"]),
        (256, &["buffer=256", "xoff-free=16", "xon-free=32"]),
        (256, &["buffer=256", "flow=none"]),
    ] {
        let mut bench = Bench::new(config().with_buffer(buffer_bytes), settings);
        bench.begin(1);
        bench.run_until_state(1, JobState::Printed);
        assert_whole(&bench, &[1]);
    }
}

#[test]
fn noise_makes_nobody_believe_in_paper() {
    for confirmation in [Confirmation::PaperStatus, Confirmation::ProcessId] {
        let config = PrinterConfig {
            confirmation,
            ..quick()
        };
        let mut bench = Bench::new(config, &[]);
        bench.begin(1);
        for _ in 0..5 {
            bench.hands("noise");
        }
        bench.run_until("the end of job 1", |bench| {
            bench.states(1).last().is_some_and(|state| state.is_final())
        });
        if bench.states(1).last() == Some(&JobState::Printed) {
            assert_whole(&bench, &[1]);
        }
        bench.hands("tear-off");
        bench.begin(2);
        bench.run_until_state(2, JobState::Printed);
        assert_lines(bench.papers().last().unwrap(), 2);
        assert_eq!(bench.status()["violations"], 0, "{}", bench.status());
    }
}

#[test]
fn the_drawer_opens_once_and_shows_when_it_is_closed() {
    let drawer = Drawer {
        is_high_when_open: Some(true),
        ..config().drawer
    };
    let config = PrinterConfig { drawer, ..config() };
    let mut bench = Bench::new(config, &[]);
    bench.run_until("the drawer to be closed", |bench| {
        bench.machine.is_drawer_open() == Some(false)
    });
    bench.print(1, receipt("job 1"), true);
    bench.run_until_state(1, JobState::Printed);
    assert_eq!(bench.machine.is_drawer_open(), Some(true));
    bench.hands("drawer-close");
    bench.run_until("the drawer to be closed", |bench| {
        bench.machine.is_drawer_open() == Some(false)
    });
    assert_eq!(bench.status()["drawer_kicks"], 1);
}

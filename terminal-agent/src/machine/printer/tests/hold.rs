//! What holds a job and lets it go, and what fails it.

use super::*;

#[test]
fn without_paper_a_job_waits_and_then_prints_once() {
    let mut bench = Bench::ready();
    bench.job(1, 1);
    assert_eq!(
        bench.answer(&NO_PAPER),
        [JobState::Held(HoldReason::NoPaper)]
    );
    bench.take_written();
    bench.pass_to_deadline();
    assert_eq!(bench.take_written(), QUERIES);
    assert_eq!(bench.answer(&NO_PAPER), []);
    assert_eq!(bench.answer(&[0x10, 0, 0, 0]), []);
    assert_eq!(bench.take_written(), QUERIES);
    assert_eq!(bench.answer(&READY), [JobState::Printing]);
    assert_eq!(count(&bench.take_written(), b"twelve bytes"), 1);
    assert_eq!(bench.answer(&[0]), [JobState::Printed]);
}

#[test]
fn paper_end_within_a_job_holds_it_and_nothing_is_sent_twice() {
    let mut bench = Bench::printing();
    bench.take_written();
    assert_eq!(
        bench.answer(&[0x13, 0x18, 0, 0x0f, 0]),
        [JobState::Held(HoldReason::NoPaper)]
    );
    for _ in 0..50 {
        assert_eq!(bench.pass_to_deadline(), []);
        assert_eq!(bench.take_written(), QUERIES);
        assert_eq!(bench.answer(&NO_PAPER), []);
    }
    assert_eq!(bench.answer(&[0x10, 0, 0, 0, 0x11]), [JobState::Printing]);
    assert_eq!(bench.answer(&[0]), [JobState::Printed]);
    assert_eq!(bench.take_written(), [0u8; 0]);
}

#[test]
fn an_open_cover_is_found_by_asking_when_nothing_is_reported() {
    let mut bench = Bench::printing();
    bench.take_written();
    assert_eq!(bench.pass_to_deadline(), []);
    assert_eq!(bench.take_written(), QUERIES);
    assert_eq!(
        bench.answer(&[0x1a, 0x16, 0x12, 0x12]),
        [JobState::Held(HoldReason::CoverOpen)]
    );
}

#[test]
fn a_printer_that_is_off_holds_the_job_until_it_is_on() {
    let mut bench = Bench::ready();
    bench.job(1, 1);
    assert_eq!(bench.pass_to_deadline(), []);
    assert_eq!(bench.pass_to_deadline(), []);
    assert_eq!(
        bench.pass_to_deadline(),
        [JobState::Held(HoldReason::Offline)]
    );
    assert!(!bench.machine.status().unwrap().online);
    assert!(bench.machine.has_answered(), "it has, once");
    bench.pass_to_deadline();
    assert_eq!(bench.answer(&READY), [JobState::Printing]);
}

#[test]
fn nobody_coming_fails_the_job() {
    let mut bench = Bench::ready();
    bench.job(1, 1);
    let mut last = bench.answer(&NO_PAPER);
    while last.iter().all(|state| !state.is_final()) {
        last = bench.pass_to_deadline();
        if bench.take_written() == QUERIES {
            last.extend(bench.answer(&NO_PAPER));
        }
    }
    assert_eq!(
        last,
        [JobState::Failed(FailureReason::Held(HoldReason::NoPaper))]
    );
}

#[test]
fn a_cleared_cutter_is_recovered() {
    let mut bench = Bench::ready();
    bench.job(1, 1);
    assert_eq!(bench.answer(&CUTTER), [JobState::Held(HoldReason::Cutter)]);
    assert!(bench.take_written().ends_with(&RECOVER_AND_CLEAR));
    bench.pass_to_deadline();
    assert_eq!(bench.answer(&READY), [JobState::Printing]);
    assert_eq!(
        bench.answer(&[0x18, 8, 0, 0]),
        [JobState::Held(HoldReason::Cutter)]
    );
    bench.take_written();
    bench.pass_to_deadline();
    assert_eq!(
        bench.take_written(),
        [RECOVER_AND_CONTINUE.as_slice(), &QUERIES].concat()
    );
    assert_eq!(
        bench.answer(&[0x10, 0, 0, 0, 0]),
        [JobState::Printing, JobState::Printed],
        "the cut and the confirmation follow the recovery"
    );
}

#[test]
fn a_dead_printer_fails_every_job() {
    let mut bench = Bench::ready();
    bench.job(1, 1);
    bench.job(2, 1);
    let failed = JobState::Failed(FailureReason::Unrecoverable);
    let dead = [0x1a, 0x52, 0x32, 0x12];
    assert_eq!(bench.answer(&dead), [failed]);
    assert_eq!(bench.answer(&dead), [failed]);
}

#[test]
fn every_state_holds_a_job_with_its_name_and_lets_it_go() {
    for (answers, reason) in [
        ([0x1a, 0x16, 0x12, 0x12], HoldReason::CoverOpen),
        ([0x1a, 0x32, 0x12, 0x72], HoldReason::NoPaper),
        ([0x1a, 0x52, 0x1a, 0x12], HoldReason::Cutter),
        ([0x1a, 0x52, 0x16, 0x12], HoldReason::Mechanical),
        ([0x1a, 0x52, 0x52, 0x12], HoldReason::Overheated),
        ([0x5a, 0x1a, 0x12, 0x12], HoldReason::Feeding),
        ([0x3a, 0x12, 0x12, 0x12], HoldReason::FeedButton),
        ([0x1a, 0x12, 0x12, 0x12], HoldReason::Offline),
    ] {
        let mut bench = Bench::ready();
        bench.job(1, 1);
        assert_eq!(bench.answer(&answers), [JobState::Held(reason)]);
        assert_eq!(bench.machine.trouble(), Some(reason.trouble()));
        bench.take_written();
        // Automatic status comes first, polling is for printers without it.
        assert_eq!(bench.answer(&[0x10, 0, 0, 0]), []);
        assert_eq!(bench.take_written(), QUERIES, "{reason:?}");
        assert_eq!(bench.answer(&READY), [JobState::Printing]);
        assert_eq!(bench.machine.trouble(), None);
        assert_eq!(bench.answer(&[0]), [JobState::Printed]);
    }
}

#[test]
fn automatic_status_within_a_job_holds_it_by_name() {
    for (block, reason) in [
        ([0x38, 0, 0, 0], HoldReason::CoverOpen),
        ([0x18, 0, 0x0f, 0], HoldReason::NoPaper),
        ([0x18, 8, 0, 0], HoldReason::Cutter),
        ([0x18, 4, 0, 0], HoldReason::Mechanical),
        ([0x18, 0x40, 0, 0], HoldReason::Overheated),
        ([0x58, 2, 0, 0], HoldReason::Feeding),
        ([0x18, 1, 0, 0], HoldReason::FeedButton),
        ([0x18, 0, 0, 0], HoldReason::Offline),
    ] {
        for split in 0..4 {
            let mut bench = Bench::ready();
            bench.job(1, 1);
            bench.answer(&READY);
            bench.take_written();
            let (head, tail) = block.split_at(split);
            let mut seen = bench.answer(head);
            // An answer that nobody asked for, as of image data, may come at any place.
            seen.extend(bench.answer(&[0x12]));
            seen.extend(bench.answer(tail));
            assert_eq!(seen, [JobState::Held(reason)], "split at {split}");
            assert_eq!(
                bench.answer(&[0x10, 0, 3, 0]),
                [JobState::Printing],
                "near end prints"
            );
            assert_eq!(bench.answer(&[0x03]), [JobState::Printed]);
            assert_eq!(bench.take_written(), [0u8; 0], "nothing is sent twice");
        }
    }
}

//! The reader is lost while the chip is told an approval, and comes back.

use firmware_sim::cards::Way;
use firmware_sim::reader::fault::{Fault, Scope};
use firmware_sim::reader::{Phase, ReaderQuirks};
use terminal_agent::machine::reader::{EndReason, Entry, Progress, ReaderFault};

use super::bench::{Bench, End, Issuer};

fn lost(card: &'static str, quirks: ReaderQuirks, fault: Fault) -> (End, Bench) {
    let mut bench = Bench::new(quirks);
    bench.trap = Some((Phase::Completing, fault, Scope::NextFinal));
    let end = bench.pay(&[(card, Way::Insert)]);
    assert!(bench.shown.contains(&Progress::ReaderLost), "{fault:?}");
    (end, bench)
}

fn set(switches: &[(&str, &str)]) -> ReaderQuirks {
    let mut quirks = ReaderQuirks::default();
    for (name, setting) in switches {
        assert!(quirks.set(name, setting));
    }
    quirks
}

#[test]
fn a_reader_that_kept_its_power_says_how_it_ended() {
    for (card, expected) in [
        ("visa", End::Approved(Entry::Contact)),
        ("chip-refuses", End::Refused),
        ("pulled-early", End::Ended(EndReason::CardRemoved)),
    ] {
        let (end, mut bench) = lost(card, ReaderQuirks::default(), Fault::Vanish);
        assert_eq!(end, expected, "{card}");
        bench.works();
    }
}

#[test]
fn a_reader_that_lost_its_power_says_so_only_when_it_keeps_the_result() {
    for fault in [Fault::Vanish, Fault::ResetMidway] {
        for keeps in ["on", "off"] {
            let quirks = set(&[("powered-by-cable", "on"), ("keeps-last-result", keeps)]);
            let (end, mut bench) = lost("visa", quirks, fault);
            let expected = if keeps == "on" {
                End::Approved(Entry::Contact)
            } else {
                let fault = match fault {
                    Fault::Vanish => ReaderFault::PortClosed,
                    _ => ReaderFault::Restarted,
                };
                End::Ended(EndReason::ReaderFault(fault))
            };
            assert_eq!(end, expected, "{fault:?}, keeps: {keeps}");
            bench.works();
        }
    }
}

#[test]
fn a_reader_that_does_not_know_the_question_leaves_it_to_the_engine() {
    let quirks = set(&[("knows-last-result", "off")]);
    let (end, mut bench) = lost("visa", quirks, Fault::Vanish);
    let fault = ReaderFault::PortClosed;
    assert_eq!(end, End::Ended(EndReason::ReaderFault(fault)));
    bench.works();
}

/// The chip had not ended when the cable was pulled: the question is asked again until it has.
#[test]
fn a_chip_that_is_still_at_work_is_waited_for() {
    let mut bench = Bench::new(ReaderQuirks::default());
    bench.start(&[("visa", Way::Insert)]);
    while bench.reader.phase() != Phase::Completing {
        let limit_ms = bench.now_ms + 60_000;
        bench.step(limit_ms);
    }
    bench.unplug();
    bench.plug_in();
    assert_eq!(bench.reader.phase(), Phase::Completing);
    assert_eq!(bench.finish(), End::Approved(Entry::Contact));
    bench.works();
}

/// The result that the reader still knows is the sale's before.
#[test]
fn another_sales_result_is_never_taken_for_this_ones() {
    for moment in [Phase::ChipReady, Phase::Authenticating, Phase::WaitHost] {
        let quirks = set(&[("keeps-last-result", "on")]);
        let mut bench = Bench::new(quirks);
        assert_eq!(
            bench.pay(&[("visa", Way::Insert)]),
            End::Approved(Entry::Contact)
        );
        bench.trap = Some((moment, Fault::Reset, Scope::Next));
        bench.issuer = Issuer::Approves;
        let end = bench.pay(&[("visa", Way::Insert)]);
        assert!(matches!(end, End::Ended(_)), "{moment:?}: {end:?}");
        bench.works();
    }
}

//! Every fault of the reader at every step: one end, never an approval that the reader did not
//! give, and a reader that works afterwards.

use firmware_sim::cards::Way;
use firmware_sim::reader::fault::{Fault, Scope};
use firmware_sim::reader::{Input as DeviceInput, Phase, ReaderQuirks};
use terminal_agent::machine::reader::{EndReason, Entry};

use super::bench::{Bench, End, Issuer};

const PHASES: [Phase; 9] = [
    Phase::Idle,
    Phase::Polling,
    Phase::Inserting,
    Phase::Reading,
    Phase::Asking,
    Phase::ChipReady,
    Phase::Authenticating,
    Phase::WaitHost,
    Phase::Completing,
];

const SCOPES: [Scope; 2] = [Scope::Next, Scope::NextFinal];

fn faults() -> impl Iterator<Item = (&'static str, Fault)> {
    Fault::words().map(|word| (word, Fault::from_word(word).unwrap()))
}

/// As often as not the reader asks a language first, so that this phase is walked as well.
fn quirks(phase: Phase) -> ReaderQuirks {
    let mut quirks = ReaderQuirks::default();
    if phase == Phase::Asking {
        quirks.set("prompt", "language");
    }
    quirks
}

#[test]
fn every_fault_at_every_step_leads_to_one_end_and_a_reader_that_works() {
    for (word, fault) in faults() {
        for phase in PHASES {
            for scope in SCOPES {
                for issuer in [Issuer::Approves, Issuer::Declines, Issuer::IsUnreachable] {
                    let what = format!("{word} at {phase:?} {scope:?} {issuer:?}");
                    let mut bench = Bench::new(quirks(phase));
                    bench.issuer = issuer;
                    bench.trap = Some((phase, fault, scope));
                    // Used by the way, so that insertion alone is walked as well.
                    let cards = [
                        ("use-chip", Way::Tap),
                        ("visa", Way::Insert),
                        ("visa", Way::Insert),
                    ];
                    let end = bench.pay(&cards);
                    if issuer != Issuer::Approves {
                        assert!(!matches!(end, End::Approved(_)), "{what}: {end:?}");
                    }
                    bench.works();
                }
            }
        }
    }
}

#[test]
fn a_fault_that_stays_ends_in_bounded_time_and_goes_with_its_cause() {
    for (word, fault) in faults() {
        // These take effect at once, or take the cable or the power with every frame.
        if matches!(fault, Fault::Reset | Fault::Vanish | Fault::ResetMidway) {
            continue;
        }
        let mut bench = Bench::new(ReaderQuirks::default());
        bench.start(&[("visa", Way::Insert), ("visa", Way::Insert)]);
        bench.arm(fault, Scope::Always);
        let mut steps = 0;
        while bench.conversation.is_busy() {
            let limit_ms = bench.now_ms + 300_000;
            bench.step(limit_ms);
            steps += 1;
            assert!(steps < 10_000, "{word}");
        }
        bench.device(DeviceInput::ClearFaults);
        bench.finish();
        bench.works();
    }
}

#[test]
fn harmless_faults_change_nothing() {
    for fault in [
        Fault::EventFirst,
        Fault::Slow,
        Fault::Noise,
        Fault::Duplicate,
    ] {
        let mut bench = Bench::new(ReaderQuirks::default());
        bench.arm(fault, Scope::Always);
        let end = bench.pay(&[("visa", Way::Insert)]);
        assert_eq!(end, End::Approved(Entry::Contact), "{fault:?}");
        bench.arm(fault, Scope::Always);
        let end = bench.pay(&[("visa", Way::Tap)]);
        assert_eq!(end, End::Approved(Entry::Contactless), "{fault:?}");
    }
}

#[test]
fn a_card_before_anybody_asks_pays_nothing() {
    use firmware_sim::reader::Presentation;
    let mut quirks = ReaderQuirks::default();
    for setting in ["on", "off"] {
        quirks.set("polls-at-power-on", setting);
        let mut bench = Bench::new(quirks);
        let card = firmware_sim::cards::find("visa").unwrap();
        let tap = Presentation {
            card,
            way: Way::Tap,
        };
        bench.device(DeviceInput::Present(tap));
        assert!(!bench.conversation.is_busy());
        // Before the setup has come so far, it sends what it reads.
        bench.arm(Fault::Reset, Scope::Next);
        while bench.reader.phase() == Phase::Boot {
            let limit_ms = bench.now_ms + 60_000;
            bench.step(limit_ms);
        }
        bench.device(DeviceInput::Present(tap));
        bench.until_ready();
        assert_eq!(bench.pay(&[]), End::Ended(EndReason::Timeout));
        bench.works();
    }
}

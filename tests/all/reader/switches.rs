//! The agent is right whatever the firmware does where its documentation leaves it open.

use firmware_sim::cards::Way;
use firmware_sim::reader::ReaderQuirks;
use firmware_sim::reader::quirks::SWITCHES;
use terminal_agent::machine::reader::{
    EndReason, Entry, Progress, ReaderConversationConfig, ReaderSwitches,
};

use super::bench::{Bench, End, Issuer};

/// Every setting alone, then every switch but one at its other end.
fn settings() -> Vec<(String, ReaderQuirks)> {
    let mut found = Vec::new();
    for (name, settings) in SWITCHES {
        for setting in *settings {
            let mut quirks = ReaderQuirks::default();
            assert!(quirks.set(name, setting));
            found.push((format!("{name}={setting}"), quirks));
        }
    }
    let mut all = ReaderQuirks::default();
    for (name, settings) in SWITCHES {
        // Without it there is nothing that could be asked for.
        if *name == "knows-last-result" {
            continue;
        }
        let other = settings.iter().find(|setting| {
            let mut quirks = ReaderQuirks::default();
            quirks.set(name, setting) && quirks != ReaderQuirks::default()
        });
        assert!(all.set(name, other.unwrap()));
    }
    found.push(("all".to_owned(), all));
    found
}

/// Every choice of the agent alone.
fn choices() -> Vec<(&'static str, ReaderSwitches)> {
    let plain = ReaderSwitches::default();
    vec![
        ("as delivered", plain),
        (
            "inserts by activation",
            ReaderSwitches {
                inserts_by_activation: true,
                ..plain
            },
        ),
        (
            "declines when unreachable",
            ReaderSwitches {
                declines_when_unreachable: true,
                ..plain
            },
        ),
        (
            "shows nothing",
            ReaderSwitches {
                shows_messages: false,
                ..plain
            },
        ),
        (
            "asks for no last result",
            ReaderSwitches {
                asks_last_result: false,
                ..plain
            },
        ),
    ]
}

#[test]
fn every_setting_of_the_firmware_ends_every_card_as_it_should() {
    for (choice, switches) in choices() {
        for (name, quirks) in settings() {
            let what = format!("{name}, {choice}");
            let mut config = ReaderConversationConfig::standard();
            config.switches = switches;
            // Let through by the reader and hidden from the agent: only the engine can know.
            let is_unnoticed = !quirks.refuses_early_swipe && !quirks.shows_service_code;
            let stripe_of_chip = if is_unnoticed {
                let cards = vec![("stripe-of-chip", Way::Swipe)];
                (cards, End::Approved(Entry::Swipe))
            } else {
                let cards = vec![("stripe-of-chip", Way::Swipe), ("visa", Way::Insert)];
                (cards, End::Approved(Entry::Contact))
            };
            let mut bench = Bench::with(quirks, config);
            let mut pay = |cards: &[(&'static str, Way)]| bench.pay(cards);
            for (cards, expected) in [
                (vec![("visa", Way::Tap)], End::Approved(Entry::Contactless)),
                (vec![("visa", Way::Insert)], End::Approved(Entry::Contact)),
                (vec![("msd", Way::Tap)], End::Approved(Entry::Contactless)),
                (vec![("stripe", Way::Swipe)], End::Approved(Entry::Swipe)),
                (vec![("chip-refuses", Way::Insert)], End::Refused),
                (
                    vec![("pulled-reading", Way::Insert)],
                    End::Ended(EndReason::CardRemoved),
                ),
                (
                    vec![("pulled-early", Way::Insert)],
                    End::Ended(EndReason::CardRemoved),
                ),
                (
                    vec![("blocked", Way::Tap)],
                    End::Ended(EndReason::CardBlocked),
                ),
                (
                    vec![("use-chip", Way::Tap), ("use-chip", Way::Insert)],
                    End::Approved(Entry::Contact),
                ),
                stripe_of_chip,
                (vec![], End::Ended(EndReason::Timeout)),
                (vec![("use-chip", Way::Tap)], End::Ended(EndReason::Timeout)),
            ] {
                assert_eq!(pay(&cards), expected, "{what}: {cards:?}");
            }
            bench.issuer = Issuer::IsUnreachable;
            assert_eq!(bench.pay(&[("visa", Way::Insert)]), End::Refused, "{what}");
            bench.issuer = Issuer::Declines;
            assert_eq!(bench.pay(&[("visa", Way::Insert)]), End::Refused, "{what}");
            assert!(bench.was_forced_online());
            bench.works();
        }
    }
}

#[test]
fn a_cancel_ends_once_whatever_it_leaves_behind() {
    use terminal_agent::machine::reader::{Input, Request};
    for setting in ["none", "before", "after"] {
        let mut quirks = ReaderQuirks::default();
        quirks.set("stray-answer", setting);
        let mut bench = Bench::new(quirks);
        bench.start(&[]);
        bench.agent(Input::Request(Request::Cancel));
        assert_eq!(bench.finish(), End::Ended(EndReason::Canceled), "{setting}");
        bench.works();
    }
}

#[test]
fn what_the_reader_asks_is_answered_and_shown() {
    for (setting, progress) in [
        ("message", Progress::Message),
        ("language", Progress::LanguageChosen),
        ("application", Progress::ApplicationChosen),
        ("pin", Progress::PinSkipped),
    ] {
        let mut quirks = ReaderQuirks::default();
        quirks.set("prompt", setting);
        let mut bench = Bench::new(quirks);
        let end = bench.pay(&[("visa", Way::Insert)]);
        assert_eq!(end, End::Approved(Entry::Contact), "{setting}");
        assert!(bench.shown.contains(&progress), "{:?}", bench.shown);

        let mut config = ReaderConversationConfig::standard();
        config.switches.answers_prompts = false;
        let mut bench = Bench::with(quirks, config);
        let end = bench.pay(&[("visa", Way::Insert)]);
        let is_answer_needed = setting != "message";
        assert_eq!(
            end == End::Ended(EndReason::CardError),
            is_answer_needed,
            "{setting}: {end:?}"
        );
    }
}

//! Chips that fail, stripes that may take their place, and more cards than one.

use firmware_sim::cards::Way;
use firmware_sim::reader::ReaderQuirks;
use terminal_agent::machine::reader::{EndReason, Entry, Progress, ReaderConversationConfig};

use super::bench::{Bench, End};

fn shown(bench: &Bench, progress: Progress) -> usize {
    bench
        .shown
        .iter()
        .filter(|shown| **shown == progress)
        .count()
}

#[test]
fn the_stripe_takes_over_after_as_many_failures_as_the_agent_has_set() {
    for failures in 1..=5u8 {
        let mut config = ReaderConversationConfig::standard();
        config.fallback.failures = failures;
        let mut bench = Bench::with(ReaderQuirks::default(), config);
        // Too early by one: the reader refuses the stripe, and asks for the chip.
        let insertion = ("bad-chip", Way::Insert);
        let swipe = ("bad-chip", Way::Swipe);
        let mut cards = vec![insertion; usize::from(failures) - 1];
        cards.extend([swipe, insertion, swipe]);
        let end = bench.pay(&cards);
        assert_eq!(end, End::Approved(Entry::Swipe), "{failures}");
        assert_eq!(bench.cards, []);
        assert_eq!(shown(&bench, Progress::Swipe), 1, "{failures}");
        // It counts from the start for the next.
        let end = bench.pay(&[swipe, ("visa", Way::Insert)]);
        assert_eq!(end, End::Approved(Entry::Contact), "{failures}");
    }
}

#[test]
fn a_chip_whose_failure_does_not_count_never_opens_the_stripe() {
    let mut bench = Bench::new(ReaderQuirks::default());
    let mut cards = vec![("dead-chip", Way::Insert); 6];
    cards.push(("dead-chip", Way::Swipe));
    let end = bench.pay(&cards);
    assert!(matches!(end, End::Ended(_)), "{end:?}");
    assert_eq!(shown(&bench, Progress::Swipe), 0);
    bench.works();
}

#[test]
fn a_reader_that_lets_early_swipes_through_is_corrected_when_the_service_code_is_seen() {
    let mut quirks = ReaderQuirks::default();
    quirks.set("shows-service-code", "on");
    let mut config = ReaderConversationConfig::standard();
    config.fallback.refuses_early_swipe = false;
    let mut bench = Bench::with(quirks, config.clone());
    let end = bench.pay(&[("stripe-of-chip", Way::Swipe), ("visa", Way::Insert)]);
    assert_eq!(end, End::Approved(Entry::Contact));
    assert_eq!(shown(&bench, Progress::UseChip), 1);
    let end = bench.pay(&[("stripe", Way::Swipe)]);
    assert_eq!(end, End::Approved(Entry::Swipe));
    // Hidden, only the engine can know.
    let mut bench = Bench::with(ReaderQuirks::default(), config);
    let end = bench.pay(&[("stripe-of-chip", Way::Swipe)]);
    assert_eq!(end, End::Approved(Entry::Swipe));
}

#[test]
fn the_reader_says_what_to_do_and_the_same_amount_is_asked_for() {
    for (card, way, progress) in [
        ("two-cards", Way::Tap, Progress::OneCardOnly),
        ("leaves-field", Way::Tap, Progress::TryAgain),
        ("bad-chip", Way::Insert, Progress::InsertOrSwipe),
        ("use-chip", Way::Tap, Progress::InsertOrSwipe),
        ("unsupported", Way::Insert, Progress::InsertOrSwipe),
    ] {
        let mut bench = Bench::new(ReaderQuirks::default());
        let end = bench.pay(&[(card, way), ("visa", Way::Insert)]);
        assert_eq!(end, End::Approved(Entry::Contact), "{card}");
        assert_eq!(shown(&bench, progress), 1, "{card}: {:?}", bench.shown);
    }
}

#[test]
fn two_cards_again_and_again_are_too_many() {
    let mut bench = Bench::new(ReaderQuirks::default());
    let end = bench.pay(&[("two-cards", Way::Tap); 12]);
    assert_eq!(end, End::Ended(EndReason::TwoCards));
    bench.works();
}

#[test]
fn cards_that_cannot_be_used_end_the_attempt_with_their_reason() {
    for (card, way, reason) in [
        ("blocked", Way::Insert, EndReason::CardBlocked),
        ("blocked", Way::Tap, EndReason::CardBlocked),
        ("expired", Way::Insert, EndReason::CardExpired),
        ("expired", Way::Tap, EndReason::CardExpired),
        ("unsupported", Way::Tap, EndReason::CardError),
        ("chip-declines", Way::Insert, EndReason::CardDeclined),
        ("chip-declines", Way::Tap, EndReason::CardDeclined),
        ("chip-approves", Way::Insert, EndReason::OfflineNotAllowed),
        ("chip-approves", Way::Tap, EndReason::OfflineNotAllowed),
    ] {
        let mut bench = Bench::new(ReaderQuirks::default());
        assert_eq!(
            bench.pay(&[(card, way)]),
            End::Ended(reason),
            "{card} {way:?}"
        );
        bench.works();
    }
}

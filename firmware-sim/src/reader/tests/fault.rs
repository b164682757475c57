//! A reader without keys, broken commands, a reset, and any bytes at all.

use super::*;

#[test]
fn without_keys_no_card_is_read() {
    let mut bench = Bench::with(|config| config.encryption_on = false);
    let responses = bench.send(&command::encryption_status());
    assert_eq!(responses[0].data(), [0]);
    assert_eq!(codes(&bench.send(&activate_command())), [(0x02, 0x0B)]);
    let mut bench = Bench::with(|config| config.keys = KeyRegister::demo(0x1F_F800));
    bench.activate();
    assert_eq!(codes(&bench.present(Way::Tap, "visa")), [(0x02, 0x0A)]);
}

#[test]
fn broken_commands_are_refused_and_the_next_one_is_understood() {
    let mut bench = Bench::new();
    let mut bytes = activate_command().encode();
    *bytes.last_mut().unwrap() ^= 1;
    assert_eq!(codes(&bench.feed(Input::Host(&bytes))), [(0x02, 0x04)]);
    let half = activate_command().encode()[..20].to_vec();
    assert_eq!(bench.feed(Input::Host(&half)), []);
    bench.now_ms += RESYNCHRONISE_MS;
    assert_eq!(codes(&bench.send(&command::ping())), [(0x18, 0x00)]);
    for byte in command::ping().encode().chunks(1).take(15) {
        assert_eq!(bench.feed(Input::Host(byte)), []);
        bench.now_ms += 1_000;
    }
    let last = *command::ping().encode().last().unwrap();
    assert_eq!(codes(&bench.feed(Input::Host(&[last]))), [(0x18, 0x00)]);
}

#[test]
fn a_reset_forgets_the_transaction_and_is_announced() {
    let mut bench = Bench::with(|config| config.timing = Timing::LIFELIKE);
    bench.activate();
    bench.present(Way::Insert, "visa");
    assert_eq!(bench.feed(Input::Fault(Fault::Reset, Scope::Next)), []);
    assert_eq!(bench.send(&command::ping()), []);
    assert_eq!(codes(&bench.wait_to_deadline()), [(0x14, 0x00)]);
    assert_eq!(codes(&bench.send(&command::ping())), [(0x18, 0x00)]);
    assert_eq!(bench.reader.inserted().unwrap().name, "visa");
    bench.send(&command::poll_on_demand());
    bench.send(&activate_command());
    assert_eq!(bench.reader.phase(), Phase::Reading);
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_and_cards_never_break_the_machine(
        steps in proptest::collection::vec(
            (0u8..8, proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40), 0usize..18),
            0..40,
        )
    ) {
        let mut bench = Bench::with(|config| config.timing = Timing::LIFELIKE);
        for (kind, bytes, number) in steps {
            bench.now_ms += 150;
            let card = &cards::CARDS[number % cards::CARDS.len()];
            match kind {
                0 => drop(bench.feed(Input::Host(&bytes))),
                1 => drop(bench.present(Way::Tap, card.name)),
                2 => drop(bench.present(Way::Insert, card.name)),
                3 => drop(bench.feed(Input::Remove)),
                4 => drop(bench.send(&activate_command())),
                5 => drop(bench.send(&command::contact_authenticate(Online::Forced, 9))),
                6 => drop(bench.apply(*b"00")),
                _ => match bytes.as_slice() {
                    [cmd, sub, data @ ..] => {
                        drop(bench.send(&Command::new(*cmd, *sub, data.to_vec()).unwrap()));
                    }
                    // Something must happen: what is due is done when the reader is called.
                    few => drop(bench.feed(Input::Host(few))),
                },
            }
            let deadline = bench.reader.poll_deadline();
            proptest::prop_assert!(deadline.is_none_or(|deadline| deadline > bench.now_ms));
        }
    }
}

//! Cards of every behaviour, each way that they can be presented.

use super::*;

#[test]
fn every_encrypted_account_decrypts_and_every_key_is_used_once() {
    let mut bench = Bench::new();
    let mut last = bench.reader.keys().used().bytes().to_vec();
    for card in cards::CARDS {
        if card.behaviour != cards::Behaviour::Cooperates || !card.ways.contains(&Way::Tap) {
            continue;
        }
        bench.activate();
        let tapped = bench.present(Way::Tap, card.name);
        let mut reads = vec![(0x23, tapped)];
        bench.activate();
        reads.push((0x00, bench.present(Way::Insert, card.name)));
        bench.feed(Input::Remove);
        bench.send(&command::cancel());
        for (status, responses) in reads {
            let [response] = responses.as_slice() else {
                panic!("{responses:?}");
            };
            assert_eq!(response.status(), status);
            let read = CardRead::parse(response.data()).unwrap();
            let ksn = read.ksn.unwrap();
            assert!(ksn > last.as_slice());
            last = ksn.to_vec();
            let account = hex::encode(decrypted(&read, 0x5A));
            assert_eq!(account.trim_end_matches('f'), card.account());
            let track2 = hex::encode(decrypted(&read, 0x57));
            assert!(track2.starts_with(&format!("{}d{}", card.account(), card.expiry)));
            let masked = hex::encode_upper(read.find(0x5A, Form::Masked).unwrap());
            assert!(masked.contains("CCCC") && !masked.starts_with(card.account()));
        }
    }
}

#[test]
fn no_answer_carries_an_account_in_clear() {
    for card in cards::CARDS {
        for way in [Way::Tap, Way::Insert, Way::Swipe] {
            let mut bench = Bench::new();
            bench.activate();
            let mut responses = bench.present(way, card.name);
            responses.extend(bench.send(&command::contact_authenticate(Online::Forced, 60)));
            responses.extend(bench.apply(*b"00"));
            responses.extend(bench.send(&command::contact_last_result(&[0x5A, 0x57]).unwrap()));
            for response in responses {
                let text = hex::encode(response.data());
                assert!(!text.contains(card.account()), "{} {way:?}", card.name);
                assert!(
                    !text.contains(&hex::encode(card.account())),
                    "{}",
                    card.name
                );
            }
        }
    }
}

#[test]
fn contactless_cards_end_as_their_behaviour_says() {
    for (name, status, expected) in [
        ("visa", 0x23, None),
        ("chip-approves", 0x00, None),
        ("chip-declines", 0x0A, Some(ContactlessError::CardDeclined)),
        ("expired", 0x0A, Some(ContactlessError::CardExpired)),
        ("blocked", 0x0A, Some(ContactlessError::CardBlocked)),
        ("two-cards", 0x0A, Some(ContactlessError::TwoCards)),
        ("use-chip", 0x0A, Some(ContactlessError::UseOtherInterface)),
        ("leaves-field", 0x0A, Some(ContactlessError::CardRemoved)),
    ] {
        let mut bench = Bench::new();
        bench.activate();
        let responses = bench.present(Way::Tap, name);
        assert_eq!(codes(&responses), [(0x02, status)], "{name}");
        assert_eq!(error(&responses), expected, "{name}");
        assert_eq!(bench.reader.phase(), Phase::Idle);
    }
}

#[test]
fn chip_cards_end_as_their_behaviour_says() {
    for (name, authenticated, completed) in [
        ("visa", R::GoOnline, Some(R::Approved)),
        ("chip-refuses", R::GoOnline, Some(R::Declined)),
        ("pulled-early", R::GoOnline, Some(R::CardCommunicationError)),
        ("pulled-reading", R::CardCommunicationError, None),
        ("chip-declines", R::DeclinedOffline, None),
        ("chip-approves", R::ApprovedOffline, None),
        ("expired", R::Expired, None),
    ] {
        let mut bench = Bench::new();
        let responses = bench.insert_and_authenticate(name);
        let expected = [(0x60, None), (0x60, Some(authenticated))];
        assert_eq!(results(&responses), expected, "{name}");
        assert!(completed.is_none() || bench.reader.was_forced_online());
        let responses = bench.apply(*b"00");
        match completed {
            Some(result) => {
                assert_eq!(results(&responses), [(0x60, None), (0x60, Some(result))]);
            }
            None => assert_eq!(codes(&responses), [(0x60, 0x0B)], "{name}"),
        }
    }
    let mut bench = Bench::new();
    bench.activate();
    let responses = bench.present(Way::Insert, "blocked");
    assert_eq!(results(&responses), [(0x02, Some(R::CardBlocked))]);
}

#[test]
fn approval_needs_the_configured_response_code() {
    for (response_code, result, applied) in [
        (*b"00", R::Approved, *b"00"),
        (*b"05", R::Declined, *b"05"),
        (*b"01", R::Declined, *b"01"),
        (*b"51", R::Declined, *b"Z3"),
    ] {
        let mut bench = Bench::new();
        bench.insert_and_authenticate("visa");
        let responses = bench.apply(response_code);
        let read = CardRead::parse(responses[1].data()).unwrap();
        assert_eq!(read.result, Some(result));
        assert_eq!(read.find(0x8A, Form::Clear), Some(applied.as_slice()));
    }
    let mut bench = Bench::new();
    let tlvs = hex::decode("0100DFEE1B083131303130350000").unwrap();
    let command = Command::new(0x60, 0x06, tlvs).unwrap();
    assert_eq!(codes(&bench.send(&command)), [(0x60, 0x00)]);
    bench.insert_and_authenticate("visa");
    assert_eq!(results(&bench.apply(*b"11"))[1].1, Some(R::Approved));
}

#[test]
fn stripes_are_read_but_chips_come_first() {
    let mut bench = Bench::new();
    bench.activate();
    let responses = bench.present(Way::Swipe, "stripe");
    assert_eq!(results(&responses), [(0x02, Some(R::Swiped))]);
    let read = CardRead::parse(responses[0].data()).unwrap();
    let block = read.find(0x00DF_EE23, Form::Clear).unwrap();
    let swipe = Swipe::parse(block).unwrap();
    let ksn = Ksn::try_from(swipe.ksn.unwrap()).unwrap();
    let key = KeyRegister::demo_base_key().initial_key(ksn).data_key(ksn);
    let track2 = key.decrypt(swipe.tracks[1].encrypted.unwrap()).unwrap();
    let account = cards::find("stripe").unwrap().account();
    assert!(track2.starts_with(format!(";{account}=2812101").as_bytes()));

    bench.activate();
    let responses = bench.present(Way::Swipe, "stripe-of-chip");
    assert_eq!(error(&responses), Some(ContactlessError::UseContact));

    for expected in [
        R::NoMatchingApplication,
        R::NoMatchingApplication,
        R::FallbackSituation,
    ] {
        bench.activate();
        let responses = bench.present(Way::Insert, "bad-chip");
        assert_eq!(results(&responses), [(0x02, Some(expected))]);
    }
    bench.activate();
    let responses = bench.present(Way::Swipe, "bad-chip");
    assert_eq!(results(&responses), [(0x02, Some(R::FallBackToMagstripe))]);
}

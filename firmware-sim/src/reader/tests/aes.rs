//! A reader that was set up for AES: marks, lengths, and what the acquirer's side makes of it.

use protocol::dukpt::{Scheme, aes};

use super::*;

fn aes_bench() -> Bench {
    Bench::with(|config| config.keys = KeyRegister::demo_aes(0xFFFF))
}

fn data_key(ksn: &[u8]) -> aes::DataKey {
    let ksn = aes::Ksn::try_from(ksn).unwrap();
    KeyRegister::demo_aes_base_key()
        .initial_key(ksn)
        .data_key(ksn)
}

/// The value of an encrypted TLV, which is whole blocks and padded with zeros.
fn opened(read: &CardRead<'_>, tag: u32) -> String {
    let sealed = read.find(tag, Form::Encrypted).unwrap();
    assert!(sealed.len().is_multiple_of(16));
    let plain = data_key(read.ksn.unwrap()).decrypt(sealed).unwrap();
    let tlv = Tlvs::new(&plain).next().unwrap().unwrap();
    assert_eq!((tlv.tag, tlv.form), (tag, Form::Clear));
    let padding = &plain[2 + tlv.value.len()..];
    assert!(padding.len() < 16 && padding.iter().all(|byte| *byte == 0));
    hex::encode(tlv.value)
}

#[test]
fn chips_and_taps_are_marked_and_decrypt() {
    let mut bench = aes_bench();
    let mut last = bench.reader.keys().used().bytes().to_vec();
    assert_eq!(last.len(), 12);
    for card in ["visa", "mastercard", "amex"] {
        let account = cards::find(card).unwrap().account();
        bench.activate();
        let mut answers = vec![(0xE3, bench.present(Way::Tap, card))];
        bench.activate();
        answers.push((0xE2, bench.present(Way::Insert, card)));
        let authenticate = command::contact_authenticate(Online::Forced, 60);
        answers.push((0xE2, bench.send(&authenticate)));
        for (attribution, responses) in answers {
            let response = responses.last().unwrap();
            let read = CardRead::parse(response.data()).unwrap();
            assert_eq!(read.attribution.0, attribution, "{card}");
            assert_eq!(read.attribution.scheme(), Some(Scheme::Aes));
            assert!(read.attribution.is_encrypted());
            assert!(read.ksn.unwrap() > last.as_slice());
            last = read.ksn.unwrap().to_vec();
            assert!(opened(&read, 0x57).starts_with(&format!("{account}d")));
            let number = opened(&read, 0x5A);
            assert_eq!(number.trim_end_matches('f'), account);
            let shown = read.find(0x00DF_EE26, Form::Clear).unwrap();
            assert_eq!(shown, [attribution, 0]);
        }
        let completed = bench.apply(*b"00");
        let completed = completed.last().unwrap();
        assert_eq!(completed.data().first(), Some(&0xE2));
        bench.feed(Input::Remove);
    }
}

#[test]
fn stripes_are_marked_and_decrypt() {
    let mut bench = aes_bench();
    bench.activate();
    let responses = bench.present(Way::Swipe, "stripe");
    let read = CardRead::parse(responses[0].data()).unwrap();
    assert_eq!(read.attribution.0, 0xEA);
    let block = read.find(0x00DF_EE23, Form::Clear).unwrap();
    let swipe = Swipe::parse(block).unwrap();
    assert_eq!(swipe.scheme, Scheme::Aes);
    assert_eq!(swipe.ksn.unwrap().len(), 12);
    assert!(!swipe.is_pin_variant);
    let [one, two, _] = swipe.tracks;
    let key = data_key(swipe.ksn.unwrap());
    let account = cards::find("stripe").unwrap().account();
    for (track, start) in [
        (one, format!("%B{account}^")),
        (two, format!(";{account}=")),
    ] {
        let sealed = track.encrypted.unwrap();
        assert_eq!(sealed.len(), track.clear_length.next_multiple_of(16));
        let plain = key.decrypt(sealed).unwrap();
        assert!(plain.starts_with(start.as_bytes()));
    }
}

#[test]
fn results_without_card_data_are_marked_too() {
    let mut bench = aes_bench();
    bench.activate();
    let tapped = bench.present(Way::Tap, "two-cards");
    assert_eq!(tapped[0].data().first(), Some(&0xE3));
    bench.activate();
    let inserted = bench.present(Way::Insert, "blocked");
    assert_eq!(inserted[0].data().first(), Some(&0xE2));
}

#[test]
fn a_reader_that_has_used_every_key_reads_no_card() {
    let mut bench = Bench::with(|config| config.keys = KeyRegister::demo_aes(0xFFFF_0000));
    bench.activate();
    let responses = bench.present(Way::Tap, "visa");
    assert_eq!(codes(&responses), [(0x02, Status::Failed.code())]);
}

//! The vendor's documented conversations, value for value.

use super::*;

fn vector_flow(name: &str) -> Vec<(bool, Vec<u8>)> {
    let vectors: serde_json::Value = serde_json::from_str(include_str!(
        "../../../../protocol/vectors/idtech_neo2.json"
    ))
    .unwrap();
    let flows = vectors["flows"].as_array().unwrap();
    let flow = flows.iter().find(|flow| flow["name"] == name).unwrap();
    let steps = flow["steps"].as_array().unwrap().iter();
    steps
        .map(|step| {
            let bytes = hex::decode(step["hex"].as_str().unwrap()).unwrap();
            (step["dir"] == ">", bytes)
        })
        .collect()
}

/// Values that depend on the day, the card's counter or chance.
const VARYING: &[u32] = &[0x9F26, 0x9F36, 0x9F37, 0x9F1E];

/// Same status, same tags in the same order and form, same values unless varying.
fn assert_like(ours: &Response, theirs: &Response) {
    assert_eq!((ours.cmd(), ours.status()), (theirs.cmd(), theirs.status()));
    let shape = |response: &Response| -> Vec<_> {
        let tlvs = response.data().get(1..).unwrap_or_default();
        Tlvs::new(tlvs)
            .map(Result::unwrap)
            .map(|tlv| {
                let value = match VARYING.contains(&tlv.tag) {
                    true => vec![0; tlv.value.len()],
                    false => tlv.value.to_vec(),
                };
                (tlv.tag, tlv.form, value)
            })
            .collect()
    };
    assert_eq!(ours.data().first(), theirs.data().first());
    assert_eq!(shape(ours), shape(theirs));
}

/// Replays a documented conversation, and compares every answer.
fn replay(flow: &str, counter: u32, way: Way, prepare: impl FnOnce(&mut Bench)) {
    let mut bench = Bench::with(|config| {
        config.country = [0x02, 0x76];
        config.date = [0x26, 0x11, 0x20];
        config.keys = KeyRegister::demo(counter);
    });
    prepare(&mut bench);
    let mut card = Some("visa");
    let mut answers = Vec::new();
    let mut expected = Vec::new();
    for (is_command, bytes) in vector_flow(flow) {
        if is_command {
            answers.extend(bench.feed(Input::Host(&bytes)));
            let waits = matches!(bench.reader.phase(), Phase::Polling | Phase::Inserting);
            if let (true, Some(name)) = (waits, card) {
                card = None;
                answers.extend(bench.present(way, name));
            }
        } else {
            expected.extend(ResponseDecoder::default().decode(&bytes));
        }
    }
    assert_eq!(codes(&answers), codes(&expected), "{flow}");
    for (ours, theirs) in answers.iter().zip(&expected) {
        assert_like(ours, theirs);
    }
}

#[test]
fn documented_conversations_come_out_value_for_value() {
    let ready = |_: &mut Bench| {};
    replay("contact chip, online, approved", 0x11, Way::Insert, ready);
    replay("contactless EMV, request online", 0x13, Way::Tap, ready);
    let wait_host = |bench: &mut Bench| {
        bench.insert_and_authenticate("visa");
    };
    for flow in [
        "contact chip, host declines",
        "contact chip, host unreachable",
    ] {
        replay(flow, 0, Way::Insert, wait_host);
    }
    let three_failures = |bench: &mut Bench| {
        for _ in 0..3 {
            bench.activate();
            bench.present(Way::Insert, "bad-chip");
        }
    };
    let flow = "magstripe fallback after chip failures";
    replay(flow, 0x14, Way::Swipe, three_failures);
}

#[test]
fn commands_are_answered_as_documented() {
    let mut bench = Bench::new();
    let long = Command::new(0x01, 0x02, vec![0; 9]).unwrap();
    for (command, status, data) in [
        (command::ping(), 0x00, "".as_bytes()),
        (command::firmware_version(), 0x00, b"NEO2 SIM v1.00"),
        (command::serial_number(), 0x00, b"SIM0000001\0\0\0\0\0"),
        (command::burst_mode_off(), 0x00, b""),
        (command::poll_on_demand(), 0x00, b""),
        (command::encryption_status(), 0x00, &[3]),
        (command::contact_power_off(), 0x00, b""),
        (
            command::show(command::Message::ThankYou, command::Beep::Single),
            0x00,
            b"",
        ),
        (long, 0x05, b""),
        (
            Command::new(0x03, 0x02, vec![]).unwrap(),
            0x00,
            &[0xDF, 0xEE, 0x7E, 1, 0],
        ),
        (Command::new(0x04, 0x00, vec![0x5A, 9]).unwrap(), 0x07, b""),
        (Command::new(0x18, 0x77, vec![]).unwrap(), 0x03, b""),
        (Command::new(0x77, 0x01, vec![]).unwrap(), 0x02, b""),
        (Command::new(0x02, 0x40, vec![]).unwrap(), 0x07, b""),
        (Command::new(0x02, 0x40, vec![30]).unwrap(), 0x05, b""),
        (Command::new(0x60, 0x10, vec![1]).unwrap(), 0x07, b""),
        (command::contact_last_result(&[0x8A]).unwrap(), 0x60, b""),
    ] {
        let responses = bench.send(&command);
        let expected = Response::new(command.cmd(), status, data.to_vec()).unwrap();
        assert_eq!(
            responses.as_slice(),
            std::slice::from_ref(&expected),
            "{command:?}"
        );
        assert_eq!(responses[0].data(), expected.data());
    }
    assert_eq!(bench.reader.displayed(), 4);
    bench.insert_and_authenticate("visa");
    bench.apply(*b"00");
    let responses = bench.send(&command::contact_last_result(&[0x8A, 0x00DF_EE25]).unwrap());
    assert_eq!(
        hex::encode_upper(responses[0].data()),
        "E0DFEE250200028A023030"
    );
}

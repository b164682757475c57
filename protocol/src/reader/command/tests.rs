//! The commands of the vectors, and the bounds of what they carry.

use super::*;
use crate::reader::tlv::Tlvs;

fn money(minor: i64, code: &str) -> Money {
    Money::new(minor, code.parse().unwrap())
}

fn vector(name: &str) -> Vec<u8> {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../vectors/idtech_neo2.json")).unwrap();
    let flows = vectors["flows"].as_array().unwrap();
    let steps = flows
        .iter()
        .flat_map(|flow| flow["steps"].as_array().unwrap());
    let step = vectors["frames"]
        .as_array()
        .unwrap()
        .iter()
        .chain(steps)
        .find(|entry| entry["name"] == name || entry["what"] == name)
        .unwrap();
    hex::decode(step["hex"].as_str().unwrap()).unwrap()
}

#[test]
fn commands_are_byte_for_byte_those_of_the_vectors() {
    let authentication = hex::decode("910A11223344556677883030").unwrap();
    for (command, name) in [
        (ping(), "ping command"),
        (serial_number(), "get serial number command"),
        (firmware_version(), "29-00 get firmware version command"),
        (poll_on_demand(), "01-01 set poll mode: poll on demand"),
        (
            burst_mode_off(),
            "04-00 set configuration: burst mode off DFEE7E 01 00",
        ),
        (
            show(Message::Wait, Beep::Single),
            "01-02 control UI: index 0B (Wait), single beep, LED FF off",
        ),
        (cancel(), "05-01 cancel command"),
        (
            contact_start(money(1234, "EUR"), 60, 60).unwrap(),
            "60-10 start 12.34 EUR, fallback, 60 s / 60 s",
        ),
        (
            contact_authenticate(Online::AsNeeded, 60),
            "60-11 authenticate",
        ),
        (
            contact_apply_host_response(HostAnswer::Answered {
                response_code: *b"00",
                issuer_tlvs: &authentication,
            })
            .unwrap(),
            "60-12: host answered, ARC 00, issuer authentication data",
        ),
        (
            contact_apply_host_response(HostAnswer::Answered {
                response_code: *b"05",
                issuer_tlvs: &[],
            })
            .unwrap(),
            "60-12: host answered, ARC 05",
        ),
        (
            contact_apply_host_response(HostAnswer::Unreachable).unwrap(),
            "60-12: no host response",
        ),
    ] {
        assert_eq!(command.encode(), vector(name), "{name}");
    }
}

#[test]
fn fallback_rules_carry_the_vendors_codes_and_stay_in_range() {
    for (failures, sent) in [(0, 1), (3, 3), (9, 5)] {
        let command = fallback_rules(FallbackRules {
            refuses_early_swipe: true,
            failures,
        });
        let values: Vec<_> = Tlvs::new(command.data())
            .map(|tlv| tlv.map(|tlv| (tlv.tag, tlv.value.to_vec())).unwrap())
            .collect();
        let codes = vec![0x50, 0x01, 0x50, 0x05, 0x50, 0x36];
        assert_eq!(
            values,
            [
                (0x00DF_EF62, vec![1]),
                (0x00DF_EF7D, vec![sent]),
                (0x00DF_EF7E, codes),
                (0x00DF_ED0A, vec![1]),
                (0x00DF_EF65, vec![1]),
            ]
        );
    }
}

#[test]
fn activation_has_the_values_of_the_vector_and_the_exponent() {
    let command = activate(Activate {
        amount: money(1234, "EUR"),
        timeout_s: 30,
        interfaces: Interfaces::ALL,
        next_command_s: 96,
    })
    .unwrap();
    let bytes = vector("02-40 activate, 30 s, 12.34 EUR, all interfaces");
    let expected = &bytes[14..bytes.len() - 2];
    assert_eq!(command.data()[0], expected[0]);
    let ours: Vec<_> = Tlvs::new(&command.data()[1..]).flatten().collect();
    let theirs: Vec<_> = Tlvs::new(&expected[1..]).flatten().collect();
    let (exponent, same): (Vec<_>, Vec<_>) = ours.into_iter().partition(|tlv| tlv.tag == 0x5F36);
    assert_eq!(same, theirs);
    assert_eq!(exponent[0].value, [2]);
}

#[test]
fn amounts_have_twelve_digits() {
    for (minor, digits) in [
        (0, "000000000000"),
        (1, "000000000001"),
        (1234, "000000001234"),
        (AMOUNT_MINOR_MAX, "999999999999"),
    ] {
        let amount = amount_digits(money(minor, "JPY")).unwrap();
        assert_eq!(hex::encode(amount), digits);
    }
    for minor in [-1, AMOUNT_MINOR_MAX + 1, i64::MAX, i64::MIN] {
        let amount = money(minor, "USD");
        assert_eq!(amount_digits(amount), Err(CommandError::AmountOutOfRange));
        assert!(contact_start(amount, 1, 1).is_err());
    }
    assert_eq!(currency_number(money(0, "EUR")), [0x09, 0x78]);
    assert_eq!(currency_number(money(0, "AUD")), [0x00, 0x36]);
}

#[test]
fn tag_lists_and_interfaces_are_packed() {
    let command = contact_last_result(&[0x8A, 0x9F27, 0x00DF_EE25]).unwrap();
    assert_eq!(hex::encode_upper(command.data()), "8A9F27DFEE25");
    for byte in 0..8 {
        assert_eq!(Interfaces::from_byte(byte).byte(), byte);
    }
    assert_eq!(Interfaces::ALL.byte(), 7);
}

#[test]
fn encryption_must_be_on_for_chip_and_stripe() {
    for (status, data, on) in [
        (Status::Ok, [3].as_slice(), true),
        (Status::Ok, &[1], false),
        (Status::Ok, &[2], false),
        (Status::Ok, &[0], false),
        (Status::Ok, &[], false),
        (Status::NotAllowed, &[3], false),
    ] {
        assert_eq!(is_encryption_on(status, data), on);
    }
}

#[test]
fn issuer_data_that_does_not_fit_is_refused() {
    let answer = HostAnswer::Answered {
        response_code: *b"00",
        issuer_tlvs: &[0; 4096],
    };
    assert!(contact_apply_host_response(answer).is_err());
}

//! Every code of the vendor's tables and what it means for an attempt, as one list.

use super::super::verdict::{Verdict, on_activation, on_authentication, on_completion};
use super::*;
use protocol::reader::outcome::{ContactlessError as E, Status};

fn result_response(cmd: u8, code: u16) -> Response {
    let data = TlvWriter::after(&[0xE0]).clear(0x00DF_EE25, &code.to_be_bytes());
    Response::new(cmd, 0x00, data.finish()).unwrap()
}

const fn reported(code: u16) -> EndReason {
    EndReason::ReaderFault(ReaderFault::Reported { code })
}

/// What a result without card data means at the start of a transaction.
fn start_meaning(code: u16) -> Verdict {
    use Verdict::{Again, End};
    match code {
        0x0010 => Verdict::ChipStarted,
        0x0002 | 0x0000 => End(EndReason::OfflineNotAllowed),
        0x0001 | 0x0003 | 0x0006 | 0x5009 => End(EndReason::CardDeclined),
        // Contactless results in an answer of the slot that has no encrypted card data.
        0x0009 | 0x0023 => Verdict::CardData(Entry::Contactless),
        0x0008 | 0x3013 => End(EndReason::Timeout),
        0x0012 => End(EndReason::Canceled),
        0x007A => Again(Progress::OneCardOnly),
        0x0007 | 0x3004 => Again(Progress::Swipe),
        0x3002 | 0x3003 | 0x5001 | 0x5005 | 0x5036 => Again(Progress::InsertOrSwipe),
        0x007D | 0x3007 | 0x3012 | 0x5007 => Again(Progress::TryAgain),
        0x3005 | 0x3006 | 0x5025 => End(EndReason::CardRemoved),
        0x5023 => End(EndReason::CardBlocked),
        0x5015 => End(EndReason::CardExpired),
        0x5008 => End(EndReason::AmountRefused),
        0x1001..=0x1003 | 0x2001 | 0x5004 | 0x5035 => End(reported(code)),
        // Named codes that say no more than that the card cannot be used.
        0x0004 | 0x0005 | 0x0011 | 0x007E | 0x00FF | 0x3001 => End(EndReason::CardError),
        0x5002 | 0x5003 | 0x5006 | 0x5010..=0x5014 | 0x5016..=0x5022 => End(EndReason::CardError),
        0x5024 | 0x5026..=0x5034 | 0x6001..=0x6008 | 0xFFFF => End(EndReason::CardError),
        code => panic!("{code:04X} has no meaning in this table"),
    }
}

#[test]
fn every_result_code_has_a_meaning_and_all_others_fail() {
    for code in 0..=u16::MAX {
        let expected = if R::LISTED.contains(&code) {
            start_meaning(code)
        } else {
            Verdict::End(EndReason::CardError)
        };
        let verdict = on_activation(&result_response(0x02, code));
        assert_eq!(verdict, expected, "{code:04X} at the start");
    }
    // As card-reader.md §3.2 lists them, and 5036, which its settings of fallback name.
    let spec = [
        0x0000..=0x0012,
        0x0023..=0x0023,
        0x007A..=0x007A,
        0x007D..=0x007E,
        0x00FF..=0x00FF,
        0x1001..=0x1003,
        0x2001..=0x2001,
        0x3001..=0x3007,
        0x3012..=0x3013,
        0x5001..=0x5036,
        0x6001..=0x6008,
        0xFFFF..=0xFFFF,
    ];
    let is_decimal = |code: &u16| {
        let digits = format!("{code:04X}");
        digits.starts_with("00") || digits == "FFFF" || digits.bytes().all(|b| b.is_ascii_digit())
    };
    let unlisted: Vec<_> = spec
        .into_iter()
        .flatten()
        .filter(|code| !R::LISTED.contains(code) && is_decimal(code))
        .map(|code| format!("{code:04X}"))
        .collect();
    let gaps = ["000A", "000B", "000C", "000D", "000E", "000F"];
    assert_eq!(unlisted, gaps);
}

#[test]
fn only_two_results_let_a_chip_go_on() {
    for code in 0..=u16::MAX {
        let verdict = on_authentication(&result_response(0x60, code));
        match code {
            0x0004 => assert_eq!(verdict, Verdict::CardData(Entry::Contact)),
            0x0010 => assert_eq!(verdict, Verdict::Ignore),
            _ => assert!(
                matches!(verdict, Verdict::End(_)),
                "{code:04X}: {verdict:?}"
            ),
        }
        let approves = Verdict::Completed { approved: true };
        let verdict = on_completion(&result_response(0x60, code));
        assert_eq!(verdict == approves, code == 0x0002, "{code:04X}");
    }
}

#[test]
fn every_contactless_error_has_a_meaning_and_all_others_fail() {
    use Verdict::{Again, End, Insert};
    for code in 0..=u8::MAX {
        let expected = match code {
            0x02 | 0x04 | 0x05 | 0x06 | 0x22 => Insert,
            0x21 => Again(Progress::OneCardOnly),
            0x24 | 0x30 => Again(Progress::TryAgain),
            0x25 => End(EndReason::CardBlocked),
            0x26 => End(EndReason::CardExpired),
            0x42 => End(EndReason::CardDeclined),
            0x03 => End(EndReason::AmountRefused),
            0x01 | 0x61 => End(reported(u16::from(code))),
            _ => End(EndReason::CardError),
        };
        let data = TlvWriter::after(&[0xE1]).clear(TAG_ERROR, &[code, 0, 0, 4]);
        let response = Response::new(0x02, 0x0A, data.finish()).unwrap();
        assert_eq!(on_activation(&response), expected, "{code:02X}");
    }
    // As card-reader.md §3.1 lists them.
    let listed = "01 02 03 04 05 06 20 21 22 23 24 25 26 27 30 40 41 42 43 44 50 51 52 53 54 55 \
                  56 57 58 61 62 70 73 80 81 82 83 84 85 88";
    let ours: Vec<_> = E::LISTED[1..].iter().map(|c| format!("{c:02X}")).collect();
    assert_eq!(ours.join(" "), listed);
}

#[test]
fn every_status_without_data_has_a_meaning() {
    use Verdict::End;
    for code in 0..=u8::MAX {
        let expected = match code {
            0x04 => Verdict::SendAgain,
            0x08 => End(EndReason::Timeout),
            0x0E => Verdict::Ignore,
            0x63 => Verdict::Pending,
            0x00 | 0x23 => End(EndReason::ReaderFault(ReaderFault::BadAnswer)),
            status => End(EndReason::ReaderFault(ReaderFault::Refused { status })),
        };
        for judge in [on_activation, on_authentication, on_completion] {
            assert_eq!(judge(&Response::bare(0x60, code)), expected, "{code:02X}");
        }
    }
    // As card-reader.md §3 lists them: 00 to 08, 0A to 0E, 11 to 1D, 20 to 25, 60 to 63.
    assert_eq!(Status::LISTED.len(), 9 + 5 + 13 + 6 + 4);
}

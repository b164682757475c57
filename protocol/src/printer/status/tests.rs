//! What printers answer, bit by bit and in one stream.

use super::*;
use proptest::prelude::*;

const VECTORS: &str = include_str!("../../../vectors/escpos.json");

fn decoded(decoder: &mut StatusDecoder, bytes: &[u8]) -> Vec<StatusEvent> {
    let mut events = Vec::new();
    decoder.push(bytes, &mut events);
    events
}

fn expected_status(state: &str) -> PrinterStatus {
    let offline = PrinterStatus {
        online: false,
        ..PrinterStatus::default()
    };
    match state {
        "normal" => PrinterStatus::default(),
        "near_end" | "paper_near_end" => PrinterStatus {
            paper: PaperState::NearEnd,
            ..PrinterStatus::default()
        },
        "paper_out" => PrinterStatus {
            paper: PaperState::Out,
            ..offline
        },
        "paper_out_no_near_sensor" => PrinterStatus {
            paper: PaperState::Out,
            ..PrinterStatus::default()
        },
        "cover_open" | "offline_cover_open" => PrinterStatus {
            cover_open: true,
            ..offline
        },
        "cover_open_paper_out_shown" => PrinterStatus {
            cover_open: true,
            paper: PaperState::Out,
            ..PrinterStatus::default()
        },
        "cutter_error" => PrinterStatus {
            cutter_error: true,
            ..offline
        },
        "unrecoverable" => PrinterStatus {
            unrecoverable: true,
            ..offline
        },
        "recoverable_waiting" => PrinterStatus {
            waiting_for_recovery: true,
            ..offline
        },
        "drawer_pin3_high" => PrinterStatus {
            drawer_pin_high: true,
            ..PrinterStatus::default()
        },
        other => panic!("no expectation for {other}"),
    }
}

#[test]
fn real_time_answers_give_the_state() {
    let file: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
    for (state, answers) in file["dle_eot_bytes"]["states"].as_object().unwrap() {
        let mut decoder = StatusDecoder::new();
        let mut status = PrinterStatus::default();
        for (n, answer) in answers.as_object().unwrap() {
            let query = RealTimeQuery::ALL[n.parse::<usize>().unwrap() - 1];
            assert_eq!(query.request(), [0x10, 4, n.parse().unwrap()]);
            decoder.expect(query);
            let bytes = hex::decode(answer.as_str().unwrap()).unwrap();
            assert_eq!(
                decoded(&mut decoder, &bytes),
                [StatusEvent::RealTime {
                    query: Some(query),
                    answer: bytes[0]
                }]
            );
            status.apply_real_time(query, bytes[0]);
        }
        assert_eq!(status, expected_status(state), "{state}");
    }
}

#[test]
fn automatic_blocks_give_the_state() {
    let file: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
    for (state, block) in file["asb_bytes"]["states"].as_object().unwrap() {
        let bytes = hex::decode(block.as_str().unwrap()).unwrap();
        let events = decoded(&mut StatusDecoder::new(), &bytes);
        let [StatusEvent::Automatic(block)] = events.as_slice() else {
            panic!("{state} gave {events:?}");
        };
        let mut status = PrinterStatus {
            mechanical: true,
            ..PrinterStatus::default()
        };
        status.apply_automatic(*block);
        assert_eq!(status, expected_status(state), "{state}");
    }
}

/// Every bit of the tables in receipt-printer.md 3.1 and 3.2, one at a time.
#[test]
fn each_bit_has_its_meaning() {
    type Seen = fn(&PrinterStatus) -> bool;
    let real_time: [(usize, u8, Seen); 12] = [
        (0, 0x04, |status| status.drawer_pin_high),
        (0, 0x08, |status| !status.online),
        (0, 0x20, |status| status.waiting_for_recovery),
        (0, 0x40, |status| status.feeding),
        (1, 0x04, |status| status.cover_open),
        (1, 0x08, |status| status.feeding),
        (1, 0x20, |status| status.paper == PaperState::Out),
        (2, 0x04, |status| status.mechanical),
        (2, 0x08, |status| status.cutter_error),
        (2, 0x20, |status| status.unrecoverable),
        (2, 0x40, |status| status.overheated),
        (3, 0x0c, |status| status.paper == PaperState::NearEnd),
    ];
    for (query, bits, seen) in real_time {
        let mut status = PrinterStatus::default();
        assert!(!seen(&status));
        status.apply_real_time(RealTimeQuery::ALL[query], 0x12 | bits);
        assert!(seen(&status), "n = {}, bits {bits:02x}", query + 1);
    }
    let automatic: [([u8; 4], Seen); 12] = [
        ([0x14, 0, 0, 0], |status| status.drawer_pin_high),
        ([0x18, 0, 0, 0], |status| !status.online),
        ([0x30, 0, 0, 0], |status| status.cover_open),
        ([0x50, 0, 0, 0], |status| status.feeding),
        ([0x10, 1, 0, 0], |status| status.waiting_for_recovery),
        ([0x10, 2, 0, 0], |status| status.feeding),
        ([0x10, 4, 0, 0], |status| status.mechanical),
        ([0x10, 8, 0, 0], |status| status.cutter_error),
        ([0x10, 0x20, 0, 0], |status| status.unrecoverable),
        ([0x10, 0x40, 0, 0], |status| status.overheated),
        ([0x10, 0, 3, 0], |status| {
            status.paper == PaperState::NearEnd
        }),
        ([0x10, 0, 0x0f, 0], |status| status.paper == PaperState::Out),
    ];
    for (block, seen) in automatic {
        // Split at every place, with flow control and a real-time answer in between.
        for split in 0..=4 {
            let (head, tail) = block.split_at(split);
            let mut decoder = StatusDecoder::new();
            let mut events = decoded(&mut decoder, head);
            decoded(&mut decoder, &[0x13, 0x12, 0x11]);
            events.extend(decoded(&mut decoder, tail));
            assert_eq!(events, [StatusEvent::Automatic(block)], "split at {split}");
        }
        let mut status = PrinterStatus::default();
        assert!(!seen(&status));
        status.apply_automatic(block);
        assert!(seen(&status), "{block:02x?}");
    }
}

#[test]
fn answers_are_told_apart_in_one_stream() {
    let mut decoder = StatusDecoder::new();
    decoder.expect(RealTimeQuery::Paper);
    let bytes = b"\x13\x18\x00\x7e\x0f\x00\x11\x0c\x12\x5fTM-T88V\x00\x372AB\x00\x37\x22ABCD\x00\x3b1\x00\x00\xff";
    assert_eq!(
        decoded(&mut decoder, bytes),
        [
            StatusEvent::Pause,
            StatusEvent::RealTime {
                query: Some(RealTimeQuery::Paper),
                answer: 0x7e
            },
            StatusEvent::Automatic([0x18, 0, 0x0f, 0]),
            StatusEvent::Resume,
            StatusEvent::Reply(0x0c),
            StatusEvent::RealTime {
                query: None,
                answer: 0x12
            },
            StatusEvent::Identification("TM-T88V".into()),
            StatusEvent::Unknown(0x37),
            StatusEvent::ProcessId(*b"ABCD"),
            StatusEvent::PoweredOn,
            StatusEvent::Reply(0),
            StatusEvent::Unknown(0xff),
        ]
    );
}

#[test]
fn noise_ends_an_unfinished_answer() {
    for (noise, unknown) in [
        (&[0x5f, b'T', 0xff][..], vec![0xff]),
        (&[0x37, 0x22, 0x80], vec![0x80]),
        (&[0x10, 0x00, 0xd5], vec![0xd5]),
        (&[0x91, 0xb0], vec![0x91, 0xb0]),
    ] {
        let mut decoder = StatusDecoder::new();
        let mut expected: Vec<_> = unknown.into_iter().map(StatusEvent::Unknown).collect();
        expected.push(StatusEvent::Reply(0));
        let bytes = [noise, &[0]].concat();
        assert_eq!(decoded(&mut decoder, &bytes), expected, "{noise:02x?}");
    }
    let mut decoder = StatusDecoder::new();
    decoded(&mut decoder, &[0x5f, b'T']);
    decoder.forget_unfinished();
    assert_eq!(decoded(&mut decoder, &[0]), [StatusEvent::Reply(0)]);
}

#[test]
fn a_broken_block_gives_way_to_the_next() {
    let mut decoder = StatusDecoder::new();
    assert_eq!(
        decoded(&mut decoder, &[0x10, 0x00, 0x10, 0, 3, 0]),
        [StatusEvent::Automatic([0x10, 0, 3, 0])]
    );
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, split in 0usize..64) {
        let mut status = PrinterStatus::default();
        let mut whole = StatusDecoder::new();
        for query in RealTimeQuery::ALL { whole.expect(query); }
        let mut parts = whole.clone();
        let split = split.min(bytes.len());
        let mut events = decoded(&mut parts, &bytes[..split]);
        events.extend(decoded(&mut parts, &bytes[split..]));
        prop_assert_eq!(&events, &decoded(&mut whole, &bytes));
        for event in events {
            match event {
                StatusEvent::RealTime { query: Some(query), answer } => status.apply_real_time(query, answer),
                StatusEvent::Automatic(block) => status.apply_automatic(block),
                StatusEvent::Reply(reply) => status.apply_paper_reply(reply),
                _ => {}
            }
        }
    }
}

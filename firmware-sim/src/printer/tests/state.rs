//! Paper, cover, cutter, head, button and drawer: what they keep it from, and what it says of them.

use super::*;

#[test]
fn status_bytes_are_those_of_the_tables() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../../../protocol/vectors/escpos.json")).unwrap();
    let cases: [(&str, Option<&str>, PrinterConfig, &[Input<'_>]); 9] = [
        ("normal", Some("normal"), full(), &[]),
        (
            "near_end",
            Some("paper_near_end"),
            full(),
            &[Input::PaperNearEnd],
        ),
        ("paper_out", Some("paper_out"), full(), &[Input::PaperOut]),
        (
            "paper_out_no_near_sensor",
            None,
            PrinterConfig {
                has_near_end_sensor: false,
                ..full()
            },
            &[Input::PaperOut],
        ),
        (
            "cover_open",
            Some("offline_cover_open"),
            full(),
            &[Input::CoverOpen],
        ),
        (
            "cover_open_paper_out_shown",
            None,
            full(),
            &[Input::CoverOpen, Input::PaperOut],
        ),
        (
            "cutter_error",
            Some("cutter_error"),
            full(),
            &[Input::CutterJam],
        ),
        ("unrecoverable", None, full(), &[Input::Break]),
        (
            "drawer_pin3_high",
            Some("drawer_pin3_high"),
            full(),
            &[Input::DrawerOpen],
        ),
    ];
    for (state, automatic_state, config, inputs) in cases {
        let mut bench = Bench::new(config);
        for input in inputs {
            bench.input(*input);
        }
        bench.send(b"\x1dVB\x00");
        let answers = file["dle_eot_bytes"]["states"][state].as_object().unwrap();
        for (n, answer) in answers {
            let answer = hex::decode(answer.as_str().unwrap()).unwrap();
            let out = bench.send(&[0x10, 4, n.parse().unwrap()]);
            assert_eq!(out, [Output::ToHost(answer)], "{state}, n = {n}");
        }
        if let Some(automatic_state) = automatic_state {
            let block = &file["asb_bytes"]["states"][automatic_state];
            let seen = hex::encode_upper(bench.printer.sensors.automatic());
            assert_eq!(json(block), seen, "{state}");
        }
    }
    let mut bench = Bench::new(PrinterConfig {
        needs_feed_button: true,
        ..full()
    });
    bench.input(Input::CoverOpen);
    bench.input(Input::CoverClose);
    let block = &file["asb_bytes"]["states"]["recoverable_waiting"];
    let seen = hex::encode_upper(bench.printer.sensors.automatic());
    assert_eq!(json(block), seen);
}

fn full() -> PrinterConfig {
    PrinterConfig::default()
}

#[test]
fn a_printer_that_wants_its_button_pressed_waits_for_it() {
    let mut bench = Bench::new(PrinterConfig {
        needs_feed_button: true,
        ..narrow()
    });
    bench.send(ASB_ON);
    assert_eq!(
        bench.input(Input::PaperOut),
        [host(&[0x18, 0, 0x0f, 0]), host(&[0x13])]
    );
    bench.send(b"kept\n\x1dVB\x00");
    assert_eq!(bench.input(Input::PaperIn), [host(&[0x18, 1, 0, 0])]);
    assert_eq!(bench.send(b"\x10\x04\x01"), [host(&[0x3a])]);
    assert_eq!(bench.input(Input::FeedPress), [host(&[0x58, 3, 0, 0])]);
    assert_eq!(bench.send(b"\x10\x04\x01"), [host(&[0x7a])]);
    assert_eq!(bench.send(b"\x10\x04\x02"), [host(&[0x1a])]);
    let out = bench.input(Input::FeedRelease);
    assert!(texts(&out)[0].contains("kept"), "what was buffered prints");
    assert!(bench.printer.is_online());
    bench.input(Input::FeedPress);
    assert!(!bench.printer.is_online(), "while somebody feeds");
    bench.input(Input::FeedRelease);
    assert!(bench.printer.is_online());
}

#[test]
fn caught_paper_waits_for_recovery_and_a_broken_printer_for_service() {
    let mut bench = Bench::new(narrow());
    bench.send(ASB_ON);
    assert_eq!(
        bench.input(Input::PaperJam),
        [host(&[0x18, 4, 0, 0]), host(&[0x13])]
    );
    bench.send(b"text\n\x10\x05\x01");
    assert!(!bench.printer.is_online(), "still caught");
    bench.input(Input::JamClear);
    assert!(!bench.printer.is_online(), "not recovered");
    bench.send(b"\x10\x05\x01\x1dVB\x00");
    assert!(bench.printer.is_online());
    assert_eq!(
        bench.input(Input::Break),
        [host(&[0x18, 0x20, 0, 0]), host(&[0x13])]
    );
    bench.input(Input::PowerCycle);
    assert!(!bench.printer.is_online(), "power mends nothing");
    bench.input(Input::Mend);
    assert!(bench.printer.is_online());
}

#[test]
fn the_drawer_opens_by_pulse_or_key_and_says_so() {
    let mut bench = Bench::new(narrow());
    bench.send(ASB_ON);
    assert_eq!(
        bench.send(b"\x1bp\x00\x19\xfa\x1dr\x02"),
        [
            Output::DrawerKick { pin: 2, on_ms: 50 },
            host(&[1]),
            host(&[0x14, 0, 0, 0])
        ]
    );
    assert_eq!(bench.input(Input::DrawerClose), [host(&[0x10, 0, 0, 0])]);
    assert_eq!(
        bench.send(b"\x10\x14\x01\x01\x02"),
        [
            Output::DrawerKick { pin: 5, on_ms: 200 },
            host(&[0x14, 0, 0, 0])
        ]
    );
    bench.input(Input::DrawerClose);
    assert_eq!(bench.input(Input::DrawerOpen), [host(&[0x14, 0, 0, 0])]);
    let low = PrinterConfig {
        is_drawer_high_when_open: false,
        ..narrow()
    };
    let mut bench = Bench::new(low);
    assert_eq!(bench.send(b"\x10\x04\x01"), [host(&[0x16])]);
    bench.input(Input::DrawerOpen);
    assert_eq!(bench.send(b"\x10\x04\x01"), [host(&[0x12])]);
}

#[test]
fn paper_end_stops_at_the_line_and_new_paper_goes_on() {
    let mut bench = Bench::new(PrinterConfig {
        line_ms: 10,
        ..narrow()
    });
    let out = bench.send(&[ASB_ON, b"one\ntwo\nthree\n\x1dVB\x00\x1dr\x01"].concat());
    assert_eq!(out, [host(&[0x10, 0, 0, 0])]);
    let out = bench.input(Input::PaperOut);
    assert_eq!(out, [host(&[0x18, 0, 0x0f, 0]), host(&[0x13])]);
    assert_eq!(bench.printer.poll_deadline(), None);
    assert_eq!(bench.send(b"\x10\x04\x04"), [host(&[0x7e])]);
    let out = bench.input(Input::PaperIn);
    assert_eq!(out, [host(&[0x10, 0, 0, 0]), host(&[0x11])]);
    let mut out = Vec::new();
    while bench.printer.poll_deadline().is_some() {
        out.extend(bench.wait());
    }
    let [Output::Paper(ticket), Output::ToHost(reply)] = out.as_slice() else {
        panic!("{out:?}");
    };
    assert_eq!(reply, &[0]);
    assert_eq!(ticket.rows.len(), 3);
}

#[test]
fn an_open_cover_holds_everything() {
    let mut bench = Bench::new(narrow());
    bench.send(ASB_ON);
    assert_eq!(
        bench.input(Input::CoverOpen),
        [host(&[0x38, 0, 0, 0]), host(&[0x13])]
    );
    assert_eq!(bench.send(b"text\n\x1bp\x01\x32\x32"), []);
    assert_eq!(
        bench.send(b"\x10\x14\x01\x00\x01"),
        [],
        "drawer while off-line"
    );
    assert_eq!(
        bench.input(Input::CoverClose),
        [
            Output::DrawerKick { pin: 5, on_ms: 100 },
            host(&[0x14, 0, 0, 0]),
            host(&[0x11])
        ]
    );
}

#[test]
fn a_jammed_cutter_waits_for_recovery() {
    for (request, tickets) in [(b"\x10\x05\x01", 1), (b"\x10\x05\x02", 0)] {
        let mut bench = Bench::new(narrow());
        bench.send(ASB_ON);
        bench.input(Input::CutterJam);
        let out = bench.send(b"text\n\x1dVB\x00\x1dr\x01");
        assert_eq!(out, [host(&[0x18, 8, 0, 0]), host(&[0x13])]);
        assert_eq!(bench.send(request), [], "still jammed");
        assert_eq!(bench.input(Input::CutterClear), []);
        let out = bench.send(request);
        assert_eq!(texts(&out).len(), tickets);
        assert!(bench.printer.is_online());
        assert_eq!(texts(&bench.input(Input::TearOff)).len(), 1 - tickets);
    }
}

//! The printer as a host and a person see it.

use proptest::prelude::*;

use super::*;

const ASB_ON: &[u8] = b"\x1ba\x00\x1da\x0f";

struct Bench {
    printer: PrinterMachine,
    now_ms: u64,
}

impl Bench {
    fn new(config: PrinterConfig) -> Self {
        Self {
            printer: PrinterMachine::new(config),
            now_ms: 0,
        }
    }

    fn input(&mut self, input: Input<'_>) -> Vec<Output> {
        let mut out = Vec::new();
        self.printer.handle(self.now_ms, input, &mut out);
        out
    }

    fn send(&mut self, bytes: &[u8]) -> Vec<Output> {
        self.input(Input::HostBytes(bytes))
    }

    fn wait(&mut self) -> Vec<Output> {
        self.now_ms = self.printer.poll_deadline().unwrap();
        self.input(Input::Deadline)
    }
}

fn host(bytes: &[u8]) -> Output {
    Output::ToHost(bytes.to_vec())
}

fn texts(out: &[Output]) -> Vec<String> {
    out.iter()
        .filter_map(|output| match output {
            Output::Paper(ticket) => Some(render_text(ticket)),
            _ => None,
        })
        .collect()
}

fn narrow() -> PrinterConfig {
    PrinterConfig {
        columns: 24,
        ..PrinterConfig::default()
    }
}

#[test]
fn paper_shows_the_lines() {
    let mut bench = Bench::new(narrow());
    let out = bench.send(
        b"\x1b@\x1bt\x13\x1ba\x01\x1b!\x38ACME\n\x1b!\x00\x1ba\x00Total     12,34 \xd5\n\
          \x1ba\x02right\n\x1ba\x00abcdefghijklmnopqrstuvwxyz\n\x1dVB\x00",
    );
    assert_eq!(
        texts(&out),
        ["┌──────────────────────────┐\n\
          │         A C M E          │\n\
          │ Total     12,34 €        │\n\
          │                    right │\n\
          │ abcdefghijklmnopqrstuvwx │\n\
          │ yz                       │\n\
          └╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌┘\n"]
    );
    assert_eq!(bench.printer.violations(), 0);
}

#[test]
fn python_escpos_is_understood() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../../protocol/vectors/escpos.json")).unwrap();
    for vector in file["encoder"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let mut bench = Bench::new(PrinterConfig::default());
        bench.send(&hex::decode(vector["hex"].as_str().unwrap()).unwrap());
        // Neither is in the subset of this printer: no buzzer, no GS ( L.
        let is_foreign = name == "buzzer" || name.starts_with("raster GS ( L");
        assert_eq!(bench.printer.violations() > 0, is_foreign, "{name}");
        assert!(is_foreign || bench.printer.pending.is_empty(), "{name}");
    }
}

#[test]
fn status_bytes_are_those_of_the_tables() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../../protocol/vectors/escpos.json")).unwrap();
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

fn json(value: &serde_json::Value) -> &str {
    value.as_str().unwrap()
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
fn the_busy_wire_and_no_flow_control_send_no_bytes() {
    let small = |flow| PrinterConfig {
        line_ms: 10,
        buffer_bytes: 64,
        xoff_free_bytes: 16,
        xon_free_bytes: 32,
        flow,
        ..narrow()
    };
    let mut bench = Bench::new(small(Flow::BusyLine));
    bench.send(b"\n");
    assert_eq!(
        bench.send(&b"123456\n".repeat(7)),
        [Output::Busy(true)],
        "as XOFF"
    );
    bench.wait();
    bench.wait();
    assert_eq!(bench.wait(), [Output::Busy(false)]);
    let mut bench = Bench::new(small(Flow::None));
    bench.send(b"\n");
    assert_eq!(bench.send(&b"123456\n".repeat(7)), []);
    assert!(bench.printer.is_busy());
}

#[test]
fn a_printer_without_power_neither_hears_nor_says_anything() {
    let mut bench = Bench::new(narrow());
    bench.send(ASB_ON);
    assert_eq!(bench.input(Input::PowerOff), []);
    assert_eq!(bench.send(b"lost\n\x10\x04\x01"), []);
    assert_eq!(bench.input(Input::CoverOpen), []);
    assert!(!bench.printer.is_online());
    bench.input(Input::CoverClose);
    assert_eq!(bench.input(Input::PowerOn), [host(&[0x11])]);
    assert_eq!(bench.input(Input::PowerOn), [], "it is on");
    assert_eq!(bench.send(b"\x10\x04\x01"), [host(&[0x12])]);
    assert_eq!(bench.printer.violations(), 0);
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

#[test]
fn a_full_buffer_pauses_the_host() {
    let mut bench = Bench::new(PrinterConfig {
        line_ms: 10,
        buffer_bytes: 64,
        xoff_free_bytes: 16,
        xon_free_bytes: 32,
        ..narrow()
    });
    assert_eq!(bench.send(b"\n"), []);
    assert_eq!(bench.send(&b"123456\n".repeat(7)), [host(&[0x13])]);
    assert_eq!(bench.send(b"\x10\x04\x01"), [host(&[0x12])]);
    assert_eq!(bench.wait(), []);
    assert_eq!(bench.wait(), []);
    assert_eq!(bench.wait(), [host(&[0x11])]);
    let out = bench.send(&[b'x'; 64]);
    assert!(
        matches!(out.as_slice(), [Output::Violation(_), Output::ToHost(_)]),
        "{out:?}"
    );
}

#[test]
fn initialise_discards_the_line_and_automatic_status() {
    let mut bench = Bench::new(narrow());
    bench.send(ASB_ON);
    let out = bench.send(b"lost\x1b@kept\n\x1dVB\x00");
    assert!(texts(&out)[0].contains("kept"));
    assert!(!texts(&out)[0].contains("lost"));
    assert_eq!(bench.input(Input::PaperNearEnd), []);
}

#[test]
fn power_off_loses_the_buffer_and_keeps_the_paper() {
    let mut bench = Bench::new(PrinterConfig {
        line_ms: 10,
        ..narrow()
    });
    bench.send(b"one\ntwo\n\x1dr\x01");
    assert_eq!(bench.input(Input::PowerCycle), [host(&[0x11])]);
    assert_eq!(bench.printer.buffered_bytes(), 0);
    bench.now_ms = 1000;
    let out = bench.send(b"three\n");
    assert_eq!(out, []);
    let text = &texts(&bench.input(Input::TearOff))[0];
    assert!(text.contains("one") && text.contains("three") && !text.contains("two"));
}

#[test]
fn broken_rules_are_named() {
    for (bytes, rule) in [
        (&b"x\x1dVB\x00"[..], "cut within a line"),
        (b"x\x1ba\x01", "justification within a line"),
        (b"\x1d(k\x03\x001Q0", "QR symbol printed before"),
        (
            b"\x1dw\x06\x1dkI\x20{BABCDEFGHIJKLMNOPQRSTUVWXYZ1234",
            "barcode wider",
        ),
        (b"\x1b\x07", "unknown bytes 1b07"),
        (b"\x1dVA\x00", "full cut"),
        (b"\x1bp\x00\x00\x00", "drawer pulse without length"),
        (
            b"\x1dv0\x00\x01\x00\x03\x00\x10\x05\x01",
            "real-time request within",
        ),
        (
            b"\x1dv0\x00\x01\x00\x03\x00\x10\x04\x01",
            "real-time request within",
        ),
    ] {
        let mut bench = Bench::new(narrow());
        let out = bench.send(bytes);
        let found = out
            .iter()
            .any(|output| matches!(output, Output::Violation(text) if text.starts_with(rule)));
        assert!(found, "{rule}: {out:?}");
        assert_eq!(bench.printer.violations(), 1, "{rule}");
    }
}

#[test]
fn identification_and_queued_replies() {
    let mut bench = Bench::new(narrow());
    assert_eq!(
        bench.send(b"\x1dI\x43\x1dr\x01\x1dr\x02\x1d(H\x06\x0000abcd"),
        [
            host(b"_TM-T88V\0"),
            host(&[0]),
            host(&[0]),
            host(b"\x37\x22abcd\0")
        ]
    );
    let mut bench = Bench::new(PrinterConfig {
        has_process_id: false,
        ..narrow()
    });
    bench.send(b"\x1d(H\x06\x0000abcd");
    assert_eq!(bench.printer.violations(), 1);
}

fn grey_pixels(png: &[u8]) -> (usize, usize, Vec<u8>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(png))
        .read_info()
        .unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    (
        usize::try_from(info.width).unwrap(),
        usize::try_from(info.height).unwrap(),
        pixels,
    )
}

#[test]
fn the_painted_qr_symbol_is_readable() {
    let content = b"https://example.test/r/1";
    let mut bench = Bench::new(PrinterConfig::default());
    let out = bench.send(
        &[
            &b"before\n\x1ba\x01\x1bJ\x18\x1d(k\x04\x001A2\x00\x1d(k\x03\x001C\x06\x1d(k\x03\x001E1\x1d(k"[..],
            &[27, 0, 0x31, 0x50, 0x30],
            content,
            b"\x1d(k\x03\x001Q0\x1bJ\x18after\n\x1dVB\x00",
        ]
        .concat(),
    );
    let [Output::Paper(ticket)] = out.as_slice() else {
        panic!("{out:?}");
    };
    let (width, height, pixels) = grey_pixels(&render_png(ticket));
    assert_eq!(width, 640);
    let mut image =
        rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * width + x]);
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1);
    assert_eq!(grids[0].decode().unwrap().1.as_bytes(), content);
}

#[test]
fn an_image_is_painted_dot_by_dot() {
    let mut bench = Bench::new(narrow());
    let out = bench.send(b"\x1dv0\x00\x02\x00\x03\x00\x81\x00\x00\x80\x00\x01\x1dVB\x00");
    let [Output::Paper(ticket)] = out.as_slice() else {
        panic!("{out:?}");
    };
    let (width, _, pixels) = grey_pixels(&render_png(ticket));
    let inked: Vec<(usize, usize)> = pixels
        .iter()
        .enumerate()
        .filter(|(_, grey)| **grey < 0x80)
        .map(|(place, _)| (place % width - 32, place / width - 40))
        .collect();
    assert_eq!(inked, [(0, 0), (7, 0), (8, 1), (15, 2)]);
    // In two bands it is the same picture.
    let mut bench = Bench::new(narrow());
    let bands =
        b"\x1dv0\x00\x02\x00\x02\x00\x81\x00\x00\x80\x1dv0\x00\x02\x00\x01\x00\x00\x01\x1dVB\x00";
    assert_eq!(bench.send(bands), out);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, columns in 24u16..65) {
        let mut bench = Bench::new(PrinterConfig { columns, ..PrinterConfig::default() });
        let mut out = bench.send(&bytes);
        out.extend(bench.input(Input::TearOff));
        for output in out {
            if let Output::Paper(ticket) = output {
                prop_assert!(!render_text(&ticket).is_empty());
                prop_assert!(!render_png(&ticket).is_empty());
            }
        }
    }

    #[test]
    fn splitting_the_stream_changes_nothing(split in 0usize..60) {
        let bytes = b"\x1b@\x1ba\x01Head\n\x1ba\x00\x1dkI\x07{B12345\x1dVB\x00\x1dr\x01\x10\x04\x04tail\n";
        let mut whole = Bench::new(narrow());
        let mut parts = Bench::new(narrow());
        let expected = whole.send(bytes);
        let (head, tail) = bytes.split_at(split.min(bytes.len()));
        let mut out = parts.send(head);
        out.extend(parts.send(tail));
        prop_assert_eq!(out, expected);
    }
}

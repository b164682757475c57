//! Flow control, power, identification, and hosts that break rules.

use super::*;

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

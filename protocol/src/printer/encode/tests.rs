//! The bytes of python-escpos and of the specification.

use super::*;

const VECTORS: &str = include_str!("../../../vectors/escpos.json");

fn vector(name: &str) -> Vec<u8> {
    let file: serde_json::Value = serde_json::from_str(VECTORS).unwrap();
    let found = file["encoder"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["name"] == name)
        .unwrap_or_else(|| panic!("no vector {name}"));
    hex::decode(found["hex"].as_str().unwrap()).unwrap()
}

fn encoded(build: impl FnOnce(&mut Encoder)) -> Vec<u8> {
    let mut encoder = Encoder::new();
    build(&mut encoder);
    encoder.finish()
}

#[test]
fn bytes_are_those_of_python_escpos() {
    let checks: [(&str, Vec<u8>); 7] = [
        (
            "hw INIT (ESC @)",
            encoded(|e| {
                e.initialise();
            }),
        ),
        (
            "set bold center double size",
            encoded(|e| {
                e.print_mode(Font::A, false, false)
                    .print_mode(Font::A, false, false)
                    .print_mode(Font::A, false, true)
                    .emphasis(true)
                    .justify(Align::Centre);
            }),
        ),
        (
            "text CP858 euro",
            encoded(|e| {
                e.code_page(CodePage::Cp858)
                    .text("12,34 €", CodePage::Cp858)
                    .line_feed();
            }),
        ),
        (
            "qr native model2 size4 M",
            encoded(|e| {
                e.qr(b"https://example.test/r/1", 4, QrCorrection::Medium)
                    .unwrap();
            }),
        ),
        (
            "cashdraw pin 2",
            encoded(|e| {
                e.drawer_kick(DrawerPin::Two, 0x32, 0x32);
            }),
        ),
        (
            "cut part nofeed",
            encoded(|e| {
                e.cut_partial(0);
            }),
        ),
        (
            "linespacing 24",
            encoded(|e| {
                e.line_spacing(Some(24));
            }),
        ),
    ];
    for (name, bytes) in checks {
        assert_eq!(hex::encode(bytes), hex::encode(vector(name)), "{name}");
    }
    let barcode = encoded(|e| {
        e.code128("12345", 2, 64).unwrap();
    });
    // The vector sets justification first and HRI font and place in the same order.
    let expected = vector("code128 B");
    assert_eq!(barcode.last_chunk::<11>(), expected.last_chunk::<11>());
}

#[test]
fn modes_are_the_specified_bytes() {
    let bytes = encoded(|e| {
        e.emphasis(true)
            .underline(true)
            .reverse(false)
            .size(2, 3)
            .unwrap()
            .font(Font::B)
            .print_mode(Font::B, true, true)
            .justify(Align::Right)
            .line_spacing(None)
            .feed_lines(3)
            .feed_dots(9)
            .cut_full(1)
            .international_usa()
            .automatic_status()
            .barrier()
            .process_id(*b"!~ 0");
    });
    assert_eq!(
        hex::encode(bytes),
        "1b45011b2d011d42001d21121b4d011b21391b61021b321b64031b4a091d5641011b52001d610f1d72011d284806003030217e2030"
    );
}

#[test]
fn raster_is_the_specified_bytes() {
    let bytes = encoded(|e| {
        e.raster(2, 3, &[0, 0x81, 0, 0, 0x80, 0]).unwrap();
    });
    assert_eq!(
        hex::encode(bytes),
        "1d7630000200030000810000 8000".replace(' ', "")
    );
}

#[test]
fn wrong_parameters_append_nothing() {
    let mut e = Encoder::new();
    assert!(e.size(0, 1).is_err());
    assert!(e.size(1, 9).is_err());
    assert!(e.code128("", 2, 64).is_err());
    assert!(e.code128("abc", 1, 64).is_err());
    assert!(e.code128(&"x".repeat(254), 2, 64).is_err());
    assert!(e.code128(&"{".repeat(127), 2, 64).is_err());
    assert_eq!(
        e.code128("a\u{10}", 2, 64).map(|_| ()),
        Err(EncodeError::BarcodeCharacter)
    );
    assert!(e.qr(b"", 4, QrCorrection::Low).is_err());
    assert!(e.qr(&[0; QR_BYTES_MAX + 1], 4, QrCorrection::Low).is_err());
    assert!(e.qr(b"x", 17, QrCorrection::Low).is_err());
    assert!(e.raster(2, 3, &[0; 5]).is_err());
    assert!(e.raster(0, 3, &[]).is_err());
    assert!(e.raster(1, 2304, &[0; 2304]).is_err());
    assert_eq!(e.finish(), Vec::<u8>::new());
}

#[test]
fn a_brace_is_doubled() {
    let bytes = encoded(|e| {
        e.code128("a{b", 2, 64).unwrap();
    });
    assert!(bytes.ends_with(b"\x1dk\x49\x06{Ba{{b"));
}

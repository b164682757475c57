//! What comes out on paper, as text and as dots.

use super::*;

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
        serde_json::from_str(include_str!("../../../../protocol/vectors/escpos.json")).unwrap();
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
fn initialise_discards_the_line_and_automatic_status() {
    let mut bench = Bench::new(narrow());
    bench.send(ASB_ON);
    let out = bench.send(b"lost\x1b@kept\n\x1dVB\x00");
    assert!(texts(&out)[0].contains("kept"));
    assert!(!texts(&out)[0].contains("lost"));
    assert_eq!(bench.input(Input::PaperNearEnd), []);
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

//! QR and CODE128 contents to modules, with crates that the agent does not use.

use barcoders::sym::code128::Code128;
use qrcode::{Color, EcLevel, QrCode};

use super::ticket::{Barcode, QrSymbol};

/// Modules a side, and the modules row by row: `true` is black.
pub(super) fn modules(symbol: &QrSymbol) -> Option<(usize, Vec<bool>)> {
    let level = match symbol.correction {
        0 => EcLevel::L,
        1 => EcLevel::M,
        2 => EcLevel::Q,
        _ => EcLevel::H,
    };
    let code = QrCode::with_error_correction_level(&symbol.content, level).ok()?;
    let side = code.width();
    let modules = code
        .into_colors()
        .into_iter()
        .map(|color| color == Color::Dark)
        .collect();
    Some((side, modules))
}

/// The modules of a barcode from left to right: `true` is a bar.
pub(super) fn bars(barcode: &Barcode) -> Option<Vec<bool>> {
    // U+0181 is the crate's sign for code set B.
    let code = Code128::new(format!("\u{181}{}", barcode.content)).ok()?;
    Some(
        code.encode()
            .into_iter()
            .map(|module| module == 1)
            .collect(),
    )
}

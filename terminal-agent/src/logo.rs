//! Reads the logo's PNG. Touches one file, once, at the start; makes dots and knows no printer.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use png::{ColorType, Decoder, Limits, Transformations};
use protocol::printer::logo::{LOGO_ROWS_MAX, LOGO_WIDTH_DOTS_MAX};
use protocol::printer::{Logo, LogoError, Paper};

/// The largest file: a monochrome picture of the largest size is below 40 KiB.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Memory of the decoder: the largest picture in colours of 16 bits, twice.
const DECODER_BYTES_MAX: usize = LOGO_WIDTH_DOTS_MAX * LOGO_ROWS_MAX * 8 * 2;
/// Darker than this is black: half of white.
const WHITE_FROM: u32 = 128;

/// Why a picture cannot be printed.
#[derive(Debug, thiserror::Error)]
pub enum LogoFileError {
    /// The file cannot be read.
    #[error("failed to read the logo {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is too large.
    #[error("the logo {path} is larger than 256 KiB: save it as a monochrome PNG")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is no PNG, or a broken one.
    #[error("the logo {path} is not a PNG that can be read: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        reason: String,
    },
    /// The picture is wider than the paper.
    #[error(
        "the logo {path} is {width} dots wide, the paper {paper}: make the picture smaller, or set printer.columns to the paper's"
    )]
    TooWide {
        /// The file.
        path: PathBuf,
        /// Dots of the picture.
        width: u16,
        /// Dots of the paper.
        paper: u16,
    },
    /// The picture has no dots, or more than printers print.
    #[error("the logo {path} does not fit")]
    Size {
        /// The file.
        path: PathBuf,
        /// How large it may be.
        source: LogoError,
    },
}

/// Reads a logo that fits on `paper`.
///
/// # Errors
/// [`LogoFileError`].
pub fn read(path: &Path, paper: &Paper) -> Result<Logo, LogoFileError> {
    let unreadable = |source| LogoFileError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let most = FILE_BYTES_MAX.saturating_add(1);
    file.take(most)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        let path = path.to_owned();
        return Err(LogoFileError::TooLarge { path });
    }
    let logo = decode(path, &bytes)?;
    if logo.width_dots() > paper.width_dots() {
        return Err(LogoFileError::TooWide {
            path: path.to_owned(),
            width: logo.width_dots(),
            paper: paper.width_dots(),
        });
    }
    Ok(logo)
}

fn decode(path: &Path, bytes: &[u8]) -> Result<Logo, LogoFileError> {
    let malformed = |reason: String| LogoFileError::Malformed {
        path: path.to_owned(),
        reason,
    };
    let limits = Limits {
        bytes: DECODER_BYTES_MAX,
    };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let mut reader = decoder
        .read_info()
        .map_err(|error| malformed(error.to_string()))?;
    let length = reader.output_buffer_size().unwrap_or(usize::MAX);
    if length > DECODER_BYTES_MAX {
        return Err(malformed("it has too many dots".to_owned()));
    }
    let mut samples = vec![0; length];
    let frame = reader
        .next_frame(&mut samples)
        .map_err(|error| malformed(error.to_string()))?;
    let black: Vec<bool> = samples
        .chunks_exact(frame.color_type.samples())
        .map(|dot| is_black(frame.color_type, dot))
        .collect();
    let [width, height] =
        [frame.width, frame.height].map(|side| usize::try_from(side).unwrap_or(usize::MAX));
    Logo::new(width, height, &black).map_err(|source| LogoFileError::Size {
        path: path.to_owned(),
        source,
    })
}

/// What is transparent is paper.
fn is_black(color: ColorType, dot: &[u8]) -> bool {
    let (grey, opacity) = match (color, dot) {
        (ColorType::Rgb, [red, green, blue]) => (luminance(*red, *green, *blue), u8::MAX),
        (ColorType::Rgba, [red, green, blue, alpha]) => (luminance(*red, *green, *blue), *alpha),
        (ColorType::GrayscaleAlpha, [grey, alpha]) => (u32::from(*grey), *alpha),
        (_, [grey, ..]) => (u32::from(*grey), u8::MAX),
        _ => (u32::from(u8::MAX), u8::MAX),
    };
    grey < WHITE_FROM && u32::from(opacity) >= WHITE_FROM
}

/// ITU-R BT.601: 0.299, 0.587 and 0.114 of red, green and blue.
fn luminance(red: u8, green: u8, blue: u8) -> u32 {
    let weighted = u32::from(red)
        .saturating_mul(299)
        .saturating_add(u32::from(green).saturating_mul(587))
        .saturating_add(u32::from(blue).saturating_mul(114));
    weighted / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use png::{BitDepth, Encoder};

    fn png(width: u32, height: u32, color: ColorType, depth: BitDepth, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, width, height);
        encoder.set_color(color);
        encoder.set_depth(depth);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(data).unwrap();
        writer.finish().unwrap();
        bytes
    }

    fn read_bytes(bytes: &[u8], columns: usize) -> Result<Logo, LogoFileError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("logo.png");
        std::fs::write(&path, bytes).unwrap();
        read(&path, &Paper::new(columns))
    }

    #[test]
    fn dark_dots_are_black_in_every_kind_of_picture() {
        // Black, white, black, white.
        let expected = Logo::new(4, 1, &[true, false, true, false]).unwrap();
        for (color, depth, data) in [
            (ColorType::Grayscale, BitDepth::One, &[0b0101_0000][..]),
            (ColorType::Grayscale, BitDepth::Eight, &[0, 255, 127, 128]),
            (
                ColorType::Rgb,
                BitDepth::Eight,
                &[0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 255, 0],
            ),
            (
                ColorType::GrayscaleAlpha,
                BitDepth::Eight,
                &[0, 255, 0, 0, 10, 200, 255, 255],
            ),
            (
                ColorType::Rgba,
                BitDepth::Eight,
                &[0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 0, 128, 255, 255, 255, 255],
            ),
        ] {
            let logo = read_bytes(&png(4, 1, color, depth, data), 48).unwrap();
            assert_eq!(logo, expected, "{color:?} {depth:?}");
        }
    }

    #[test]
    fn pictures_that_cannot_be_printed_say_why() {
        let wide = png(400, 1, ColorType::Grayscale, BitDepth::Eight, &[0; 400]);
        assert!(read_bytes(&wide, 48).is_ok());
        let high = png(1, 513, ColorType::Grayscale, BitDepth::Eight, &[0; 513]);
        for (bytes, columns, expected) in [
            (wide, 32, "400 dots wide, the paper 384"),
            (high, 48, "does not fit"),
            (b"GIF89a".to_vec(), 48, "not a PNG"),
            (vec![0; 300_000], 48, "larger than 256 KiB"),
        ] {
            let message = read_bytes(&bytes, columns).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        let missing = read(Path::new("/nowhere/logo.png"), &Paper::new(48));
        assert!(matches!(missing, Err(LogoFileError::Unreadable { .. })));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_files_never_panic(tail: Vec<u8>, cut in 0usize..200) {
            let mut bytes = png(16, 4, ColorType::Grayscale, BitDepth::One, &[0x5a; 8]);
            bytes.truncate(cut);
            bytes.extend(tail);
            drop(decode(Path::new("logo.png"), &bytes));
        }
    }
}

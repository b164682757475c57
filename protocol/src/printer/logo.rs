//! A picture above the receipt, as dots.
//!
//! Printers look for real-time requests (10 04 n and its kin) even within the data of a picture,
//! so a dot is added where a picture would contain one: it stands beside a black dot and nobody
//! sees it. Reading picture files is elsewhere.

use super::encode::Encoder;
use crate::receipt::Align;

/// Widest picture in dots: 80 mm paper at 203 dpi.
pub const LOGO_WIDTH_DOTS_MAX: usize = 576;
/// Highest picture in dots: 64 mm at 203 dpi, which prints in a second or two.
pub const LOGO_ROWS_MAX: usize = 512;

/// Why a picture cannot be a logo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogoError {
    /// No dot at all, or more than printers print.
    #[error("the picture is {width} × {height} dots; from 1 × 1 to 576 × 512 are allowed")]
    Size {
        /// Dots across.
        width: usize,
        /// Dots down.
        height: usize,
    },
    /// The dots are not width × height.
    #[error("the picture has {length} dots instead of width × height")]
    Length {
        /// How many were given.
        length: usize,
    },
}

/// A monochrome picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logo {
    width_dots: u16,
    row_bytes: u16,
    /// The rows, one after another; 1 is black, the highest bit leftmost.
    dots: Vec<u8>,
}

impl Logo {
    /// A picture of `width` dots a row, row by row: `true` is black.
    ///
    /// # Errors
    /// [`LogoError`].
    pub fn new(width: usize, height: usize, black: &[bool]) -> Result<Self, LogoError> {
        let size = LogoError::Size { width, height };
        if !(1..=LOGO_WIDTH_DOTS_MAX).contains(&width) || !(1..=LOGO_ROWS_MAX).contains(&height) {
            return Err(size);
        }
        if black.len() != width.saturating_mul(height) {
            let length = black.len();
            return Err(LogoError::Length { length });
        }
        let dots = black.chunks(width).flat_map(pack_row).collect();
        Ok(Self {
            width_dots: u16::try_from(width).map_err(|_| size)?,
            row_bytes: u16::try_from(width.div_ceil(8)).map_err(|_| size)?,
            dots,
        })
    }

    /// Dots across.
    pub const fn width_dots(&self) -> u16 {
        self.width_dots
    }

    /// The picture in the middle of the paper, in commands of up to `band_bytes` of dots, at least
    /// a row, each whole.
    pub(super) fn blocks(&self, band_bytes: usize) -> Vec<Vec<u8>> {
        let row_bytes = usize::from(self.row_bytes);
        let band_rows = band_bytes.checked_div(row_bytes).unwrap_or(1).max(1);
        self.dots
            .chunks(row_bytes.saturating_mul(band_rows))
            .filter_map(|band| self.band(band))
            .collect()
    }

    fn band(&self, dots: &[u8]) -> Option<Vec<u8>> {
        let rows = dots.len().checked_div(usize::from(self.row_bytes))?;
        let mut encoder = Encoder::new();
        encoder
            .justify(Align::Centre)
            .raster(
                self.row_bytes,
                u16::try_from(rows).ok()?,
                &without_requests(dots),
            )
            .ok()?;
        Some(encoder.finish())
    }
}

fn pack_row(row: &[bool]) -> Vec<u8> {
    row.chunks(8)
        .map(|dots| {
            let padded = dots.iter().copied().chain(std::iter::repeat(false)).take(8);
            padded.fold(0, |byte, is_black| (byte << 1) | u8::from(is_black))
        })
        .collect()
}

/// 10 04, 10 05 and 10 14 begin requests: the second byte gets a dot beside its own.
fn without_requests(dots: &[u8]) -> Vec<u8> {
    let mut safe: Vec<u8> = Vec::with_capacity(dots.len());
    for byte in dots {
        let is_request = safe.last() == Some(&0x10) && matches!(byte, 0x04 | 0x05 | 0x14);
        safe.push(if is_request { byte | 0x02 } else { *byte });
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dots_are_packed_row_by_row() {
        // Three rows of ten dots: a frame.
        let rows = ["##########", "#........#", "##########"];
        let black: Vec<bool> = rows.concat().chars().map(|dot| dot == '#').collect();
        let logo = Logo::new(10, 3, &black).unwrap();
        assert_eq!(logo.width_dots(), 10);
        let blocks = logo.blocks(512);
        assert_eq!(
            blocks,
            [b"\x1ba\x01\x1dv0\x00\x02\x00\x03\x00\xff\xc0\x80\x40\xff\xc0".to_vec()]
        );
    }

    #[test]
    fn a_high_picture_comes_in_bands() {
        let logo = Logo::new(576, 20, &[true; 576 * 20]).unwrap();
        let blocks = logo.blocks(512);
        let rows: Vec<u8> = blocks.iter().map(|block| block[9]).collect();
        assert_eq!(rows, [7, 7, 6]);
        assert!(blocks.iter().all(|block| block.len() <= 512 + 11));
        assert_eq!(logo.blocks(10).len(), 20, "a row is the least");
    }

    #[test]
    fn only_pictures_that_fit_are_taken() {
        for (width, height) in [(0, 1), (1, 0), (577, 1), (1, 513)] {
            let black = vec![false; width * height];
            let size = LogoError::Size { width, height };
            assert_eq!(Logo::new(width, height, &black), Err(size));
        }
        assert_eq!(
            Logo::new(2, 2, &[true; 3]),
            Err(LogoError::Length { length: 3 })
        );
    }

    proptest! {
        #[test]
        fn no_picture_holds_a_request(bytes in proptest::collection::vec(prop_oneof![
            Just(0x10u8), Just(0x04), Just(0x05), Just(0x14), Just(0x01), any::<u8>(),
        ], 1..64)) {
            let black: Vec<bool> = bytes
                .iter()
                .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
                .collect();
            let logo = Logo::new(8, bytes.len(), &black).unwrap();
            let sent = logo.blocks(512).concat();
            for pair in sent.windows(2) {
                prop_assert!(!matches!(pair, [0x10, 0x04 | 0x05 | 0x14]), "{}", hex::encode(&sent));
            }
            let changed = sent.iter().skip(11).zip(&bytes).filter(|(now, then)| now != then);
            for (now, then) in changed {
                prop_assert_eq!(*now, then | 0x02);
            }
        }
    }
}

//! Tag, length, value as the reader writes them: BER with two flags in the length byte.
//!
//! Owns walking and writing. It never prints a value: `Debug` shows tag, form and length only,
//! because values are card data.
//!
//! A length byte `81`/`82` announces one or two length bytes, as in BER. The vendor sets bit 5
//! (`A1`/`A2`) on a value whose digits are masked and bit 6 (`C1`/`C2`) on an encrypted one; the
//! same tag then appears more than once.

use std::fmt;

/// How deep constructed values may be nested; card data uses two levels.
pub const DEPTH_MAX: u8 = 4;

/// A tag is one to four bytes.
const TAG_LENGTH_MAX: usize = 4;

/// Why bytes are not a sequence of TLVs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlvError {
    /// The bytes end within a tag, a length or a value.
    #[error("tlv ends early")]
    Truncated,
    /// A tag of more than four bytes.
    #[error("tlv tag is too long")]
    TagTooLong,
    /// A length byte that neither BER nor the vendor defines here.
    #[error("tlv length byte {byte:02X} is not known")]
    UnknownLength {
        /// The length byte.
        byte: u8,
    },
    /// Constructed values nested deeper than [`DEPTH_MAX`].
    #[error("tlv is nested too deep")]
    TooDeep,
}

/// What the length flags say about a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The value itself.
    Clear,
    /// The value with digits hidden, fit for a receipt.
    Masked,
    /// Ciphertext of the whole TLV.
    Encrypted,
}

impl Form {
    const fn flag(self) -> u8 {
        match self {
            Self::Clear => 0x00,
            Self::Masked => 0x20,
            Self::Encrypted => 0x40,
        }
    }
}

/// One tag with its value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// The tag's bytes as a big-endian number: `0x5A`, `0x9F02`, `0xDFEE25`.
    pub tag: u32,
    /// Clear, masked or encrypted.
    pub form: Form,
    /// The value.
    pub value: &'a [u8],
    depth: u8,
}

impl<'a> Tlv<'a> {
    /// Walks the value as TLVs.
    ///
    /// # Errors
    /// [`TlvError::TooDeep`] beyond [`DEPTH_MAX`].
    pub fn nested(self) -> Result<Tlvs<'a>, TlvError> {
        let depth = self.depth + 1;
        if depth >= DEPTH_MAX {
            return Err(TlvError::TooDeep);
        }
        Ok(Tlvs {
            rest: self.value,
            depth,
        })
    }
}

impl fmt::Debug for Tlv<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Tlv({:X}, {:?}, {} bytes)",
            self.tag,
            self.form,
            self.value.len()
        )
    }
}

/// Walks TLVs that follow each other; ends after the first error.
#[derive(Clone)]
pub struct Tlvs<'a> {
    rest: &'a [u8],
    depth: u8,
}

impl<'a> Tlvs<'a> {
    /// Walks `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            depth: 0,
        }
    }

    fn take(&mut self) -> Result<Tlv<'a>, TlvError> {
        let (tag, rest) = split_tag(self.rest)?;
        let (form, length, rest) = split_length(rest)?;
        let (value, rest) = rest.split_at_checked(length).ok_or(TlvError::Truncated)?;
        self.rest = rest;
        Ok(Tlv {
            tag,
            form,
            value,
            depth: self.depth,
        })
    }
}

impl fmt::Debug for Tlvs<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Tlvs({} bytes left)", self.rest.len())
    }
}

impl<'a> Iterator for Tlvs<'a> {
    type Item = Result<Tlv<'a>, TlvError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let taken = self.take();
        if taken.is_err() {
            self.rest = &[];
        }
        Some(taken)
    }
}

/// The first value of `tag` in `form` among well-formed TLVs.
pub fn find(bytes: &[u8], tag: u32, form: Form) -> Option<&[u8]> {
    Tlvs::new(bytes)
        .map_while(Result::ok)
        .find(|tlv| tlv.tag == tag && tlv.form == form)
        .map(|tlv| tlv.value)
}

fn split_tag(bytes: &[u8]) -> Result<(u32, &[u8]), TlvError> {
    /// Low five bits all set: more tag bytes follow.
    const MULTIBYTE: u8 = 0x1F;
    /// Set on every following tag byte but the last.
    const MORE: u8 = 0x80;

    let (&first, mut rest) = bytes.split_first().ok_or(TlvError::Truncated)?;
    let mut tag = u32::from(first);
    if first & MULTIBYTE != MULTIBYTE {
        return Ok((tag, rest));
    }
    for _ in 1..TAG_LENGTH_MAX {
        let (&byte, after) = rest.split_first().ok_or(TlvError::Truncated)?;
        tag = (tag << 8) | u32::from(byte);
        rest = after;
        if byte & MORE == 0 {
            return Ok((tag, rest));
        }
    }
    Err(TlvError::TagTooLong)
}

fn split_length(bytes: &[u8]) -> Result<(Form, usize, &[u8]), TlvError> {
    let (&byte, rest) = bytes.split_first().ok_or(TlvError::Truncated)?;
    let form = match byte {
        0x00..=0x7F => return Ok((Form::Clear, usize::from(byte), rest)),
        0x81 | 0x82 => Form::Clear,
        0xA1 | 0xA2 => Form::Masked,
        0xC1 | 0xC2 => Form::Encrypted,
        _ => return Err(TlvError::UnknownLength { byte }),
    };
    match (byte & 0x0F, rest) {
        (1, [length, value @ ..]) => Ok((form, usize::from(*length), value)),
        (2, [high, low, value @ ..]) => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            Ok((form, length, value))
        }
        _ => Err(TlvError::Truncated),
    }
}

/// Builds a sequence of TLVs.
#[derive(Default)]
pub struct TlvWriter {
    bytes: Vec<u8>,
}

impl TlvWriter {
    /// Starts after bytes that are not TLVs (a timeout, an attribution byte).
    pub fn after(prefix: &[u8]) -> Self {
        Self {
            bytes: prefix.to_vec(),
        }
    }

    /// Adds a value as it is.
    #[must_use]
    pub fn clear(self, tag: u32, value: &[u8]) -> Self {
        self.put(tag, Form::Clear, value)
    }

    /// Adds a value whose digits are hidden.
    #[must_use]
    pub fn masked(self, tag: u32, value: &[u8]) -> Self {
        self.put(tag, Form::Masked, value)
    }

    /// Adds the ciphertext of a TLV.
    #[must_use]
    pub fn encrypted(self, tag: u32, value: &[u8]) -> Self {
        self.put(tag, Form::Encrypted, value)
    }

    /// The bytes written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn put(mut self, tag: u32, form: Form, value: &[u8]) -> Self {
        self.bytes.extend(significant(&tag.to_be_bytes()));
        match u8::try_from(value.len()) {
            Ok(short) if short < 0x80 && form == Form::Clear => self.bytes.push(short),
            _ => {
                let length = value.len().to_be_bytes();
                let length = significant(&length);
                // A usize has at most eight bytes, so the count stays in the low nibble.
                let count = u8::try_from(length.len()).unwrap_or(0x0F);
                self.bytes.push(0x80 | form.flag() | count);
                self.bytes.extend(length);
            }
        }
        self.bytes.extend_from_slice(value);
        self
    }
}

impl fmt::Debug for TlvWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "TlvWriter({} bytes)", self.bytes.len())
    }
}

/// A big-endian number without leading zero bytes, at least one byte.
fn significant(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes
        .get(zeros.min(bytes.len().saturating_sub(1))..)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn walk(text: &str) -> Result<Vec<(u32, Form, usize)>, TlvError> {
        let bytes = hex::decode(text.replace(' ', "")).unwrap();
        Tlvs::new(&bytes)
            .map(|tlv| tlv.map(|tlv| (tlv.tag, tlv.form, tlv.value.len())))
            .collect()
    }

    #[test]
    fn tags_and_length_flags_are_told_apart() {
        use Form::{Clear, Encrypted, Masked};
        for (text, expected) in [
            ("", vec![]),
            ("5A 02 1234", vec![(0x5A, Clear, 2)]),
            ("9F02 81 01 00", vec![(0x9F02, Clear, 1)]),
            ("9F02 82 0001 00", vec![(0x9F02, Clear, 1)]),
            ("DFEE25 02 0010", vec![(0xDF_EE25, Clear, 2)]),
            ("DF8129 00", vec![(0xDF_8129, Clear, 0)]),
            (
                "5A A1 02 4CC0 5A C1 08 0011223344556677",
                vec![(0x5A, Masked, 2), (0x5A, Encrypted, 8)],
            ),
            (
                "57 A2 0001 4C 57 C2 0002 0000",
                vec![(0x57, Masked, 1), (0x57, Encrypted, 2)],
            ),
        ] {
            assert_eq!(walk(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn broken_sequences_are_refused() {
        for (text, error) in [
            ("5A", TlvError::Truncated),
            ("9F", TlvError::Truncated),
            ("DFEE", TlvError::Truncated),
            ("5A 02 12", TlvError::Truncated),
            ("5A A1", TlvError::Truncated),
            ("5A C2 00", TlvError::Truncated),
            ("DFEEEEEE 00", TlvError::TagTooLong),
            ("5A 80 00", TlvError::UnknownLength { byte: 0x80 }),
            ("5A 83 000000", TlvError::UnknownLength { byte: 0x83 }),
            ("5A E1 00", TlvError::UnknownLength { byte: 0xE1 }),
        ] {
            assert_eq!(walk(text), Err(error), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let bytes = hex::decode("FFEE0105DFEE300100").unwrap();
        let outer = Tlvs::new(&bytes).next().unwrap().unwrap();
        let inner = outer.nested().unwrap().next().unwrap().unwrap();
        assert_eq!((inner.tag, inner.value), (0xDF_EE30, [0].as_slice()));

        let bytes = hex::decode("E108E106E104E102E100").unwrap();
        let mut tlvs = Tlvs::new(&bytes);
        for _ in 1..DEPTH_MAX {
            tlvs = tlvs.next().unwrap().unwrap().nested().unwrap();
        }
        let deepest = tlvs.next().unwrap().unwrap();
        assert_eq!(deepest.nested().unwrap_err(), TlvError::TooDeep);
    }

    #[test]
    fn debug_output_shows_no_value() {
        let writer = TlvWriter::default().clear(0x5A, &[0x47, 0x61]);
        assert_eq!(format!("{writer:?}"), "TlvWriter(4 bytes)");
        let bytes = writer.finish();
        let tlvs: Vec<_> = Tlvs::new(&bytes).collect();
        assert_eq!(format!("{tlvs:?}"), "[Ok(Tlv(5A, Clear, 2 bytes))]");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            items in prop::collection::vec(
                (
                    prop::sample::select(vec![0x57u32, 0x5A, 0x9F02, 0xDF_EE25, 0xDF_8129]),
                    prop::sample::select(vec![Form::Clear, Form::Masked, Form::Encrypted]),
                    prop::collection::vec(any::<u8>(), 0..400),
                ),
                0..8,
            )
        ) {
            let bytes = items
                .iter()
                .fold(TlvWriter::default(), |writer, (tag, form, value)| writer.put(*tag, *form, value))
                .finish();
            let read: Vec<_> = Tlvs::new(&bytes)
                .map(|tlv| tlv.map(|tlv| (tlv.tag, tlv.form, tlv.value.to_vec())))
                .collect::<Result<_, _>>()
                .unwrap();
            prop_assert_eq!(read, items);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for tlv in Tlvs::new(&bytes).flatten() {
                if let Ok(nested) = tlv.nested() {
                    nested.count();
                }
            }
        }
    }
}

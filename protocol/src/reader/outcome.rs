//! What the reader says: status bytes, result codes, error blocks, and the data of a response.
//!
//! Owns the meaning of codes. A code that is not listed here is `Unknown` and means "failed":
//! nothing in this module ever turns an unknown code into an approval. Values stay opaque.

mod attribution;
mod code;
mod contactless;
mod result;
mod status;

use std::fmt;

use super::tlv::{self, Form, Tlv, TlvError, Tlvs};
pub use attribution::{Attribution, Entry};
pub use contactless::{ContactlessError, ErrorBlock};
pub use result::TransactionResult;
pub use status::Status;

/// Tag of the two-byte transaction result.
pub const TAG_RESULT: u32 = 0x00DF_EE25;
/// Tag of the key serial number that a response is encrypted under.
pub const TAG_KSN: u32 = 0x00DF_EE12;
/// Tag of the contactless error block.
pub const TAG_ERROR: u32 = 0x00FF_EE1F;
/// Tag of the contactless error block in older firmware.
pub const TAG_ERROR_OLD: u32 = 0x00DF_EE02;
/// Tag of the magstripe block.
pub const TAG_SWIPE: u32 = 0x00DF_EE23;
/// Tag of the point-of-service entry mode.
pub const TAG_ENTRY_MODE: u32 = 0x9F39;
/// Tag of the application cryptogram information (TC, ARQC, AAC).
pub const TAG_CRYPTOGRAM_INFORMATION: u32 = 0x9F27;
/// Tag of the authorization response code.
pub const TAG_RESPONSE_CODE: u32 = 0x8A;

/// Why the data of a response cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CardReadError {
    /// The data is empty.
    #[error("card read has no data")]
    Empty,
    /// What follows the attribution byte is not TLVs.
    #[error("card read: {0}")]
    Tlv(#[from] TlvError),
    /// A value has the wrong length.
    #[error("card read: tag {tag:X} has a wrong length")]
    WrongLength {
        /// The tag.
        tag: u32,
    },
}

/// The data of a final transaction response: attribution byte, then TLVs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CardRead<'a> {
    /// Interface and encryption.
    pub attribution: Attribution,
    /// The TLVs after the attribution byte.
    pub tlvs: &'a [u8],
    /// Tag DFEE25.
    pub result: Option<TransactionResult>,
    /// Tag FFEE1F.
    pub error: Option<ErrorBlock>,
    /// The key serial number of the encrypted values: 10 bytes for triple DES, 12 for AES.
    pub ksn: Option<&'a [u8]>,
}

impl<'a> CardRead<'a> {
    /// Reads response data; every TLV must be well formed.
    ///
    /// # Errors
    /// [`CardReadError`] when the data is empty, broken, or a code has a wrong length.
    pub fn parse(data: &'a [u8]) -> Result<Self, CardReadError> {
        let (&attribution, tlvs) = data.split_first().ok_or(CardReadError::Empty)?;
        let mut read = Self {
            attribution: Attribution(attribution),
            tlvs,
            result: None,
            error: None,
            ksn: None,
        };
        for tlv in Tlvs::new(tlvs) {
            read.note(tlv?)?;
        }
        Ok(read)
    }

    fn note(&mut self, tlv: Tlv<'a>) -> Result<(), CardReadError> {
        let wrong_length = CardReadError::WrongLength { tag: tlv.tag };
        match tlv.tag {
            TAG_RESULT => {
                let code = <[u8; 2]>::try_from(tlv.value).map_err(|_| wrong_length)?;
                self.result = Some(u16::from_be_bytes(code).into());
            }
            TAG_ERROR | TAG_ERROR_OLD => {
                let [error, sw1, sw2, step] = tlv.value.try_into().map_err(|_| wrong_length)?;
                self.error = Some(ErrorBlock {
                    error: ContactlessError::from(error),
                    card_status: [sw1, sw2],
                    step,
                });
            }
            TAG_KSN => match tlv.value.len() {
                10 | 12 => self.ksn = Some(tlv.value),
                _ => return Err(wrong_length),
            },
            _ => {}
        }
        Ok(())
    }

    /// The first value of `tag` in `form`.
    pub fn find(&self, tag: u32, form: Form) -> Option<&'a [u8]> {
        tlv::find(self.tlvs, tag, form)
    }
}

impl fmt::Debug for CardRead<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CardRead")
            .field("attribution", &self.attribution)
            .field("result", &self.result)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::frame::ResponseDecoder;
    use proptest::prelude::*;

    fn read(text: &str) -> Vec<u8> {
        hex::decode(text.replace(' ', "")).unwrap()
    }

    #[test]
    fn every_listed_code_goes_round_and_is_unique() {
        for &code in Status::LISTED {
            assert_eq!(Status::from(code).code(), code);
            assert!(!matches!(Status::from(code), Status::Unknown(_)));
        }
        for &code in TransactionResult::LISTED {
            assert_eq!(TransactionResult::from(code).code(), code);
        }
        for &code in ContactlessError::LISTED {
            assert_eq!(ContactlessError::from(code).code(), code);
        }
        assert_eq!(Status::from(0x99), Status::Unknown(0x99));
    }

    #[test]
    fn an_error_block_is_read_under_both_tags() {
        for text in ["E1 FFEE1F 04 30000004", "E1 DFEE02 04 30000004"] {
            let data = read(text);
            let error = CardRead::parse(&data).unwrap().error.unwrap();
            assert_eq!(error.error, ContactlessError::CardRemoved);
            assert_eq!((error.card_status, error.step), ([0, 0], 4));
        }
    }

    #[test]
    fn broken_reads_are_refused() {
        for (text, error) in [
            ("", CardReadError::Empty),
            (
                "E0 DFEE25 01 00",
                CardReadError::WrongLength { tag: TAG_RESULT },
            ),
            (
                "E0 DFEE12 01 00",
                CardReadError::WrongLength { tag: TAG_KSN },
            ),
            (
                "E0 FFEE1F 01 00",
                CardReadError::WrongLength { tag: TAG_ERROR },
            ),
            ("E0 DFEE25 02 00", CardReadError::Tlv(TlvError::Truncated)),
        ] {
            assert_eq!(CardRead::parse(&read(text)), Err(error), "{text}");
        }
    }

    #[test]
    fn the_flow_vectors_carry_the_results_that_they_are_named_after() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../vectors/idtech_neo2.json")).unwrap();
        let mut seen = Vec::new();
        for flow in vectors["flows"].as_array().unwrap() {
            for step in flow["steps"].as_array().unwrap() {
                let bytes = read(step["hex"].as_str().unwrap());
                for response in ResponseDecoder::default().decode(&bytes) {
                    if !response.data().is_empty() {
                        let read = CardRead::parse(response.data()).unwrap();
                        seen.push((response.status(), read.result, read.error.map(|e| e.error)));
                        let masked = read.find(0x5A, Form::Masked);
                        assert_eq!(masked.is_some(), read.find(0x5A, Form::Encrypted).is_some());
                        assert!(masked.is_none() || read.ksn.is_some());
                    }
                }
            }
        }
        use TransactionResult as R;
        assert_eq!(
            seen,
            [
                (0x00, Some(R::StartSucceeded), None),
                (0x00, Some(R::GoOnline), None),
                (0x00, Some(R::Approved), None),
                (0x00, Some(R::Declined), None),
                (0x00, Some(R::Declined), None),
                (0x23, None, None),
                (0x0A, None, Some(ContactlessError::CardRemoved)),
                (0x0A, None, Some(ContactlessError::UseOtherInterface)),
                (0x00, Some(R::FallBackToMagstripe), None),
            ]
        );
    }

    proptest! {
        #[test]
        fn arbitrary_data_never_panics(data in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(read) = CardRead::parse(&data) {
                let shown = format!("{read:?}");
                prop_assert!(shown.ends_with(", .. }"), "{}", shown);
            }
        }
    }
}

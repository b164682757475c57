//! What the reader says: status bytes, result codes, error blocks, and the data of a response.
//!
//! Owns the meaning of codes. A code that is not listed here is `Unknown` and means "failed":
//! nothing in this module ever turns an unknown code into an approval. Values stay opaque.

use std::fmt;

use super::tlv::{self, Form, Tlv, TlvError, Tlvs};
use crate::dukpt::Scheme;

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

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident: $raw:ty { $($(#[$item_doc:meta])* $item:ident = $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$item_doc])* $item,)*
            /// A code that is not listed; means failed.
            Unknown($raw),
        }

        impl $name {
            /// The code on the wire.
            pub const fn code(self) -> $raw {
                match self {
                    $(Self::$item => $code,)*
                    Self::Unknown(code) => code,
                }
            }
        }

        impl From<$raw> for $name {
            fn from(code: $raw) -> Self {
                match code {
                    $($code => Self::$item,)*
                    code => Self::Unknown(code),
                }
            }
        }

        impl $name {
            /// Every code that has a name, in the order of the table.
            pub const LISTED: &[$raw] = &[$($code,)*];
        }
    };
}

codes! {
    /// The status byte of a response (NEO2 guide, status code table).
    Status: u8 {
        /// Done.
        Ok = 0x00,
        /// The frame header was wrong.
        WrongHeader = 0x01,
        /// The command group is not known.
        UnknownCommand = 0x02,
        /// The command within the group is not known.
        UnknownSubCommand = 0x03,
        /// The CRC of the command was wrong.
        CrcError = 0x04,
        /// A parameter is wrong.
        WrongParameter = 0x05,
        /// A parameter is not supported.
        ParameterNotSupported = 0x06,
        /// The data cannot be read.
        MalformedData = 0x07,
        /// Nobody presented a card in time, or the device inside did not answer.
        Timeout = 0x08,
        /// Failed; contactless failures carry an error block.
        Failed = 0x0A,
        /// Not allowed in the present mode, or the value is not set.
        NotAllowed = 0x0B,
        /// The sub-command is not allowed in the present mode.
        SubCommandNotAllowed = 0x0C,
        /// Too much data for the reader.
        BufferOverflow = 0x0D,
        /// Not a result: something for the user interface, for example "card detected".
        UserInterfaceEvent = 0x0E,
        /// The kind of communication is not supported.
        CommunicationNotSupported = 0x11,
        /// The secure interface does not work.
        SecureInterfaceFailed = 0x12,
        /// A key or its module cannot be used (code 13).
        KeyError13 = 0x13,
        /// A key or its module cannot be used (code 14).
        KeyError14 = 0x14,
        /// A key or its module cannot be used (code 15).
        KeyError15 = 0x15,
        /// A key or its module cannot be used (code 16).
        KeyError16 = 0x16,
        /// A key or its module cannot be used (code 17).
        KeyError17 = 0x17,
        /// A key or its module cannot be used (code 18).
        KeyError18 = 0x18,
        /// A key or its module cannot be used (code 19).
        KeyError19 = 0x19,
        /// A key or its module cannot be used (code 1A).
        KeyError1A = 0x1A,
        /// A key or its module cannot be used (code 1B).
        KeyError1B = 0x1B,
        /// An application command could not be built.
        ApduEncoding = 0x1C,
        /// The tamper switch has opened: the reader has erased its keys.
        Tampered = 0x1D,
        /// The key loading protocol failed (code 20).
        KeyLoading20 = 0x20,
        /// The key loading protocol failed (code 21).
        KeyLoading21 = 0x21,
        /// The key loading protocol failed (code 22).
        KeyLoading22 = 0x22,
        /// Contactless: ask the issuer.
        RequestOnline = 0x23,
        /// A raw read was requested.
        RawRead = 0x24,
        /// The message index is not known.
        BadMessageIndex = 0x25,
        /// The requested data does not exist.
        NotFound = 0x60,
        /// The list of applications is full.
        ApplicationListFull = 0x61,
        /// The flash memory failed.
        FlashError = 0x62,
        /// The command was accepted; the final response follows.
        Pending = 0x63,
    }
}

codes! {
    /// The transaction result of tag DFEE25 (vendor's software kit, result codes).
    TransactionResult: u16 {
        /// Chip or reader approved without the issuer.
        ApprovedOffline = 0x0000,
        /// Chip or reader declined without the issuer.
        DeclinedOffline = 0x0001,
        /// The chip agrees with the issuer's approval.
        Approved = 0x0002,
        /// The chip declined, or recorded the issuer's decline.
        Declined = 0x0003,
        /// Ask the issuer.
        GoOnline = 0x0004,
        /// The issuer wants a call.
        CallBank = 0x0005,
        /// The card is not accepted.
        NotAccepted = 0x0006,
        /// The chip cannot be read; use the stripe.
        FallBackToMagstripe = 0x0007,
        /// Nobody presented a card in time.
        Timeout = 0x0008,
        /// Contactless: ask the issuer (older code).
        GoOnlineContactlessOld = 0x0009,
        /// The chip is powered; continue with authentication.
        StartSucceeded = 0x0010,
        /// A stripe of a card without chip was swiped.
        Swiped = 0x0011,
        /// Canceled by the host.
        Canceled = 0x0012,
        /// Contactless: ask the issuer.
        GoOnlineContactless = 0x0023,
        /// Two cards in the field.
        TwoCards = 0x007A,
        /// Ended; try another card.
        TryAnotherCard = 0x007D,
        /// Ended.
        Terminated = 0x007E,
        /// The issuer could not be reached.
        HostUnreachable = 0x00FF,
        /// A file of the reader is bad.
        FileArgument = 0x1001,
        /// A file of the reader cannot be opened.
        FileOpen = 0x1002,
        /// A file of the reader cannot be used.
        FileOperation = 0x1003,
        /// The reader has no memory left.
        MemoryFull = 0x2001,
        /// A step with the chip went well; the transaction has not ended.
        SmartcardOk = 0x3001,
        /// The chip does not answer as it should.
        SmartcardFailed = 0x3002,
        /// The chip could not be powered.
        SmartcardInitFailed = 0x3003,
        /// The chip cannot be read and the stripe is allowed.
        FallbackSituation = 0x3004,
        /// No card in the slot.
        CardAbsent = 0x3005,
        /// The chip did not answer in time.
        SmartcardTimeout = 0x3006,
        /// The stripe could not be read.
        MagstripeFailed = 0x3007,
        /// The stripe could not be read (second code).
        MagstripeFailedOther = 0x3012,
        /// Nobody inserted a card in time.
        InsertTimeout = 0x3013,
        /// A tag could not be read.
        TagParse = 0x5001,
        /// A data element came twice.
        DuplicateData = 0x5002,
        /// A data element has a wrong format.
        DataFormat = 0x5003,
        /// No terminal application.
        NoTerminalApplication = 0x5004,
        /// No application in common.
        NoMatchingApplication = 0x5005,
        /// Mandatory data is missing on the card.
        MandatoryDataMissing = 0x5006,
        /// The application has to be selected again.
        SelectionRetry = 0x5007,
        /// The amount could not be read.
        AmountError = 0x5008,
        /// The card was rejected.
        CardRejected = 0x5009,
        /// The card has no application interchange profile.
        InterchangeProfileMissing = 0x5010,
        /// The card has no file locator.
        FileLocatorMissing = 0x5011,
        /// The file locator is wrong.
        FileLocatorWrong = 0x5012,
        /// The file locator has a wrong length.
        FileLocatorLength = 0x5013,
        /// The file locator names a wrong file.
        FileLocatorFile = 0x5014,
        /// The application has expired.
        Expired = 0x5015,
        /// The application is not yet effective.
        NotYetEffective = 0x5016,
        /// The issuer code table is not supported.
        CodeTable = 0x5017,
        /// The chip answered with an unexpected kind of cryptogram.
        CryptogramType = 0x5018,
        /// The payment system environment is not supported.
        EnvironmentUnsupported = 0x5019,
        /// No language in common.
        Language = 0x5020,
        /// The service is not allowed on the card.
        ServiceNotAllowed = 0x5021,
        /// A requested tag does not exist.
        TagNotFound = 0x5022,
        /// The card is blocked.
        CardBlocked = 0x5023,
        /// A data element has a wrong length.
        DataLength = 0x5024,
        /// Communication with the chip broke.
        CardCommunicationError = 0x5025,
        /// The transaction counter is exhausted.
        CounterExhausted = 0x5026,
        /// A hash differs.
        HashMismatch = 0x5027,
        /// The response code is missing.
        ResponseCodeMissing = 0x5028,
        /// The response code is not valid.
        ResponseCodeInvalid = 0x5029,
        /// No online communication.
        NoOnlineCommunication = 0x5030,
        /// The kind of transaction is not supported.
        TransactionType = 0x5031,
        /// The application is not supported.
        ApplicationUnsupported = 0x5032,
        /// The application was not chosen.
        ApplicationNotChosen = 0x5033,
        /// The language was not chosen.
        LanguageNotChosen = 0x5034,
        /// Data of the terminal is missing.
        TerminalDataMissing = 0x5035,
        /// Counts towards fallback in the vendor's settings; its text is not public.
        FallbackReason = 0x5036,
        /// The kind of cardholder verification is not known.
        VerificationType = 0x6001,
        /// The card does not support cardholder verification.
        VerificationUnsupported = 0x6002,
        /// The list of verification methods is missing.
        VerificationListMissing = 0x6003,
        /// The list of verification methods is wrong.
        VerificationListWrong = 0x6004,
        /// A verification method is not known.
        VerificationCode = 0x6005,
        /// A condition of verification is not known.
        VerificationCondition = 0x6006,
        /// No verification method is left.
        VerificationExhausted = 0x6007,
        /// The PIN was bypassed before.
        PinBypassed = 0x6008,
        /// Failed for an unnamed reason.
        Unspecified = 0xFFFF,
    }
}

impl TransactionResult {
    /// Whether the chip agrees with the issuer's approval. Nothing else may release goods.
    pub const fn is_approved_online(self) -> bool {
        matches!(self, Self::Approved)
    }

    /// Whether the issuer has to be asked.
    pub const fn is_go_online(self) -> bool {
        matches!(
            self,
            Self::GoOnline | Self::GoOnlineContactless | Self::GoOnlineContactlessOld
        )
    }
}

codes! {
    /// The first byte of the contactless error block (NEO2 guide, error codes).
    ContactlessError: u8 {
        /// No error.
        None = 0x00,
        /// Commands out of sequence.
        OutOfSequence = 0x01,
        /// Insert the card.
        UseContact = 0x02,
        /// The amount is zero.
        AmountZero = 0x03,
        /// Use another interface.
        UseOtherInterface = 0x04,
        /// A contact card is near.
        ContactNearby = 0x05,
        /// Swipe the card.
        UseMagstripe = 0x06,
        /// The card answered with an error.
        CardReturnedError = 0x20,
        /// More than one card in the field.
        TwoCards = 0x21,
        /// The amount is above the contactless limit.
        AmountOverLimit = 0x22,
        /// Ask the issuer.
        RequestOnline = 0x23,
        /// Communication with the card broke.
        CardCommunication = 0x24,
        /// The card is blocked.
        CardBlocked = 0x25,
        /// The card has expired.
        CardExpired = 0x26,
        /// The card is not supported.
        CardNotSupported = 0x27,
        /// The card left the field.
        CardRemoved = 0x30,
        /// Mandatory data is missing.
        MandatoryDataMissing = 0x40,
        /// Mandatory data is missing (second code).
        MandatoryDataMissingOther = 0x41,
        /// The card answered with an AAC: declined.
        CardDeclined = 0x42,
        /// The card answered with an ARQC where it could not be used.
        CardWantsOnline = 0x43,
        /// No data authentication in common.
        NoCommonAuthentication = 0x44,
        /// Offline data authentication failed.
        AuthenticationFailed = 0x50,
        /// Offline data authentication failed (second code).
        AuthenticationFailed2 = 0x51,
        /// Offline data authentication failed (third code).
        AuthenticationFailed3 = 0x52,
        /// Offline data authentication failed (fourth code).
        AuthenticationFailed4 = 0x53,
        /// Offline data authentication failed (fifth code).
        AuthenticationFailed5 = 0x54,
        /// Processing restrictions failed.
        Restrictions = 0x55,
        /// Terminal risk management failed.
        RiskManagement = 0x56,
        /// Cardholder verification failed.
        CardholderVerification = 0x57,
        /// Terminal action analysis failed.
        ActionAnalysis = 0x58,
        /// Memory of the reader.
        Memory = 0x61,
        /// Unnamed.
        Generic = 0x62,
        /// The contact kernel has an error.
        ContactKernel = 0x70,
        /// The log of torn transactions has an error.
        TornLog = 0x73,
        /// Listed by the vendor without a public text.
        Reserved80 = 0x80,
        /// Listed by the vendor without a public text.
        Reserved81 = 0x81,
        /// Listed by the vendor without a public text.
        Reserved82 = 0x82,
        /// Listed by the vendor without a public text.
        Reserved83 = 0x83,
        /// Listed by the vendor without a public text.
        Reserved84 = 0x84,
        /// Listed by the vendor without a public text.
        Reserved85 = 0x85,
        /// Listed by the vendor without a public text.
        Reserved88 = 0x88,
    }
}

/// The contactless error block of tag FFEE1F.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorBlock {
    /// What went wrong.
    pub error: ContactlessError,
    /// SW1 and SW2 of the card.
    pub card_status: [u8; 2],
    /// The step of the contactless flow, as the vendor numbers them.
    pub step: u8,
}

/// How the card met the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The chip in the slot.
    Contact,
    /// A contactless chip.
    ContactlessChip,
    /// A contactless card in magstripe mode.
    ContactlessStripe,
    /// The stripe.
    Swipe,
}

/// The first byte of a transaction response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribution(pub u8);

impl Attribution {
    /// The interface.
    pub const fn entry(self) -> Entry {
        let Self(byte) = self;
        match (byte & 0x18, byte & 0x01) {
            (0x00, 0) => Entry::Contact,
            (0x00, _) => Entry::ContactlessChip,
            (0x10, _) => Entry::ContactlessStripe,
            _ => Entry::Swipe,
        }
    }

    /// How values are encrypted; nothing for the vendor's extended schemes, which are not DUKPT
    /// under one of these ciphers.
    pub const fn scheme(self) -> Option<Scheme> {
        match self.0 & 0x06 {
            0x00 => Some(Scheme::TripleDes),
            0x02 => Some(Scheme::Aes),
            _ => None,
        }
    }

    /// Whether card data of this entry is encrypted at all.
    pub const fn is_encrypted(self) -> bool {
        const CHIP_ENCRYPTED: u8 = 0x40;
        const STRIPE_ENCRYPTED: u8 = 0x80;
        let needed = match self.entry() {
            Entry::Contact | Entry::ContactlessChip => CHIP_ENCRYPTED,
            Entry::ContactlessStripe | Entry::Swipe => STRIPE_ENCRYPTED,
        };
        self.0 & needed != 0
    }
}

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
    fn only_one_result_is_an_online_approval() {
        let approving: Vec<_> = (0..=u16::MAX)
            .filter(|code| TransactionResult::from(*code).is_approved_online())
            .collect();
        assert_eq!(approving, [0x0002]);
    }

    #[test]
    fn attributions_seen_in_practice_are_understood() {
        for (byte, entry, encrypted) in [
            (0xE0, Entry::Contact, true),
            (0xE1, Entry::ContactlessChip, true),
            (0xF1, Entry::ContactlessStripe, true),
            (0xE8, Entry::Swipe, true),
            (0xC8, Entry::Swipe, true),
            (0xC1, Entry::ContactlessChip, true),
            (0x20, Entry::Contact, false),
            (0x60, Entry::Contact, true),
            (0x68, Entry::Swipe, false),
            (0xA1, Entry::ContactlessChip, false),
        ] {
            let attribution = Attribution(byte);
            assert_eq!(attribution.entry(), entry, "{byte:02X}");
            assert_eq!(attribution.is_encrypted(), encrypted, "{byte:02X}");
            assert_eq!(attribution.scheme(), Some(Scheme::TripleDes));
        }
        for (byte, scheme) in [
            (0xE2, Some(Scheme::Aes)),
            (0xE3, Some(Scheme::Aes)),
            (0xEA, Some(Scheme::Aes)),
            (0xE4, None),
            (0xE7, None),
        ] {
            assert_eq!(Attribution(byte).scheme(), scheme, "{byte:02X}");
        }
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

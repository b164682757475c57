//! Why a contactless transaction failed.
//!
//! Owns the codes of the error block, and no rule about them.

use super::code::codes;

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

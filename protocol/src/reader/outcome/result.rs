//! The result of a transaction.
//!
//! Owns its codes, and which of them release goods or ask the issuer.

use super::code::codes;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_result_is_an_online_approval() {
        let approving: Vec<_> = (0..=u16::MAX)
            .filter(|code| TransactionResult::from(*code).is_approved_online())
            .collect();
        assert_eq!(approving, [0x0002]);
    }
}

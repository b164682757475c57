//! Why a POS transaction, an attempt or a reversal ended as it did: one closed list.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)*) => {
        /// A reason. The codes are stable; callers and reports may switch on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// Reads a code back.
            pub fn from_code(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.code() == code)
            }
        }
    };
}

reasons! {
    /// Approved as asked.
    Approved = "approved";
    /// The acquirer declined the last card.
    HostDeclined = "host_declined";
    /// The stripe of a card with a chip was swiped though the chip had not failed.
    UseChip = "use_chip";
    /// The chip refused after the acquirer's approval.
    ChipDeclined = "chip_declined";
    /// The card was taken away too early.
    CardRemoved = "card_removed";
    /// No readable, valid card was presented.
    CardUnusable = "card_unusable";
    /// Nobody paid in time.
    CustomerTimeout = "customer_timeout";
    /// Canceled at the till.
    CashierCanceled = "cashier_canceled";
    /// Canceled through the API.
    PosCanceled = "pos_canceled";
    /// The terminal did not answer.
    TerminalUnreachable = "terminal_unreachable";
    /// The terminal was busy with something that the engine does not know.
    TerminalBusy = "terminal_busy";
    /// The terminal has another installation than the one that began this.
    TerminalReplaced = "terminal_replaced";
    /// The agent restarted in the middle.
    TerminalRestarted = "terminal_restarted";
    /// The agent could not write its journal.
    TerminalFault = "terminal_fault";
    /// The reader is missing or does not answer.
    ReaderFault = "reader_fault";
    /// The reader encrypts in a way that the engine cannot open, or does not say under which key.
    UnsupportedEncryption = "unsupported_encryption";
    /// The reader approved by itself; that is not a payment.
    OfflineNotAllowed = "offline_not_allowed";
    /// The card was read for another amount than was asked.
    AmountMismatch = "amount_mismatch";
    /// The request never left for the acquirer.
    AcquirerUnreachable = "acquirer_unreachable";
    /// No usable answer from the acquirer.
    AcquirerUnknown = "acquirer_unknown";
    /// The engine restarted while it waited for the acquirer, or was restored from a backup of when
    /// this was open.
    EngineRestarted = "engine_restarted";
    /// Approved for less than asked.
    PartialNotAccepted = "partial_not_accepted";
    /// The terminal did not confirm an approval in time.
    NotConfirmed = "not_confirmed";
    /// The acquirer approved after the outcome had been decided.
    LateApproval = "late_approval";
    /// A person said what became of it.
    OperatorResolved = "operator_resolved";
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_read_back() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), Some(*reason));
        }
    }
}

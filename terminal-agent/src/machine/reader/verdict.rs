//! What a response of the reader means for the transaction. No state, no bytes out.
//!
//! A code that is not known ends the transaction; only [`approved_by_chip`] can say yes.

use protocol::reader::frame::Response;
use protocol::reader::outcome::{
    self, CardRead, ContactlessError, Entry as Interface, Status, TAG_ENTRY_MODE, TAG_SWIPE,
    TransactionResult,
};
use protocol::reader::swipe::Swipe;
use protocol::reader::tlv::Form;

use super::{EndReason, Entry, Progress, ReaderFault};

/// What to do about a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// An event or a late answer: nothing.
    Ignore,
    /// Accepted; the final response follows.
    Pending,
    /// A card is being read.
    CardDetected,
    /// The command arrived damaged.
    SendAgain,
    /// The chip is powered.
    ChipStarted,
    /// The response is card data for the engine.
    CardData(Entry),
    /// Ask for the chip.
    Insert,
    /// Ask for the card again.
    Again(Progress),
    /// The chip has spoken last.
    Completed { approved: bool },
    /// It is over.
    End(EndReason),
}

use Verdict::{Again, End, Ignore};

/// The response to 02-40 or 60-10.
pub(super) fn on_activation(response: &Response) -> Verdict {
    let read = match common(response) {
        Ok(read) => read,
        Err(verdict) => return verdict,
    };
    let status = Status::from(response.status());
    if let (Status::Failed, Some(block)) = (status, read.error) {
        return on_contactless_error(block.error);
    }
    if status == Status::RequestOnline {
        return card_data(&read, Entry::Contactless);
    }
    match (read.attribution.entry(), read.result) {
        (Interface::ContactlessStripe, None) => card_data(&read, Entry::Contactless),
        // Status 00 of a contactless chip is an approval without the issuer.
        (Interface::ContactlessChip, None) => End(EndReason::OfflineNotAllowed),
        (_, Some(result)) => on_start_result(&read, result),
        // Firmware that does not name the reason of a fallback.
        (Interface::Swipe, None) => on_swipe(&read),
        (Interface::Contact, None) => bad_answer(),
    }
}

/// The response to 60-11.
pub(super) fn on_authentication(response: &Response) -> Verdict {
    let read = match common(response) {
        Ok(read) => read,
        Err(verdict) => return verdict,
    };
    match read.result {
        Some(TransactionResult::GoOnline) => card_data(&read, Entry::Contact),
        // The same answer as before, once more.
        Some(TransactionResult::StartSucceeded) => Ignore,
        Some(result) => failed(result),
        None => bad_answer(),
    }
}

/// The response to 60-12.
pub(super) fn on_completion(response: &Response) -> Verdict {
    let read = match common(response) {
        Ok(read) => read,
        Err(verdict) => return verdict,
    };
    match read.result {
        Some(TransactionResult::GoOnline | TransactionResult::StartSucceeded) => Ignore,
        Some(result) if is_card_gone(result) => End(EndReason::CardRemoved),
        Some(TransactionResult::ApprovedOffline) => End(EndReason::OfflineNotAllowed),
        Some(_) => Verdict::Completed {
            approved: approved_by_chip(&read),
        },
        None => bad_answer(),
    }
}

/// The chip agrees: result 0002, and no cryptogram that says otherwise.
fn approved_by_chip(read: &CardRead<'_>) -> bool {
    const KIND: u8 = 0xC0;
    const APPROVED: u8 = 0x40;
    let information = read.find(outcome::TAG_CRYPTOGRAM_INFORMATION, Form::Clear);
    let cryptogram_agrees = match information {
        Some([information]) => information & KIND == APPROVED,
        Some(_) => false,
        None => true,
    };
    cryptogram_agrees
        && read
            .result
            .is_some_and(TransactionResult::is_approved_online)
}

/// What is the same for every command, or the read that has to be looked at.
fn common(response: &Response) -> Result<CardRead<'_>, Verdict> {
    const CARD_DETECTED: [u8; 1] = [0x01];
    match Status::from(response.status()) {
        Status::Ok | Status::RequestOnline => {}
        Status::Failed if !response.data().is_empty() => {}
        Status::Pending => return Err(Verdict::Pending),
        Status::UserInterfaceEvent if response.data() == CARD_DETECTED => {
            return Err(Verdict::CardDetected);
        }
        Status::UserInterfaceEvent => return Err(Ignore),
        Status::CrcError => return Err(Verdict::SendAgain),
        Status::Timeout => return Err(End(EndReason::Timeout)),
        status => {
            let status = status.code();
            return Err(End(EndReason::ReaderFault(ReaderFault::Refused { status })));
        }
    }
    CardRead::parse(response.data()).map_err(|_| bad_answer())
}

fn on_start_result(read: &CardRead<'_>, result: TransactionResult) -> Verdict {
    use TransactionResult as R;
    let has_stripe = read.find(TAG_SWIPE, Form::Clear).is_some();
    match result {
        R::StartSucceeded => Verdict::ChipStarted,
        R::Swiped | R::FallBackToMagstripe if has_stripe => on_swipe(read),
        R::GoOnlineContactless | R::GoOnlineContactlessOld => card_data(read, Entry::Contactless),
        R::TwoCards => Again(Progress::OneCardOnly),
        // The reader has counted enough failures; the agent counts none.
        R::FallBackToMagstripe | R::FallbackSituation => Again(Progress::Swipe),
        // The chip may be tried again: the reader counts, and allows the stripe when it is time.
        R::TagParse
        | R::NoMatchingApplication
        | R::FallbackReason
        | R::SmartcardFailed
        | R::SmartcardInitFailed => Again(Progress::InsertOrSwipe),
        R::MagstripeFailed | R::MagstripeFailedOther | R::TryAnotherCard | R::SelectionRetry => {
            Again(Progress::TryAgain)
        }
        result => failed(result),
    }
}

/// A stripe of a card that has a chip counts only when the reader says that the chip has failed.
fn on_swipe(read: &CardRead<'_>) -> Verdict {
    const SWIPED_AFTER_CHIP: u8 = 0x80;
    const SWIPED: u8 = 0x90;
    let Some(block) = read.find(TAG_SWIPE, Form::Clear) else {
        return bad_answer();
    };
    let is_fallback = match read.find(TAG_ENTRY_MODE, Form::Clear) {
        Some([SWIPED_AFTER_CHIP]) => true,
        Some([SWIPED]) => false,
        _ => read.result == Some(TransactionResult::FallBackToMagstripe),
    };
    let says_chip = Swipe::parse(block).ok().and_then(|swipe| swipe.says_chip());
    if says_chip == Some(true) && !is_fallback {
        return Again(Progress::UseChip);
    }
    card_data(read, Entry::Swipe)
}

fn on_contactless_error(error: ContactlessError) -> Verdict {
    use ContactlessError as E;
    match error {
        E::UseContact
        | E::UseOtherInterface
        | E::ContactNearby
        | E::UseMagstripe
        | E::AmountOverLimit => Verdict::Insert,
        E::TwoCards => Again(Progress::OneCardOnly),
        E::CardCommunication | E::CardRemoved => Again(Progress::TryAgain),
        E::CardBlocked => End(EndReason::CardBlocked),
        E::CardExpired => End(EndReason::CardExpired),
        E::CardDeclined => End(EndReason::CardDeclined),
        E::AmountZero => End(EndReason::AmountRefused),
        E::OutOfSequence | E::Memory => End(EndReason::ReaderFault(ReaderFault::Reported {
            code: u16::from(error.code()),
        })),
        _ => End(EndReason::CardError),
    }
}

fn failed(result: TransactionResult) -> Verdict {
    use TransactionResult as R;
    End(match result {
        R::Timeout | R::InsertTimeout => EndReason::Timeout,
        R::Canceled => EndReason::Canceled,
        R::CardBlocked => EndReason::CardBlocked,
        R::Expired => EndReason::CardExpired,
        // The issuer was not asked, so whatever approves here approves offline.
        R::ApprovedOffline | R::Approved => EndReason::OfflineNotAllowed,
        R::DeclinedOffline | R::Declined | R::NotAccepted | R::CardRejected => {
            EndReason::CardDeclined
        }
        // Nothing that another card could help against.
        R::FileArgument
        | R::FileOpen
        | R::FileOperation
        | R::MemoryFull
        | R::NoTerminalApplication
        | R::TerminalDataMissing => EndReason::ReaderFault(ReaderFault::Reported {
            code: result.code(),
        }),
        R::AmountError => EndReason::AmountRefused,
        result if is_card_gone(result) => EndReason::CardRemoved,
        _ => EndReason::CardError,
    })
}

fn is_card_gone(result: TransactionResult) -> bool {
    use TransactionResult as R;
    matches!(
        result,
        R::CardAbsent | R::SmartcardTimeout | R::CardCommunicationError
    )
}

/// Card data leaves this machine only encrypted.
fn card_data(read: &CardRead<'_>, entry: Entry) -> Verdict {
    const ACCOUNT: [u32; 3] = [0x57, 0x5A, 0x56];
    let has_clear_account = ACCOUNT
        .iter()
        .any(|tag| read.find(*tag, Form::Clear).is_some());
    if read.attribution.is_encrypted() && !has_clear_account {
        Verdict::CardData(entry)
    } else {
        End(EndReason::ReaderFault(ReaderFault::NotEncrypted))
    }
}

fn bad_answer() -> Verdict {
    End(EndReason::ReaderFault(ReaderFault::BadAnswer))
}

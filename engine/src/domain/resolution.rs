//! What a person says became of an authorization that nobody else can resolve.
//!
//! It ends the asking, is final, and keeps who said it and why. What the acquirer says afterwards is
//! held against it: a contradiction is recorded and shown, and never changes what was resolved.

use super::time::Timestamp;

/// Longest reason, in letters. Arbitrary, bounded: room for a case number and two sentences.
pub const REASON_LETTERS_MAX: usize = 500;

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResolutionOutcome {
    /// The acquirer has undone it, as its staff or its books say.
    ReversedByAcquirer,
    /// The payer has paid and keeps what was bought.
    Stands,
    /// The acquirer never had it.
    NeverAuthorized,
}

impl ResolutionOutcome {
    /// Every outcome there is.
    pub const ALL: [Self; 3] = [
        Self::ReversedByAcquirer,
        Self::Stands,
        Self::NeverAuthorized,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::ReversedByAcquirer => "reversed_by_acquirer",
            Self::Stands => "stands",
            Self::NeverAuthorized => "never_authorized",
        }
    }

    /// Reads a code back.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.code() == code)
    }
}

/// What the acquirer said against it afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contradiction {
    /// It approved what is said not to stand. The engine undoes that again.
    Approved,
    /// It declined what is said to stand.
    Declined,
    /// It acknowledged a reversal of what is said to stand.
    Reversed,
    /// It does not know what is said to stand.
    NotFound,
}

impl Contradiction {
    /// Every contradiction there is.
    pub const ALL: [Self; 4] = [
        Self::Approved,
        Self::Declined,
        Self::Reversed,
        Self::NotFound,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Approved => "acquirer_approved",
            Self::Declined => "acquirer_declined",
            Self::Reversed => "acquirer_reversed",
            Self::NotFound => "acquirer_does_not_know_it",
        }
    }

    /// Reads a code back.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.code() == code)
    }
}

/// A resolution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// What became of it.
    pub outcome: ResolutionOutcome,
    /// Why that is known, in words.
    pub reason: String,
    /// Who says so.
    pub by: String,
    /// When it was said.
    pub at: Timestamp,
    /// The first word of the acquirer against it, and when it came.
    pub contradiction: Option<(Contradiction, Timestamp)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_back() {
        for outcome in ResolutionOutcome::ALL {
            assert_eq!(ResolutionOutcome::from_code(outcome.code()), Some(outcome));
        }
        for one in Contradiction::ALL {
            assert_eq!(Contradiction::from_code(one.code()), Some(one));
        }
    }
}

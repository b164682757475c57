//! Pairing codes: typed by a technician at the till, good once. What tills show instead is in
//! [`waiting`], and who guesses in [`lockout`].

pub mod lockout;
pub mod waiting;

use protocol::id::{MerchantId, PairingCodeId, TerminalId};

use super::merchant::DeviceKey;
use super::time::Timestamp;
use super::token::SecretHash;

/// Letters of a code: no vowels (no words), nothing that is misread for something else.
pub const ALPHABET: &[u8; 28] = b"BCDFGHJKLMNPQRSTVWXZ23456789";
/// Letters in a code: 28^10 is 48 bits.
pub const CODE_LENGTH: usize = 10;
/// Default life: a technician stands in front of the till.
pub const LIFE_S_DEFAULT: u64 = 15 * 60;
/// Longest life: a roll-out of many tills.
pub const LIFE_S_MAX: u64 = 90 * 24 * 3600;
/// Shortest life: time to type it.
pub const LIFE_S_MIN: u64 = 60;
/// Tries of a right code by a wrong till after which the code is locked: a technician who mixes two
/// tills up does so once or twice (pos-requirements §2.7).
pub const WRONG_SERIALS_MAX: u32 = 5;
/// How long the answer to an approval can be asked for again by the till.
pub const APPROVAL_LIFE_S: u64 = 10 * 60;

/// A pairing code, without the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairingCode {
    /// Its id.
    pub id: PairingCodeId,
    /// The terminal that it pairs.
    pub terminal_id: TerminalId,
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// Hash of the normalized code.
    pub hash: SecretHash,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stops working.
    pub expires_at: Timestamp,
    /// The key that it was redeemed with.
    pub redeemed: Option<(DeviceKey, Timestamp)>,
    /// The serial number of the only till that may redeem it.
    pub serial_number: Option<String>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
    /// How often another till than that has tried it.
    pub wrong_serials: u32,
    /// Whether nobody typed it: a person approved what the till showed, and this is the record.
    pub is_approval: bool,
}

/// What a code is good for at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeState {
    /// It pairs a till.
    Live,
    /// It has paired one.
    Redeemed,
    /// It was taken back.
    Revoked,
    /// Its life is over.
    Expired,
    /// The wrong till tried it too often.
    Locked,
}

impl CodeState {
    /// Every state there is.
    pub const ALL: [Self; 5] = [
        Self::Live,
        Self::Redeemed,
        Self::Revoked,
        Self::Expired,
        Self::Locked,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Redeemed => "redeemed",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Locked => "locked",
        }
    }
}

impl PairingCode {
    /// What it is good for at this instant. What somebody did to it comes before what time did.
    pub fn state(&self, now: Timestamp) -> CodeState {
        if self.redeemed.is_some() {
            CodeState::Redeemed
        } else if self.revoked_at.is_some() {
            CodeState::Revoked
        } else if self.wrong_serials >= WRONG_SERIALS_MAX {
            CodeState::Locked
        } else if now >= self.expires_at {
            CodeState::Expired
        } else {
            CodeState::Live
        }
    }
}

/// A code from random bytes; `None` when there are not enough usable bytes.
pub fn letters(random: &[u8]) -> Option<String> {
    drawn(random, CODE_LENGTH)
}

/// So many letters from random bytes; `None` when there are not enough usable bytes.
fn drawn(random: &[u8], length: usize) -> Option<String> {
    // 252 is the largest multiple of 28 in a byte: above it the letters would not be equally likely.
    let code: String = random
        .iter()
        .filter(|byte| **byte < 252)
        .take(length)
        .filter_map(|byte| ALPHABET.get(usize::from(byte % 28)))
        .map(|letter| char::from(*letter))
        .collect();
    (code.len() == length).then_some(code)
}

/// As shown to people, in two halves: `BCDFG-HJKLM`.
pub fn display(code: &str) -> String {
    match code.split_at_checked(code.len() / 2) {
        Some((left, right)) => format!("{left}-{right}"),
        None => code.to_owned(),
    }
}

/// What people type, in upper case and without separators; `None` when it cannot be a code.
pub fn normalize(typed: &str) -> Option<String> {
    normalized(typed, CODE_LENGTH)
}

fn normalized(typed: &str, length: usize) -> Option<String> {
    if typed.len() > 4 * length {
        return None;
    }
    let code: String = typed
        .chars()
        .filter(|letter| !matches!(letter, ' ' | '-' | '.' | '\u{2013}'))
        .map(|letter| letter.to_ascii_uppercase())
        .collect();
    let is_code = code.len() == length && code.bytes().all(|byte| ALPHABET.contains(&byte));
    is_code.then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_type_codes_in_many_ways() {
        for typed in ["BCDFG-HJKLM", "bcdfghjklm", " bcdfg hjklm ", "BCDFG–HJKLM"] {
            assert_eq!(normalize(typed).as_deref(), Some("BCDFGHJKLM"), "{typed}");
        }
        for typed in [
            "",
            "BCDFGHJKL",
            "BCDFGHJKLMN",
            "AEIOUAEIOU",
            &"B".repeat(999),
        ] {
            assert_eq!(normalize(typed), None, "{typed}");
        }
        assert_eq!(display("BCDFGHJKLM"), "BCDFG-HJKLM");
    }

    #[test]
    fn what_was_done_to_a_code_comes_before_its_end() {
        use CodeState::{Expired, Live, Locked, Redeemed, Revoked};
        let code = PairingCode {
            id: PairingCodeId::from_bytes([1; 16]),
            terminal_id: TerminalId::from_bytes([2; 16]),
            merchant_id: MerchantId::from_bytes([3; 16]),
            hash: SecretHash([4; 32]),
            created_at: Timestamp(0),
            expires_at: Timestamp(1_000),
            redeemed: None,
            serial_number: None,
            revoked_at: None,
            wrong_serials: 0,
            is_approval: false,
        };
        let at = Some(Timestamp(5));
        let key = Some((DeviceKey([5; 32]), Timestamp(5)));
        for (redeemed, revoked_at, wrong_serials, before, after) in [
            (None, None, 0, Live, Expired),
            (None, None, WRONG_SERIALS_MAX - 1, Live, Expired),
            (None, None, WRONG_SERIALS_MAX, Locked, Locked),
            (None, at, WRONG_SERIALS_MAX, Revoked, Revoked),
            (key, None, 1, Redeemed, Redeemed),
        ] {
            let code = PairingCode {
                redeemed,
                revoked_at,
                wrong_serials,
                ..code.clone()
            };
            assert_eq!(code.state(Timestamp(999)), before, "{code:?}");
            assert_eq!(code.state(Timestamp(1_000)), after, "{code:?}");
        }
    }

    #[test]
    fn letters_skip_biased_bytes() {
        assert_eq!(letters(&[252, 253, 254, 255]), None);
        assert_eq!(
            letters(&[255, 0, 1, 2, 3, 4, 5, 6, 7, 8, 27]).as_deref(),
            Some("BCDFGHJKL9")
        );
    }
}

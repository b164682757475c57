//! This machine's clock: whether it is kept, and how far it is from the engine's. Never sets it.
//!
//! Facts are gathered by functions that begin with `look`, verdicts are made of facts alone.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::check::{Check, CheckId};
use super::network::Target;
use crate::clock::Clock;
use crate::tls::Trust;

/// How long the engine may take to say what time it is.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// Beyond this, times on the till's screen differ from those on receipts.
const SKEW_S_WARN: i64 = 30;
/// Beyond this, certificates may be taken for ended or not begun.
const SKEW_S_FAIL: i64 = 10 * 60;
pub(super) const DAY_S: i64 = 24 * 60 * 60;

/// Whether the system says that its clock is synchronised; nothing when it does not say.
pub fn look_at_clock(root: &Path) -> Option<bool> {
    if root.join("run/systemd/timesync/synchronized").exists() {
        return Some(true);
    }
    if root != Path::new("/") {
        return None;
    }
    let asked = Command::new("timedatectl")
        .args(["show", "-p", "NTPSynchronized", "--value"])
        .output()
        .ok()?;
    match asked.stdout.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

/// Whether the clock is kept.
pub fn judge_clock(fact: Option<bool>) -> Check {
    match fact {
        Some(true) => Check::pass(CheckId::ClockSync, "the system's clock is synchronised"),
        Some(false) => Check::warn(
            CheckId::ClockSync,
            "the system's clock is not synchronised",
            "switch it on: `sudo timedatectl set-ntp true`; port 123/udp to a time server must \
             be open",
        ),
        None => Check::skip(
            CheckId::ClockSync,
            "this machine has no time service that can be asked; clock.skew compares with the \
             engine",
        ),
    }
}

/// Asks the engine what time it is: by the `Date` of any answer. Gives its clock and this one's,
/// in seconds since 1970.
///
/// # Errors
/// Why there is no answer, or none with a date.
pub fn look_at_time(target: &Target, trust: &Trust) -> Result<(i64, i64), String> {
    let client = trust.http_client(ANSWER_PATIENCE);
    let client = client.map_err(|fault| fault.to_string())?;
    let answer = client.get(target.http_url("/healthz")).call();
    let answer = answer.map_err(|error| error.to_string())?;
    let date = answer
        .headers()
        .get("date")
        .and_then(|date| date.to_str().ok());
    let theirs = date.and_then(seconds_of_date);
    let theirs = theirs.ok_or("the engine's answer has no date")?;
    Ok((theirs, now_s()))
}

/// This machine's clock, in seconds since 1970.
pub fn now_s() -> i64 {
    Clock::wall_ms() / 1_000
}

/// Whether the clocks agree.
pub fn judge_skew(found: &Result<(i64, i64), String>) -> Check {
    const REMEDY: &str = "set this machine's clock: `sudo timedatectl set-ntp true`; if it is \
        right, set the engine's";
    let id = CheckId::ClockSkew;
    let (theirs, ours) = match found {
        Ok(found) => *found,
        Err(error) => {
            let seen = format!("the engine does not say what time it is: {error}");
            return Check::warn(id, seen, "see net.tls; look at the engine's log");
        }
    };
    let ahead = theirs.saturating_sub(ours);
    let seen = match ahead {
        0 => "the clocks agree to the second".to_owned(),
        1.. => format!("this clock is {ahead} s behind the engine's"),
        _ => format!("this clock is {} s ahead of the engine's", -ahead),
    };
    let apart = ahead.abs();
    if apart <= SKEW_S_WARN {
        Check::pass(id, seen)
    } else if apart <= SKEW_S_FAIL {
        Check::warn(id, seen, REMEDY)
    } else {
        Check::fail(id, seen, REMEDY)
    }
}

/// Seconds since 1970 of a date as HTTP has it: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
fn seconds_of_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let day: i64 = words.next()?.parse().ok()?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let year: i64 = words.next()?.parse().ok()?;
    let mut time = words.next()?.split(':');
    let mut number = || time.next()?.parse::<i64>().ok();
    let (hour, minute, second) = (number()?, number()?, number()?);
    let is_good =
        (1970..=9999).contains(&year) && (1..=31).contains(&day) && words.next()? == "GMT";
    let days = days_since_1970(year, i64::try_from(month).ok()?.saturating_add(1), day);
    let is_time =
        (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
    (is_good && is_time).then(|| days * DAY_S + hour * 3_600 + minute * 60 + second)
}

/// Days of the Gregorian calendar; the year begins in March, so that leap days are last.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days_of_year = (153 * month + 2) / 5 + day - 1;
    // 719,468 days lie between 1 March of year 0 and 1 January 1970.
    year * 365 + year / 4 - year / 100 + year / 400 + days_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_read() {
        for (text, expected) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Thu, 29 Feb 2024 23:59:59 GMT", Some(1_709_251_199)),
            ("Sat, 21 Nov 2026 08:00:00 GMT", Some(1_795_248_000)),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 06 Foo 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 25:49:37 GMT", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
            ("", None),
        ] {
            assert_eq!(seconds_of_date(text), expected, "{text}");
        }
    }
}

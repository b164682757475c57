//! The only place that reads the clock: milliseconds for the machines, the date for the reader.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock that starts at zero and never goes back.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// Starts the clock.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    /// Milliseconds since the start.
    pub fn now_ms(self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How long until `deadline_ms`.
    pub fn until(self, deadline_ms: u64) -> Duration {
        Duration::from_millis(deadline_ms.saturating_sub(self.now_ms()))
    }
}

/// Year, month and day of today in UTC, two decimal digits to a byte (tag 9A).
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn today() -> [u8; 3] {
    const SECONDS_PER_DAY: u64 = 86_400;
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    date_of_day(since_epoch.as_secs() / SECONDS_PER_DAY)
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar.
fn date_of_day(day: u64) -> [u8; 3] {
    let mut year = 1970;
    let mut rest = day;
    while rest >= days_of_year(year) {
        rest -= days_of_year(year);
        year += 1;
    }
    let mut month = 1;
    while rest >= days_of_month(year, month) {
        rest -= days_of_month(year, month);
        month += 1;
    }
    [year % 100, month, rest + 1].map(two_digits)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_of_year(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

fn two_digits(value: u64) -> u8 {
    u8::try_from((value / 10) << 4 | (value % 10)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        for (day, date) in [
            (0, [0x70, 0x01, 0x01]),
            (59, [0x70, 0x03, 0x01]),
            (11_016, [0x00, 0x02, 0x29]),
            (20_777, [0x26, 0x11, 0x20]),
        ] {
            assert_eq!(date_of_day(day), date, "{day}");
        }
    }
}

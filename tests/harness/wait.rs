//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// After this long a condition is taken to never come true. Far above anything but a hang.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Looks until `condition` gives something; `None` after [`PATIENCE`].
pub fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> Option<T> {
    until_within(what, PATIENCE, condition)
}

/// Looks until `condition` gives something; `None` after `patience`.
pub fn until_within<T>(
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> Option<T> {
    let begun = Instant::now();
    while begun.elapsed() < patience {
        if let Some(found) = condition() {
            return Some(found);
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    eprintln!("waited in vain for {what}");
    None
}

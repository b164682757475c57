//! What was measured: times of sales, and their distribution.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

/// When measuring begins and ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
}

impl Window {
    fn holds(self, at: Instant) -> bool {
        (self.begin..self.end).contains(&at)
    }
}

/// Times of one kind of thing.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len().try_into().unwrap_or(u64::MAX)
    }

    /// Percentiles by name.
    pub(crate) fn describe(mut self, name: &str, into: &mut Map<String, Value>) {
        self.0.sort_unstable();
        for (rank, share) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
            let value = percentile(&self.0, share).map_or(Value::Null, milliseconds);
            into.insert(format!("{name}_{rank}_ms"), value);
        }
    }
}

/// What came of the load.
#[derive(Debug)]
pub(crate) struct Tally {
    window: Window,
    accepted: u64,
    completed: u64,
    /// Every sale that completed, warm-up and run-out included.
    pub(crate) sales: u64,
    /// Arrivals of the open loop for which there was no free client in time.
    pub(crate) not_started: u64,
    errors: BTreeMap<String, u64>,
    start: Samples,
    offer: Samples,
    sale: Samples,
}

impl Tally {
    pub(crate) fn new(window: Window) -> Self {
        Self {
            window,
            accepted: 0,
            completed: 0,
            sales: 0,
            not_started: 0,
            errors: BTreeMap::new(),
            start: Samples::default(),
            offer: Samples::default(),
            sale: Samples::default(),
        }
    }

    /// The engine answered 201.
    pub(crate) fn accepted(&mut self, started: Instant, at: Instant) {
        self.accepted += u64::from(self.window.holds(at));
        if self.window.holds(started) {
            self.start.add(at.saturating_duration_since(started));
        }
    }

    /// The final answer came. What was begun within the window counts, whenever it ended: leaving
    /// out what ends late would leave out the slowest.
    pub(crate) fn completed(&mut self, started: Instant, offered: Option<Instant>, at: Instant) {
        self.sales += 1;
        self.completed += u64::from(self.window.holds(at));
        if self.window.holds(started) {
            self.sale.add(at.saturating_duration_since(started));
            if let Some(offered) = offered {
                self.offer.add(offered.saturating_duration_since(started));
            }
        }
    }

    /// Something else came of it.
    pub(crate) fn error(&mut self, what: String) {
        self.add_errors(what, 1);
    }

    /// As [`Tally::error`], so often.
    pub(crate) fn add_errors(&mut self, what: String, count: u64) {
        *self.errors.entry(what).or_default() += count;
    }

    /// How often something else came of it.
    pub(crate) fn errors(&self) -> u64 {
        self.errors.values().sum()
    }

    /// What, and how often.
    pub(crate) fn kinds_of_errors(&self) -> &BTreeMap<String, u64> {
        &self.errors
    }

    /// Takes another client's numbers in.
    pub(crate) fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.completed += other.completed;
        self.sales += other.sales;
        self.not_started += other.not_started;
        for (what, count) in other.errors {
            self.add_errors(what, count);
        }
        self.start.merge(other.start);
        self.offer.merge(other.offer);
        self.sale.merge(other.sale);
    }

    /// Completed within the window.
    pub(crate) fn completed_in_window(&self) -> u64 {
        self.completed
    }

    /// Rates and percentiles by name.
    pub(crate) fn describe(&mut self, into: &mut Map<String, Value>) {
        let seconds = (self.window.end - self.window.begin).as_secs_f64();
        into.insert(
            "completed_per_s".to_owned(),
            rounded(per(self.completed, seconds)),
        );
        into.insert(
            "accepted_per_s".to_owned(),
            rounded(per(self.accepted, seconds)),
        );
        into.insert("errors".to_owned(), json!(self.errors()));
        into.insert("not_started".to_owned(), json!(self.not_started));
        for (name, samples) in [
            ("start", &mut self.start),
            ("offer", &mut self.offer),
            ("sale", &mut self.sale),
        ] {
            std::mem::take(samples).describe(name, into);
        }
    }
}

/// The smallest sample that so many are not above; nearest rank.
pub(crate) fn percentile(sorted: &[Duration], share: f64) -> Option<Duration> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between zero and the number of samples"
    )]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// Milliseconds, three places.
pub(crate) fn milliseconds(duration: Duration) -> Value {
    rounded(duration.as_secs_f64() * 1_000.0)
}

/// Three places.
pub(crate) fn rounded(value: f64) -> Value {
    json!((value * 1_000.0).round() / 1_000.0)
}

/// A ratio; zero of nothing.
#[expect(clippy::cast_precision_loss, reason = "counts of minutes at most")]
pub(crate) fn per(count: u64, of: f64) -> f64 {
    if of > 0.0 { count as f64 / of } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let samples: Vec<Duration> = (1..=1_000).map(Duration::from_micros).collect();
        let at = |share| percentile(&samples, share).unwrap().as_micros();
        assert_eq!(
            [at(0.5), at(0.99), at(0.999), at(1.0)],
            [500, 990, 999, 1_000]
        );
        assert_eq!(
            percentile(&samples[..1], 0.5),
            Some(Duration::from_micros(1))
        );
        assert_eq!(percentile(&[], 0.5), None);
    }
}

//! What was measured: times of sales, and their distribution.

use std::cmp::Reverse;
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
    /// Its length.
    pub(crate) fn seconds(self) -> f64 {
        (self.end - self.begin).as_secs_f64()
    }

    fn holds(self, at: Instant) -> bool {
        (self.begin..self.end).contains(&at)
    }
}

/// Times of one kind of thing, in microseconds: millions of them are kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<u32>);

fn microseconds(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

impl Samples {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(microseconds(time));
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn count(&self) -> u64 {
        count(&self.0)
    }

    /// Percentiles by name.
    pub(crate) fn describe(mut self, name: &str, into: &mut Map<String, Value>) {
        self.0.sort_unstable();
        for (rank, share) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
            let value = percentile(&self.0, share).map(u64::from);
            let value = value.map_or(Value::Null, |time| {
                milliseconds(Duration::from_micros(time))
            });
            into.insert(format!("{name}_{rank}_ms"), value);
        }
    }
}

impl FromIterator<Duration> for Samples {
    fn from_iter<T: IntoIterator<Item = Duration>>(times: T) -> Self {
        Self(times.into_iter().map(microseconds).collect())
    }
}

fn count<T>(all: &[T]) -> u64 {
    all.len().try_into().unwrap_or(u64::MAX)
}

/// What came of the load: everything that was begun, warm-up and run-out included.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    accepted: Vec<(Instant, Instant)>,
    completed: Vec<Sale>,
    /// Arrivals of the open loop for which there was no free client in time.
    pub(crate) not_started: u64,
    errors: BTreeMap<String, u64>,
}

/// One sale that came to its good end. Its times count from the instant at which it was to start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sale {
    pub(crate) started: Instant,
    /// When the terminal had it, where that is known.
    pub(crate) offered: Option<Instant>,
    pub(crate) ended: Instant,
}

impl Tally {
    /// The engine answered 201.
    pub(crate) fn accepted(&mut self, started: Instant, at: Instant) {
        self.accepted.push((started, at));
    }

    /// The final answer came.
    pub(crate) fn completed(&mut self, sale: Sale) {
        self.completed.push(sale);
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
    pub(crate) const fn kinds_of_errors(&self) -> &BTreeMap<String, u64> {
        &self.errors
    }

    /// Takes another client's numbers in.
    pub(crate) fn add(&mut self, other: Self) {
        self.accepted.extend(other.accepted);
        self.completed.extend(other.completed);
        self.not_started += other.not_started;
        for (what, count) in other.errors {
            self.add_errors(what, count);
        }
    }

    /// Completed at any time.
    pub(crate) fn sales(&self) -> u64 {
        count(&self.completed)
    }

    /// Completed within the window.
    pub(crate) fn completed_in(&self, window: Window) -> u64 {
        let ends = self.completed.iter().map(|sale| sale.ended);
        ends.filter(|at| window.holds(*at))
            .fold(0, |count, _| count + 1)
    }

    /// Rates and percentiles by name. A rate counts what came within the window; a time counts what
    /// was begun within it, whenever it ended: leaving out what ends late would leave out the
    /// slowest.
    pub(crate) fn describe(&self, window: Window, into: &mut Map<String, Value>) {
        let answers = self.accepted.iter().map(|(_, at)| *at);
        let accepted = answers
            .filter(|at| window.holds(*at))
            .fold(0, |count, _| count + 1);
        for (name, count) in [
            ("completed_per_s", self.completed_in(window)),
            ("accepted_per_s", accepted),
        ] {
            into.insert(name.to_owned(), rounded(per(count, window.seconds())));
        }
        into.insert("errors".to_owned(), json!(self.errors()));
        into.insert("not_started".to_owned(), json!(self.not_started));
        let begun = self.accepted.iter().filter(|(at, _)| window.holds(*at));
        let starts: Samples = begun.map(|(started, at)| *at - *started).collect();
        starts.describe("start", into);
        let begun = |sale: &&Sale| window.holds(sale.started);
        let sales = self.completed.iter().filter(begun);
        let offers: Samples = sales
            .filter_map(|sale| Some(sale.offered?.saturating_duration_since(sale.started)))
            .collect();
        offers.describe("offer", into);
        self.sale_times(window).describe("sale", into);
        into.insert(
            "sale_slowest_begun_at_ms".to_owned(),
            json!(self.slowest_begun(window)),
        );
    }

    /// When the slowest hundredth was begun: how many in which tenth of a second of the window. One
    /// stall shows as one tenth, a queue that is always long as all of them.
    fn slowest_begun(&self, window: Window) -> BTreeMap<u128, u64> {
        let begun = self.completed.iter();
        let mut sales: Vec<&Sale> = begun.filter(|sale| window.holds(sale.started)).collect();
        sales.sort_unstable_by_key(|sale| Reverse(sale.ended - sale.started));
        sales.truncate(sales.len().div_ceil(100));
        let mut tenths = BTreeMap::new();
        for sale in sales {
            let at_ms = (sale.started - window.begin).as_millis() / 100 * 100;
            *tenths.entry(at_ms).or_default() += 1;
        }
        tenths
    }

    /// Times of whole sales that were begun within the window.
    pub(crate) fn sale_times(&self, window: Window) -> Samples {
        let sales = self.completed.iter();
        sales
            .filter(|sale| window.holds(sale.started))
            .map(|sale| sale.ended - sale.started)
            .collect()
    }
}

/// The smallest sample that so many are not above; nearest rank.
pub(crate) fn percentile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
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
        assert_eq!(percentile::<Duration>(&[], 0.5), None);
    }
}

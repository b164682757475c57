//! Makes a failing world smaller: the same seed without as many faults and requests as possible.
//!
//! Everything that somebody decides to do, and every fault, has a number in the order of its
//! making. What is left out by its number is not done; what follows from that may be another
//! world, so each candidate is run and must break the same rule. Delta debugging (Zeller and
//! Hildebrandt, 2002) over the numbers, from halves to single ones.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::ending::Report;
use super::world::Setup;
use super::{Violation, replay};

/// A smaller world that breaks the same rule.
#[derive(Debug)]
pub struct Shrunk {
    /// The world.
    pub setup: Setup,
    /// What came of it.
    pub report: Report,
    /// Worlds that were tried.
    pub tried: u32,
}

/// Leaves out whatever can be left out; tries at most so many worlds.
pub fn shrink(setup: &Setup, report: Report, tries_max: u32) -> Shrunk {
    let mut best = Shrunk {
        setup: setup.clone(),
        report,
        tried: 0,
    };
    let Some(rule) = best
        .report
        .violation
        .as_ref()
        .map(|violation| violation.rule)
    else {
        return best;
    };
    let mut size = best.left().len().div_ceil(2).max(1);
    loop {
        let has_shrunk = best.leave_out_groups(size, rule, tries_max);
        if best.tried >= tries_max || (size == 1 && !has_shrunk) {
            break;
        }
        if !has_shrunk {
            size = size.div_ceil(2);
        }
        size = size.min(best.left().len().max(1));
    }
    best.forget_the_rest();
    best
}

impl Shrunk {
    /// Numbers that are done.
    pub fn left(&self) -> Vec<u32> {
        let all = 1..=self.report.choices;
        all.filter(|number| !self.setup.without.contains(number))
            .collect()
    }

    /// Tries to leave out each group of so many; true when one could be.
    fn leave_out_groups(&mut self, size: usize, rule: &'static str, tries_max: u32) -> bool {
        let mut has_shrunk = false;
        let left = self.left();
        // From the end: what came late is often without consequence.
        for group in left.chunks(size).rev() {
            if self.tried >= tries_max {
                break;
            }
            let mut smaller = self.setup.clone();
            smaller.without.extend(group);
            let report = replay(&smaller);
            self.tried += 1;
            let broken: Option<&Violation> = report.violation.as_ref();
            let done = report.choices as usize - smaller.without_until(report.choices);
            if broken.is_some_and(|broken| broken.rule == rule) && done < self.left().len() {
                self.setup = smaller;
                self.report = report;
                has_shrunk = true;
            }
        }
        has_shrunk
    }

    /// Numbers that the smaller world does not reach say nothing.
    fn forget_the_rest(&mut self) {
        let last = self.report.choices;
        self.setup.without.retain(|number| *number <= last);
    }
}

impl Setup {
    fn without_until(&self, last: u32) -> usize {
        self.without.range(..=last).count()
    }

    /// The command that runs this world again.
    pub fn command(&self) -> String {
        let mut command = format!("cargo sim -- --seed {} --verbose", self.seed);
        if let Some(sabotage) = self.sabotage {
            let _ = write!(command, " --sabotage {}", sabotage.word());
        }
        if !self.without.is_empty() {
            let _ = write!(command, " --without {}", ranges(&self.without));
        }
        command
    }

    /// The line of the seed file that keeps this world, with the rule that it broke.
    pub fn line(&self, violation: &Violation) -> String {
        let mut line = self.seed.to_string();
        if !self.without.is_empty() {
            let _ = write!(line, " without {}", ranges(&self.without));
        }
        let _ = write!(line, "  # {violation}");
        line
    }

    /// Reads a line of the seed file; none when there is no seed in it.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn from_line(line: &str) -> Result<Option<Self>, String> {
        let text = line.split('#').next().unwrap_or_default().trim();
        if text.is_empty() {
            return Ok(None);
        }
        let (seed, without) = match text.split_once(" without ") {
            Some((seed, without)) => (seed, numbers(without.trim())?),
            None => (text, BTreeSet::new()),
        };
        let seed = seed
            .trim()
            .parse()
            .map_err(|_| format!("{line:?} has no seed"))?;
        Ok(Some(Self {
            without,
            ..Self::new(seed)
        }))
    }
}

/// Numbers as they are written: `3,7-12`.
pub fn ranges(numbers: &BTreeSet<u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let words = runs.into_iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    });
    words.collect::<Vec<_>>().join(",")
}

/// Reads numbers as [`ranges`] writes them.
///
/// # Errors
/// What is no number.
pub fn numbers(text: &str) -> Result<BTreeSet<u32>, String> {
    let mut found = BTreeSet::new();
    for word in text.split(',') {
        let number = |text: &str| {
            let number = text.trim().parse::<u32>();
            number.map_err(|_| format!("{text:?} is no number"))
        };
        match word.split_once('-') {
            Some((first, last)) => found.extend(number(first)?..=number(last)?),
            None => {
                found.insert(number(word)?);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::Sabotage;

    #[test]
    fn numbers_are_read_as_they_are_written() {
        let some = BTreeSet::from([1, 3, 4, 5, 9]);
        assert_eq!(ranges(&some), "1,3-5,9");
        assert_eq!(numbers("1,3-5,9"), Ok(some));
        assert!(numbers("1,x").is_err());
    }

    #[test]
    fn a_line_of_the_seed_file_is_a_world() {
        let setup = Setup {
            without: BTreeSet::from([2, 3]),
            ..Setup::new(7)
        };
        let violation = Violation::new("converges", "it does not".to_owned());
        let line = setup.line(&violation);
        assert_eq!(line, "7 without 2-3  # converges: it does not");
        assert_eq!(Setup::from_line(&line), Ok(Some(setup)));
        assert_eq!(Setup::from_line("# nothing"), Ok(None));
        assert!(Setup::from_line("x").is_err());
    }

    /// In a world of a few requests most of them are what it takes to fail.
    const CHOICES_MIN: u32 = 60;

    #[test]
    fn a_failing_world_shrinks_and_still_fails() {
        let setup = Setup {
            sabotage: Some(Sabotage::NewTraceOnRepeat),
            ..Setup::new(0)
        };
        let failing = (1..200).find_map(|seed| {
            let setup = Setup {
                seed,
                ..setup.clone()
            };
            let report = replay(&setup);
            let rule = report.violation.as_ref()?.rule;
            let is_long = report.choices >= CHOICES_MIN;
            (is_long && rule == "repeats_are_unchanged").then_some((setup, report))
        });
        let (setup, report) = failing.unwrap();
        let before = report.choices;
        let shrunk = shrink(&setup, report, 60);
        let again = replay(&shrunk.setup);
        assert_eq!(again.trace, shrunk.report.trace);
        assert_eq!(again.violation.unwrap().rule, "repeats_are_unchanged");
        let left = u32::try_from(shrunk.left().len()).unwrap();
        assert!(left * 2 < before, "{left} of {before} are left");
    }
}

//! The driver that needs nothing: seeded mutations of the corpus, and the one way to run an input.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::simulation::random::Random;

use super::{Target, mutate};

/// Inputs that a run keeps beside the corpus to splice with.
const POOL_MAX: usize = 256;
/// Attempts to make a failing input smaller.
const SHRINK_RUNS_MAX: u32 = 4_000;

/// An input that broke a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The bytes.
    pub input: Vec<u8>,
    /// What the target said.
    pub message: String,
}

/// Runs one input.
///
/// # Errors
/// What the target says when a property is broken.
pub fn run(target: &Target, input: &[u8]) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| Some((*panic.downcast_ref::<&str>()?).to_owned()));
        text.unwrap_or_else(|| "panicked without a text".to_owned())
    })
}

/// Runs every input as it is.
///
/// # Errors
/// The first failure.
pub fn replay(target: &Target, inputs: &[Vec<u8>]) -> Result<(), Failure> {
    inputs.iter().try_for_each(|input| {
        run(target, input).map_err(|message| Failure {
            input: input.clone(),
            message,
        })
    })
}

/// Mutated inputs of a seed, without end.
#[derive(Debug)]
pub struct Mutations<'a> {
    random: Random,
    words: &'a [&'a [u8]],
    pool: Vec<Vec<u8>>,
    fixed: usize,
}

impl<'a> Mutations<'a> {
    /// Mutations of `inputs` under `seed`.
    pub fn new(target: &'a Target, inputs: &[Vec<u8>], seed: u64) -> Self {
        let mut pool = inputs.to_vec();
        pool.push(Vec::new());
        Self {
            random: Random::new(seed),
            words: target.dictionary,
            fixed: pool.len(),
            pool,
        }
    }

    /// The next input.
    pub fn next_input(&mut self) -> Vec<u8> {
        let mut input = self.random.pick(&self.pool).clone();
        let other = self.random.pick(&self.pool).clone();
        mutate::mutate(&mut self.random, &mut input, &other, self.words);
        // Some mutants stay for a while, so that changes add up.
        if self.random.chance(5) {
            if self.pool.len() < self.fixed + POOL_MAX {
                self.pool.push(input.clone());
            } else {
                let place = self.fixed + self.random.index(POOL_MAX);
                self.pool[place].clone_from(&input);
            }
        }
        input
    }
}

/// Makes a failing input smaller while it fails.
pub fn shrink(target: &Target, failure: Failure) -> Failure {
    let mut best = failure;
    let mut runs = 0;
    let mut step = best.input.len().next_power_of_two();
    while step > 0 {
        let mut at = 0;
        while at < best.input.len() && runs < SHRINK_RUNS_MAX {
            let mut smaller = best.input.clone();
            smaller.drain(at..(at + step).min(best.input.len()));
            runs += 1;
            match run(target, &smaller) {
                Err(message) => {
                    best = Failure {
                        input: smaller,
                        message,
                    };
                }
                Ok(()) => at += step,
            }
        }
        step /= 2;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRITTLE: Target = Target {
        name: "brittle",
        run: |data| assert!(!data.windows(2).any(|pair| pair == b"xy"), "has xy"),
        seeds: || vec![b"abcdefgh".to_vec()],
        dictionary: &[b"xy"],
    };

    #[test]
    fn a_broken_property_is_found_and_made_small() {
        let seeds = (BRITTLE.seeds)();
        assert_eq!(replay(&BRITTLE, &seeds), Ok(()));
        let mut mutations = Mutations::new(&BRITTLE, &seeds, 1);
        let failure = (0..10_000).find_map(|_| {
            let input = mutations.next_input();
            let message = run(&BRITTLE, &input).err()?;
            Some(Failure { input, message })
        });
        let failure = shrink(
            &BRITTLE,
            failure.expect("a word of the dictionary is put in"),
        );
        assert_eq!(failure.input, b"xy");
        assert_eq!(failure.message, "has xy");
    }

    #[test]
    fn a_seed_is_its_inputs() {
        let inputs = |seed| {
            let mut mutations = Mutations::new(&BRITTLE, &[b"abc".to_vec()], seed);
            (0..500).map(|_| mutations.next_input()).collect::<Vec<_>>()
        };
        assert_eq!(inputs(3), inputs(3));
        assert_ne!(inputs(3), inputs(4));
    }
}

//! Changes to inputs, from a seed: flipped bits, edited lengths, splices, words of the format.

use crate::simulation::random::Random;

/// The longest input that mutations make; longer than every frame limit but the log's.
pub const INPUT_BYTES_MAX: usize = 72 * 1024;
/// Changes of one input, at most.
const CHANGES_MAX: u64 = 6;

const INTERESTING: &[u64] = &[
    0,
    1,
    2,
    0x0F,
    0x10,
    0x1F,
    0x7F,
    0x80,
    0x81,
    0x82,
    0xA2,
    0xC2,
    0xFF,
    0x100,
    0x0FFF,
    0x1000,
    0x1001,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x1_0000,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    0x1_0000_0000,
    0x7FFF_FFFF_FFFF_FFFF,
    0x8000_0000_0000_0000,
    0xFFFF_FFFF_FFFF_FFFF,
];

/// Changes `input`; `other` is an input of the same target to splice with.
pub fn mutate(random: &mut Random, input: &mut Vec<u8>, other: &[u8], words: &[&[u8]]) {
    for _ in 0..=random.below(CHANGES_MAX) {
        match random.below(13) {
            0 | 1 => flip(random, input),
            2 => set(random, input),
            3 | 4 => put_number(random, input),
            5 => add(random, input),
            6 => truncate(random, input),
            7 => remove(random, input),
            8 => repeat(random, input),
            9 => insert_noise(random, input),
            10 => splice(random, input, other),
            11 => copy_from(random, input, other),
            _ => put_word(random, input, words),
        }
    }
    input.truncate(INPUT_BYTES_MAX);
}

fn place(random: &mut Random, input: &[u8]) -> usize {
    random.index(input.len() + 1)
}

/// A part of `input`, mostly short.
fn span(random: &mut Random, input: &[u8]) -> std::ops::Range<usize> {
    let start = place(random, input);
    let bound = if random.chance(80) { 16 } else { 1_024 };
    let length = random.index(bound) + 1;
    start..(start + length).min(input.len())
}

fn flip(random: &mut Random, input: &mut [u8]) {
    if !input.is_empty() {
        let at = random.index(input.len());
        input[at] ^= 1 << random.below(8);
    }
}

fn set(random: &mut Random, input: &mut [u8]) {
    if !input.is_empty() {
        let at = random.index(input.len());
        input[at] = random.next().to_le_bytes()[0];
    }
}

fn interesting(random: &mut Random) -> Vec<u8> {
    let number = random
        .pick(INTERESTING)
        .wrapping_add(random.below(3))
        .wrapping_sub(1);
    let length = *random.pick(&[1, 2, 4, 8]);
    if random.chance(50) {
        number.to_le_bytes()[..length].to_vec()
    } else {
        number.to_be_bytes()[8 - length..].to_vec()
    }
}

fn put_number(random: &mut Random, input: &mut Vec<u8>) {
    let number = interesting(random);
    put(random, input, &number);
}

fn put_word(random: &mut Random, input: &mut Vec<u8>, words: &[&[u8]]) {
    if words.is_empty() {
        return insert_noise(random, input);
    }
    let word = *random.pick(words);
    put(random, input, word);
}

/// Inserts, or writes over what is there.
fn put(random: &mut Random, input: &mut Vec<u8>, bytes: &[u8]) {
    let at = place(random, input);
    let replaced = if random.chance(50) { bytes.len() } else { 0 };
    let end = (at + replaced).min(input.len());
    input.splice(at..end, bytes.iter().copied());
}

fn add(random: &mut Random, input: &mut [u8]) {
    if !input.is_empty() {
        let at = random.index(input.len());
        let step = random.below(8).to_le_bytes()[0];
        input[at] = if random.chance(50) {
            input[at].wrapping_add(step)
        } else {
            input[at].wrapping_sub(step)
        };
    }
}

fn truncate(random: &mut Random, input: &mut Vec<u8>) {
    let length = if random.chance(50) {
        input.len().saturating_sub(random.index(8))
    } else {
        place(random, input)
    };
    input.truncate(length);
}

fn remove(random: &mut Random, input: &mut Vec<u8>) {
    let span = span(random, input);
    input.drain(span);
}

fn repeat(random: &mut Random, input: &mut Vec<u8>) {
    let part = input[span(random, input)].to_vec();
    let bound = if random.chance(90) { 2 } else { 64 };
    let times = 1 + random.index(bound);
    let at = place(random, input);
    input.splice(at..at, part.repeat(times));
}

fn insert_noise(random: &mut Random, input: &mut Vec<u8>) {
    let noise = random.next().to_le_bytes();
    let length = 1 + random.index(8);
    put(random, input, &noise[..length]);
}

fn splice(random: &mut Random, input: &mut Vec<u8>, other: &[u8]) {
    let keep = place(random, input);
    let from = place(random, other);
    input.truncate(keep);
    input.extend_from_slice(&other[from..]);
}

fn copy_from(random: &mut Random, input: &mut Vec<u8>, other: &[u8]) {
    let part = other[span(random, other)].to_vec();
    put(random, input, &part);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_its_changes_and_lengths_are_bounded() {
        let run = |seed| {
            let mut random = Random::new(seed);
            let mut input = b"ViVOtech2".to_vec();
            for _ in 0..2_000 {
                mutate(&mut random, &mut input, b"another", &[b"word"]);
                assert!(input.len() <= INPUT_BYTES_MAX);
            }
            input
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }
}

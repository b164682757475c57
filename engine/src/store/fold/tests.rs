//! Reads through waiting, folding and folded changes, and the bounds of what waits.

use std::collections::BTreeMap;

use super::*;
use crate::store::faulty::{MemoryHome, Random};
use crate::store::range;
use crate::store::state::StateHome;

// One map tells what any mixture of waiting, folding, and folded changes must show.
#[test]
fn reads_see_the_newest_value_wherever_it_is() {
    for seed in 1..=200 {
        let mut random = Random::new(seed);
        let folded = FoldedState::new(MemoryHome::default().open().unwrap());
        let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for serial in 0..120_u64 {
            let key = vec![1, u8::try_from(random.below(12)).unwrap()];
            let value = (!random.one_in(3)).then(|| serial.to_be_bytes().to_vec());
            folded
                .apply(&mut std::iter::once((key.as_slice(), value.as_deref())))
                .unwrap();
            match value {
                Some(value) => model.insert(key, value),
                None => model.remove(&key),
            };
            match random.below(8) {
                0 => {
                    let folding = Arc::clone(&folded.lock().folding);
                    folded.write(&folding).unwrap();
                    folded.fold().unwrap();
                }
                1 => {
                    // As while the thread is writing.
                    let mut overlay = folded.lock();
                    if overlay.folding.is_empty() {
                        overlay.folding = Arc::new(std::mem::take(&mut overlay.pending));
                    }
                }
                _ => {}
            }
            compare(&folded, &model, &mut random, seed);
            if random.one_in(4) {
                let folding = Arc::clone(&folded.lock().folding);
                folded.write(&folding).unwrap();
                compare(&folded, &model, &mut random, seed);
                folded.lock().folding = Arc::default();
            }
        }
    }
}

fn compare(
    folded: &FoldedState,
    model: &BTreeMap<Vec<u8>, Vec<u8>>,
    random: &mut Random,
    seed: u64,
) {
    let limit = usize::try_from(random.below(8)).unwrap();
    let bound = [1, u8::try_from(random.below(12)).unwrap()];
    let owned = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
    let up = range::ascending(&[1], Some(&bound)).unwrap();
    let expected: Vec<_> = model.range(up.clone()).take(limit).map(owned).collect();
    assert_eq!(
        folded.range(up, false, limit).unwrap(),
        expected,
        "seed {seed}"
    );
    if let Some(down) = range::descending(&[1], Some(&bound)) {
        let expected: Vec<_> = model
            .range(down.clone())
            .rev()
            .take(limit)
            .map(owned)
            .collect();
        assert_eq!(
            folded.range(down, true, limit).unwrap(),
            expected,
            "seed {seed}"
        );
    }
    assert_eq!(
        folded.get(&bound).unwrap().as_ref(),
        model.get(bound.as_slice())
    );
}

#[test]
fn what_waits_is_bounded_in_bytes_and_a_row_counts_once() {
    let folded = FoldedState::new(MemoryHome::default().open().unwrap());
    let big = vec![7; 1024 * 1024];
    let rows = WINDOW_BYTES_MAX / big.len() * 2;
    for serial in 0..rows {
        for key in [[1, 0], [2, u8::try_from(serial).unwrap()]] {
            let row = (key.to_vec(), Some(big.clone()));
            let position = u64::try_from(serial).unwrap();
            folded
                .absorb(std::iter::once(row), std::iter::empty(), position)
                .unwrap();
            let pending = &folded.lock().pending;
            let waiting = pending
                .rows
                .iter()
                .map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len));
            assert_eq!(pending.bytes, waiting.sum::<usize>());
            assert!(pending.bytes <= WINDOW_BYTES_MAX + 2 * big.len());
        }
    }
    assert!(folded.lock().begun > 0);
    assert_eq!(folded.get(&[2, 0]), Ok(Some(big)));
}

#[test]
fn a_flush_includes_everything_that_was_applied_before_it() {
    let home = MemoryHome::default();
    let folded = FoldedState::new(home.open().unwrap());
    for serial in 0..20_u8 {
        folded
            .apply(&mut std::iter::once((
                [1, serial].as_slice(),
                Some(b"v".as_slice()),
            )))
            .unwrap();
        folded.flush().unwrap();
        assert_eq!(home.get(&[1, serial]), Ok(Some(b"v".to_vec())));
    }
}

#[test]
fn a_fold_takes_its_time_only_while_nobody_needs_it() {
    type Hurry = fn(&mut Overlay);
    let hurries: [(Hurry, bool); 4] = [
        (|_| {}, true),
        (|overlay| overlay.hurried = true, false),
        (|overlay| overlay.closed = true, false),
        (|overlay| overlay.attended = false, false),
    ];
    for (at, (hurry, is_calm)) in hurries.into_iter().enumerate() {
        let folded = FoldedState::new(MemoryHome::default().open().unwrap());
        folded.begin_attending();
        let mut overlay = folded.lock();
        hurry(&mut overlay);
        assert_eq!(overlay.is_calm(), is_calm, "case {at}");
    }
}

#[test]
fn what_came_during_a_fold_is_folded_next() {
    let folded = FoldedState::new(MemoryHome::default().open().unwrap());
    folded.begin_attending();
    let row = [([1].as_slice(), Some(b"v".as_slice()))];
    folded.apply(&mut row.into_iter()).unwrap();
    assert!(folded.await_changes());
    folded.close();
    assert!(!folded.await_changes());
}

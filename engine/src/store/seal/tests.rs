//! Digests through cuts, damage and reopening.

use std::collections::BTreeMap;

use super::*;
use crate::store::faulty::Random;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn database(root: &std::path::Path) -> sled::Db {
    let config = sled::Config::new().path(root).flush_every_ms(None);
    config.open().unwrap()
}

/// Opens once more what is open: nothing that was verified is remembered.
fn reopened(rows: &SealedRows) -> SealedRows {
    SealedRows::open(rows.rows().clone()).unwrap()
}

fn key(random: &mut Random) -> Vec<u8> {
    let number = random.below(400);
    match number {
        0..40 => [b"\0h".as_slice(), &number.to_be_bytes()].concat(),
        40..44 => vec![b'K'; usize::try_from(number - 39).unwrap()],
        _ => [b"PX", number.to_be_bytes().as_slice()].concat(),
    }
}

/// A few changes; what they come to is put into the model.
fn change(random: &mut Random, rows: &SealedRows, model: &mut Model, serial: u64) {
    // Rather more than fewer at first, then the other way round.
    let removes = if serial.is_multiple_of(64) || serial % 64 > 40 {
        2
    } else {
        6
    };
    let changes: Vec<(Vec<u8>, Option<Vec<u8>>)> = (0..=random.below(30))
        .map(|_| {
            let value = (!random.one_in(removes)).then(|| serial.to_be_bytes().to_vec());
            (key(random), value)
        })
        .collect();
    for (key, value) in &changes {
        match value {
            Some(value) => drop(model.insert(key.clone(), value.clone())),
            None => drop(model.remove(key)),
        }
    }
    let mut changes = changes
        .iter()
        .map(|(key, value)| (key.as_slice(), value.as_deref()))
        .chain(std::iter::once((b"\0p".as_slice(), Some(b"x".as_slice()))));
    rows.apply(&mut changes).unwrap();
}

fn found(rows: &SealedRows) -> Model {
    rows.rows()
        .iter()
        .map(|entry| entry.unwrap())
        .map(|(key, value)| (key.to_vec(), value.to_vec()))
        .filter(|(key, _)| is_covered(key))
        .collect()
}

#[test]
fn whatever_changes_adds_up_at_any_time_and_after_a_reopen() {
    let root = tempfile::tempdir().unwrap();
    for seed in 1..=12 {
        let mut random = Random::new(seed);
        let mut rows = SealedRows::open(database(&root.path().join(seed.to_string()))).unwrap();
        let mut model = Model::new();
        for serial in 0..160 {
            change(&mut random, &rows, &mut model, serial);
            if random.one_in(4) {
                rows = reopened(&rows);
            }
            if random.one_in(3) {
                rows.verify_key(&key(&mut random)).unwrap();
            }
        }
        assert_eq!(found(&rows), model, "seed {seed}");
        reopened(&rows).verify(b"", None).unwrap();
    }
}

#[test]
fn a_row_that_is_old_or_gone_or_back_is_never_let_out() {
    let root = tempfile::tempdir().unwrap();
    let rows = SealedRows::open(database(root.path())).unwrap();
    let mut model = Model::new();
    let mut random = Random::new(7);
    for serial in 0..30 {
        change(&mut random, &rows, &mut model, serial);
    }
    let keys: Vec<Vec<u8>> = model.keys().cloned().collect();
    for key in &keys {
        let sled = rows.rows();
        let good = sled.get(key).unwrap().unwrap();
        for damaged in [None, Some(b"older".as_slice())] {
            match damaged {
                Some(value) => drop(sled.insert(key, value).unwrap()),
                None => drop(sled.remove(key).unwrap()),
            }
            reopened(&rows).verify_key(key).unwrap_err();
            reopened(&rows).verify(b"", None).unwrap_err();
            sled.insert(key, &good).unwrap();
        }
    }
    let gone = b"PX gone";
    rows.rows().insert(gone, b"back").unwrap();
    reopened(&rows).verify_key(gone).unwrap_err();
    rows.rows().remove(gone).unwrap();
    reopened(&rows).verify(b"", None).unwrap();
}

#[test]
fn a_digest_that_is_old_or_gone_is_noticed_below_it() {
    let root = tempfile::tempdir().unwrap();
    let rows = SealedRows::open(database(root.path())).unwrap();
    let mut model = Model::new();
    let mut random = Random::new(9);
    let mut older: Option<Model> = None;
    let digests = |rows: &SealedRows| -> Model {
        let own = rows.rows().iter().map(|entry| entry.unwrap());
        own.filter(|(key, _)| is_bookkeeping(key))
            .map(|(key, value)| (key.to_vec(), value.to_vec()))
            .collect()
    };
    for serial in 0..60 {
        change(&mut random, &rows, &mut model, serial);
        if serial == 50 {
            older = Some(digests(&rows));
        }
    }
    let (older, newer) = (older.unwrap(), digests(&rows));
    let keys: std::collections::BTreeSet<&Vec<u8>> = older.keys().chain(newer.keys()).collect();
    let mut noticed = 0;
    for key in keys {
        for other in [older.get(key), None] {
            if other == newer.get(key) {
                continue;
            }
            let put = |value: Option<&Vec<u8>>| match value {
                Some(value) => drop(rows.rows().insert(key, value.as_slice()).unwrap()),
                None => drop(rows.rows().remove(key).unwrap()),
            };
            put(other);
            let opened = SealedRows::open(rows.rows().clone());
            let outcome = opened.and_then(|rows| rows.verify(b"", None));
            assert!(outcome.is_err(), "{key:?}");
            // Without a root a start would make digests anew and remove what is left of these.
            for (key, value) in &newer {
                rows.rows().insert(key, value.as_slice()).unwrap();
            }
            put(newer.get(key));
            noticed += 1;
        }
    }
    assert!(noticed > 20, "{noticed}");
    reopened(&rows).verify(b"", None).unwrap();
}

#[test]
fn digests_of_the_first_form_are_held_against_the_rows_and_replaced() {
    let root = tempfile::tempdir().unwrap();
    let rows = SealedRows::open(database(root.path())).unwrap();
    let mut model = Model::new();
    let mut random = Random::new(11);
    for serial in 0..40 {
        change(&mut random, &rows, &mut model, serial);
    }
    upgrade::tests::downgrade(rows.rows());
    // As a start that was cut short leaves it.
    rows.rows()
        .insert(form::key_of(form::LEAF, b"P"), b"half")
        .unwrap();
    let upgraded = reopened(&rows);
    assert_eq!(found(&upgraded), model);
    assert_eq!(rows.rows().scan_prefix(form::FIRST_DIGEST).count(), 0);
    reopened(&rows).verify(b"", None).unwrap();
    for serial in 0..40 {
        change(&mut random, &upgraded, &mut model, serial);
    }
    reopened(&rows).verify(b"", None).unwrap();

    upgrade::tests::downgrade(rows.rows());
    let (last, _) = model.last_key_value().unwrap();
    rows.rows().insert(last, b"older").unwrap();
    assert!(SealedRows::open(rows.rows().clone()).is_err());
}

#[test]
fn a_look_at_one_key_does_not_read_the_others() {
    let root = tempfile::tempdir().unwrap();
    let rows = SealedRows::open(database(root.path())).unwrap();
    let number = |number: u32| [b"P", number.to_be_bytes().as_slice()].concat();
    for first in (0..2_000).step_by(50) {
        let keys: Vec<Vec<u8>> = (first..first + 50).map(number).collect();
        let mut changes = keys
            .iter()
            .map(|key| (key.as_slice(), Some(b"v".as_slice())));
        rows.apply(&mut changes).unwrap();
    }
    // Damage far away is not met: what was verified ends near the key.
    rows.rows().remove(number(1_999)).unwrap();
    let rows = reopened(&rows);
    rows.verify_key(&number(3)).unwrap();
    rows.verify(&number(100), Some(&number(120))).unwrap();
    rows.verify(&number(1_990), None).unwrap_err();
}

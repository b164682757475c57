//! Layers, joining, damage and power cuts of history.

use super::*;

fn key(space: u8, number: u32) -> Vec<u8> {
    let mut key = vec![space; 17];
    key.extend_from_slice(&number.to_be_bytes());
    key.extend_from_slice(&[0; 12]);
    key
}

fn add(history: &History, rows: &[(Vec<u8>, &[u8])]) {
    let mut draft = history.begin().unwrap();
    for (key, value) in rows {
        draft.add(key, value).unwrap();
    }
    history.install(draft, &|| false).unwrap();
}

fn three_files(dir: &Path) -> History {
    let history = History::open(dir).unwrap();
    for file in 0..3_u32 {
        let value = [u8::try_from(file).unwrap()];
        // Neighbouring files share 50 rows.
        let rows: Vec<_> = (file * 100..file * 100 + 150)
            .map(|number| (key(b'P', number), value.as_slice()))
            .collect();
        add(&history, &rows);
    }
    history
}

#[test]
fn the_newest_file_wins_in_look_ups_and_scans() {
    let dir = tempfile::tempdir().unwrap();
    for history in [three_files(dir.path()), History::open(dir.path()).unwrap()] {
        assert_eq!(history.extent().files, 3);
        let value = |number| history.get(&key(b'P', number)).unwrap();
        assert_eq!(value(99), Some(vec![0]));
        assert_eq!(value(100), Some(vec![1]));
        assert_eq!(value(349), Some(vec![2]));
        assert_eq!(value(350), None);
        let expected: Vec<KeyValue> = (0..350_u32)
            .map(|number| {
                let file = u8::try_from((number / 100).min(2)).unwrap();
                (key(b'P', number), vec![file])
            })
            .collect();
        let mut backwards = expected.clone();
        backwards.reverse();
        for limit in [1, 7, 100, 350, 1_000] {
            let shown = limit.min(350);
            assert_eq!(
                history.scan(b"P", None, None, limit).unwrap(),
                expected[..shown]
            );
            let back = history.scan_back(b"P", None, None, limit).unwrap();
            assert_eq!(back, backwards[..shown]);
        }
        let from = key(b'P', 120);
        assert_eq!(
            history.scan(b"P", Some(&from), None, 9).unwrap(),
            expected[120..129]
        );
        let back = history.scan_back(b"P", Some(&from), None, 9).unwrap();
        assert_eq!(back, backwards[230..239]);
        let until = key(b'P', 125);
        let some = history.scan(b"P", Some(&from), Some(&until), 9).unwrap();
        assert_eq!(some, expected[120..125]);
        let back = history
            .scan_back(b"P", Some(&until), Some(&from), 9)
            .unwrap();
        assert_eq!(back, backwards[225..230]);
        assert_eq!(history.scan(b"Q", None, None, 9).unwrap(), []);
        assert_eq!(history.scan_back(b"J", None, None, 9).unwrap(), []);
    }
}

#[test]
fn a_missing_or_cut_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    drop(three_files(dir.path()));
    let path = |name: &str| dir.path().join(HISTORY_DIRECTORY).join(name);
    for number in 1..=3 {
        let name = Span::one(number).name();
        let file = path(&name);
        let whole = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        let missing = History::open(dir.path()).unwrap_err().to_string();
        assert_eq!(missing, format!("history/{name} is missing"));
        fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        let cut = History::open(dir.path()).unwrap_err().to_string();
        assert!(
            cut.starts_with(&format!("history/{name} is damaged")),
            "{cut}"
        );
        fs::write(&file, &whole).unwrap();
    }
    fs::write(path(listing::COUNT_FILE), "2 00000000\n").unwrap();
    assert!(History::open(dir.path()).is_err());
    fs::remove_file(path(listing::COUNT_FILE)).unwrap();
    assert!(History::open(dir.path()).is_err());
}

#[test]
fn a_damaged_block_is_named_and_not_given_out() {
    let dir = tempfile::tempdir().unwrap();
    drop(three_files(dir.path()));
    let file = dir.path().join(HISTORY_DIRECTORY).join(Span::one(2).name());
    let mut bytes = fs::read(&file).unwrap();
    bytes[40] ^= 1;
    fs::write(&file, bytes).unwrap();
    let history = History::open(dir.path()).unwrap();
    assert_eq!(history.get(&key(b'P', 50)).unwrap(), Some(vec![0]));
    let fault = history.get(&key(b'P', 150)).unwrap_err().to_string();
    assert!(
        fault.contains("00000002.history is damaged at byte 16"),
        "{fault}"
    );
    let damaged = history.read_all(|key, _| assert_ne!(key, self::key(b'P', 160)));
    assert_eq!(damaged.len(), 1);
}

// Named and not counted: what a crash between the two leaves.
#[test]
fn a_file_that_was_not_counted_yet_is_read() {
    let dir = tempfile::tempdir().unwrap();
    drop(three_files(dir.path()));
    let directory = dir.path().join(HISTORY_DIRECTORY);
    listing::write_count(&directory, 2).unwrap();
    fs::write(directory.join("00000004.history.part"), b"half").unwrap();
    let history = History::open(dir.path()).unwrap();
    assert_eq!(history.extent().files, 3);
    add(&history, &[(key(b'P', 900), b"new")]);
    assert_eq!(History::open(dir.path()).unwrap().extent().files, 4);
}

fn files(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir.join(HISTORY_DIRECTORY)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn copy_directory(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

// Twelve files, each of which hides a third of the one before.
fn twelve_files(dir: &Path) -> History {
    let history = History::open(dir).unwrap();
    for file in 0..12_u32 {
        let value = [u8::try_from(file).unwrap()];
        let numbers = file * 100..file * 100 + 150;
        let rows: Vec<_> = [b'J', b'P']
            .iter()
            .flat_map(|space| numbers.clone().map(|number| key(*space, number)))
            .map(|key| (key, value.as_slice()))
            .collect();
        add(&history, &rows);
    }
    history
}

#[test]
fn joined_files_hold_the_same_whatever_a_crash_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let history = twelve_files(dir.path());
    let all = |history: &History| {
        let back = history.scan_back(b"P", None, None, 9_999).unwrap();
        (history.scan(b"", None, None, 9_999).unwrap(), back)
    };
    let rows = all(&history);
    let crashed = dir.path().join("crashed");
    copy_directory(
        &dir.path().join(HISTORY_DIRECTORY),
        &crashed.join(HISTORY_DIRECTORY),
    );
    // Somebody reads while the files go.
    let reader = History::open(dir.path()).unwrap();
    assert_eq!(history.join(&|| true).unwrap(), Joined::default());
    assert_eq!(files(dir.path()).len(), 13);
    let joined = history.join(&|| false).unwrap();
    assert_eq!((joined.files, joined.into), (12, 1));
    assert_eq!(files(dir.path()), ["00000001-00000012.history", "count"]);
    for history in [&history, &reader, &History::open(dir.path()).unwrap()] {
        assert!(all(history) == rows, "rows differ");
    }
    assert_eq!(history.extent().rows, 2 * 1_250);
    assert_eq!(history.join(&|| false).unwrap(), Joined::default());
    // Named, and not all of its parts are gone.
    fs::copy(
        dir.path().join("history/00000001-00000012.history"),
        crashed.join("history/00000001-00000012.history"),
    )
    .unwrap();
    fs::remove_file(crashed.join("history/00000005.history")).unwrap();
    let again = History::open(&crashed).unwrap();
    assert!(all(&again) == rows, "rows differ");
    add(&again, &[(key(b'P', 9_000), b"new")]);
    assert_eq!(
        files(&crashed),
        ["00000001-00000012.history", "00000013.history", "count"]
    );
    let copied = tempfile::tempdir().unwrap();
    assert_eq!(copy(&crashed, copied.path()).unwrap(), again.extent());
    let copied = History::open(copied.path()).unwrap();
    assert!(all(&copied) == all(&again), "rows differ");
}

#[test]
fn a_joined_file_that_is_missing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    twelve_files(dir.path()).join(&|| false).unwrap();
    fs::remove_file(dir.path().join("history/00000001-00000012.history")).unwrap();
    let missing = History::open(dir.path()).unwrap_err().to_string();
    assert_eq!(missing, "history/00000001.history is missing");
}

// Counts blocks that are unpacked, through the cache that each of them enters.
#[test]
fn a_page_looks_only_into_files_of_its_own_time() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::open(dir.path()).unwrap();
    let key = |owner: u8, day: u16| {
        let mut key = vec![owner; 17];
        key[0] = b'P';
        key.extend_from_slice(&[0, 1, 0, 0]);
        key.extend_from_slice(&day.to_be_bytes());
        key.extend_from_slice(&[7; 10]);
        key
    };
    for day in 0..10 {
        add(&history, &[(key(1, day), b"one"), (key(2, day), b"two")]);
    }
    for (prefix, back, until, expected) in [
        (key(1, 0)[..17].to_vec(), true, None, 3),
        (key(2, 0)[..17].to_vec(), true, None, 3),
        (key(2, 0)[..17].to_vec(), false, None, 3),
        (key(1, 0)[..17].to_vec(), true, Some(key(1, 8)), 2),
        (key(1, 0)[..17].to_vec(), false, Some(key(1, 2)), 2),
        (key(1, 4), true, None, 1),
        (key(3, 0)[..17].to_vec(), true, None, 0),
    ] {
        history.cache.lock().unwrap().clear();
        let scan = if back {
            History::scan_back
        } else {
            History::scan
        };
        let rows = scan(&history, &prefix, None, until.as_deref(), 3).unwrap();
        let opened = history.cache.lock().unwrap().len();
        assert_eq!(rows.len(), expected, "{prefix:x?}");
        // A block may be looked into to find where the owner ends.
        assert!(opened <= expected + 1, "{opened} for {expected}");
    }
}

#[test]
fn a_copy_holds_the_same() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let history = three_files(from.path());
    assert_eq!(copy(from.path(), to.path()).unwrap(), history.extent());
    let copied = History::open(to.path()).unwrap();
    assert_eq!(
        copied.scan(b"P", None, None, 999).unwrap(),
        history.scan(b"P", None, None, 999).unwrap()
    );
    let nothing = tempfile::tempdir().unwrap();
    assert_eq!(copy(nothing.path(), to.path()).unwrap(), Extent::default());
}

//! Every decoder's corpus, and a bounded number of mutations of it; `cargo fuzz-decoders` runs more.

use harness::fuzz::driver::{Failure, Mutations, replay, run};
use harness::fuzz::{TARGETS, Target, corpus};

/// Mutations of each target: about two seconds for all of them, unoptimized and alone.
const MUTATIONS: u32 = 200;
/// Bytes of the whole corpus; it is part of every checkout.
const CORPUS_BYTES_MAX: u64 = 1024 * 1024;

fn fuzz(target: &Target) -> Result<(), Failure> {
    let inputs = corpus::inputs(target).expect("the corpus can be read");
    assert!(!inputs.is_empty(), "{} has no good inputs", target.name);
    replay(target, &inputs)?;
    let mut mutations = Mutations::new(target, &inputs, 1);
    for _ in 0..MUTATIONS {
        let input = mutations.next_input();
        run(target, &input).map_err(|message| Failure { input, message })?;
    }
    Ok(())
}

#[test]
fn decoders_keep_their_promises_on_the_corpus_and_on_mutations_of_it() {
    let mut failed = Vec::new();
    for target in TARGETS {
        if let Err(failure) = fuzz(target) {
            let path =
                corpus::keep(target, "crash", &failure.input).expect("the corpus is writable");
            failed.push(format!(
                "{}: {}\n  replay: cargo fuzz-decoders --target {} --file {}",
                target.name,
                failure.message,
                target.name,
                path.display()
            ));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn targets_are_told_apart_by_their_names() {
    let mut names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), TARGETS.len());
    assert!(names.iter().all(|name| harness::fuzz::find(name).is_some()));
}

#[test]
fn the_corpus_is_small_and_belongs_to_targets() {
    let mut bytes = 0;
    for target in TARGETS {
        for path in corpus::files(target).expect("the corpus can be read") {
            bytes += path.metadata().expect("a file").len();
        }
    }
    assert!(bytes <= CORPUS_BYTES_MAX, "{bytes} bytes");
    let root = corpus::directory(&TARGETS[0]);
    let root = root.parent().expect("the corpus has a root");
    for entry in std::fs::read_dir(root).expect("the corpus is there") {
        let name = entry.expect("an entry").file_name();
        let name = name.to_str().expect("a target's name");
        assert!(harness::fuzz::find(name).is_some(), "{name} is no target");
    }
}

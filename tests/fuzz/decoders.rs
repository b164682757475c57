//! libFuzzer over one target of the harness, named by `TILLWAY_FUZZ_TARGET`; see `docs/fuzzing.md`.

#![no_main]

use std::sync::LazyLock;

use harness::fuzz::{Target, find};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("TILLWAY_FUZZ_TARGET").unwrap_or_default();
    find(&name).expect("TILLWAY_FUZZ_TARGET names a target")
});

fuzz_target!(|data: &[u8]| (TARGET.run)(data));

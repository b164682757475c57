#!/bin/sh
# libFuzzer on the stable toolchain, over targets of tests/harness/fuzz.rs; see docs/fuzzing.md.
#   tests/fuzz/run.sh build
#   tests/fuzz/run.sh TARGET SECONDS [libFuzzer options]
set -eu
cd "$(dirname "$0")"
if ! command -v c++ >/dev/null && ! command -v g++ >/dev/null; then
    echo "skipped: libFuzzer needs a C++ compiler; use cargo fuzz-decoders" >&2
    exit 0
fi
host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR="$PWD/../../target/libfuzzer"
# The passes that clang's -fsanitize=fuzzer switches on, without a sanitizer. Only code for the
# named target is instrumented, so build scripts and macros stay as they are.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing"
cargo build --quiet --release --target "$host"
[ "$1" = build ] && exit 0
target=$1
seconds=$2
shift 2
found="$CARGO_TARGET_DIR/corpus/$target"
mkdir -p "$found" "../corpus/$target"
TILLWAY_FUZZ_TARGET=$target exec "$CARGO_TARGET_DIR/$host/release/decoders" \
    -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="../corpus/$target/crash-" "$@" "$found" "../corpus/$target"

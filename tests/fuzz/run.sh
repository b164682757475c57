#!/bin/sh
# libFuzzer on the stable toolchain, over targets of tests/harness/fuzz.rs; see docs/fuzzing.md.
#   tests/fuzz/run.sh build
#   tests/fuzz/run.sh TARGET SECONDS [libFuzzer options]
#   tests/fuzz/run.sh merge TARGET        takes over what reaches new code
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
decoders="$CARGO_TARGET_DIR/$host/release/decoders"
case $1 in
build)
    exit 0
    ;;
merge)
    export TILLWAY_FUZZ_TARGET=$2
    exec "$decoders" -merge=1 -max_len=2048 -timeout=10 "../corpus/$2" "$CARGO_TARGET_DIR/corpus/$2"
    ;;
esac
export TILLWAY_FUZZ_TARGET=$1
found="$CARGO_TARGET_DIR/corpus/$1"
seconds=$2
shift 2
mkdir -p "$found" "../corpus/$TILLWAY_FUZZ_TARGET"
exec "$decoders" -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=1024 \
    -print_final_stats=1 -artifact_prefix="../corpus/$TILLWAY_FUZZ_TARGET/" \
    "$@" "$found" "../corpus/$TILLWAY_FUZZ_TARGET"

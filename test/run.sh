#!/usr/bin/env bash
# run.sh [ctest option...]: installs what is missing, builds, and runs all tests.
# run.sh fuzz [seconds each]: the fuzz targets alone, for longer than the tests run them; 600 by default.
# run.sh bench [option...]: the same for the benchmark alone; `run.sh bench --help` shows its options.
# run.sh install [--all]: what people install, used from outside of the tree; with --all also what takes minutes.
# run.sh docs: the reference, into build/docs; any warning of Doxygen's is a failure.
# run.sh chaos [option...]: load and faults at random, for longer than the tests do: `run.sh chaos --minutes 5`.
# run.sh tidy [file...]: clang-tidy over src and include, or over these files.
# run.sh coverage: how many lines of each floor the unit and integration tests run; which not: build/coverage/lines.txt
# PGCORO_WERROR=1 makes compiler warnings errors.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ "${1:-}" = bench ]; then
    shift
    cmake/build.sh pgcoro_bench >&2 # standard output belongs to the benchmark: it may be JSON
    exec build/release/test/bench/pgcoro_bench "$@"
fi
if [ "${1:-}" = install ]; then
    shift
    cmake/build.sh src/all
    exec test/install/run.sh "$@"
fi
if [ "${1:-}" = docs ]; then
    cmake/setup.sh docs
    exec docs/build.sh
fi
if [ "${1:-}" = tidy ] || [ "${1:-}" = coverage ]; then
    exec "test/$1.sh" "${@:2}"
fi
if [ "${1:-}" = chaos ]; then
    shift
    cmake/build.sh pgcoro_chaos >&2 # as above
    exec build/release/test/chaos/pgcoro_chaos "$@"
fi
cmake/setup.sh fuzz browser docs
if [ "${1:-}" = fuzz ]; then
    exec test/fuzz/run.sh "${2:-600}"
fi
cmake/build.sh
exec ctest --test-dir build/release --output-on-failure -j2 "$@"

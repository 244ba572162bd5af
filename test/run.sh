#!/usr/bin/env bash
# run.sh [ctest option...]: installs what is missing, builds, and runs all tests.
# run.sh fuzz [seconds each]: the fuzz targets alone, for longer than the tests run them; 600 by default.
# run.sh bench [option...]: the same for the benchmark alone; `run.sh bench --help` shows its options.
# run.sh install [--all]: what people install, used from outside of the tree; with --all also what takes minutes.
# run.sh asan|tsan [option...]: unit and integration tests with sanitizers; options are the latter's, such as -t pool.
# run.sh docs: the reference, into build/docs; any warning of Doxygen's is a failure.
# run.sh chaos [option...]: load and faults at random, for longer than the tests do: `run.sh chaos --minutes 5`.
# run.sh storm [option...]: random programs through the library and through plain libpq: `run.sh storm --seconds 300`.
# run.sh failover [option...]: real Patroni and etcd lose their leader in every way, under load: `run.sh failover --minutes 5`.
# run.sh tidy [file...]: clang-tidy over src and include, or over these files.
# run.sh coverage: how many lines of each floor the unit and integration tests run; which not: build/coverage/lines.txt
# PGCORO_WERROR=1 makes compiler warnings errors; with PGCORO_SANITIZED=1 all tests include those of asan and tsan.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# built <target> <program> [option...]: standard output belongs to the program: it may be JSON.
built() {
    cmake/build.sh "$1" >&2
    exec "build/release/test/$2" "${@:3}"
}
case ${1:-} in
bench) built pgcoro_bench bench/pgcoro_bench "${@:2}" ;;
chaos) built pgcoro_chaos chaos/pgcoro_chaos "${@:2}" ;;
storm) built pgcoro_storm storm/pgcoro_storm "${@:2}" ;;
failover)
    cmake/setup.sh failover >&2
    built pgcoro_failover failover/pgcoro_failover "${@:2}"
    ;;
install)
    cmake/build.sh src/all
    exec test/install/run.sh "${@:2}"
    ;;
docs)
    cmake/setup.sh docs
    exec docs/build.sh
    ;;
asan | tsan) exec test/sanitized.sh "$@" ;;
tidy | coverage) exec "test/$1.sh" "${@:2}" ;;
fuzz)
    cmake/setup.sh fuzz
    exec test/fuzz/run.sh "${2:-600}"
    ;;
esac
cmake/setup.sh fuzz browser docs
cmake/build.sh
if [ "${PGCORO_SANITIZED:-0}" != 0 ]; then
    test/sanitized.sh asan build
    test/sanitized.sh tsan build
fi
exec ctest --test-dir build/release --output-on-failure -j2 "$@"

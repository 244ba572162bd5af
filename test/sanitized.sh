#!/usr/bin/env bash
# sanitized.sh asan|tsan [Boost.Test option...]: builds the tests with AddressSanitizer (leaks included) and
# UndefinedBehaviorSanitizer, or those that use threads with ThreadSanitizer, and runs them. The options, such as -t pool, are
# the integration tests'.
# sanitized.sh asan|tsan build|unit|integration: one step of it, as the tests run it: without the integration tests that take
# long because servers start, stop and fail over in them.
# sanitized.sh asan|tsan storm [option...]: random programs in that build; see README.md. Not a step of the tests, because the
# program takes minutes to compile.
# By clang where there is one that can: it needs half of GCC's time, and is the second compiler that tests run with.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source cmake/steps.sh

which=$1
shift
build=build/$which
of_servers=(behind_haproxy bytes_by_pieces cluster_failover cluster_histories deadlock_storm endings exactly_once foreign_partitions
    testing_process testing_replication testing_server)
export ASAN_OPTIONS=detect_leaks=1:check_initialization_order=1 UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=test/tsan.supp

build() {
    local compiler
    cmake/setup.sh fuzz
    compiler=$(cmake/fuzzing_clang.sh) || compiler=c++
    mkdir -p "$build"
    step "configure $build" "$build/configure.log" cmake --preset "$which" -DCMAKE_CXX_COMPILER="$compiler" \
        -DPGCORO_WARNINGS_AS_ERRORS="$(on_off "${PGCORO_WERROR:-}")" -DPGCORO_BUILD_EXAMPLES=OFF -DPGCORO_BUILD_BENCH=OFF
    step "build $build" "$build/build.log" ninja -C "$build" -j "$(nproc)" pgcoro_unit_tests pgcoro_integration_tests
}
unit() { "$build/test/pgcoro_unit_tests"; }
integration() { "$build/test/pgcoro_integration_tests" "$@"; }
without_servers() {
    local options=() suite
    for suite in "${of_servers[@]}"; do options+=(-t "!$suite"); done
    integration "${options[@]}"
}

storm() {
    step "build pgcoro_storm" "$build/build.log" ninja -C "$build" -j "$(nproc)" pgcoro_storm
    "$build/test/storm/pgcoro_storm" "$@"
}

if [ "$*" = integration ]; then set -- without_servers; fi
case ${1:-} in
build | unit | without_servers | integration | storm) "$@" ;;
*)
    build
    unit
    integration "$@"
    ;;
esac

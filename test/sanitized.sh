#!/usr/bin/env bash
# sanitized.sh asan|tsan [Boost.Test option...]: the unit tests and the integration tests with AddressSanitizer (leaks
# included) and UndefinedBehaviorSanitizer, or with ThreadSanitizer those of what threads share. The options, such as
# -t pool, are the integration tests'.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source cmake/steps.sh

which=$1
shift
# What runs on several threads, or is used from them; the rest has one thread, and takes long here.
threaded=pool_*,hygiene,multiplexer_*,*cache*,redis_level,cluster_routing,cluster_figures,row_streams,pipelines,copy,advisory_locks,tracing,observe
if [ "$which" = tsan ] && [ $# = 0 ]; then set -- -t "$threaded"; fi

cmake/setup.sh
mkdir -p "build/$which"
step "configure build/$which" "build/$which/configure.log" \
    cmake --preset "$which" -DPGCORO_BUILD_EXAMPLES=OFF -DPGCORO_BUILD_BENCH=OFF
step "build build/$which" "build/$which/build.log" \
    ninja -C "build/$which" -j "$(nproc)" pgcoro_unit_tests pgcoro_integration_tests
export ASAN_OPTIONS=detect_leaks=1:check_initialization_order=1 UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
"build/$which/test/pgcoro_unit_tests"
"build/$which/test/pgcoro_integration_tests" "$@"

#!/usr/bin/env bash
# build.sh [target...]: sets this machine up, then configures and builds into build/release; all targets by default.
# PGCORO_WERROR=1 makes warnings errors; PGCORO_SANITIZED=1 has ctest run the sanitizers' builds, too. The whole output
# of a step is in build/release/*.log.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source cmake/steps.sh

cmake/setup.sh
mkdir -p build/release
option() { if [ "${1:-0}" = 0 ]; then echo OFF; else echo ON; fi; }
step "configure build/release" build/release/configure.log \
    cmake --preset release -DPGCORO_WARNINGS_AS_ERRORS="$(option "${PGCORO_WERROR:-}")" \
    -DPGCORO_TEST_SANITIZED="$(option "${PGCORO_SANITIZED:-}")"
step "build ${*:-all}" build/release/build.log \
    ninja -C build/release -j "$(nproc)" "$@"

#!/usr/bin/env bash
# build.sh [target...]: sets this machine up, then configures and builds into build/release; all targets by default.
# PGCORO_WERROR=1 makes warnings errors; PGCORO_SANITIZED=1 has ctest run the sanitizers' builds, too. The whole output
# of a step is in build/release/*.log.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source cmake/steps.sh

cmake/setup.sh
mkdir -p build/release
step "configure build/release" build/release/configure.log \
    cmake --preset release -DPGCORO_WARNINGS_AS_ERRORS="$(on_off "${PGCORO_WERROR:-}")" \
    -DPGCORO_TEST_SANITIZED="$(on_off "${PGCORO_SANITIZED:-}")"
step "build ${*:-all}" build/release/build.log \
    ninja -C build/release -j "$(nproc)" "$@"

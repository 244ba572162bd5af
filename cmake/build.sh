#!/usr/bin/env bash
# build.sh [target...]: sets this machine up, then configures and builds into build/release; all targets by default.
# PGCORO_WERROR=1 makes warnings errors. The whole output of a step is in build/release/*.log.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source cmake/steps.sh

cmake/setup.sh
mkdir -p build/release
werror=OFF
[ -z "${PGCORO_WERROR:-}" ] || [ "$PGCORO_WERROR" = 0 ] || werror=ON
step "configure build/release" build/release/configure.log \
    cmake --preset release -DPGCORO_WARNINGS_AS_ERRORS=$werror
step "build ${*:-all}" build/release/build.log \
    ninja -C build/release -j "$(nproc)" "$@"

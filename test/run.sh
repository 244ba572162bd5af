#!/usr/bin/env bash
# run.sh [ctest option...]: installs what is missing, builds, and runs all tests.
# PGCORO_WERROR=1 makes compiler warnings errors.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cmake/build.sh
exec ctest --test-dir build/release --output-on-failure -j2 "$@"

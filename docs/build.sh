#!/usr/bin/env bash
# build.sh [folder]: the reference as HTML, into build/docs by default. Fails on any warning of Doxygen's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export PGCORO_DOCS_OUTPUT=${1:-build/docs}
PGCORO_VERSION=$(sed -n 's/.*VERSION_STRING "\(.*\)"/\1/p' include/pgcoro/version.hpp)
export PGCORO_VERSION
mkdir -p "$PGCORO_DOCS_OUTPUT"
doxygen docs/Doxyfile
echo "reference: $PGCORO_DOCS_OUTPUT/index.html"

#!/bin/sh
# Prints the clang-tidy of the same version as the clang++ of fuzzing_clang.sh; fails when there is none.
set -eu
compiler=$("$(dirname "$0")/fuzzing_clang.sh")
major=$("$compiler" -dumpversion | cut -d . -f 1)
for tidy in "clang-tidy-$major" clang-tidy; do
    if "$tidy" --version 2>/dev/null | grep "version $major\." >/dev/null; then
        echo "$tidy"
        exit 0
    fi
done
exit 1

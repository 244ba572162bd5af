#!/usr/bin/env bash
# readme_tests.sh <integration tests> <chaos>: every test, fault and ctest that README.md beside names is there.
set -euo pipefail
readme=$(dirname "${BASH_SOURCE[0]}")/README.md
integration=$1
chaos=$2

# "suite*" and, indented, "test*"; a test with several data sets is a suite of them, one deeper.
tests=$("$integration" --list_content 2>&1 | awk '
    { name = $1; sub(/\*$/, "", name) }
    /^[^ ]/ { suite = name }
    /^    [^ ]/ { print suite "/" name }')
faults=$("$chaos" --help | awk '/^  [a-z_]+ / { print $1 }')
ctests=$(ctest -N | sed -n 's/^ *Test *#[0-9]*: //p')

missing=0
count=0
look() { # <kind> <pattern with the name in backticks> <all that there are>
    local name
    while read -r name; do
        count=$((count + 1))
        grep -qxF -- "$name" <<<"$3" && continue
        echo "README.md names the $1 $name, which is not there" >&2
        missing=1
    done < <(grep -o -- "$2" "$readme" | sed 's/.*`\(.*\)`/\1/' | sort -u)
}
look test '`[a-z_0-9]*/[A-Za-z_0-9]*`' "$tests"
look fault 'chaos `[a-z_]*`' "$faults"
look ctest 'ctest `[a-z_]*`' "$ctests"
if [ "$count" -lt 60 ]; then
    echo "README.md names $count tests only: does this script still read its table?" >&2
    missing=1
fi
exit "$missing"

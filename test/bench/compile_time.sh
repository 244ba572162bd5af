#!/usr/bin/env bash
# What it costs to compile a source that includes <pgcoro/pgcoro.hpp> and runs one query, beside one that includes
# what it needs of Asio and libpq: least processor time of several runs, by turns, and the sizes.
#   compile_time.sh [runs]   10 by default; CXX and CXXFLAGS as usual, -O2 by default
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
runs=${1:-10}
here=test/bench/compile_time
build=build/release
[ -f $build/src/libpgcoro.a ] || cmake/build.sh pgcoro >&2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
read -ra flags <<<"-std=c++20 ${CXXFLAGS:--O2} -Iinclude $(pkg-config --cflags libpq)"
TIMEFORMAT='%U %S'
for ((i = 0; i < runs; ++i)); do
    for name in floor pgcoro; do
        { time "${CXX:-c++}" "${flags[@]}" -c $here/$name.cpp -o "$work/$name.o"; } 2>>"$work/$name.times"
    done
done
least() { awk 'NR == 1 || $1 + $2 < least { least = $1 + $2 } END { print least }' "$work/$1.times"; }
"${CXX:-c++}" "$work/floor.o" -o "$work/floor" $(pkg-config --libs libpq) -pthread
"${CXX:-c++}" "$work/pgcoro.o" -o "$work/pgcoro" $build/src/libpgcoro.a -lboost_json -lboost_container -lpg_query -lssl -lcrypto \
    $(pkg-config --libs libpq) -pthread
for name in floor pgcoro; do
    strip -o "$work/$name.stripped" "$work/$name"
    printf '%-8s %5.2f s   object %4d KiB   program, stripped %5d KiB\n' $name "$(least $name)" \
        $(($(stat -c %s "$work/$name.o") / 1024)) $(($(stat -c %s "$work/$name.stripped") / 1024))
done
awk -v ours="$(least pgcoro)" -v floor="$(least floor)" \
    'BEGIN { printf "pgcoro / floor %.2f  (at most 1.30)  %s\n", ours / floor, ours / floor <= 1.3 ? "reached" : "MISSED" }'

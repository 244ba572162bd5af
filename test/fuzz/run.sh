#!/bin/sh
# Builds the fuzz targets with clang, and runs them one after the other. A finding stops it, with the input that did
# it left in build/fuzz. Inputs found worth keeping stay in build/fuzz/corpus_*, for the next run to begin with.
#   run.sh [seconds each, 20] [target, all of them]
#   run.sh build
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$root/build/fuzz

if [ "${1:-}" = build ]; then
    compiler=$("$root/cmake/fuzzing_clang.sh") || {
        echo "no clang++ (15 or later) with libFuzzer here: install clang and libclang-rt-N-dev of its version" >&2
        exit 1
    }
    cmake -S "$root" -B "$build" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=None \
        -DPGCORO_BUILD_FUZZERS=ON -DPGCORO_BUILD_TESTS=OFF -DPGCORO_BUILD_EXAMPLES=OFF -DPGCORO_BUILD_BENCH=OFF \
        -DPGCORO_BUILD_TESTING=OFF >/dev/null
    exec ninja -C "$build" test/fuzz/all
fi

seconds=${1:-20}
only=${2:-}
[ -n "$only" ] || "$0" build # who wants one has built them
cd "$build"
for source in "$root"/test/fuzz/*.cpp; do
    name=$(basename "$source" .cpp)
    [ "${only:-$name}" = "$name" ] || continue
    mkdir -p "corpus_$name"
    echo "== fuzz_$name, $seconds s"
    # 64 KiB of input never justify 512 MiB of memory, nor ten seconds.
    "./test/fuzz/fuzz_$name" -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=512 -timeout=10 \
        -print_final_stats=1 -verbosity=0 -use_value_profile=1 "corpus_$name"
done

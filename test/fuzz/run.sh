#!/bin/sh
# Builds the fuzz targets with clang and runs each for so many seconds (default 20). A finding stops it, with
# the input that did it left in build/fuzz.
#   test/fuzz/run.sh [seconds each]
set -eu
seconds=${1:-20}
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$root/build/fuzz
compiler=$(command -v clang++ || command -v clang++-16 || command -v clang++-15) ||
    { echo "no clang++ found: libFuzzer needs it" >&2; exit 1; }

cmake -S "$root" -B "$build" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=None \
    -DPGCORO_BUILD_FUZZERS=ON -DPGCORO_BUILD_TESTS=OFF -DPGCORO_BUILD_EXAMPLES=OFF -DPGCORO_BUILD_TESTING=OFF >/dev/null
cd "$build"
for source in "$root"/test/fuzz/*.cpp; do
    name=$(basename "$source" .cpp)
    ninja "fuzz_$name"
    mkdir -p "corpus_$name"
    echo "== fuzz_$name, $seconds s"
    # 64 KiB of input never justify 512 MiB of memory, nor ten seconds.
    "./test/fuzz/fuzz_$name" -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=512 -timeout=10 \
        -print_final_stats=1 -verbosity=0 -use_value_profile=1 "corpus_$name"
done

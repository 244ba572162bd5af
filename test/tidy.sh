#!/usr/bin/env bash
# tidy.sh [file...]: clang-tidy, by the list in .clang-tidy, over src and the headers that it includes; or over these files.
# The sources are taken several as one: what they all include, Boost above all, is read a tenth as often.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source cmake/steps.sh

cmake/setup.sh tidy
compiler=$(cmake/fuzzing_clang.sh)
tidy=$(cmake/clang_tidy.sh)
mkdir -p build/tidy
step "configure build/tidy" build/tidy/configure.log \
    cmake -S . -B build/tidy -G Ninja -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=None \
    -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=16 -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON \
    -DPGCORO_BUILD_TESTS=OFF -DPGCORO_BUILD_EXAMPLES=OFF -DPGCORO_BUILD_BENCH=OFF
if [ -d build/tidy/src/monitor ]; then
    step "generate the dashboard's files" build/tidy/generate.log ninja -C build/tidy src/monitor/assets.cpp
fi

if [ $# = 0 ]; then
    mapfile -t files < <(sed -n 's/^ *"file": "\(.*\/src\/.*\)",\{0,1\}$/\1/p' build/tidy/compile_commands.json)
    set -- "${files[@]}"
fi
# A file that is no command's own is read with the options of the one most like it. What clang-tidy prints beside its
# findings are counts of those in other people's headers.
printf '%s\0' "$@" | xargs -0 -n 1 -P 2 "$tidy" -p build/tidy --quiet 2>/dev/null

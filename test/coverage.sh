#!/usr/bin/env bash
# coverage.sh: builds with GCC's counters, runs the unit and the integration tests, and tells which share of the lines in
# src they run, by floor. build/coverage/lines.txt has it by file, with the numbers of the lines that were not run. The
# headers in include are left out: what there is of a template depends on who uses it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source cmake/steps.sh

cmake/setup.sh coverage
build=build/coverage
mkdir -p $build
step "configure $build" $build/configure.log cmake --preset coverage
step "build $build" $build/build.log cmake --build --preset coverage
find $build -name '*.gcda' -delete # counts of other runs
step "run the unit tests" $build/unit.log $build/test/pgcoro_unit_tests
step "run the integration tests" $build/integration.log $build/test/pgcoro_integration_tests
find $build -name '*.gcno' -exec python3 test/coverage_of_coroutines.py {} +
step "count the lines" $build/gcovr.log gcovr --root . --object-directory $build --filter src/ \
    -j "$(nproc)" --txt $build/lines.txt --json-summary $build/lines.json $build

python3 - $build/lines.json <<'END'
import collections, json, pathlib, sys

floors = collections.defaultdict(lambda: [0, 0])
for file in json.load(open(sys.argv[1]))["files"]:
    for floor in (pathlib.PurePath(file["filename"]).parts[1], "all"):
        floors[floor][0] += file["line_covered"]
        floors[floor][1] += file["line_total"]
everything = floors.pop("all")
print("| floor | lines | run |\n|---|---:|---:|")
for name, (covered, total) in [*sorted(floors.items()), ("all", everything)]:
    print(f"| {name} | {total:,} | {100 * covered / total:.1f} % |")
END

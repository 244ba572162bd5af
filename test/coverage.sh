#!/usr/bin/env bash
# coverage.sh: builds with GCC's counters, runs the unit and the integration tests, and tells the share of lines run on
# each floor. build/coverage/lines.txt has it by file, with the numbers of the lines that were not run.
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
step "count the lines" $build/gcovr.log gcovr --root . --object-directory $build --filter src/ --filter include/ \
    -j "$(nproc)" --txt $build/lines.txt --json-summary $build/lines.json $build

python3 - $build/lines.json <<'END'
import collections, json, pathlib, sys

floors = collections.defaultdict(lambda: [0, 0])
for file in json.load(open(sys.argv[1]))["files"]:
    parts = pathlib.PurePath(file["filename"]).parts
    parts = parts[1:] if parts[0] == "src" else parts[2:]  # include/pgcoro
    for floor in (parts[0] if len(parts) > 1 else "(above all)", "all"):
        floors[floor][0] += file["line_covered"]
        floors[floor][1] += file["line_total"]
everything = floors.pop("all")
print("| floor | lines | run |\n|---|---:|---:|")
for name, (covered, total) in [*sorted(floors.items()), ("all", everything)]:
    print(f"| {name} | {total:,} | {100 * covered / total:.1f} % |")
END

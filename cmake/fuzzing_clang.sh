#!/bin/sh
# Prints a clang++ of this machine, 15 or later, that has libFuzzer and the sanitizers; fails when there is none.
set -eu
program='extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }'
numbered=$(find /usr/bin /usr/local/bin -name 'clang++-[0-9]*' | sort -t - -k 2 -V)
for compiler in clang++ $numbered; do
    major=$("$compiler" -dumpversion 2>/dev/null | cut -d . -f 1) || continue
    [ "${major:-0}" -ge 15 ] || continue
    printf '%s\n' "$program" | "$compiler" -x c++ -fsanitize=fuzzer,address,undefined -o /dev/null - 2>/dev/null ||
        continue
    echo "$compiler"
    exit 0
done
exit 1

#!/usr/bin/env python3
"""Checks that exactly the marked lines of a source do not compile: check.py source.cpp build-command...

A marked line ends in "// refused: TEXT". The compiler must report an error for each of them whose message contains
TEXT, and no error for any other line.
"""

import os
import re
import subprocess
import sys

MARK = re.compile(r"//\s*refused: (.*)$")


def errors_by_line(output, name):
    """The messages of the errors that belong to each line of the source, directly or by an instantiation.

    GCC prints the instantiations before the error, clang prints them behind it as notes.
    """
    place = re.compile(re.escape(name) + r":(\d+):")
    found = {}
    above = set()
    message = None
    for line in output.splitlines():
        at = place.search(line)
        if "required from" in line or "In instantiation" in line:
            if at:
                above.add(int(at[1]))
        elif "error:" in line:
            message = line.split("error:", 1)[1].strip()
            for number in above | ({int(at[1])} if at else set()):
                found.setdefault(number, []).append(message)
            above = set()
        elif "note:" in line and "requested here" in line and at and message:
            found.setdefault(int(at[1]), []).append(message)
    return found


def main():
    source, command = sys.argv[1], sys.argv[2:]
    with open(source, encoding="utf-8") as f:
        lines = f.read().splitlines()
    wanted = {n: mark[1] for n, line in enumerate(lines, 1) if (mark := MARK.search(line))}
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                         env=dict(os.environ, LC_ALL="C"))
    found = errors_by_line(ran.stdout, os.path.basename(source))
    wrong = [f"line {n} compiles, or fails with another message: {lines[n - 1].strip()}\n    {found.get(n, [])}"
             for n, text in wanted.items() if not any(text in message for message in found.get(n, []))]
    wrong += [f"line {n} does not compile: {messages}" for n, messages in found.items() if n not in wanted]
    if not wanted:
        wrong.append("no line is marked")
    if ran.returncode == 0:
        wrong.append("the source compiles")
    print("\n".join(wrong) if wrong else f"{len(wanted)} lines are refused, each with its message")
    if wrong:
        print(ran.stdout)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

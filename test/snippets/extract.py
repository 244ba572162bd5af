#!/usr/bin/env python3
"""Makes a source of all C++ that a Markdown file shows, so that it is compiled: extract.py page.md > page.cpp

Each block is a scope of its own, in which the names of prelude.hpp are there: definitions stand in a namespace, what
is statements in a coroutine. So does each row of a table that shows statements; a row whose first cell is empty goes
on with the one above.
"""

import re
import sys

DEFINES = re.compile(r"(struct|class|enum|template|namespace|asio::awaitable<)")
FENCE = re.compile(r"^```cpp\n(.*?)^```$", re.M | re.S)


def of_table_rows(text):
    rows = []
    for line in text.splitlines():
        if not line.startswith("| "):
            continue
        first = line.split("|")[1].strip()
        code = [c for c in re.findall(r"`([^`]+)`", line) if "co_await" in c or c.endswith(";")]
        code = [c if c.endswith((";", "}")) else c + ";" for c in code]
        if code and not first and rows:
            rows[-1] += "\n" + "\n".join(code)
        elif code:
            rows.append("\n".join(code))
    return rows


def split(block):
    """Its includes, and the rest."""
    lines = block.splitlines()
    includes = [line for line in lines if line.startswith("#include")]
    return includes, "\n".join(line for line in lines if line not in includes and not line.startswith("namespace asio"))


def main():
    page = sys.argv[1]
    with open(page, encoding="utf-8") as f:
        text = f.read()
    blocks = [split(b) for b in FENCE.findall(text)]
    rows = [] if "snippets: not the tables" in text else of_table_rows(FENCE.sub("", text))
    blocks += [([], row) for row in rows]
    for line in dict.fromkeys(line for includes, _ in blocks for line in includes):
        print(line)
    print('#include "prelude.hpp"')
    for i, (_, code) in enumerate(blocks):
        print(f"namespace snippet_{i}\n{{")
        if DEFINES.match(code.strip()):
            print(code)
        else:
            waits = "co_await" in code or "co_return" in code
            print("asio::awaitable<void> snippet()" if waits else "void snippet()", "{", code, "co_return; }" if waits else "}", sep="\n")
        print("}")


if __name__ == "__main__":
    main()

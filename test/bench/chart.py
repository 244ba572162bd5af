#!/usr/bin/env python3
"""What pgcoro_bench --json wrote, as README shows it.

    chart.py result.json chart > docs/benchmark.svg    bars: client CPU by the floor's
    chart.py result.json table                         Markdown: every goal, and what was reached
"""

import json
import sys
from xml.sax.saxutils import escape

FLOOR = "floor"
SHOWN = ("P1", "P2", "P4", "P5", "P6")  # where the floor is libpq and epoll, and processor time is what is asked
TITLE = "Client processor time for the same work, hand-written libpq and epoll = 1"
WIDTH, LABEL, BAR, GAP, ROW, TOP = 860, 330, 18, 14, 24, 64
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-size: 15px; font-weight: 600 }
.measure { font-weight: 600 }
.ours { fill: #2f6fdb } .other { fill: #9aa4b2 }
.one { stroke: #d1242f; stroke-dasharray: 4 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .ours { fill: #6ea8fe } .other { fill: #6b7684 } .one { stroke: #ff7b72 }
}"""


def cpu(contender):
    return contender["client_cpu_ns"]["min"]


def compared(measures):
    """Of each measure shown: itself, and every other contender's ratio to its floor."""
    for m in measures:
        by_name = {c["name"]: c for c in m["contenders"]}
        if m["id"] not in SHOWN or FLOOR not in by_name:
            continue
        floor = cpu(by_name[FLOOR])
        yield m, [(name, cpu(c) / floor) for name, c in by_name.items() if name != FLOOR]


def chart(measures):
    rows = list(compared(measures))
    most = max(ratio for _, bars in rows for _, ratio in bars)
    scale = (WIDTH - LABEL - 70) / most
    parts, y = [], TOP
    for m, bars in rows:
        parts.append(f'<text class="measure" x="16" y="{y + 13}">{escape(m["id"])}  {escape(m["title"])}</text>')
        y += ROW
        for name, ratio in bars:
            kind = "ours" if name.startswith("pgcoro") else "other"
            width = max(1, ratio * scale)
            parts.append(
                f'<text x="{LABEL - 10}" y="{y + 13}" text-anchor="end">{escape(name)}</text>'
                f'<rect class="{kind}" x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" rx="3"/>'
                f'<text x="{LABEL + width + 8:.1f}" y="{y + 13}">{ratio:.2f}</text>'
            )
            y += ROW
        y += GAP
    one = LABEL + scale
    print(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img" aria-label="{escape(TITLE)}">'
        f"<style>{STYLE}</style>"
        f'<text class="title" x="16" y="28">{escape(TITLE)}</text>'
        f'<line class="one" x1="{one:.1f}" y1="{TOP - 16}" x2="{one:.1f}" y2="{y - GAP}"/>' + "".join(parts) + "</svg>"
    )


def table(measures):
    print("| | measure | | goal | reached |\n|---|---|---|---|---|")
    for m in measures:
        for i, g in enumerate(m["goals"]):
            sense, limit = ("≤", g["at_most"]) if "at_most" in g else ("≥", g["at_least"])
            value = f"{g['value']:.0f}" if g["value"] >= 100 else f"{g['value']:.2f}"
            head = f"| {m['id']} | {m['title']}" if i == 0 else "| | "
            print(f"{head} | {g['what']} | {sense} {limit:g} | {value if g['reached'] else f'**{value}**, missed'} |")


def main():
    if len(sys.argv) != 3 or sys.argv[2] not in ("chart", "table"):
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as f:
        measures = json.load(f)["measures"]
    {"chart": chart, "table": table}[sys.argv[2]](measures)


if __name__ == "__main__":
    main()

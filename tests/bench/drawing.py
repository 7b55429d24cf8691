"""A table and its plot as files, Markdown and SVG, without a library: sizes on one axis, CPU time on the other."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, LEFT, BOTTOM = 360, 240, 60, 40
COLOURS = {"queue": "#1b6ca8", "journal": "#a84a1b", "directory": "#2f6b2f"}
Found = Mapping[str, Mapping[int, Sequence[float]]]


def page(docs: Path, found: Found, conditions: Mapping[str, Any]) -> None:
    """docs/growth.md with the table, docs/growth.svg beside it."""
    (docs / "growth.svg").write_text(svg(found), encoding="utf-8")
    (docs / "growth.md").write_text(markdown(found, conditions), encoding="utf-8")


def markdown(found: Found, conditions: Mapping[str, Any]) -> str:
    lines = [
        "# Growth",
        "",
        "CPU time per letter as what lies beside it grows: for a queue and a journal that of spooler, carrier and",
        "clients, for a directory that of one look-up, ours and slapd's. Made by `./dev bench growth --write`, in full",
        "with `--full`; by turns, medians. Read the ratios.",
        "",
        "![CPU per letter by size](growth.svg)",
        "",
        "| beside it | size | CPU per letter, ms | of the smallest |",
        "|---|---|---|---|",
    ]
    for what, sizes in found.items():
        least = statistics.median(sizes[min(sizes)])
        for size, rounds in sizes.items():
            median = statistics.median(rounds)
            lines.append(f"| {what} | {size:,} | {median:.2f} | {median / least:.2f} |")
    return "\n".join([*lines, "", f"Conditions: `{json.dumps(dict(conditions), ensure_ascii=False)}`", ""])


def svg(found: Found) -> str:
    most = 1.2 * max(max(rounds) for sizes in found.values() for rounds in sizes.values())
    plots = [_plot(n, what, sizes, most) for n, (what, sizes) in enumerate(found.items())]
    wide = WIDTH * len(plots)
    size = f'width="{wide}" height="{HEIGHT}" font-family="sans-serif" font-size="11"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>'
    return "\n".join([head, f'<rect width="{wide}" height="{HEIGHT}" fill="white"/>', *plots, "</svg>", ""])


def _plot(place: int, what: str, sizes: Mapping[int, Sequence[float]], most: float) -> str:
    """Sizes stand at even steps, since they grow by tens; each round is a dot, the line goes through medians."""
    colour, right, floor = COLOURS.get(what, "#444"), WIDTH - 20, HEIGHT - BOTTOM
    step = (right - LEFT) / max(1, len(sizes) - 1)

    def at(n: int, value: float) -> tuple[float, float]:
        return LEFT + n * step, floor - value / most * (floor - 30)

    parts = [
        f'<g transform="translate({place * WIDTH},0)">',
        f'<text x="{LEFT}" y="18">{what}: CPU ms per letter</text>',
    ]
    parts.append(f'<path d="M{LEFT},30V{floor}H{right}" fill="none" stroke="#888"/>')
    for value in (0.0, most / 2, most):
        parts.append(f'<text x="{LEFT - 8}" y="{at(0, value)[1] + 4:.1f}" text-anchor="end">{value:.1f}</text>')
    line = []
    for n, (size, rounds) in enumerate(sizes.items()):
        x, y = at(n, statistics.median(rounds))
        line.append(f"{x:.1f},{y:.1f}")
        parts += [f'<circle cx="{x:.1f}" cy="{at(n, value)[1]:.1f}" r="2" fill="{colour}"/>' for value in rounds]
        parts.append(f'<text x="{x:.1f}" y="{floor + 16}" text-anchor="middle">{size:,}</text>')
    parts.append(f'<polyline points="{" ".join(line)}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return "\n".join([*parts, "</g>"])

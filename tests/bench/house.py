"""The size of the house: lines per package, and how long functions are. Nobody to compare with: no ratio."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.__main__ import OURS

ROOT = Path(__file__).resolve().parent.parent.parent


def bench(_arguments: list[str]) -> dict[str, Any]:
    """Median and longest function of the product, physical lines per package and of the tests."""
    lengths = sorted(each for package in OURS for path in _files(package) for each in _functions(path))
    figures: dict[str, float] = {f"lines_{package}": _lines(package) for package in (*OURS, "tests")}
    figures["functions"] = len(lengths)
    figures["function_lines_median"] = statistics.median(length for length, _ in lengths)
    figures["function_lines_longest"] = lengths[-1][0]
    for name, value in figures.items():
        print(f"{name}: {value}")
    print(f"longest: {lengths[-1][1]}")
    return {"peer": "", "ratios": {}, "figures": figures, "conditions": {"lines": "physical, of *.py"}}


def _files(package: str) -> Iterator[Path]:
    yield from (ROOT / package).rglob("*.py")


def _lines(package: str) -> int:
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in _files(package))


def _functions(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            yield length, f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"

"""SECURITY.md is true: every test that it names exists, and every row of its threat table names one or says not yet."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "SECURITY.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
FILES = re.compile(r"`((?:certs|directory|relay|dmp_bridge|gateway)/[\w/]+(?:\.py|/))`")


def rows() -> list[str]:
    """The rows of the threat table, without heads and rules."""
    table = PAGE.partition("## The threat table")[2]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    heads = {at for at, line in enumerate(lines[1:]) if line.startswith("|---")}
    return [line for at, line in enumerate(lines) if at not in heads and not line.startswith("|---")]


def absent(page: str) -> list[str]:
    """What the page names and the tree does not have."""
    missing = []
    for file, name in NAMED.findall(page):
        path = ROOT / file
        tree = ast.parse(path.read_text()) if path.is_file() else ast.Module([], [])
        if name not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}:
            missing.append(f"{file}::{name}")
    return missing


def test_every_named_test_exists() -> None:
    """A test that was renamed or removed is missed here."""
    assert NAMED.findall(PAGE)
    assert absent(PAGE) == []


def test_a_named_test_that_does_not_exist_is_missed() -> None:
    """The twin: an invented name, and an invented file, are found out."""
    assert absent("`tests/test_house.py::test_nothing` and `tests/no_such.py::test_x`") == [
        "tests/test_house.py::test_nothing",
        "tests/no_such.py::test_x",
    ]


def test_every_row_names_a_test_or_says_not_yet() -> None:
    """No row claims what nothing shows."""
    assert len(rows()) > 60
    assert [row for row in rows() if not NAMED.search(row) and not re.search(r"not yet: \w+", row)] == []


def test_every_named_file_exists() -> None:
    """The pages of the code that it points to are there."""
    assert [name for name in FILES.findall(PAGE) if not (ROOT / name).exists()] == []


def test_every_use_of_sha_1_is_listed() -> None:
    """A file that computes SHA-1, or calls what does, stands in the page's list."""
    uses = re.compile(r"hashlib\.sha1|hashes\.SHA1|\bsha1\(|from_public_key\(|from_issuer_public_key\(")
    packages = ("certs", "directory", "relay", "dmp_bridge", "gateway")
    files = [file for package in packages for file in (ROOT / package).rglob("*.py")]
    using = {file.relative_to(ROOT).as_posix() for file in files if uses.search(file.read_text())}
    listed = PAGE.partition("## Each use of SHA-1")[2].partition("## The threat table")[0]
    assert using
    assert {name for name in using if f"`{name}`" not in listed} == set()

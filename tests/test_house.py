"""The house itself: names, tower, sizes, and traces that must not be there."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.__main__ import OURS, foreign_packages
from gateway.app import METADATAS

ROOT = Path(__file__).resolve().parent.parent


def _functions() -> list[tuple[int, str]]:
    found = []
    for package in OURS:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    length = (node.end_lineno or node.lineno) - node.lineno + 1
                    found.append((length, f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"))
    return found


def test_our_import_names_belong_to_our_distribution() -> None:
    """No other distribution installs a package under one of our five generic names."""
    assert foreign_packages() == []


def test_another_owner_of_a_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution that also installs `directory` is noticed before anything starts."""
    monkeypatch.setattr("gateway.__main__.packages_distributions", lambda: {"directory": ["pli-gateway", "other"]})
    assert foreign_packages() == ["directory"]


def test_the_import_contracts_hold() -> None:
    """Imports only go down the tower, and nothing on the serving path reaches the demo or throw-away keys."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]


def test_functions_stay_short() -> None:
    """The median function is under 8 lines and none is over 60."""
    lengths = _functions()
    assert statistics.median(length for length, _ in lengths) < 9
    assert [name for length, name in lengths if length > 60] == []


def test_files_stay_within_four_hundred_lines() -> None:
    """A file of more than 400 lines, of the packages or of the tests, should have become two."""
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in (*OURS, "tests")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert "tests/test_house.py" in lengths
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def test_every_file_says_what_it_is_for() -> None:
    """Each module that holds code opens with its purpose."""
    silent = []
    for package in OURS:
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            if tree.body and not ast.get_docstring(tree):
                silent.append(str(path.relative_to(ROOT)))
    assert silent == []


def test_every_table_of_every_package_has_its_tenant() -> None:
    """No row is without a tenant, whoever declares the table."""
    tables = [table for metadata in METADATAS for table in metadata.tables.values()]
    assert {"letters", "journal", "patients", "filings", "worklist"} <= {table.name for table in tables}
    assert [table.name for table in tables if "tenant" not in table.c or table.c.tenant.nullable] == []


def test_a_command_loads_no_node_before_it_is_known() -> None:
    """What a node needs is loaded by the command that was typed: its help, and every other one, begin without it."""
    asked = (
        "import sys, gateway.cli; print(*sorted({'gateway.app', 'relay.intake', 'dmp_bridge.cda'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

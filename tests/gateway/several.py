"""Three tenants' files, and the same with a change; nothing runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.demo import town as towns
from gateway.demo.processes import new_folder
from gateway.demo.town import Town, toml

ONE, TWO = "cabinet-01", "cabinet-02"


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    """Three tenants' files; nothing runs."""
    folder = new_folder("pli-u-")
    yield towns.build(folder / "s", 3, datetime.now(UTC))
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def changed(town: Town, tmp_path: Path) -> Callable[[Callable[[dict[str, Any]], None]], Path]:
    """changed(lambda told: ...): the town's file with a change."""

    def make(change: Callable[[dict[str, Any]], None]) -> Path:
        told: Any = towns.settings(town)
        told["tenants"] = {each.name: each.settings for each in town.tenants}
        change(told)
        path = tmp_path / "pli.toml"
        path.write_text(toml(told), "utf-8")
        return path

    return make


def same(section: str, key: str) -> Callable[[dict[str, Any]], None]:
    def change(told: dict[str, Any]) -> None:
        told["tenants"][TWO][section][key] = told["tenants"][ONE][section][key]

    return change


def put(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(told: dict[str, Any]) -> None:
        for step in path[:-1]:
            told = told.setdefault(step, {})
        told[path[-1]] = value

    return change

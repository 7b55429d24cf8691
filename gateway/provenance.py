"""Where each value of the configuration comes from: the environment, the file, or the factory.

Promises: what counts is what is shown, under the name that is written; a value of the file that the environment
overrides is the environment's. Secrets lie in files, so only their names are seen.
Does not: read policy, whose values have a level of their own (`pli policy show`).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from gateway.config import Settings

PREFIX, STEP = "PLI_", "__"
_TENANTS = "tenants."


class Source(StrEnum):
    ENVIRONMENT = "environment"
    FILE = "file"
    FACTORY = "factory"


@dataclass(frozen=True)
class Value:
    key: str
    value: str
    source: Source
    where: str
    """The file's path, or the variable's name."""


def values(settings: Settings, file: Path, environment: Mapping[str, str] = os.environ) -> tuple[Value, ...]:
    """Every key of the whole node's settings, in the order of docs/configuration.md. Raises OSError, ValueError."""
    written = dict(_leaves(tomllib.loads(file.read_text("utf-8"))))
    named = {key.upper(): key for key in environment}
    shown = _leaves(settings.model_dump(mode="json"))
    return tuple(_value(key, value, written, named, file) for key, value in shown)


def of_tenant(told: Iterable[Value], tenant: str) -> tuple[Value, ...]:
    """Without what stands under another tenant's name."""
    return tuple(
        each for each in told if not each.key.startswith(_TENANTS) or each.key.startswith(f"{_TENANTS}{tenant}.")
    )


def _leaves(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _value(key: str, value: Any, written: Mapping[str, Any], named: Mapping[str, str], file: Path) -> Value:
    variable = PREFIX + key.replace(".", STEP).upper()
    if variable in named:
        return Value(key, _shown(value), Source.ENVIRONMENT, named[variable])
    inside = key in written or any(each.startswith(f"{key}.") or key.startswith(f"{each}.") for each in written)
    return Value(key, _shown(value), Source.FILE if inside else Source.FACTORY, str(file) if inside else "")


def _shown(value: Any) -> str:
    if value is None or value in ([], {}, ""):
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

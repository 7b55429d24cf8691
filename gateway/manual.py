"""The configuration's manual, made from the settings themselves, so that it cannot lag behind.

Promises: every key with its type, default and description, as docs/configuration.md (a test compares). Does not: read
a configuration.
"""

from __future__ import annotations

from typing import Any, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gateway.config import Settings, section

HEAD = """# Configuration

One TOML file per node (`pli --config FILE`), each key overridden by `PLI_SECTION__KEY` in the environment. An unknown
key stops the start with the nearest known one. `pli config check` looks at every file named here. Several tenants on
one node: `[tenants.NAME]` below, and "Several tenants" in operations.md.

This page is made by `pli config manual`.
"""


def markdown() -> str:
    pages = [_section(name, field) for name, field in Settings.model_fields.items()]
    return "\n".join([HEAD, *pages])


def _section(name: str, field: FieldInfo) -> str:
    model = section(field.annotation)
    if model is None:
        return f"## [{name}]\n\n{field.description}\n"
    optional = "" if field.is_required() else " (optional)"
    name = f"{name}.NAME" if get_origin(field.annotation) is dict else name
    rows = [_row(key, inner) for key, inner in model.model_fields.items()]
    said = [field.description, ""] if field.description else []
    return "\n".join(
        [f"## [{name}]{optional}", "", *said, "| key | type | default | what |", "|---|---|---|---|", *rows, ""]
    )


def _row(key: str, field: FieldInfo) -> str:
    default = "required" if field.is_required() else f"`{_shown(field.get_default(call_default_factory=True))}`"
    return f"| {key} | {_type(field.annotation)} | {default} | {field.description or ''} |"


def _shown(value: Any) -> str:
    return value.model_dump_json() if isinstance(value, BaseModel) else str(value)


def _type(annotation: Any) -> str:
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    for module in (
        "pathlib.",
        "typing.",
        "gateway.config.",
        "gateway.policy_section.",
        "gateway.tenants_section.",
        "directory.feed.limits.",
        "gateway.clients_section.",
    ):
        text = text.replace(module, "")
    return text.replace("|", "or")

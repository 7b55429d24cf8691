"""What one kind of dossier host asks and allows: `regional`, `national`; read once from norms.toml.

Promises: everything that is particular to a kind of host is here as data, with its source; an unknown key or kind is
refused. Does not: name a host (model.HostProfile does), nor act.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any


class Assertion(StrEnum):
    """What stands in the header of each request."""

    NONE = "none"
    INDIRECT = "indirect"


class LotSignature(StrEnum):
    """Whether a lot carries its signature, and the hash over each document in its manifest."""

    NONE = "none"
    SHA1 = "sha1"
    SHA256 = "sha256"


@dataclass(frozen=True)
class Norm:
    """See norms.toml for what each means."""

    name: str = "regional"
    title: str = ""
    ships_enabled: bool = True
    reads: bool = True
    by_reference: bool = False
    updates: bool = True
    incoming: bool = True
    asks_existence: bool = False
    assertion: Assertion = Assertion.NONE
    lot_signature: LotSignature = LotSignature.NONE
    schema_required: bool = False
    deleted: str = "urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated"
    vihf_version: str = "3.0"
    vihf_mode_attribute: str = "Authentification_Mode"
    purpose_name: str = "mode acces VIHF 2.0"
    vihf_resource: str = "urn:dmp"
    device: str = "1.2.250.1.213.4.1.1.1"
    update_replies: tuple[str, ...] = (
        "urn:ihe:iti:2010:UpdateDocumentSetResponse",
        "urn:ihe:iti:2010:UpdateDocumentSet-Response",
    )
    source: str = ""
    confidence: str = ""


def norm(name: str) -> Norm:
    """Raises KeyError where no kind of host has this name."""
    return _read()[name]


def names() -> tuple[str, ...]:
    return tuple(_read())


@cache
def _read() -> Mapping[str, Norm]:
    told = tomllib.loads(files("dmp_bridge").joinpath("norms.toml").read_text(encoding="utf-8"))
    return {name: _norm(name, told) for name in told}


def _norm(name: str, told: Mapping[str, Mapping[str, Any]]) -> Norm:
    own = dict(told[name])
    values = {**told.get(own.pop("like", ""), {}), **own}
    unknown = values.keys() - {each.name for each in fields(Norm)}
    if unknown:
        raise ValueError(f"norms.toml: {name}: unknown key {min(unknown)}")
    return Norm(
        **{
            **values,
            "name": name,
            "assertion": Assertion(values["assertion"]),
            "lot_signature": LotSignature(values["lot_signature"]),
        }
    )

"""The evidence of a judgement as it is kept beside a letter: small, in JSON, enough to judge again.

Promises: times, digests, algorithms and the names of lists, responders and authorities; no subject of an end
certificate, hence nobody's name or address. Does not: keep the bytes (the letter holds its certificates; the trust
folder and the cache hold lists and answers).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from certs.model import Consulted, Evidence


def summary(evidence: Evidence) -> dict[str, Any]:
    """JSON-able; times in UTC as ISO 8601, digests as lower-case hexadecimal."""
    return {
        "at": _time(evidence.at),
        "chain": list(evidence.chain),
        "algorithms": list(evidence.algorithms),
        "consulted": [_one(each) for each in evidence.consulted],
    }


def _one(each: Consulted) -> dict[str, Any]:
    told = {"kind": each.kind, "name": each.name, "digest": each.digest, "until": _time(each.until)}
    return told | ({"stale": True} if each.stale else {})


def _time(at: datetime | None) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds") if at is not None else ""

"""How far a replica is behind, by what both servers say of themselves (contextCSN, draft of OpenLDAP's syncprov).

Promises: pure. Does not: ask (directory.following.standing does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True)
class Lag:
    behind: timedelta | None
    """Between the last changes of both; None: the replica has nothing of a server that takes writes."""

    @property
    def in_step(self) -> bool:
        return self.behind == timedelta(0)


def lag(provider: Sequence[str], replica: Sequence[str]) -> Lag:
    """The greatest, over all servers that take writes (the third part of a CSN names them)."""
    ours, theirs = _times(provider), _times(replica)
    if not ours or not set(ours) <= set(theirs):
        return Lag(None)
    return Lag(max(max(ours[name] - theirs[name], timedelta(0)) for name in ours))


def _times(csns: Sequence[str]) -> dict[str, datetime]:
    parted = [csn.split("#") for csn in csns]
    return {parts[2]: at for parts in parted if len(parts) == 4 and (at := _time(parts[0]))}


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return None

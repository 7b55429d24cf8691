"""The settings of whoever keeps the regional directory: the identity that writes, and how much one import may change.

Promises: without this section the directory is only read. Does not: hold the password, which lies in a file.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from directory.feed.limits import FACTORY, Kind, Limit


class FeedSection(BaseModel):
    """Keeping the directory, for whoever runs it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bind_dn: str = Field(description="The identity that writes, cn=gestion,… in a directory of `pli directory schema`.")
    password_file: Path
    folder: Path | None = Field(default=None, description="Ledger and archived plans; directory/ in paths.data.")
    departments: tuple[str, ...] = Field(
        default=(), description="Beginnings of postal codes that are taken from national files; empty: all."
    )
    kept_days: float = Field(
        default=90, ge=1, description="So long after it left its source an entry is removed; until then it is closed."
    )
    percent: dict[Kind, float] = Field(
        default_factory=dict,
        description="Most changes in one import, of a hundred entries; more needs a named person. Unless said: "
        + ", ".join(f"{kind} {limit.percent:g}" for kind, limit in FACTORY.items())
        + ".",
    )
    count: dict[Kind, int] = Field(
        default_factory=dict,
        description="So many are never too many. Unless said: "
        + ", ".join(f"{kind} {limit.count}" for kind, limit in FACTORY.items())
        + ".",
    )

    @property
    def limits(self) -> dict[Kind, Limit]:
        return {
            kind: Limit(self.count.get(kind, each.count), self.percent.get(kind, each.percent))
            for kind, each in FACTORY.items()
        }

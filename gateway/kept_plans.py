"""Plans of imports that were made at the pages, each in a private folder of its own, with what became of it.

Promises: a file that was brought is nobody else's to read, under a name of ours, and is gone once its plan is made; at
most MOST plans are kept, the oldest go first; what became of a plan outlives this process. Does not: make or apply one
(gateway.imports_desk does); what was applied is archived apart, for good (gateway.feeding).
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from directory.feed import plan
from directory.feed.lines import FeedError
from gateway import feeding
from gateway.config import Settings

MOST = 20
_NAME = re.compile(r"\d{14}-[0-9a-f]{16}")
_ODD = re.compile(r"[^\w.-]", re.ASCII)
_ROOM = 4
"""Times the file: its copy, the database's and the plan, which says before and after."""


class NoRoom(FeedError):
    """The disk would fill."""


@dataclass(frozen=True)
class Kept:
    """One plan, or what will be one."""

    folder: Path
    by: str
    at: str
    """ISO 8601, UTC."""
    source: str
    digest: str = ""
    """Of the plan; empty until it is made."""

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def plan(self) -> Path:
        return self.folder / "plan"

    @property
    def file(self) -> Path:
        """What was brought: the only one there."""
        return next((self.folder / "brought").iterdir())


def receive(settings: Settings, source: str, name: str, content: BinaryIO, by: str, now: datetime) -> Kept:
    """Keeps what was brought. Raises NoRoom, OSError, ConfigError."""
    where = _where(settings)
    where.mkdir(mode=0o700, parents=True, exist_ok=True)
    size = content.seek(0, 2)
    content.seek(0)
    if shutil.disk_usage(where).free < _ROOM * size:
        raise NoRoom("il n'y a pas assez de place sur le disque de ce nœud pour ce fichier")
    folder = where / f"{now:%Y%m%d%H%M%S}-{secrets.token_hex(8)}"
    (folder / "brought").mkdir(mode=0o700, parents=True)
    folder.chmod(0o700)
    kept = Kept(folder, by, now.isoformat(), source)
    with (folder / "brought" / _plain(name)).open("xb") as file:
        shutil.copyfileobj(content, file, 1 << 20)
    _write(kept)
    return kept


def _plain(name: str) -> str:
    """A file name without a folder; its date, which the plan reads, stays."""
    return "f" + plain if (plain := _ODD.sub("_", name.rpartition("/")[2])[-100:]).startswith(".") else plain or "f"


def made(kept: Kept) -> Kept:
    """Its plan is there: what was brought goes."""
    done = replace(kept, digest=plan.digest_of(kept.plan))
    _write(done)
    shutil.rmtree(kept.folder / "brought")
    return done


def _write(kept: Kept) -> None:
    told = {name: value for name, value in asdict(kept).items() if name != "folder"}
    (kept.folder / "told.json").write_text(json.dumps(told, ensure_ascii=False), "utf-8")


def forget(kept: Kept) -> None:
    shutil.rmtree(kept.folder, ignore_errors=True)


def forget_oldest(settings: Settings, most: int = MOST) -> None:
    for each in every(settings)[most:]:
        forget(each)


def every(settings: Settings) -> list[Kept]:
    """Those that are made, newest first. Raises ConfigError."""
    found = (of(settings, each.name) for each in _where(settings).glob("*-*"))
    return sorted((each for each in found if each), key=lambda each: each.id, reverse=True)


def of(settings: Settings, name: str) -> Kept | None:
    """The plan of that name, if it is made. Raises ConfigError."""
    folder = _where(settings) / name
    if not _NAME.fullmatch(name) or not (folder / "told.json").exists():
        return None
    kept = Kept(folder, **json.loads((folder / "told.json").read_text("utf-8")))
    return kept if kept.digest else None


def note(kept: Kept, told: dict[str, Any]) -> None:
    """What became of it: begun, or ended and how."""
    part = kept.folder / "became.part"
    part.write_text(json.dumps(told, ensure_ascii=False), "utf-8")
    part.replace(kept.folder / "became.json")


def became(kept: Kept) -> dict[str, Any]:
    """Empty where nobody applied it."""
    path = kept.folder / "became.json"
    return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}


def _where(settings: Settings) -> Path:
    return feeding.folder(settings) / "asked"

"""How a table of one's own names its columns, kept under a name and used at each import, by command and at the pages.

Promises: each is one file that an operator can read and edit, in `columns` of the feed's folder; one that does not hold
together is refused in a sentence that names it, whoever wrote it. Does not: read a table.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from certs import disk
from directory.feed import sources
from directory.feed.items import Source
from directory.feed.lines import FeedError, normalised
from gateway.config import Settings

ENCODINGS = ("utf-8", "cp1252")
KINDS = ("tableau", "ldif")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@dataclass(frozen=True)
class Saved:
    """`columns`: the template's name -> the name in the file. Of `ldif` it names attributes, the rest has no use."""

    source: str
    columns: Mapping[str, str] = field(default_factory=dict)
    encoding: str = "utf-8"
    separator: str = ";"

    def as_source(self) -> Source:
        """Raises FeedError for a column that the template does not have, or one that is to be two of them."""
        twice = [each for each, times in Counter(map(normalised, self.columns.values())).items() if times > 1]
        if twice:
            raise FeedError(f"la colonne « {twice[0]} » serait deux colonnes du modèle")
        if self.source == "ldif":
            return sources.ldif(dict(self.columns))
        return sources.own_table(dict(self.columns), self.encoding, self.separator)


def every(settings: Settings) -> dict[str, Saved]:
    """By name. Raises FeedError for a file that does not hold together."""
    found = sorted(_folder(settings).glob("*.json"))
    return {each.stem: _read(each) for each in found if _NAME.fullmatch(each.stem)}


def named(settings: Settings, name: str) -> Saved:
    """Raises FeedError where there is none of this name."""
    path = _path(settings, name)
    if not path.exists():
        known = ", ".join(every(settings)) or "aucun"
        raise FeedError(f"aucun jeu de colonnes « {name} » n'est enregistré ici (enregistrés : {known})")
    return _read(path)


def keep(settings: Settings, name: str, saved: Saved) -> Path:
    """What was there under this name is replaced. Raises FeedError for a name that is none."""
    saved.as_source()
    path = _path(settings, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    disk.put(path, (json.dumps(asdict(saved), ensure_ascii=False, indent=1) + "\n").encode())
    return path


def _folder(settings: Settings) -> Path:
    from gateway import feeding  # with it comes the whole node, of which a command's help needs nothing

    return feeding.folder(settings) / "columns"


def _path(settings: Settings, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise FeedError("le nom d'un jeu de colonnes : minuscules, chiffres et tirets, 40 signes au plus")
    return _folder(settings) / f"{name}.json"


def _read(path: Path) -> Saved:
    try:
        told = json.loads(path.read_text("utf-8"))
        saved = Saved(**told)
    except (OSError, ValueError, TypeError):
        raise FeedError(f"{path} n'est pas un jeu de colonnes (pli directory plan --save NOM l'écrit)") from None
    if not _holds(saved):
        raise FeedError(f"{path} : source, columns, encoding ou separator n'ont pas une valeur connue")
    return saved


def _holds(saved: Saved) -> bool:
    told: Any = saved.columns
    words = isinstance(told, dict) and all(isinstance(each, str) for pair in told.items() for each in pair)
    one = isinstance(saved.separator, str) and len(saved.separator) == 1
    return words and one and saved.source in KINDS and saved.encoding in ENCODINGS

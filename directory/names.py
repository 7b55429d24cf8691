"""How names are compared: without accents, case, hyphens or apostrophes.

Promises: the same function makes what the directory stores and what a search asks, so that they meet.
Does not: compare by sound, nor guess which word is a family name.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# NFKD leaves these whole.
_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "ł": "l", "đ": "d"})
_WORD = re.compile(r"[a-z0-9]+")


def fold(text: str) -> str:
    """'Hélène LE-GUENŒC' becomes 'helene le guenoec': ASCII words between single blanks."""
    if text.isascii():
        return " ".join(_WORD.findall(text.lower()))
    parts = unicodedata.normalize("NFKD", text.casefold().translate(_LIGATURES))
    bare = "".join(part for part in parts if not unicodedata.combining(part))
    return " ".join(_WORD.findall(bare))


def words(*texts: str) -> tuple[str, ...]:
    """The different words of some texts, folded, in order."""
    return tuple(dict.fromkeys(word for text in texts for word in _split(text)))


@lru_cache(1 << 14)
def _split(text: str) -> tuple[str, ...]:
    """Remembered: a list of a hundred entries names the same towns, structures and specialties again and again."""
    return tuple(fold(text).split())

"""One reply of SMTP in two languages, and how it goes on the wire.

Promises: what goes on the wire is ASCII (RFC 5321 §2.4), in lines of at most 512 octets (§4.5.3.1.5), whatever a detail
holds. Does not: know a reason (replies, filing_replies) or a turn (turns).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Reply:
    code: int
    enhanced: str
    """RFC 3463; empty where none is allowed (greeting, EHLO, 3xx)."""
    french: str
    english: str = ""
    tells: str = ""
    """Set where a refusal's detail is for the other end too: the words before it."""

    def wire(self, detail: str = "") -> str:
        """The reply's lines, ASCII, without the last CRLF: French first, then English."""
        return self._worded(detail) if detail else _plainly(self)

    def _worded(self, detail: str) -> str:
        sentences = [text for text in (self.french, self.english, detail) if text]
        texts = [f"{self.enhanced} {ascii_only(text)[:TEXT_MOST]}".strip() for text in sentences]
        lines = [f"{self.code}-{text}" for text in texts[:-1]]
        return "\r\n".join([*lines, f"{self.code} {texts[-1]}"])


@lru_cache(512)
def _plainly(reply: Reply) -> str:
    return reply._worded("")


TEXT_MOST = 480
"""Characters of one line's text: 512 less code, enhanced code and CRLF."""

# What NFKD leaves standing outside ASCII.
_PLAIN = str.maketrans({"œ": "oe", "Œ": "OE", "æ": "ae", "’": "'", "«": '"', "»": '"', "—": "-", "–": "-"})


def ascii_only(text: str) -> str:
    """Readable without accents; a control character, hence a line end, becomes a space."""
    plain = unicodedata.normalize("NFKD", text.translate(_PLAIN)).encode("ascii", "ignore").decode("ascii")
    return " ".join("".join(c if c.isprintable() else " " for c in plain).split())

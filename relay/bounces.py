"""Why a letter came back, in five words, out of a status and of what people or servers wrote beside it.

Promises: pure; the enhanced status decides where it says something (RFC 3463 §3), else the words of servers, French
and English, Mon espace santé's among them (spec/payload.md §1.6), read without accents or case; no text is kept.
Does not: believe a report (relay.intake asks who may speak), or guess where neither says anything.
"""

from __future__ import annotations

import re
from enum import StrEnum

from directory.names import fold

TEXT_MOST = 2000
"""Characters of a diagnosis that are looked at."""


class Bounce(StrEnum):
    CLOSED = "bounce-closed"
    """There is a mailbox, which takes no mail (any more)."""
    UNKNOWN = "bounce-unknown"
    """Nobody has this address; for a patient's: no such patient."""
    BAD_ADDRESS = "bounce-bad-address"
    TOO_LARGE = "bounce-too-large"
    FULL = "bounce-full"


# RFC 3463 §3.2 to §3.4; x.1.10 is RFC 7505 §4.2
_STATUSES = {
    "1.1": Bounce.UNKNOWN,
    "1.2": Bounce.UNKNOWN,
    "1.6": Bounce.UNKNOWN,
    "1.10": Bounce.UNKNOWN,
    "1.3": Bounce.BAD_ADDRESS,
    "2.1": Bounce.CLOSED,
    "2.2": Bounce.FULL,
    "2.3": Bounce.TOO_LARGE,
    "3.4": Bounce.TOO_LARGE,
}
_WORDS = (
    (
        Bounce.TOO_LARGE,
        r"too (?:large|big)|exceeds? .{0,40}size|size .{0,20}exceed|trop (?:volumineu|grand)|taille max",
    ),
    (Bounce.FULL, r"(?:mailbox|quota|boite).{0,30}(?:full|exceeded|pleine|depasse)|over quota"),
    (Bounce.CLOSED, r"(?:messagerie|boite|compte|mailbox|account).{0,30}(?:ferme|cloture|closed|disabled|desactive)"),
    (Bounce.BAD_ADDRESS, r"(?:adresse|address).{0,20}(?:invalid|incorrect|mal formee)|invalid .{0,20}address"),
    (
        Bounce.UNKNOWN,
        r"(?:patient|usager|destinataire|utilisateur|boite).{0,30}(?:non trouve|introuvable|inconnu)"
        r"|(?:user|mailbox|recipient|address).{0,30}(?:unknown|not found)"
        r"|(?:no such|unknown) (?:user|mailbox|recipient)",
    ),
)
_READ = tuple((bounce, re.compile(pattern)) for bounce, pattern in _WORDS)


def classify(status: str, text: str) -> Bounce | None:
    """`status`: RFC 3463, or empty. None: refused for a reason that has no word here."""
    said = _STATUSES.get(status.partition(".")[2])
    folded = fold(text[:TEXT_MOST])
    return said or next((bounce for bounce, words in _READ if words.search(folded)), None)

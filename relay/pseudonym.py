"""Keyed pseudonyms for patients: what stands in logs, journal rows, metrics and file names instead of an
identity.

Promises: the same identity has the same pseudonym under one tenant's key, another under another's; without
the key nothing is found by trying all numbers (HMAC-SHA256). Does not: give an identity back, nor hide
professionals.
"""

from __future__ import annotations

import base64
import hmac
import re

from directory.model import PATIENT_DOMAIN, Address

PREFIX = "p:"
_LETTERS = 16

# A matricule INS: 13 characters (15 with its key); department 2A or 2B in Corsica. Written solid, or as
# people group it ("2 79 03 51 215 189 89"); a run of digits that is longer than 15 is no matricule.
_GAP = "[ \u00a0\u2009\u202f]"
_BODY = f"{_GAP}?".join([r"\d", r"\d\d", r"\d\d", r"(?:\d\d|2[AaBb])", r"\d\d\d", r"\d\d\d"])
_INS = re.compile(rf"(?<!\d){_BODY}(?:{_GAP}?\d\d)?(?!\d)", re.ASCII)
_GAPS = re.compile(_GAP)
# Our own letter ids and hexadecimal digests may hold 13 digits in a row; losing them would lose the trail.
_OPAQUE = r"(?<![0-9A-Za-z])(?:[0-9a-f]{32,}|[0-9a-hjkmnp-tv-z]{26})(?![0-9A-Za-z])"
_OPAQUE_OR_INS = re.compile(rf"(?P<opaque>{_OPAQUE})|{_INS.pattern}", re.ASCII)


class Pseudonyms:
    """Pseudonyms under one tenant's key."""

    def __init__(self, key: bytes) -> None:
        """`key`: at least 16 secret bytes. Raises ValueError on a shorter one."""
        if len(key) < 16:
            raise ValueError("a pseudonym key has at least 16 bytes")
        self._key = key

    def of(self, text: str) -> str:
        """'p:' and 16 letters for an identity;

        case and surrounding space do not count, nor do gaps in a matricule.
        """
        digest = hmac.digest(self._key, _normal(text).encode(), "sha256")
        return PREFIX + base64.b32encode(digest).decode("ascii")[:_LETTERS].lower()

    def address(self, address: Address | str) -> str:
        """A patient's address with its local part replaced; any other address unchanged."""
        local, at, domain = str(address).rpartition("@")
        if not at or domain.strip().rstrip(".").lower() != PATIENT_DOMAIN or local.startswith(PREFIX):
            return str(address)
        return f"{self.of(local)}@{PATIENT_DOMAIN}"

    def scrub(self, text: str) -> str:
        """The text with everything that looks like a matricule INS (13 or 15 characters) replaced."""
        return _OPAQUE_OR_INS.sub(lambda found: found["opaque"] or self.of(found.group()), text)


def _normal(text: str) -> str:
    """One spelling for one identity: the 13 characters of a matricule, with or without its key."""
    plain = text.strip().upper()
    if _INS.fullmatch(plain):
        return _GAPS.sub("", plain)[:13]
    return plain

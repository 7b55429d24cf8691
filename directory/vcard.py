"""A mailbox as a vCard 4.0 (RFC 6350), for any address book.

Promises: every value is escaped and every line folded, so that what a stranger wrote stays a value.
Does not: export red-listed entries (its caller refuses), nor read cards.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

from directory.model import Entry, Kind

_LINE = 75
"""Octets of a line without its end (RFC 6350 §3.2)."""


def card(entry: Entry) -> str:
    return "".join(f"{folded}\r\n" for line in _lines(entry) for folded in _folded(line))


def _lines(entry: Entry) -> Iterator[str]:
    yield from ("BEGIN:VCARD", "VERSION:4.0", f"KIND:{'individual' if entry.kind is Kind.PER else 'org'}")
    yield f"FN:{_escaped(entry.display_name)}"
    if entry.family_name:
        yield f"N:{';'.join(map(_escaped, (entry.family_name, entry.given_name, '', entry.title, '')))}"
    if entry.structure:
        yield f"ORG:{';'.join(map(_escaped, filter(None, (entry.structure, entry.service))))}"
    if entry.specialty:
        yield f"ROLE:{_escaped(entry.specialty)}"
    yield f"EMAIL;TYPE=work;PREF={min(max(entry.preferred or 1, 1), 100)}:{_escaped(str(entry.address))}"
    if entry.town or entry.postal_code:
        yield f"ADR;TYPE=work:;;;{_escaped(entry.town)};;{_escaped(entry.postal_code)};"
    for certificate in entry.certificates:
        yield f"KEY:data:application/pkix-cert;base64,{base64.b64encode(certificate).decode()}"
    if entry.provenance.uuid:
        yield f"UID:urn:uuid:{_escaped(entry.provenance.uuid)}"
    yield "END:VCARD"


def _escaped(value: str) -> str:
    """RFC 6350 §3.4; what is neither printable nor a line's end becomes a blank."""
    for sign, escape in {"\\": "\\\\", ",": "\\,", ";": "\\;", "\r\n": "\\n", "\n": "\\n", "\r": "\\n"}.items():
        value = value.replace(sign, escape)
    return "".join(sign if sign.isprintable() else " " for sign in value)


def _folded(line: str) -> Iterator[str]:
    """No line is too long, and none is cut inside a letter."""
    piece = ""
    for sign in line:
        if len((piece + sign).encode("utf-8", "replace")) > _LINE:
            yield piece
            piece = " "
        piece += sign
    yield piece

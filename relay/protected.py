"""Header fields inside what is signed or encrypted: which are protected, and which the outer block contradicts.

Promises: reads the two ways in use, RFC 9788 (hp="clear", hp="cipher", HP-Outer) and the message/rfc822 wrap of
RFC 8551 §3.1; answers names of fields, never values; our own X-Pli-* among them are named and never read
(CVE-2026-27443). Does not: replace an outer field by an inner one, or decide what a difference is worth (relay.smime
does).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from directory import address
from directory.model import Address
from relay.fields import Field, Malformed, decode_words
from relay.message import OWN_FAMILY, Message, Part, scan

_ADDRESSES = frozenset({"from", "sender", "reply-to", "to", "cc"})
_KNOWN = (
    *("From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Subject", "Date", "Message-ID", "In-Reply-To", "References"),
    *("Comments", "Keywords", "User-Agent", "Auto-Submitted", "Disposition-Notification-To", "Return-Receipt-To"),
    *("X-MSS-CODECDA", "X-MSS-INS", "X-MSS-NIL", "X-MSS-MES"),
)
_OTHER = "other"
"""A stranger may write anything as the name of a field: it goes to journals under this name."""
# RFC 9788 §1.8: fields of the part, not of the letter
_STRUCTURAL = ("content-", "mime-version", "hp-outer")


class Form(StrEnum):
    NONE = ""
    CLEAR = "hp-clear"
    CIPHER = "hp-cipher"
    WRAPPED = "rfc822"


@dataclass(frozen=True)
class Protected:
    """Names of known fields, each once, in their order inside; 'other' for what is none of them."""

    form: Form = Form.NONE
    names: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    """Those that the outer block says otherwise, without that the author meant it so."""
    hidden: tuple[str, ...] = ()
    """Those that the author left out of the outer block, or made vague there (RFC 9788 §6.1)."""
    own_family: bool = False

    @property
    def findings(self) -> tuple[str, ...]:
        named = tuple(f"header.differs:{name}" for name in self.differing)
        return (*named, "own-field.inside") if self.own_family else named


def of(message: Message, payload: Part | None) -> Protected:
    """What `payload`, the root of what is signed or encrypted, protects of the header of `message`."""
    if payload is None or payload is message.root:
        return Protected()
    form, inner = _inner(payload)
    if form is Form.NONE:
        return Protected()
    fields = [each for each in inner if not each.name.lower().startswith((*_STRUCTURAL, OWN_FAMILY))]
    own = any(each.name.lower().startswith(OWN_FAMILY) for each in inner)
    names = tuple(dict.fromkeys(each.name.lower() for each in fields))
    meant = _meant_outside(inner) if form is Form.CIPHER else None
    differing = [name for name in names if not _same(message, _named(fields, name), name, meant)]
    hidden = _hidden(fields, names, meant)
    return Protected(form, _known(names), _known(differing), _known(hidden), own)


def _known(names: Iterable[str]) -> tuple[str, ...]:
    known = {name.lower(): name for name in _KNOWN}
    return tuple(dict.fromkeys(known.get(name, _OTHER) for name in names))


def _inner(payload: Part) -> tuple[Form, tuple[Field, ...]]:
    protects = payload.params.get("hp", "").lower()
    if protects in ("clear", "cipher"):
        return (Form.CLEAR if protects == "clear" else Form.CIPHER), payload.fields
    if payload.type != "message/rfc822":
        return Form.NONE, ()
    try:
        return Form.WRAPPED, scan(payload.decode()).headers
    except Malformed:
        return Form.NONE, ()


def _named(fields: Iterable[Field], name: str) -> tuple[str, ...]:
    found = [each for each in fields if each.name.lower() == name]
    return tuple(each.strict if name in _ADDRESSES else each.text for each in found)


def _meant_outside(inner: Iterable[Field]) -> dict[str, tuple[str, ...]]:
    """RFC 9788 §2.2: each HP-Outer holds one field as its author put it outside."""
    told: dict[str, tuple[str, ...]] = {}
    for text in _named(inner, "hp-outer"):
        name, _, value = text.partition(":")
        told[name.strip().lower()] = (*told.get(name.strip().lower(), ()), value.strip())
    return told


def _same(message: Message, inner: Sequence[str], name: str, meant: dict[str, tuple[str, ...]] | None) -> bool:
    """Whether the outer block says the same as inside or, in a letter with hidden fields, as its author put it."""
    outer = _comparable(name, _named(message.headers, name))
    if meant is None or name == "from":  # From inside is From outside, whatever HP-Outer says
        return outer == _comparable(name, inner)
    return outer == _comparable(name, meant.get(name, ()))


def _hidden(fields: Sequence[Field], names: Sequence[str], meant: dict[str, tuple[str, ...]] | None) -> tuple[str, ...]:
    if meant is None:
        return ()
    return tuple(
        name for name in names if _comparable(name, meant.get(name, ())) != _comparable(name, _named(fields, name))
    )


def _comparable(name: str, values: Iterable[str]) -> tuple[object, ...]:
    """Address fields by their addresses, the rest decoded and without differences of white space."""
    if name in _ADDRESSES:
        return tuple(_addresses(value) for value in values)
    return tuple(" ".join(decode_words(value).split()) for value in values)


def _addresses(value: str) -> tuple[Address, ...] | str:
    try:
        return tuple(each for _, each in address.parse_list(value))
    except address.BadAddress:
        return " ".join(value.split())

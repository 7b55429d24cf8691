"""The shape of a directory that is not ours, from an attribute-mapping file (TOML), such as the national one.

Promises: a file that cannot serve is a BadMapping of one sentence; only attributes that the file calls indexed are
asked for. Does not: suggest addresses, since a stranger's directory has no words to compare.

    class = "mssEntry"
    searched = ["sn", "givenName"]            # theirs, whose beginnings are sought
    [indexed]                                 # theirs: eq, sub, pres
    objectClass = ["eq"]
    mailMSS = ["eq"]
    sn = ["eq", "sub"]
    [attributes]                              # ours = theirs
    mail = "mailMSS"
    [identifiers]                             # RPPS, FINESS = theirs
    RPPS = "numeroRPPS"
    [values.mssType]                          # of ours: theirs = ours
    personnelle = "PER"
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from directory import entries, filters
from directory.filters import Filter, Indexes
from directory.model import Address

_SECTIONS = {"class", "searched", "indexed", "attributes", "identifiers", "values"}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*(;[A-Za-z0-9-]+)*")
_IDENTIFIERS = {"RPPS", "FINESS"}


class BadMapping(ValueError):
    """The text says what is wrong, for the operator."""


@dataclass(frozen=True)
class Mapped:
    """`directory.shape.Shape` of somebody else's directory."""

    mailbox_class: str
    attributes: Mapping[str, str]
    """Ours -> theirs."""
    identifiers: Mapping[str, str]
    searched: tuple[str, ...]
    indexes: Indexes
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def paged(self) -> bool:
        return False  # whether it may be asked so is not known

    @property
    def read(self) -> tuple[str, ...]:
        return (*self.attributes.values(), *self.identifiers.values())

    def ours(self, values: entries.Values) -> entries.Values:
        made = {name: self._said(name, values.get(theirs, ())) for name, theirs in self.attributes.items()}
        numbers = (
            f"{entries.ISSUER}:{kind}:".encode() + raw + b":active"
            for kind, theirs in self.identifiers.items()
            for raw in values.get(theirs, ())
        )
        return {**made, "hcIdentifier": [*numbers]}

    def _said(self, name: str, raws: Sequence[bytes]) -> list[bytes]:
        words = self.values.get(name)
        if words is None:
            return list(raws)
        return [words.get(raw.decode("utf-8", "replace"), "").encode() or raw for raw in raws]

    def mailbox(self, address: Address) -> Filter:
        mail = self.attributes.get(entries.attribute_of(address)) or self.attributes["mail"]
        return filters.every(self._class(), filters.equal(mail, address.key, self.indexes))

    def search(self, asked: Sequence[str], whole: bool = False) -> Filter:
        ask = filters.equal if whole else filters.begins
        words = (filters.some(*(ask(name, word, self.indexes) for name in self.searched)) for word in asked)
        return filters.every(self._class(), *words)

    def near(self, address: Address) -> Iterator[Filter]:
        return iter(())

    def _class(self) -> Filter:
        return filters.equal("objectClass", self.mailbox_class, self.indexes)


def parse(text: str) -> Mapped:
    """Of a mapping file's text. Raises BadMapping."""
    try:
        told = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadMapping(f"the mapping is no TOML: {error}") from None
    if unknown := set(told) - _SECTIONS:
        raise BadMapping(f"the mapping has an unknown section: {', '.join(sorted(unknown))}")
    made = Mapped(
        mailbox_class=_text(told.get("class"), "class"),
        attributes=_texts(told, "attributes", set(entries.READ)),
        identifiers=_texts(told, "identifiers", _IDENTIFIERS),
        searched=tuple(_text(each, "searched") for each in told.get("searched", [])),
        indexes={name: frozenset(kinds) for name, kinds in told.get("indexed", {}).items()},
        values={name: _texts(told["values"], name, None) for name in told.get("values", {})},
    )
    _require_indexes(made)
    return made


def _require_indexes(made: Mapped) -> None:
    """What will be asked can be asked."""
    if "mail" not in made.attributes:
        raise BadMapping("the mapping does not say where the address stands: attributes.mail")
    for name in (*made.read, *made.searched):
        if not _NAME.fullmatch(name):
            raise BadMapping(f"'{name}' is no name of an attribute (RFC 4512 §2.5)")
    try:
        made.mailbox(Address("a", "b.fr"))
        if made.searched:
            made.search(["a"])
            made.search(["a"], whole=True)
    except filters.Unindexed as error:
        raise BadMapping(f"the mapping would ask for what it does not call indexed: {error}") from None


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise BadMapping(f"the mapping needs a word at '{where}'")
    return value


def _texts(told: Mapping[str, Any], name: str, known: set[str] | None) -> dict[str, str]:
    section = told.get(name, {})
    if not isinstance(section, dict):
        raise BadMapping(f"'{name}' of the mapping is a table")
    if known is not None and (unknown := set(section) - known):
        raise BadMapping(f"{name}: '{min(unknown)}' is none of ours")
    return {key: _text(value, f"{name}.{key}") for key, value in section.items()}

"""A mailbox entry as LDAP attributes of our schema, both ways.

Promises: what `attributes` writes, `read` gives back; a strangers' entry that cannot be read is a value that
names the attribute, never an exception, and never repeats what it held.
Does not: speak LDAP.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from directory.address import BadAddress, parse
from directory.model import Address, Capabilities, Entry, Kind, Provenance, Replacement, Situation
from directory.names import words

Values = Mapping[str, Sequence[bytes]]
"""Attributes of one entry as LDAP gives them."""

CLASS = "mssBal"
ISSUER = "ANS"
RED_BRANCH = "ou=rouge"
"""Where red-listed entries live, below the suffix."""
_TIME = "%Y%m%d%H%M%SZ"

# attribute -> field of Entry, one value of text each.
_TEXTS = {
    "displayName": "display_name",
    "sn": "family_name",
    "givenName": "given_name",
    "title": "title",
    "o": "structure",
    "hcSpecialisation": "specialty",
    "mssService": "service",
    "l": "town",
    "postalCode": "postal_code",
}
READ = (
    *_TEXTS,
    *("mail", "mssAdresse", "mssType", "mssListeRouge", "mssCapability", "hcIdentifier", "userCertificate;binary"),
    *("userSMIMECertificate", "dataSource", "dataOwner", "dataSourceDate"),
    *("lifecycleState", "validFrom", "validTo", "mssPreferred", "mssReplacement", "entryUUID"),
)
"""Attributes to ask for."""

_IDENTIFIER = re.compile(r"[^:]*:(?P<type>[^:]+):(?P<id>[0-9A-Za-z]+)(?::.*)?")


@dataclass(frozen=True)
class Unreadable:
    """An entry that says nothing usable; `attribute` is the culprit."""

    attribute: str


def attribute_of(address: Address) -> str:
    """Where an address stands: mail is an IA5String (RFC 4524 §2.16), and holds no other than ASCII ones."""
    return "mssAdresse" if address.is_international else "mail"


def attributes(entry: Entry) -> dict[str, list[str | bytes]]:
    """For `directory.ldif.record`; empty fields are left out."""
    values: dict[str, list[str | bytes]] = {
        "objectClass": [CLASS, "pliSource"],
        attribute_of(entry.address): [str(entry.address)],
        "mssType": [entry.kind],
        "mssCapability": list(_capability_names(entry.capabilities)),
        "hcIdentifier": [f"{ISSUER}:{kind}:{number}:active" for kind, number in _identifiers(entry)],
        "pliWord": list(search_words(entry)),
        "pliDomain": [entry.address.domain],
        "userCertificate;binary": list(entry.certificates),
        "mssPreferred": [] if entry.preferred is None else [str(entry.preferred)],
        "mssReplacement": [_replacement(each) for each in entry.replacements],
        "validTo": [] if entry.ends is None else [written(entry.ends)],
        "mssListeRouge": ["TRUE"] if entry.red_list else [],
        "dataSource": [entry.provenance.source] if entry.provenance.source else [],
        "dataOwner": [entry.provenance.owner] if entry.provenance.owner else [],
        "lifecycleState": ["active"],
    }
    texts = {attribute: getattr(entry, field) for attribute, field in _TEXTS.items()}
    return values | {attribute: [text] for attribute, text in texts.items() if text}


def search_words(entry: Entry) -> tuple[str, ...]:
    """What a search finds the entry by."""
    names = (entry.display_name, entry.given_name, entry.family_name, entry.structure, entry.service)
    return words(*names, entry.specialty, entry.town, entry.address.local, entry.rpps, entry.finess)


def _identifiers(entry: Entry) -> Iterator[tuple[str, str]]:
    if entry.rpps:
        yield "RPPS", entry.rpps
    if entry.finess:
        yield "FINESS", entry.finess


def _capability_names(said: Capabilities) -> Iterator[str]:
    yield "xdm" if said.xdm else "no-xdm"
    if said.smime is not None:
        yield "smime" if said.smime else "no-smime"
    if said.hprim:
        yield "hprim"
    if said.mdn:
        yield "mdn"
    if said.max_bytes is not None:
        yield f"max:{said.max_bytes}"


def read(dn: str, values: Values, source: str, wanted: Address | None = None) -> Entry | Unreadable:
    """The entry, for the one of its addresses that is `wanted` (without case), or its first."""
    address = _address(values, wanted)
    if address is None:
        return Unreadable("mail")
    identifiers = dict(_read_identifiers(values))
    texts = {field: _text(values, attribute) for attribute, field in _TEXTS.items()}
    texts["display_name"] = texts["display_name"] or str(address)
    return Entry(
        address=address,
        kind=_kind(_text(values, "mssType")),
        rpps=identifiers.get("RPPS", ""),
        finess=identifiers.get("FINESS", ""),
        red_list=is_red(dn, values),
        preferred=_rank(_text(values, "mssPreferred")),
        replacements=tuple(_replacements(values)),
        ends=moment(values, "validTo"),
        capabilities=_capabilities(values),
        certificates=tuple(_certificates(values)),
        provenance=Provenance(
            source, dn, _text(values, "entryUUID"), _text(values, "dataOwner"), _text(values, "dataSourceDate")
        ),
        **texts,
    )


def _address(values: Values, wanted: Address | None) -> Address | None:
    for raw in (*values.get("mail", ()), *values.get("mssAdresse", ())):
        try:
            address = parse(raw.decode("utf-8"))
        except (BadAddress, UnicodeDecodeError):
            continue
        if wanted is None or address.key == wanted.key:
            return address
    return None


def _text(values: Values, attribute: str) -> str:
    """The first value; what cannot be shown becomes a blank."""
    held = values.get(attribute)
    if not held:
        return ""
    raw = held[0].decode("utf-8", "replace")
    if raw.isprintable():
        return raw.strip()
    return "".join(sign if sign.isprintable() else " " for sign in raw).strip()


def _kind(code: str) -> Kind:
    return Kind(code.upper()) if code.upper() in Kind.__members__ else Kind.OTHER


def _read_identifiers(values: Values) -> Iterator[tuple[str, str]]:
    for raw in values.get("hcIdentifier", ()):
        match = _IDENTIFIER.fullmatch(raw.decode("utf-8", "replace"))
        if match:
            yield match["type"].upper(), match["id"]


def _capabilities(values: Values) -> Capabilities:
    said = {raw.decode("utf-8", "replace").lower() for raw in values.get("mssCapability", ())}
    sizes = [int(name[4:]) for name in said if name.startswith("max:") and name[4:].isdecimal()]
    return Capabilities(
        xdm="no-xdm" not in said,
        smime=False if "no-smime" in said else True if "smime" in said else None,
        hprim="hprim" in said,
        mdn="mdn" in said,
        max_bytes=min(sizes, default=None),
    )


def _certificates(values: Values) -> Iterator[bytes]:
    """userCertificate is DER (RFC 4523 §2.1), userSMIMECertificate a PKCS #7 bag of some (RFC 2798 §2.8)."""
    yield from values.get("userCertificate;binary", ())
    for bag in values.get("userSMIMECertificate", ()):
        try:
            certificates = pkcs7.load_der_pkcs7_certificates(bag)
        except ValueError:
            continue
        yield from (certificate.public_bytes(Encoding.DER) for certificate in certificates)


def in_force(values: Values, at: datetime) -> bool:
    """Neither pending, suspended nor closed, and inside its dates."""
    if _text(values, "lifecycleState").lower() not in ("", "active"):
        return False
    begins, ends = moment(values, "validFrom"), moment(values, "validTo")
    return (begins is None or begins <= at) and (ends is None or at < ends)


def moment(values: Values, attribute: str) -> datetime | None:
    return _moment(_text(values, attribute))


def _moment(text: str) -> datetime | None:
    """GeneralizedTime in the one form that our schema's feeds write (RFC 4517 §3.3.13)."""
    if not text:
        return None
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        return None


def written(at: datetime) -> str:
    return at.astimezone(UTC).strftime(_TIME)


def is_red(dn: str, values: Values) -> bool:
    """By its mark, or by where it stands: either is enough."""
    return _text(values, "mssListeRouge").upper() == "TRUE" or f",{RED_BRANCH}," in dn.lower()


def _rank(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _replacement(told: Replacement) -> str:
    return f"{written(told.begins)}/{written(told.ends)}/{told.address}"


def _replacements(values: Values) -> Iterator[Replacement]:
    """`<from>/<to>/<address>`; one that cannot be read is none."""
    for raw in values.get("mssReplacement", ()):
        begins, ends, address = (*raw.decode("utf-8", "replace").split("/", 2), "", "")[:3]
        first, last = _moment(begins), _moment(ends)
        if first and last:
            with suppress(BadAddress):
                yield Replacement(parse(address), first, last)


SITUATION = (
    "o",
    "hcIdentifier",
    "hcRole",
    "hcMode",
    "hcSector",
    "l",
    "postalCode",
    "lifecycleState",
    "validFrom",
    "validTo",
)
"""Attributes of one person in one structure."""


def situation(values: Values) -> Situation:
    texts = {field: _text(values, attribute) for attribute, field in _SITUATION.items()}
    return Situation(finess=dict(_read_identifiers(values)).get("FINESS", ""), **texts)


_SITUATION = {
    "o": "structure",
    "hcRole": "role",
    "hcMode": "mode",
    "hcSector": "sector",
    "l": "town",
    "postalCode": "postal_code",
}

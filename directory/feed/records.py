"""An item of a source as LDAP attributes of our schema.

Promises: the same item gives the same attributes; a name of an entry depends on its key alone, so that it stays when
the rest changes; what a source does not own is never among them.
Does not: write.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime

from directory import entries
from directory.address import parse
from directory.feed.items import RPPS, SEVERAL, Branch
from directory.ldif import escaped
from directory.model import Capabilities, Entry, Kind, Provenance
from directory.names import words

Attributes = dict[str, list[bytes]]
Said = dict[str, str]

_TYPES = {"0": "ADELI", "3": "FINESS-RANG", "5": "SIRET-RANG", RPPS: "RPPS"}


def dn(branch: Branch, key: str, said: Said, suffix: str) -> str:
    """Persons and structures by their identifier, mailboxes and situations by a digest of their key."""
    if branch is Branch.PERSONS:
        return f"uid={escaped(_number(said['person']))},ou={branch},{suffix}"
    if branch is Branch.STRUCTURES:
        return f"uid={escaped(said['finess'])},ou={branch},{suffix}"
    return f"pliKey={feed_key(key)},ou={branch},{suffix}"


def feed_key(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:24]


def attributes(source: str, branch: Branch, key: str, said: Said) -> Attributes:
    """All that the source says of an entry which it makes itself."""
    made = _MAKERS[branch](source, key, said)
    return {name: [_bytes(value) for value in values] for name, values in made.items() if values}


def owned(fields: frozenset[str], said: Said) -> Attributes:
    """The attributes of fields that a source says of an entry which another source makes."""
    return {_OWNED[name]: [each.encode() for each in said.get(name, "").split(SEVERAL) if each] for name in fields}


def alive() -> Attributes:
    return {"lifecycleState": [b"active"], "validTo": []}


def gone(at: datetime) -> Attributes:
    """It is deactivated, not deleted: routing refuses it, a person can bring it back."""
    return {"lifecycleState": [b"suspended"], "validTo": [_time(at)]}


def seen(at: datetime) -> Attributes:
    return {"dataSourceDate": [_time(at)]}


def _time(at: datetime) -> bytes:
    return at.strftime("%Y%m%d%H%M%SZ").encode()


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


_Made = dict[str, list[str | bytes]]

_OWNED = {"specialties": "hcSpecialisation", "diplomas": "hcQualification"}


# --- one maker for each branch --------------------------------------------------------------------------------


def mailbox(said: Said, source: str) -> Entry:
    """The entry as the rest of the product knows it."""
    title, given, family = (said.get(name, "") for name in ("title", "given", "family"))
    who = " ".join(filter(None, (title, given, family)))
    finess = said.get("structure", "").partition("FINESS:")[2]
    return Entry(
        address=parse(said["address"]),
        kind=Kind(said["kind"]) if said["kind"] in Kind.__members__ else Kind.OTHER,
        display_name=who or " - ".join(filter(None, (said.get("name"), said.get("service")))) or said["address"],
        family_name=family,
        given_name=given,
        title=title,
        rpps=said.get("person", "")[1:] if said.get("person", "").startswith(RPPS) else "",
        finess=finess,
        structure=said.get("name", ""),
        specialty=said.get("specialty", "") or said.get("profession", ""),
        service=said.get("service", ""),
        town=said.get("town", ""),
        postal_code=said.get("postal_code", ""),
        capabilities=Capabilities(xdm=True),
        provenance=Provenance(source=source, owner=source),
    )


def _mailbox(source: str, key: str, said: Said) -> _Made:
    made = entries.attributes(mailbox(said, source))
    # An extraction says nothing of what a mailbox takes; where nothing is said, the usual holds (directory.entries).
    del made["mssCapability"]
    made["mssType"] = [said["kind"]]
    made["pliKey"] = [feed_key(key)]
    if said.get("paperless"):
        made["mssDematerialisation"] = ["TRUE" if said["paperless"].upper() in ("O", "OUI", "1", "TRUE") else "FALSE"]
    return made


def _person(source: str, key: str, said: Said) -> _Made:
    family, given = said.get("family", ""), said.get("given", "")
    return {
        "objectClass": ["inetOrgPerson", "pliPersonne", "pliSource"],
        "uid": [_number(said["person"])],
        "cn": [f"{given} {family}".strip() or key],
        "sn": [family or key],
        "givenName": [given] if given else [],
        "title": [said["title"]] if said.get("title") else [],
        "hcProfession": [said["profession"]] if said.get("profession") else [],
        "hcIdentifier": list(_identifiers(said)),
        "pliWord": list(words(given, family, _number(said["person"]))),
        **_source(source),
    }


def _structure(source: str, key: str, said: Said) -> _Made:
    name = said.get("name", "") or key
    return {
        "objectClass": ["organization", "uidObject", "pliStructure", "pliSource"],
        "uid": [said["finess"]],
        "o": [name],
        "l": [said["town"]] if said.get("town") else [],
        "postalCode": [said["postal_code"]] if said.get("postal_code") else [],
        "telephoneNumber": [said["phone"]] if said.get("phone") else [],
        "businessCategory": [said["category"]] if said.get("category") else [],
        "hcIdentifier": list(_identifiers(said)),
        "pliWord": list(words(name, said["finess"], said.get("town", ""))),
        **_source(source),
    }


def _situation(source: str, key: str, said: Said) -> _Made:
    named = {"o": "name", "l": "town", "postalCode": "postal_code", "telephoneNumber": "phone", "hcRole": "role"}
    named |= {"hcMode": "mode", "hcSector": "sector"}
    texts: _Made = {attribute: [said[field]] for attribute, field in named.items() if said.get(field)}
    return texts | {
        "objectClass": ["pliSituation", "pliSource"],
        "pliKey": [feed_key(key)],
        "hcIdentifier": list(_identifiers(said)),
        "pliWord": list(words(*(said.get(name, "") for name in ("given", "family", "name", "town")))),
        **_source(source),
    }


def _source(source: str) -> _Made:
    return {"dataSource": [source], "dataOwner": [source], "lifecycleState": ["active"]}


def _number(national: str) -> str:
    """An RPPS without its type digit, as the rest of the directory writes it; others whole, so that none meet."""
    return national[1:] if national.startswith(RPPS) else national


def _identifiers(said: Said) -> Iterator[str | bytes]:
    if who := said.get("person"):
        yield f"{entries.ISSUER}:{_TYPES[who[0]]}:{who[1:]}:active"
    if where := said.get("structure"):
        yield f"{entries.ISSUER}:{where}:active"
    for name in ("finess", "siret"):
        if number := said.get(name):
            yield f"{entries.ISSUER}:{name.upper()}:{number}:active"


_MAKERS: dict[Branch, Callable[[str, str, Said], _Made]] = {
    Branch.MAILBOXES: _mailbox,
    Branch.PERSONS: _person,
    Branch.STRUCTURES: _structure,
    Branch.SITUATIONS: _situation,
}

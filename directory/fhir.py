"""The national directory by its public API (Annuaire Santé FHIR v2, directory §4): exact questions, few of them.

Promises: never more calls than allowed; the key goes to the configured host alone, no redirect is followed; every
trouble is DirectoryDown, whatever the other end sends; only an entry with exactly the address asked for is an answer,
and a patient's address is never sent. Does not: seek beginnings (`:contains` does not work there), suggest, or write.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import httpx
import structlog

from directory.address import BadAddress, parse
from directory.lookup import SEARCH_LIMIT
from directory.model import Address, DirectoryDown, Entry, Found, Kind, Listing, Lookup, NotFound, Provenance
from directory.names import words
from directory.pace import Pace
from directory.ranking import ordered

KEY_HEADER = "ESANTE-API-KEY"
CALLS_PER_S = 17
"""For one application, that is one key (wording of 30 June 2026)."""
MAX_BYTES = 1 << 20
CARRIERS: Mapping[str, Mapping[str, str]] = {
    "Practitioner": {},
    "PractitionerRole": {"_include": "PractitionerRole:practitioner"},
    "Organization": {},
}
"""Where a mailbox may hang, and what is asked for with it."""
RPPS_SYSTEM = "urn:oid:1.2.250.1.71.4.2.1"
FINESS_SYSTEM = "https://finess.esante.gouv.fr"
_METADATA = "/as-ext-mailbox-mss-metadata"

Json: TypeAlias = Any
Resource = Mapping[str, Any]

log = structlog.get_logger("directory")


class _Away(Exception):
    """The text names the trouble, and nothing of the answer."""


class FhirDirectory:
    """`directory.lookup.Directory` at `url`, like https://gateway.api.esante.gouv.fr/fhir/v2."""

    def __init__(
        self,
        url: str,
        key: str,
        pace: Pace,
        timeout_s: float = 5.0,
        *,
        ticks: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
        client: httpx.Client | None = None,
    ) -> None:
        self._url, self._key, self._pace, self._timeout_s = url.rstrip("/"), key, pace, timeout_s
        self._ticks, self._wait = ticks, wait
        self._client = client or httpx.Client(timeout=timeout_s, follow_redirects=False, trust_env=False)

    def find(self, address: Address) -> Lookup:
        """The mailbox with exactly this address."""
        if address.is_patient:
            return NotFound()
        try:
            for carrier, more in CARRIERS.items():
                told = self._ask(carrier, {"mailbox-mss:exact": address.key, **more})
                if found := [entry for entry in self._entries(told, carrier) if entry.address.key == address.key]:
                    return Found(found[0], others=tuple(found[1:]))
        except _Away as trouble:
            return self._down(trouble)
        return NotFound()

    def search(self, text: str, limit: int = SEARCH_LIMIT) -> Listing | DirectoryDown:
        """By RPPS number, or by family name as the national directory writes it, without its accents."""
        asked = words(text)
        if not asked:
            return Listing(())
        number = next((word for word in asked if word.isdecimal() and len(word) == 11), "")
        query = {"identifier": f"{RPPS_SYSTEM}|8{number}"} if number else {"family:exact": asked[0].upper()}
        most = min(limit, SEARCH_LIMIT)
        try:
            told = self._ask("Practitioner", {**query, "_count": str(most + 1)})
        except _Away as trouble:
            return self._down(trouble)
        found = [entry for entry in self._entries(told, "Practitioner") if _holds(entry, asked) and not entry.red_list]
        return Listing(tuple(ordered(asked, found)[:most]), len(found) > most or _has_next(told))

    def _down(self, trouble: _Away) -> DirectoryDown:
        log.warning("directory.down", detail=str(trouble), source=self._url)
        return DirectoryDown(str(trouble))

    # --- asking ---------------------------------------------------------------------------------------------------

    def _ask(self, carrier: str, query: Mapping[str, str]) -> Resource:
        wait_s = self._pace.wait_s(self._ticks(), self._timeout_s)
        if wait_s is None:
            raise _Away("too many calls wait")
        if wait_s > 0:
            self._wait(wait_s)
        return _bundle(self._fetched(f"{self._url}/{carrier}", query))

    def _fetched(self, url: str, query: Mapping[str, str]) -> bytes:
        headers = {KEY_HEADER: self._key, "Accept": "application/fhir+json"}
        ended = self._ticks() + self._timeout_s
        body = b""
        try:
            with self._client.stream("GET", url, params=dict(query), headers=headers) as answer:
                if answer.status_code != 200:
                    raise _Away(f"status {answer.status_code}")
                for piece in answer.iter_bytes():
                    body += piece
                    if len(body) > MAX_BYTES:
                        raise _Away("the answer is too long")
                    if self._ticks() > ended:
                        raise _Away("the answer is too slow")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _Away(type(error).__name__) from None
        return body

    # --- reading --------------------------------------------------------------------------------------------------

    def _entries(self, told: Resource, carrier: str) -> list[Entry]:
        resources = [_dict(_dict(each).get("resource")) for each in _list(told.get("entry"))]
        people = {f"Practitioner/{each.get('id')}": each for each in resources if _type(each) == "Practitioner"}
        found = []
        for each in resources:
            if _type(each) == carrier and each.get("active") is not False:
                who = people.get(_text(_dict(each.get("practitioner")), "reference"), {})
                found += list(_mailboxes(each, who, self._url))
        return found


def _bundle(body: bytes) -> Resource:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise _Away("the answer is no JSON") from None
    if not isinstance(told, dict) or _type(told) != "Bundle":
        raise _Away("the answer is no list")
    return told


def _mailboxes(resource: Resource, person: Resource, source: str) -> Iterator[Entry]:
    """Of a resource with its mailboxes, and, where it is a role, the person in it."""
    for telecom in map(_dict, _list(resource.get("telecom"))):
        said = _metadata(telecom)
        if telecom.get("system") != "email" or said is None:
            continue
        try:
            # As it stands: a blank behind it is no address.
            address = parse(str(telecom.get("value")))
        except BadAddress:
            continue
        rank = telecom.get("rank")
        yield replace(
            _holder(resource, person, address),
            kind=_kind(said.get("type")),
            service=_shown(said.get("service")),
            red_list=said.get("listeRouge") is True,
            preferred=rank if type(rank) is int and 0 < rank < 1000 else None,
            provenance=_provenance(resource, source),
        )


def _provenance(resource: Resource, source: str) -> Provenance:
    name = f"{_type(resource)}/{_text(resource, 'id')}"
    return Provenance(source, name, owner="ANS", date=_text(_dict(resource.get("meta")), "lastUpdated"))


def _holder(resource: Resource, person: Resource, address: Address) -> Entry:
    if _type(resource) == "Organization":
        return _structure(resource, address)
    named = next(map(_dict, _list((person or resource).get("name"))), {})
    family, given = _text(named, "family"), " ".join(_words(named.get("given")))
    title = " ".join(_words(named.get("prefix")))
    who = " ".join(filter(None, (title, given, family))) or str(address)
    rpps = _number(person or resource, RPPS_SYSTEM) or _number(resource, RPPS_SYSTEM)
    # The digit in front says that an RPPS number follows (directory §3).
    number = rpps[1:] if len(rpps) == 12 and rpps.startswith("8") else rpps
    return Entry(address, Kind.OTHER, who, family, given, title, number)


def _structure(resource: Resource, address: Address) -> Entry:
    where = next(map(_dict, _list(resource.get("address"))), {})
    name = _text(resource, "name")
    return Entry(
        address,
        Kind.OTHER,
        name or str(address),
        finess=_number(resource, FINESS_SYSTEM),
        structure=name,
        town=_text(where, "city"),
        postal_code=_text(where, "postalCode"),
    )


def _metadata(telecom: Resource) -> dict[str, Json] | None:
    """The parts of the mailbox's extension; None: this is no secure mailbox."""
    for extension in map(_dict, _list(telecom.get("extension"))):
        if _text(extension, "url").endswith(_METADATA):
            parts = map(_dict, _list(extension.get("extension")))
            return {
                _text(part, "url"): next((v for k, v in part.items() if k.startswith("value")), None) for part in parts
            }
    return None


def _kind(said: Json) -> Kind:
    codes = {_text(each, "code") for each in map(_dict, _list(_dict(said).get("coding")))}
    return next((Kind(code) for code in sorted(codes) if code in Kind.__members__), Kind.OTHER)


def _number(resource: Resource, system: str) -> str:
    held = (each for each in map(_dict, _list(resource.get("identifier"))) if each.get("system") == system)
    return next((value for each in held if (value := _text(each, "value")).isalnum()), "")


def _holds(entry: Entry, asked: tuple[str, ...]) -> bool:
    return set(asked) <= set(words(entry.family_name, entry.given_name, entry.rpps))


def _has_next(told: Resource) -> bool:
    return any(_dict(each).get("relation") == "next" for each in _list(told.get("link")))


# --- whatever they send ---------------------------------------------------------------------------------------------


def _dict(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _text(resource: Resource, name: str) -> str:
    return _shown(resource.get(name))


def _shown(value: Json) -> str:
    if not isinstance(value, str):
        return ""
    return "".join(sign if sign.isprintable() else " " for sign in value[:512]).strip()


def _words(value: Json) -> list[str]:
    return [shown for each in _list(value) if (shown := _shown(each))]


def _type(resource: Resource) -> str:
    return _text(resource, "resourceType")

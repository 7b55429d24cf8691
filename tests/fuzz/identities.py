"""The door of identities: JSON of strangers with a certificate, read as FHIR patients.

Promises: whatever is taken is whole and of the application's own domain; whatever is not is refused in words of ours.
Does not: know a store, or speak HTTP.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from dmp_bridge import adt, cda, pixm
from dmp_bridge.enrolment import Notice, serialised
from dmp_bridge.model import InsStatus
from dmp_bridge.pixm import Speaker, Unfit
from tests.fuzz.promises import holds
from tests.fuzz.world import NOW

DOMAIN = "2.25.77"
SYSTEM = f"urn:oid:{DOMAIN}"
_WORDS = re.compile(r"[A-Za-z0-9 ,:()'=|?-]+")
_PLACE = re.compile(r"[A-Za-z.]*")


def feed(data: bytes) -> None:
    """dmp_bridge.pixm: an entry of a batch, {"url": …, "resource": …}."""
    told = pixm.document(data)
    if isinstance(told, Unfit):
        return _refused(told)
    url, resource = told.get("url"), told.get("resource")
    named = pixm.asked(url) if isinstance(url, str) else ("urn:oid:2.25.77", "1")
    if isinstance(named, Unfit):
        return _refused(named)
    found = pixm.read(resource if isinstance(resource, dict) else told, named, Speaker("api:a", DOMAIN), NOW)
    return _refused(found) if isinstance(found, Unfit) else _taken(found, named)


def _refused(unfit: Unfit) -> None:
    holds(_WORDS.fullmatch(unfit.words) and _PLACE.fullmatch(unfit.at), "a refusal is in words of ours")


def _taken(notice: Notice, named: tuple[str, str]) -> None:
    people = (notice.patient, *notice.priors)
    about = notice.priors[0] if notice.named_only else notice.patient
    holds(notice.named_only == bool(notice.priors), "a merge names whom")
    holds((DOMAIN, named[1]) in about.local_ids, "who was asked for is who is taken")
    for each in people:
        holds(each.local_ids and all(root == DOMAIN and value for root, value in each.local_ids), "of the domain alone")
        holds(each.ins is None or cda.well_formed(each.ins), "an INS is one")
        whole = each.ins is not None and each.traits.complete
        holds(each.ins_status is not InsStatus.QUALIFIED or whole, "qualified is whole")
        held = json.loads(serialised(each))
        values = [held["birth_name"], held["first_given_name"], held["given_names"], held["birth_place"], held["sex"]]
        holds(all(value.isprintable() and len(value) <= 1024 * 17 for value in values), "a text is a line")
    latest = max(notice.said_at, notice.flagged_at or notice.said_at)
    holds(latest.tzinfo is not None and latest <= NOW + adt.AHEAD_MOST, "said in the past, in a zone")


def seeds() -> Iterator[bytes]:
    """Each thing that an application may say of a patient."""
    code = {"url": "identityStatus", "valueCoding": {"code": "VALI"}}
    place = {"url": pixm.INSEE_CODE, "valueCoding": {"code": "63220"}}
    parts = [{"url": "flag", "valueCode": "filing"}, {"url": "opposed", "valueBoolean": True}]
    parts.append({"url": "at", "valueDateTime": "2024-03-06T11:11:54+01:00"})
    resource: dict[str, Any] = {
        "resourceType": "Patient",
        "meta": {"lastUpdated": "2024-03-06T11:11:54Z"},
        "extension": [
            {"url": pixm.RELIABILITY, "extension": [code]},
            {"url": pixm.BIRTH_PLACE, "valueAddress": {"extension": [place]}},
            {"url": pixm.OPPOSITION, "extension": parts},
        ],
        "identifier": [
            {"type": {"coding": [{"code": "PI"}]}, "system": SYSTEM, "value": "0003"},
            {"system": "urn:oid:1.2.250.1.213.1.4.10", "value": "279035121518989"},
            {"use": "old", "system": SYSTEM, "value": "0002"},
        ],
        "name": [{"use": "official", "family": "PAT-TROIS", "given": ["DOMINIQUE", "MARIE"]}],
        "gender": "female",
        "birthDate": "1979-03-28",
    }
    url = f"Patient?identifier={SYSTEM}|0003"
    link = {"type": "replaced-by", "other": {"identifier": {"system": SYSTEM, "value": "9"}}}
    merged = {**resource, "extension": [], "active": False, "link": [link]}
    plain = {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": "1"}], "name": [{"family": "É"}]}
    broken = [{"system": SYSTEM, "value": "0003"}, {**resource["identifier"][1], "value": "279035121518988"}]
    wrong = {**resource, "identifier": broken}
    for each in (resource, merged, wrong):
        yield json.dumps({"url": url, "resource": each}).encode()
    yield json.dumps(plain, ensure_ascii=False).encode()
    yield json.dumps({**plain, "name": [{"family": "PAT\x07TROIS"}]}).encode()
    yield json.dumps({"url": "Patient?identifier=1", "resource": plain}).encode()
    yield b'{"a":1,"a":2}'

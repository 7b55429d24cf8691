"""The national directory's API: a real HTTP server in its place, which also misbehaves when it is told to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory import fhir
from directory.address import parse
from directory.fhir import CALLS_PER_S, FhirDirectory
from directory.model import DirectoryDown, Found, Kind, Listing, NotFound
from directory.pace import Pace

KEY = "cle-d-essai"
PERSON, ROLE, PLACE = (
    "p.dupont@infirmier.mssante.example",
    "p.dupont@hopital.mssante.example",
    "urgences@hopital.mssante.example",
)


def _telecom(address: str, kind: str, red: bool = False) -> dict[str, Any]:
    coding = {
        "coding": [{"system": "https://mos.esante.gouv.fr/NOS/TRE_R257-TypeBAL/FHIR/TRE-R257-TypeBAL", "code": kind}]
    }
    parts = [{"url": "type", "valueCodeableConcept": coding}, {"url": "listeRouge", "valueBoolean": red}]
    url = "https://interop.esante.gouv.fr/ig/fhir/annuaire/StructureDefinition/as-ext-mailbox-mss-metadata"
    return {"system": "email", "value": address, "extension": [{"url": url, "extension": parts}]}


DUPONT = {
    "resourceType": "Practitioner", "id": "p1", "active": True, "meta": {"lastUpdated": "2026-11-01T00:00:00Z"},
    "identifier": [{"system": fhir.RPPS_SYSTEM, "value": "810003456789"}],
    "name": [{"family": "DUPONT", "given": ["Jean-Marie"], "prefix": ["M."]}],
    "telecom": [_telecom(PERSON, "PER"), {"system": "email", "value": "prive@ailleurs.example"}],
}  # fmt: skip
AT_WORK = {
    "resourceType": "PractitionerRole", "id": "r1", "practitioner": {"reference": "Practitioner/p1"},
    "telecom": [_telecom(ROLE, "PER", red=True)],
}  # fmt: skip
HOSPITAL = {
    "resourceType": "Organization", "id": "o1", "name": "HOPITAL NORD", "active": True,
    "identifier": [{"system": fhir.FINESS_SYSTEM, "value": "930000001"}],
    "address": [{"city": "Saint-Denis", "postalCode": "93200"}], "telecom": [_telecom(PLACE, "ORG")],
}  # fmt: skip


@dataclass
class Api:
    """What the stand-in holds, what it was asked, and how it is to behave."""

    port: int = 0
    asked: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    pause_s: float = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/fhir/v2"

    def answer(self, path: str) -> bytes:
        parts = urlsplit(path)
        query, kind = parse_qs(parts.query), parts.path.rsplit("/", 1)[-1]
        held = [each for each in (DUPONT, AT_WORK, HOSPITAL) if each["resourceType"] == kind and _matches(each, query)]
        if "_include" in query and held:
            held.append(DUPONT)
        return json.dumps(
            {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": r} for r in held]}
        ).encode()


def _matches(resource: dict[str, Any], query: dict[str, list[str]]) -> bool:
    wanted = query.get("mailbox-mss:exact", [""])[0]
    family = query.get("family:exact", [""])[0]
    number = query.get("identifier", [""])[0].partition("|")[2]
    mails = [each["value"] for each in resource["telecom"]]
    names = [each["family"] for each in resource.get("name", []) if isinstance(each, dict)]
    numbers = [each["value"] for each in resource.get("identifier", [])]
    return wanted in mails or family in names or number in numbers


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        api: Api = self.server.api  # type: ignore[attr-defined]
        api.asked.append(self.path)
        api.keys.append(self.headers[fhir.KEY_HEADER])
        body = api.answer(self.path) if api.body is None else api.body
        self.send_response(api.status)
        for name, value in {"Content-Length": str(len(body)), **api.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body[:5])
            self.wfile.flush()
            time.sleep(api.pause_s)
            self.wfile.write(body[5:])
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        """Tests print nothing."""


@pytest.fixture
def api() -> Iterator[Api]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    made = server.api = Api(server.server_address[1])  # type: ignore[attr-defined]
    thread = threading.Thread(target=lambda: server.serve_forever(0.02))
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def national(api: Api) -> FhirDirectory:
    return FhirDirectory(api.url, KEY, Pace(1000), timeout_s=5.0)


def test_a_person_is_found(national: FhirDirectory, api: Api) -> None:
    """By exact address, with number and name; the key goes with each call; a private mailbox beside it is none."""
    answer = national.find(parse(PERSON.upper()))
    assert isinstance(answer, Found)
    entry = answer.entry
    assert (entry.display_name, entry.rpps, entry.kind) == ("M. Jean-Marie DUPONT", "10003456789", Kind.PER)
    assert (entry.provenance.source, entry.provenance.dn) == (api.url, "Practitioner/p1")
    assert (len(api.asked), set(api.keys)) == (1, {KEY})
    assert national.find(parse("prive@ailleurs.example")) == NotFound()


def test_a_mailbox_at_a_place_of_work_is_its_persons(national: FhirDirectory) -> None:
    """It hangs on the role, the name on the person that comes with it."""
    answer = national.find(parse(ROLE))
    assert isinstance(answer, Found)
    assert (answer.entry.family_name, answer.entry.rpps, answer.entry.red_list) == ("DUPONT", "10003456789", True)


def test_a_structures_mailbox_is_found(national: FhirDirectory) -> None:
    """With its number and town."""
    answer = national.find(parse(PLACE))
    assert isinstance(answer, Found)
    entry = answer.entry
    assert (entry.kind, entry.finess, entry.structure, entry.town) == (
        Kind.ORG,
        "930000001",
        "HOPITAL NORD",
        "Saint-Denis",
    )


def test_nobody_is_not_found_and_a_patient_not_asked_for(national: FhirDirectory, api: Api) -> None:
    """Three kinds of carriers are asked for a stranger, none for a citizen."""
    assert national.find(parse("zzz@ailleurs.example")) == NotFound()
    assert len(api.asked) == 3
    assert national.find(parse("279035121518989@patient.mssante.fr")) == NotFound()
    assert len(api.asked) == 3


@pytest.mark.parametrize("text", ["Dupont", "dupont jean", "10003456789"])
def test_a_search_is_exact(national: FhirDirectory, api: Api, text: str) -> None:
    """By the whole family name or the number; never `:contains`, which does not work there."""
    answer = national.search(text)
    assert isinstance(answer, Listing)
    assert [str(entry.address) for entry in answer.entries] == [PERSON]
    assert "contains" not in "".join(api.asked)
    assert national.search("dupon") == Listing(())
    assert national.search("dupont zoé") == Listing(())


# --- an API that misbehaves ----------------------------------------------------------------------------------------

BAD: dict[str, dict[str, Any]] = {
    "too many calls": {"status": 429},
    "error": {"status": 500},
    "key refused": {"status": 401},
    "no JSON": {"body": b"<html>maintenance</html>"},
    "cut": {"body": b'{"resourceType": "Bundle", "entry": [', "headers": {}},
    "shorter than said": {"headers": {"Content-Length": "5000"}},
    "no list": {"body": b'{"resourceType": "OperationOutcome"}'},
    "an array": {"body": b"[]"},
    "deep": {"body": b'{"resourceType":"Bundle","entry":' + b"[" * 100_000},
    "endless": {"body": b" " * (fhir.MAX_BYTES + 10)},
}


@pytest.mark.parametrize("name", BAD)
def test_what_misbehaves_is_down(national: FhirDirectory, api: Api, name: str) -> None:
    """Whatever comes is DirectoryDown, never an exception, and never 'nobody'."""
    for key, value in BAD[name].items():
        setattr(api, key, value)
    answer = national.find(parse(PERSON))
    assert isinstance(answer, DirectoryDown)
    assert KEY not in answer.detail


def test_one_that_is_not_there_or_falls_silent_is_down(api: Api) -> None:
    """Within the time-out."""
    api.pause_s = 1.5
    assert isinstance(FhirDirectory(api.url, KEY, Pace(9), timeout_s=0.3).find(parse(PERSON)), DirectoryDown)
    assert isinstance(FhirDirectory("http://127.0.0.1:1", KEY, Pace(9)).find(parse(PERSON)), DirectoryDown)


def test_a_redirect_does_not_get_the_key(national: FhirDirectory, api: Api) -> None:
    """It is not followed: the next host would be given it."""
    api.status, api.headers = 302, {"Location": f"http://localhost:{api.port}/voleur"}
    assert isinstance(national.find(parse(PERSON)), DirectoryDown)
    assert len(api.asked) == 1


@pytest.mark.parametrize(
    "odd",
    [
        {"telecom": "x"},
        {"telecom": [None, 7, {"system": "email", "extension": [{"url": 3}]}]},
        {"telecom": [{**_telecom(PERSON, "PER"), "value": f"{PERSON}\n"}]},
        {"telecom": [_telecom("autre@ailleurs.example", "PER")]},
        {"active": False},
    ],
)
def test_an_odd_entry_is_no_answer(national: FhirDirectory, api: Api, odd: dict[str, Any]) -> None:
    """Of the wrong shape, of another address than asked, or not active: not this mailbox."""
    api.body = json.dumps({"resourceType": "Bundle", "entry": [3, {"resource": {**DUPONT, **odd}}]}).encode()
    assert national.find(parse(PERSON)) == NotFound()


@pytest.mark.parametrize(
    "odd", [{"name": [7]}, {"name": [{"family": 1, "given": "x"}]}, {"identifier": {}}, {"meta": []}]
)
def test_an_entry_with_odd_details_is_still_the_mailbox(national: FhirDirectory, api: Api, odd: dict[str, Any]) -> None:
    """What cannot be read is left out."""
    api.body = json.dumps({"resourceType": "Bundle", "entry": [{"resource": {**DUPONT, **odd}}]}).encode()
    assert isinstance(national.find(parse(PERSON)), Found)


# --- how often -------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 0.3), min_size=1, max_size=120))
def test_no_second_has_more_calls_than_allowed(pauses: list[float]) -> None:
    """Whenever they are asked for, in any second at most 17 begin; who is given a place begins in order."""
    pace, now, begun = Pace(CALLS_PER_S), 0.0, []
    for pause in pauses:
        now += pause
        wait = pace.wait_s(now, patience_s=2.0)
        if wait is not None:
            assert 0 <= wait <= 2.0
            begun.append(now + wait)
    assert begun == sorted(begun)
    late = zip(begun, begun[CALLS_PER_S:], strict=False)
    assert all(last - first >= 1.0 - 1e-9 for first, last in late)


def test_who_would_wait_too_long_is_told_at_once(api: Api) -> None:
    """Seventeen go, the next waits for its place, and one that would wait beyond its time-out is down, uncalled."""
    waited: list[float] = []
    national = FhirDirectory(api.url, KEY, Pace(CALLS_PER_S), timeout_s=0.5, ticks=lambda: 7.0, wait=waited.append)
    for _ in range(CALLS_PER_S):
        assert isinstance(national.find(parse(PERSON)), Found)
    assert national.find(parse(PERSON)) == DirectoryDown("too many calls wait")
    patient = FhirDirectory(api.url, KEY, Pace(1), timeout_s=2.0, ticks=lambda: 7.0, wait=waited.append)
    assert isinstance(patient.find(parse(PERSON)), Found)
    assert isinstance(patient.find(parse(PERSON)), Found)
    assert (waited, len(api.asked)) == ([1.0], CALLS_PER_S + 2)

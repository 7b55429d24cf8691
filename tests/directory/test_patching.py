"""Publication by FHIR PATCH against a stand-in of the draft, which keeps resources and can misbehave."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from directory.announcement import Announcement, Fate, Told, Wish
from directory.pace import Pace
from directory.patching import FhirPatcher, contact_point, parameters, target

DOCTOR = Announcement("anna@lilas.example", "PER", rpps="10900000518")
WARD = Announcement("cardio@lilas.example", "ORG", finess="930000001", description="LILAS - Cardio", service="Cardio")
KEY = "clef-secrete"


class National:
    """The other side: holders by identifier, each with its telecom; `trouble` is what it does instead."""

    def __init__(self) -> None:
        self.holders: dict[str, dict[str, Any]] = {}
        self.trouble = ""
        self.asked: list[tuple[str, dict[str, Any]]] = []
        handler = type("Handler", (_Handler,), {"national": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/fhir"

    def held(self, number: str) -> list[str]:
        return [each["value"] for each in self.holders[number].get("telecom", [])]

    def end(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    national: National

    def do_PATCH(self) -> None:
        parts = urlsplit(self.path)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.national.asked.append((self.path, body))
        trouble = self.national.trouble
        if self.headers["ESANTE-API-KEY"] != KEY:
            return self._tell(401, {"resourceType": "OperationOutcome", "issue": [{"code": "login"}]})
        if trouble.isdecimal():
            issue = {"code": "invalid", "diagnostics": "anna@lilas.example"}
            return self._tell(int(trouble), {"resourceType": "OperationOutcome", "issue": [issue]})
        numbers = [each.rpartition("|")[2] for values in parse_qs(parts.query).values() for each in values]
        holder = self.national.holders.get("+".join(numbers))
        if holder is None:
            return self._tell(404, {"resourceType": "OperationOutcome", "issue": [{"code": "not-found"}]})
        if trouble != "lie":
            _apply(holder, body)
        if trouble == "die":  # after it was done: nobody hears of it
            self.close_connection = True
            return None
        return self._raw(b"{" * 100_000) if trouble == "garbage" else self._tell(200, holder)

    def _tell(self, status: int, told: dict[str, Any]) -> None:
        self._raw(json.dumps(told).encode(), status)

    def _raw(self, data: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""


def _apply(holder: dict[str, Any], body: dict[str, Any]) -> None:
    """FHIRPath Patch, as far as the draft uses it."""
    points = holder.setdefault("telecom", [])
    for operation in body["parameter"]:
        part = {each["name"]: each for each in operation["part"]}
        kind, path = part["type"]["valueCode"], part["path"]["valueString"]
        wanted = re.search(r"where\(value = '(.*)'\)", path)
        at = [n for n, each in enumerate(points) if wanted and each["value"] == wanted[1]]
        if kind == "insert":
            points.insert(part["index"]["valueInteger"], part["value"]["valueContactPoint"])
        elif kind == "delete":
            for number in reversed(at):
                del points[number]
        else:
            points[at[0]] = part["value"]["valueContactPoint"]


@pytest.fixture
def national() -> Iterator[National]:
    made = National()
    made.holders = {
        "10900000518": {"resourceType": "Practitioner", "telecom": [{"system": "phone", "value": "0102030405"}]},
        "930000001": {"resourceType": "Organization"},
    }
    yield made
    made.end()


@pytest.fixture
def told(national: National) -> Iterator[Callable[..., list[Told]]]:
    made: list[FhirPatcher] = []

    def ask(*wishes: Wish, key: str = KEY) -> list[Told]:
        made.append(FhirPatcher(national.url, key, Pace(1000), timeout_s=10))
        return list(made[-1].publish(wishes))

    yield ask
    for each in made:
        each.close()


def wish(wanted: Announcement | None, published: Announcement | None = None, attempts: int = 0) -> Wish:
    said = wanted or published
    assert said
    return Wish(said.address, wanted, published, attempts)


def test_a_mailbox_is_put_there_changed_and_taken_away(national: National, told: Callable[..., list[Told]]) -> None:
    """Insert, replace, delete; what else the holder has stays."""
    assert told(wish(DOCTOR), wish(WARD)) == [Told(DOCTOR.address, Fate.DONE), Told(WARD.address, Fate.DONE)]
    assert national.held("10900000518") == [DOCTOR.address, "0102030405"]
    red = replace(DOCTOR, red_list=True, rank=1)
    assert told(wish(red, DOCTOR))[0].fate is Fate.DONE
    assert national.holders["10900000518"]["telecom"][0] == contact_point(red)
    assert told(wish(None, red))[0].fate is Fate.DONE
    assert national.held("10900000518") == ["0102030405"]


def test_an_answer_that_was_lost_makes_no_second_one(national: National, told: Callable[..., list[Told]]) -> None:
    """It was done and nobody heard: later; asked again, the mailbox stands there once."""
    national.trouble = "die"
    assert told(wish(DOCTOR)) == [Told(DOCTOR.address, Fate.LATER, "no-connection")]
    national.trouble = ""
    assert told(wish(DOCTOR, attempts=1))[0].fate is Fate.DONE
    assert national.held("10900000518").count(DOCTOR.address) == 1


@pytest.mark.parametrize(
    ("trouble", "fate", "reason"),
    [
        ("400", Fate.NEVER, "not-understood:invalid"),
        ("412", Fate.NEVER, "several-holders:invalid"),
        ("422", Fate.NEVER, "not-accepted:invalid"),
        ("500", Fate.LATER, "status-500:invalid"),
        ("302", Fate.LATER, "status-302:invalid"),
        ("lie", Fate.LATER, "not-confirmed"),
        ("garbage", Fate.LATER, "answer-not-a-resource"),
    ],
)
def test_what_goes_wrong_has_a_name(
    national: National, told: Callable[..., list[Told]], trouble: str, fate: Fate, reason: str
) -> None:
    """A 200 without the mailbox is not believed; a reason repeats nothing that the other side wrote."""
    national.trouble = trouble
    assert told(wish(DOCTOR)) == [Told(DOCTOR.address, fate, reason)]


def test_without_a_holder_there_is_nothing_to_publish_under(
    national: National, told: Callable[..., list[Told]]
) -> None:
    """Nobody there by that number: never; nobody named at all: not even asked."""
    stranger, nobody = replace(DOCTOR, rpps="10900000526"), replace(DOCTOR, rpps="")
    assert told(wish(stranger), wish(nobody)) == [
        Told(DOCTOR.address, Fate.NEVER, "holder-unknown:not-found"),
        Told(DOCTOR.address, Fate.NEVER, "no-holder"),
    ]
    assert len(national.asked) == 1


def test_a_type_never_changes(national: National, told: Callable[..., list[Told]]) -> None:
    """It is refused here, before anybody is asked."""
    assert told(wish(replace(DOCTOR, kind="CAB"), DOCTOR)) == [Told(DOCTOR.address, Fate.NEVER, "type-immutable")]
    assert national.asked == []


@pytest.mark.parametrize("trouble", ["429", "503"])
def test_a_side_that_has_enough_is_left_alone(
    national: National, told: Callable[..., list[Told]], trouble: str
) -> None:
    """The others of the round are not asked; a wrong key ends it too."""
    national.trouble = trouble
    assert [each.fate for each in told(wish(DOCTOR), wish(WARD))] == [Fate.LATER]
    assert [each.reason for each in told(wish(DOCTOR), wish(WARD), key="autre")] == ["status-401:login"]
    assert len(national.asked) == 2


def test_the_holder_follows_the_kind() -> None:
    """A person alone, a person at a place, a structure; an address inside a path is quoted."""
    placed = replace(DOCTOR, finess="930000001")
    assert [target(wish(each))[0] for each in (DOCTOR, placed, WARD)] == [
        "Practitioner", "PractitionerRole", "Organization",
    ]  # fmt: skip
    quoted = replace(DOCTOR, address="o'neil@lilas.example")
    assert r"value = 'o\'neil@lilas.example'" in json.dumps(parameters(wish(None, quoted), "X")).replace("\\\\", "\\")

"""The identity feed over HTTPS, with curl: who may speak, what each is answered, what the register holds."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dmp_bridge import pixm
from gateway import identities, roster
from gateway.accounts import Accounts
from gateway.config import ConfigError, Settings
from gateway.demo.processes import free_port
from gateway.identities_section import IdentitiesSection
from tests.gateway.identities_over_tls import GAM, INS, LABO, NAMES, OURS, SYSTEM, House, bundle, patient


@pytest.fixture
def house(tmp_path: Path, configure: Callable[[str], Path]) -> Iterator[House]:
    made, stop = House(tmp_path, configure), threading.Event()
    thread = threading.Thread(target=made.spooler.serve, args=(stop,))
    thread.start()
    assert made.spooler.ready.wait(10)
    yield made
    stop.set()
    thread.join(10)
    made.reader.dispose()


@pytest.fixture
def opened(house: House) -> Iterator[Callable[..., House]]:
    """opened(more=TOML): the house with its door open, as its process opens it."""
    stop, threads = threading.Event(), []

    def start(more: str = "", settings: Settings | None = None) -> House:
        ready = threading.Event()
        told = settings or house.configured(more)
        threads.append(threading.Thread(target=identities.serve, args=(told, stop, ready.set)))
        threads[-1].start()
        assert ready.wait(30)
        return house

    yield start
    stop.set()
    for each in threads:
        each.join(30)


def test_a_patient_is_created_updated_and_known_again(opened: Callable[..., House]) -> None:
    """201, then 200 with what became of him; the register has it, sealed, under the application's name."""
    house = opened()
    assert [(each.status, each.code) for each in (house.put(patient("N1")), house.put(patient("N1")))] == [
        (201, "created"),
        (200, "unchanged"),
    ]
    renamed = patient("N1", name=[{"family": "PAT-QUATRE", "given": ["DOMINIQUE"]}])
    assert house.put(renamed).code == "updated"
    known = house.known("N1")
    assert known
    assert (known.patient.traits.birth_name, known.patient.ins_status.value) == ("PAT-QUATRE", "qualified")
    assert known.source == f"api:{GAM}"


def test_what_was_said_earlier_does_not_undo_what_was_said_later(opened: Callable[..., House]) -> None:
    """Two words of one application that overtook each other: the later stands, and the answer says so."""
    house = opened()
    late, early = ({"lastUpdated": f"2026-11-25T{hour}:00:00Z"} for hour in ("10", "09"))
    assert house.put(patient("O1", meta=late)).code == "created"
    told = house.put(patient("O1", meta=early, gender="male"))
    assert (told.status, told.code) == (200, "older")
    known = house.known("O1")
    assert known
    assert known.patient.traits.sex == "F"


def test_each_patient_of_a_batch_is_answered_for_himself(opened: Callable[..., House]) -> None:
    """One that is refused keeps no other out; the answers stand in the order of the entries."""
    house = opened()
    wrong = patient("B2")
    wrong["identifier"][1]["value"] = INS[:-1] + "8"
    told = house.curl("", bundle(patient("B1"), wrong, patient("B3"), patient("B1")), method="POST")
    assert (told.status, told.body["type"]) == (200, "batch-response")
    assert told.codes == [("201", "created"), ("422", "refused"), ("201", "created"), ("200", "unchanged")]
    issue = told.body["entry"][1]["response"]["outcome"]["issue"][0]
    assert (issue["severity"], issue["expression"]) == ("error", ["Patient.identifier.value"])
    assert [bool(house.known(each)) for each in ("B1", "B2", "B3")] == [True, False, True]


def test_duplicates_are_merged_into_whom_the_register_knows(opened: Callable[..., House]) -> None:
    """By a link to the number of who survives; into somebody unknown, and in a circle, refused."""
    house = opened()
    house.curl("", bundle(patient("M1"), patient("M2")), method="POST")

    def into(number: str) -> dict[str, Any]:
        return {"link": [{"type": "replaced-by", "other": {"identifier": {"system": SYSTEM, "value": number}}}]}

    unknown = house.put(patient("M2", active=False, **into("M9")))
    assert (unknown.status, unknown.body["issue"][0]["diagnostics"]) == (422, "no such patient")
    assert house.put(patient("M2", active=False, **into("M1"))).code == "merged"
    one, other = house.known("M1"), house.known("M2")
    assert one
    assert other
    assert one.patient.id == other.patient.id
    assert one.patient.traits.birth_name == "PAT-TROIS"
    assert house.put(patient("M1", active=False, **into("M2"))).status == 422


def test_oppositions_stand_until_they_are_lifted(
    opened: Callable[..., House], capfd: pytest.CaptureFixture[str]
) -> None:
    """Said with the patient; the same identity with another opposition is no 'unchanged'; lifting one looks for what
    waited."""
    house = opened()

    def opposing(on: bool, at: str) -> dict[str, Any]:
        parts = [{"url": "flag", "valueCode": "filing"}, {"url": "opposed", "valueBoolean": on}]
        made = patient("P1")
        made["extension"].append({"url": pixm.OPPOSITION, "extension": [*parts, {"url": "at", "valueDateTime": at}]})
        return made

    assert house.put(opposing(True, "2026-11-20T10:00:00Z")).code == "created"
    assert [str(each) for each in house.known("P1").flags] == ["filing"]  # type: ignore[union-attr]
    assert house.put(opposing(True, "2026-11-20T10:00:00Z")).code == "unchanged"
    assert house.put(opposing(False, "2026-11-21T10:00:00Z")).code == "updated"
    assert house.known("P1").flags == frozenset()  # type: ignore[union-attr]
    logged = "".join(capfd.readouterr())
    assert (logged.count("identities-lifted"), logged.count("identities-not-sent-again")) == (1, 0)


# --- who may not ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("card", ["", "another issuer"])
def test_without_a_certificate_of_ours_there_is_no_session(opened: Callable[..., House], card: str) -> None:
    """None, or one of an authority that nobody here knows: the handshake ends, nothing is read."""
    house = opened()
    with pytest.raises(subprocess.CalledProcessError):
        house.put(patient("S1"), card=card)
    assert (house.put(patient("S1")).status, house.rows()) == (201, 1)


@pytest.mark.parametrize("card", ["unbound", "mailbox", "revoked"])
def test_a_certificate_that_is_no_applications_is_turned_away(opened: Callable[..., House], card: str) -> None:
    """Bound to nobody, to a mailbox that is not named here, or revoked: 403, for the feed and for what it tells."""
    house = opened()
    assert house.put(patient("S1"), card=card).status == 403
    assert house.curl("/metadata", card=card, method="GET").status == 403
    assert house.rows() == 0
    about = house.curl("/metadata", method="GET").body
    assert about["rest"][0]["resource"][0]["conditionalUpdate"] is True


def test_an_application_speaks_for_its_own_domain_alone(opened: Callable[..., House]) -> None:
    """Another application of the house cannot change who a patient of the first is."""
    house = opened()
    house.put(patient("D1"))
    told = house.put(patient("D1", gender="male"), card="labo")
    assert (told.status, told.code) == (422, "refused")
    known = house.known("D1")
    assert known
    assert known.patient.traits.sex == "F"


def test_another_tenants_application_is_nobody_here(opened: Callable[..., House]) -> None:
    """One node, one authority, two houses: whom the neighbour bound is turned away, and the neighbour lets him in."""
    house = opened()
    neighbour = house.settings
    file = house.folder / "neighbour"
    Accounts(file).bind_certificate("gam@tilleuls.example", house.unbound)
    section = IdentitiesSection(port=free_port(), systems={"gam@tilleuls.example": SYSTEM})
    changed = {
        "accounts": neighbour.accounts.model_copy(update={"file": file}),
        "node": neighbour.node.model_copy(update={"tenant": "tilleuls"}),
        "identities": section,
    }
    assert house.put(patient("T1"), card="unbound").status == 403
    opened(settings=neighbour.model_copy(update=changed))
    ours, house.port = house.port, section.port
    assert house.put(patient("T1"), card="gam").status == 403
    assert house.put(patient("T1"), card="unbound").status == 201
    house.port = ours
    assert (house.rows(), house.known("T1")) == (1, None)


# --- what is not taken ----------------------------------------------------------------------------------------------


def test_what_cannot_be_read_is_refused(opened: Callable[..., House]) -> None:
    """No JSON, no batch, no number asked for, another format: each with its status, and nothing is written."""
    house = opened("entries = 2")
    where = f"/Patient?identifier={SYSTEM}|X1"
    told = [
        house.curl(where, b'{"resourceType": "Patient", "resourceType": "Patient"}'),
        house.curl(where, b"\xff\xfe"),
        house.curl("/Patient?identifier=X1", patient("X1")),
        house.curl("", bundle(patient("X1"), kind="transaction"), method="POST"),
        house.curl("", bundle(*(patient(each) for each in ("X1", "X2", "X3"))), method="POST"),
        house.curl("", {"resourceType": "Bundle", "type": "batch", "entry": []}, method="POST"),
    ]
    assert [(each.status, each.code) for each in told] == [(422, "refused")] * len(told)
    odd = {"resourceType": "Bundle", "type": "batch", "entry": [1, {"resource": {}, "request": {"method": "DELETE"}}]}
    assert house.curl("", odd, method="POST").codes == [("422", "refused")] * 2
    assert house.curl(where, b"<Patient/>", kind="application/fhir+xml").status == 415
    assert [house.curl(where, method=each).status for each in ("DELETE", "GET")] == [405, 405]
    assert house.rows() == 0


def test_a_request_is_within_its_budgets(opened: Callable[..., House]) -> None:
    """Too large, and too many within a minute; the one before was taken."""
    house = opened("max_bytes = 4096\nrequests_per_minute = 2")
    assert house.put(patient("G1", text={"div": "x" * 5000})).status == 413
    assert house.put(patient("G1")).status == 201
    assert house.put(patient("G2")).status == 429
    assert (house.rows(), house.known("G2")) == (1, None)


def test_without_its_store_the_door_says_later(house: House, opened: Callable[..., House]) -> None:
    """503: nothing is answered as taken that is not on the disk; the same words are taken once it is there."""
    opened()
    socket = house.settings.spool_socket
    away = socket.rename(socket.with_name("away"))
    told = house.put(patient("L1"))
    assert (told.status, told.code) == (503, "later")
    away.rename(socket)
    assert house.put(patient("L1")).status == 201


def test_no_identity_is_in_the_log_or_in_an_answer(
    opened: Callable[..., House], capfd: pytest.CaptureFixture[str]
) -> None:
    """Taken, refused, unreadable, turned away: counts, reasons and places alone."""
    house = opened("max_bytes = 4096")
    told = [house.put(patient("NUMERO1")), house.put(patient("NUMERO1", gender="PAT-TROIS"))]
    told += [
        house.curl(f"/Patient?identifier={SYSTEM}|NUMERO1", b"PAT-TROIS"),
        house.put(patient("NUMERO1"), card="mailbox"),
    ]
    told.append(house.put(patient("NUMERO1", text={"div": "PAT-TROIS" * 500})))
    assert [each.status for each in told] == [201, 422, 422, 403, 413]
    said = "".join(capfd.readouterr()) + json.dumps([each.body for each in told])
    assert said.count("identities-answered") == 3
    assert said.count("identities-turned-away") == 2
    assert [each for each in NAMES if each in said] == []


# --- the configuration ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        {"port": 1, "systems": {}},
        {"port": 1, "systems": {GAM: " "}},
        {"port": 1, "systems": {GAM: "1.2.3", LABO: "urn:oid:1.2.3"}},
        {"port": 1, "systems": {GAM: "1.2.3"}, "host": "lilas.example"},
    ],
)
def test_a_feed_that_nobody_answers_for_cannot_be_written(told: dict[str, Any]) -> None:
    """No application, one without a domain, two for one domain, a host that is no address; one each can be."""
    with pytest.raises(ValidationError):
        IdentitiesSection(**told)
    assert IdentitiesSection(port=1, systems={GAM.upper(): SYSTEM}).systems == {GAM: OURS}


def test_a_port_that_is_taken_is_a_sentence(house: House, opened: Callable[..., House]) -> None:
    """As at every door: the process says so, and is not tried again."""
    opened()
    assert "identities" in roster.names(house.settings)
    with pytest.raises(ConfigError, match=str(house.port)):
        identities.serve(house.settings, threading.Event(), lambda: None)


def test_the_process_of_its_own_serves_until_it_is_ended(house: House) -> None:
    """`pli serve --only identities`, as a unit of systemd runs it, beside a spooler that runs already."""
    house.configured()
    command = [
        sys.executable,
        "-m",
        "gateway",
        "--config",
        str(house.folder / "pli.toml"),
        "serve",
        "--only",
        "identities",
    ]
    running = subprocess.Popen(command)
    try:
        ready, until = roster.ready_file(house.settings, "identities"), time.monotonic() + 60
        while not ready.exists() and running.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        assert house.put(patient("S1")).code == "created"
    finally:
        running.terminate()
    assert running.wait(60) == 0
    assert house.known("S1")

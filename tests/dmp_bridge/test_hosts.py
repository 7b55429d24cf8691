"""Several dossier hosts side by side: six run at once, and each deposit reaches exactly the right one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dmp_bridge import cda, choices
from dmp_bridge.hosts import BEGUN, CHOSEN, DEFAULT, REPLACES, Hosts
from dmp_bridge.model import Document, Doubtful, FilingReason, Ins, InsStatus, Matched, Patient
from gateway.demo import sample
from relay.model import Done, Later

TENANT = "tilleuls"
SIX = ("atlas", "boreal", "cedre", "delta", "ecume", "fanal")


def person(number: int) -> Patient:
    """One of several patients of the register: another matricule, with its key, and another local number."""
    base = f"27903512151{number:02}"
    value = f"{base}{97 - int(base) % 97:02}"
    ids = ((f"{sample.ROOT}.1", f"IPP-{number:06}"),)
    ins = Ins(value, "1.2.250.1.213.1.4.10")
    return replace(sample.PATIENT, ins=ins, local_ids=ids, ins_status=InsStatus.QUALIFIED)


def written(report_pdf: bytes, now: datetime, patient: Patient, serial: int) -> Document:
    read = cda.read(sample.report_cda(now, report_pdf, serial=serial, patient=patient))
    assert isinstance(read, Document)
    return read


def holding(tmp_path: Path, names: tuple[str, ...] = SIX) -> dict[str, list[str]]:
    """Which documents each host's own store holds."""
    found = {}
    for name in names:
        with sqlite3.connect(tmp_path / name / "dossiers.db") as store:
            found[name] = [row[0] for row in store.execute("SELECT unique_id FROM entries ORDER BY unique_id")]
    return found


@pytest.fixture
def six(bridge: Any, custody: Any, dossier_host: Callable[..., str], tmp_path: Path) -> Any:
    """A courier before six hosts, each with its own folder, name and repository."""
    clients = {}
    for number, name in enumerate(SIX):
        told = {"folder": str(tmp_path / name), "repository_id": f"2.25.10{number}"}
        url = dossier_host(**told)
        clients[name] = bridge.client(url, name=name, repository_id=told["repository_id"])
    hosts = Hosts(clients, "atlas", custody.engine, lambda: datetime.now(UTC))
    return replace(bridge.courier("https://127.0.0.1:1"), hosts=hosts)


def choose(custody: Any, patient: Patient, host: str, since: datetime) -> None:
    assert patient.ins is not None
    (row,) = custody.register.bearing(TENANT, patient.ins)
    told = {"patient_id": row.id, "host": host, "since": since.isoformat(), "by": "a clerk"}
    custody.client.write("choice.put", TENANT, **told)


def test_each_deposit_reaches_exactly_the_host_its_patient_chose(
    six: Any, bridge: Any, custody: Any, report_pdf: bytes, now: datetime, tmp_path: Path
) -> None:
    """Twelve documents of six patients, one choice each: every host holds its patient's two, and nobody else's."""
    patients = [person(number) for number in range(30, 36)]
    custody.know(TENANT, *patients)
    expected: dict[str, list[str]] = {name: [] for name in SIX}
    for number, (name, patient) in enumerate(zip(SIX, patients, strict=True)):
        choose(custody, patient, name, datetime(2026, 1, 1, tzinfo=UTC))
        for serial in (2 * number, 2 * number + 1):
            document = written(report_pdf, now, patient, 100 + serial)
            outcome = six.deliver(bridge.job(bridge.mail(document), letter_id=f"{serial:02}" * 13))["r1"]
            assert outcome == Done(document.unique_id, "filed")
            expected[name].append(document.unique_id)
    assert holding(tmp_path) == {name: sorted(held) for name, held in expected.items()}


def test_a_patient_who_chose_none_is_at_the_default_host(
    six: Any, bridge: Any, report: Document, tmp_path: Path
) -> None:
    """Nobody's choice: the host of the configuration, and the other five hold nothing."""
    assert six.deliver(bridge.job(bridge.mail(report)))["r1"] == Done(report.unique_id, "filed")
    assert [name for name, held in holding(tmp_path).items() if held] == ["atlas"]


def test_a_choice_counts_from_its_date_at_the_next_deposit(
    six: Any, bridge: Any, custody: Any, report_pdf: bytes, now: datetime, tmp_path: Path
) -> None:
    """A later choice, a future choice and an old one: the one that has begun last counts; what was filed stays."""
    today = datetime.now(UTC)
    first, second = (written(report_pdf, now, sample.PATIENT, serial) for serial in (201, 202))
    choose(custody, sample.PATIENT, "boreal", today - timedelta(days=9))
    six.deliver(bridge.job(bridge.mail(first), letter_id="01" * 13))
    choose(custody, sample.PATIENT, "delta", today - timedelta(days=1))
    choose(custody, sample.PATIENT, "fanal", today + timedelta(days=1))
    six.deliver(bridge.job(bridge.mail(second), letter_id="02" * 13))
    held = holding(tmp_path)
    assert (held["boreal"], held["delta"], held["fanal"]) == ([first.unique_id], [second.unique_id], [])


def test_the_same_document_again_stays_where_it_is(
    six: Any, bridge: Any, custody: Any, report: Document, tmp_path: Path
) -> None:
    """Sent again after the patient moved: it is already in a dossier of his, and no second host gets it."""
    six.deliver(bridge.job(bridge.mail(report), letter_id="01" * 13))
    choose(custody, sample.PATIENT, "cedre", datetime(2026, 1, 1, tzinfo=UTC))
    again = six.deliver(bridge.job(bridge.mail(report), letter_id="02" * 13))["r1"]
    assert again == Done(report.unique_id, "already-in-dossier")
    assert [name for name, held in holding(tmp_path).items() if held] == ["atlas"]


def test_a_choice_is_journalled_and_asked_twice_is_one(six: Any, bridge: Any, custody: Any) -> None:
    """One row, one event, no matricule in either."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    choose(custody, sample.PATIENT, "cedre", at)
    choose(custody, sample.PATIENT, "cedre", at)
    assert bridge.events().count("dossier-chosen") == 1
    assert sample.PATIENT.ins is not None
    assert sample.PATIENT.ins.value not in bridge.written()
    (row,) = custody.register.bearing(TENANT, sample.PATIENT.ins)
    assert [each.host for each in choices.of_patient(custody.engine, TENANT, row.id)] == ["cedre"]
    assert choices.at(custody.engine, "another", row.id, at) is None


# --- the rule that chose --------------------------------------------------------------------------------------------


def rule(hosts: Hosts, document: Document, match: Any) -> tuple[str, str]:
    client, name = hosts.of(TENANT, [document], lambda _: match)
    return client.profile.name, name


def test_the_rules_have_names(six: Any, bridge: Any, custody: Any, report: Document) -> None:
    """Default, chosen, begun there, replaces there; a choice of a host that is gone, and a doubt, mean the default."""
    assert sample.PATIENT.ins is not None
    (row,) = custody.register.bearing(TENANT, sample.PATIENT.ins)
    matched, doubt = Matched(row.id, ()), Doubtful(FilingReason.INS_ABSENT)
    assert rule(six.hosts, report, matched) == ("atlas", DEFAULT)
    choose(custody, sample.PATIENT, "ecume", datetime(2026, 1, 1, tzinfo=UTC))
    assert rule(six.hosts, report, matched) == ("ecume", CHOSEN)
    assert rule(six.hosts, report, doubt) == ("atlas", DEFAULT)
    six.deliver(bridge.job(bridge.mail(report), letter_id="01" * 13))
    choose(custody, sample.PATIENT, "gone", datetime(2026, 2, 1, tzinfo=UTC))
    assert rule(six.hosts, report, matched) == ("ecume", BEGUN)
    newer = replace(report, unique_id="2.25.5", replaces=report.unique_id)
    assert rule(six.hosts, newer, matched) == ("ecume", REPLACES)
    other = replace(report, unique_id="2.25.6")
    assert rule(six.hosts, other, matched) == ("atlas", DEFAULT)


def test_a_host_that_is_down_is_not_replaced_by_another(
    six: Any, bridge: Any, custody: Any, dossier_host: Any, report: Document, tmp_path: Path
) -> None:
    """The chosen host does not answer: the deposit waits for it, although five others would take it."""
    choose(custody, sample.PATIENT, "fanal", datetime(2026, 1, 1, tzinfo=UTC))
    silent = bridge.client("https://127.0.0.1:1", name="fanal")
    gone = replace(six.hosts, clients={**six.hosts.clients, "fanal": silent})
    outcome = replace(six, hosts=gone).deliver(bridge.job(bridge.mail(report)))["r1"]
    assert isinstance(outcome, Later)
    assert outcome.reason == FilingReason.HOST_DOWN
    assert not any(holding(tmp_path).values())

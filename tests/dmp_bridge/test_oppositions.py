"""What patients object to: who noted it and when, what it keeps from happening, and that lifting it keeps the trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from directory import address
from directory.model import Entry, Kind
from dmp_bridge import enrolment, gatekeeper, oppositions, packing, rules
from dmp_bridge.enrolment import Notice
from dmp_bridge.gatekeeper import Gatekeeper
from dmp_bridge.model import Answer, Document, FilingReason, Flag, HostProfile, InsStatus, Matched, Patient
from dmp_bridge.norms import norm
from gateway.demo.sample import PATIENT
from relay import message
from relay.message import Message
from relay.model import Addressee, Done, Never
from relay.spooler import StoreRefused

TENANT = "tilleuls"
COLLEAGUE = Addressee(address.parse("marc.petit@cabinet.mssante.fr"))
ASKED = {"by": "ide.martin", "why": "refus exprimé en consultation"}
NAMED = replace(PATIENT, ins_status=InsStatus.UNSTATED)


def to_patient(patient: Patient = PATIENT) -> Addressee:
    assert patient.ins is not None
    return Addressee(address.parse(f"{patient.ins.value}@patient.mssante.fr"))


@pytest.fixture
def letter(report: Document, now: datetime) -> Message:
    """The sample report in its XDM archive, to the colleague."""
    sender = Entry(address.parse("helene.leroux@tilleuls.mssante.fr"), Kind.PER, "Dr Hélène LEROUX")
    packed = packing.pack(packing.Parcel((report,), sender, (COLLEAGUE.address,), "2.25.2"), now)
    assert isinstance(packed, bytes)
    return message.scan(packed)


FREE = message.scan(b"From: <a@b.mssante.fr>\r\nSubject: x\r\n\r\nBonjour\r\n")


@pytest.fixture
def gate(custody: Any) -> Gatekeeper:
    custody.know(TENANT, PATIENT)
    return Gatekeeper(custody.engine, TENANT, custody.pseudonyms)


@pytest.fixture
def oppose(custody: Any) -> Callable[..., Any]:
    def stated(flag: Flag, document: str = "") -> str:
        told = {"patient_id": _row(custody), "flag": flag.value, "document_id": document}
        row: str = custody.client.write("patients.oppose", TENANT, **told, **ASKED)
        return row

    return stated


def lift(custody: Any, flag: Flag, document: str = "") -> int:
    told = {"patient_ids": [_row(custody)], "flag": flag.value, "document_id": document}
    lifted: int = custody.client.write("patients.lift", TENANT, **told, by="dr.leroux", why="résultat annoncé")
    return lifted


def _row(custody: Any) -> str:
    found = custody.register.numbered(TENANT, *PATIENT.local_ids[0])
    assert found is not None
    return str(found.id)


def test_where_nobody_objects_no_letter_is_read(
    gate: Gatekeeper, letter: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the archive is opened at the door."""
    monkeypatch.setattr(gatekeeper.candidates, "documents", lambda _: pytest.fail("read"))
    assert not gate(letter, COLLEAGUE)
    assert not gate(letter, to_patient())


def test_mail_to_a_patient_who_refuses_it_is_opposed(gate: Gatekeeper, oppose: Any, letter: Message) -> None:
    """By the matricule in the address; mail about him goes on, and so does mail to others."""
    oppose(Flag.MAIL_TO)
    assert gate(FREE, to_patient())
    assert not gate(letter, COLLEAGUE)
    assert not gate(FREE, Addressee(address.parse("277076322082910@patient.mssante.fr")))


def test_mail_about_a_patient_who_refuses_it_is_opposed(gate: Gatekeeper, oppose: Any, letter: Message) -> None:
    """By what the letter holds; a letter about nobody goes on, and so does mail to himself."""
    oppose(Flag.MAIL_ABOUT)
    assert gate(letter, COLLEAGUE)
    assert not gate(FREE, COLLEAGUE)
    assert not gate(letter, to_patient())


def test_a_result_before_its_announcement_is_kept_from_the_patient_alone(
    custody: Any, gate: Gatekeeper, oppose: Any, letter: Message
) -> None:
    """Colleagues get it; the patient not before it is lifted."""
    oppose(Flag.NOT_VISIBLE)
    assert gate(letter, to_patient())
    assert not gate(letter, COLLEAGUE)
    assert not gate(FREE, to_patient())
    assert lift(custody, Flag.NOT_VISIBLE) == 1
    assert not gate(letter, to_patient())


def test_a_flag_for_one_document_is_for_that_one(
    custody: Any, gate: Gatekeeper, oppose: Any, letter: Message, report: Document
) -> None:
    """Another document of the same patient is seen."""
    oppose(Flag.NOT_VISIBLE, "1.2.3.4")
    assert not gate(letter, to_patient())
    oppose(Flag.NOT_VISIBLE, report.unique_id)
    assert gate(letter, to_patient())
    flags = {each: custody.register.match(TENANT, NAMED, each).flags for each in ("1.2.3.4", "1.2.3.5")}
    assert flags == {"1.2.3.4": {Flag.NOT_VISIBLE}, "1.2.3.5": frozenset()}


def test_an_objection_holds_for_all_his_rows_and_matricules(custody: Any, gate: Gatekeeper, oppose: Any) -> None:
    """Stated on one row, asked by the matricule of another that was merged into it."""
    assert PATIENT.ins is not None
    body = "2790351215190"
    other_ins = replace(PATIENT.ins, value=f"{body}{97 - int(body) % 97:02}")
    other = replace(PATIENT, ins=other_ins, local_ids=((PATIENT.local_ids[0][0], "other"),))
    custody.know(TENANT, other)
    oppose(Flag.MAIL_TO)
    assert not gate(FREE, to_patient(other))
    prior = custody.register.numbered(TENANT, *other.local_ids[0]).id
    custody.client.write("patients.merge", TENANT, prior=prior, survivor=_row(custody), **ASKED)
    assert gate(FREE, to_patient(other))


def test_another_tenants_objections_are_its_own(custody: Any, gate: Gatekeeper, oppose: Any) -> None:
    """The same patient, elsewhere."""
    oppose(Flag.MAIL_TO)
    assert not Gatekeeper(custody.engine, "autre", custody.pseudonyms)(FREE, to_patient())


@pytest.mark.parametrize(("flag", "held"), [(flag, flag in (Flag.FILING, Flag.NOT_VISIBLE)) for flag in Flag])
def test_the_rules_hold_back_what_is_opposed(report: Document, flag: Flag, held: bool) -> None:
    """Filing refused, or a result not announced: kept out by name; what else he refuses is no matter of filing."""
    profile = HostProfile("regional", "https://x", "2.25.7", "2.25.2")
    context = rules.Context(report, Matched("p:1", (), frozenset({flag})), profile)
    assert rules.not_opposed(context) == ((Answer.NO, FilingReason.OPPOSED) if held else (Answer.YES, None))
    assert dict(rules.RULES)["not-opposed"] is rules.not_opposed


@pytest.mark.parametrize("kind", ["regional", "regional-signed", "national"])
def test_before_its_announcement_no_kind_of_host_is_fed(report: Document, kind: str) -> None:
    """Whether or not a host lets a mask be changed later: the result waits here, and goes once it is announced."""
    profile = HostProfile(kind, "https://x", "2.25.7", "2.25.2", norm=norm(kind))
    waits = rules.Context(report, Matched("p:1", (), frozenset({Flag.NOT_VISIBLE})), profile)
    assert rules.not_opposed(waits) == (Answer.NO, FilingReason.OPPOSED)
    assert rules.not_opposed(replace(waits, match=Matched("p:1", ()))) == (Answer.YES, None)


def test_a_dossier_shows_a_result_only_once_it_is_announced(
    bridge: Any, custody: Any, oppose: Any, dossier_host: Callable[..., str], report: Document
) -> None:
    """Nobody finds it at a real host before, not by its id nor by its patient; after, it is there, and unmasked."""
    assert report.patient.ins is not None
    url, letter = dossier_host(), bridge.mail(report)
    dossier = bridge.client(url)
    oppose(Flag.NOT_VISIBLE, report.unique_id)
    waited = bridge.deliver(url, letter)
    assert isinstance(waited, Never)
    assert waited.reason == FilingReason.OPPOSED
    assert (bridge.rows(report), bridge.waiting()) == ([], ["dossier.opposed"])
    assert (dossier.find([report.unique_id]), dossier.find_by_patient(report.patient.ins)) == ((), ())
    assert not isinstance(dossier.fetch(report.unique_id), bytes)
    assert lift(custody, Flag.NOT_VISIBLE, report.unique_id) == 1
    filed = bridge.deliver(url, letter)
    assert isinstance(filed, Done)
    (held,) = dossier.find_by_patient(report.patient.ins)
    assert (held.unique_id, held.confidentiality) == (report.unique_id, ("N",))
    assert dossier.fetch(report.unique_id) == report.raw


def test_who_when_and_why_stay(custody: Any, gate: Gatekeeper, oppose: Any) -> None:
    """Stated twice it stands once; lifted it stays, with who lifted it; journalled, with no name of the patient."""
    assert oppose(Flag.FILING) == oppose(Flag.FILING)
    assert lift(custody, Flag.FILING) == 1
    assert lift(custody, Flag.FILING) == 0
    (row,) = oppositions.of_patient(custody.engine, TENANT, [_row(custody)])
    assert (row.set_by, row.why, row.source) == (*ASKED.values(), "person")
    assert (row.lifted_by, row.lifted_why) == ("dr.leroux", "résultat annoncé")
    stated, lifted = (custody.facts(each)[0] for each in ("patient-opposed", "patient-opposition-lifted"))
    assert (stated["flag"], stated["by"], lifted["by"]) == ("filing", "ide.martin", "dr.leroux")
    assert "PAT-TROIS" not in repr((stated, lifted))


def test_the_bus_lifts_its_own_word_alone(custody: Any, gate: Gatekeeper, oppose: Any, now: datetime) -> None:
    """What a person noted here stands, whatever the bus says; what the bus stated a person may lift."""

    def say(*, on: bool) -> None:
        notice = Notice("A08", PATIENT, "adt:GAM", now, flags=((Flag.FILING, on),))
        enrolment.feed(custody.client, TENANT, notice, custody.pseudonyms, custody.seal)

    oppose(Flag.FILING)
    say(on=False)
    assert custody.register.match(TENANT, NAMED).flags == {Flag.FILING}
    lift(custody, Flag.FILING)
    say(on=True)
    assert custody.register.match(TENANT, NAMED).flags == {Flag.FILING}
    assert lift(custody, Flag.FILING) == 1
    assert custody.register.match(TENANT, NAMED).flags == frozenset()


def test_nobody_objects_for_a_stranger(custody: Any, gate: Gatekeeper) -> None:
    """Who is not in the register cannot be noted for."""
    with pytest.raises(StoreRefused):
        custody.client.write("patients.oppose", TENANT, patient_id="p:nobody", flag="filing", **ASKED)

"""A result that a professional must announce first: filed hidden from its patient, shown once it is announced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from dmp_bridge import announcing, cda, codes, confirm, ebrim, filings, forgetting
from dmp_bridge.announcing import GONE, SHOWN, Announcing
from dmp_bridge.dmp import DossierClient, Held
from dmp_bridge.model import Answer, Document, FilingReason, FilingState, Flag, HostProfile, Matched
from dmp_bridge.rules import Context, not_opposed
from dmp_bridge.verdicts import author
from gateway.demo.sample import PATIENT
from gateway.tenants_section import DossierSection
from relay.model import Done, Later, Never

TENANT = "tilleuls"
HIDES = {"hides": True}
ASKED = {"by": "ide.martin", "why": "annonce prévue jeudi"}


@pytest.fixture
def oppose(custody: Any) -> Callable[..., str]:
    def stated(flag: Flag = Flag.NOT_VISIBLE, document: str = "") -> str:
        told = {"patient_id": row(custody), "flag": flag.value, "document_id": document}
        named: str = custody.client.write("patients.oppose", TENANT, **told, **ASKED)
        return named

    return stated


def row(custody: Any) -> str:
    found: str = custody.register.numbered(TENANT, *PATIENT.local_ids[0]).id
    return found


def held(client: DossierClient, document: Document) -> Held:
    found = client.find([document.unique_id])
    assert isinstance(found, tuple)
    return found[0]


def show(custody: Any, client: DossierClient, now: datetime) -> Any:
    (filing,) = filings.hidden(custody.engine, TENANT)
    assert PATIENT.ins is not None
    return Announcing(client, custody.client).show(filing, PATIENT.ins, now)


@pytest.fixture
def client(bridge: Any, custody: Any, oppose: Any, dossier_host: Callable[..., str], report: Document) -> DossierClient:
    """Of a real host that holds the report, hidden."""
    oppose()
    url = dossier_host()
    done = bridge.deliver(url, bridge.mail(report), profile=HIDES)
    assert isinstance(done, Done), done
    made: DossierClient = bridge.client(url)
    return made


def test_it_is_filed_hidden(client: DossierClient, bridge: Any, custody: Any, report: Document) -> None:
    """The host holds the document with the code beside its own; our row says from whom, the journal that it is so."""
    assert held(client, report).confidentiality == ("N", "INVISIBLE_PATIENT")
    assert client.fetch(report.unique_id) == report.raw
    (filing,) = filings.hidden(custody.engine, TENANT)
    assert (filing.state, filing.hidden_from) == (FilingState.FILED, row(custody))
    assert [each["document"] for each in custody.facts("dossier-hidden")] == [report.unique_id]
    assert custody.facts("dossier-ruled")[0]["not-opposed"] == "yes: hidden-from-patient"
    assert bridge.waiting() == []


def test_what_nobody_must_announce_is_filed_as_it_is(
    bridge: Any, custody: Any, dossier_host: Callable[..., str], report: Document
) -> None:
    """The twin."""
    url = dossier_host()
    assert isinstance(bridge.deliver(url, bridge.mail(report), profile=HIDES), Done)
    assert held(bridge.client(url), report).confidentiality == ("N",)
    assert filings.hidden(custody.engine, TENANT) == ()
    assert (len(custody.facts("dossier-filed")), custody.facts("dossier-hidden")) == (1, [])


@pytest.mark.parametrize(
    ("flags", "hides", "answer"),
    [
        ({Flag.NOT_VISIBLE}, True, (Answer.YES, None, "hidden-from-patient")),
        ({Flag.NOT_VISIBLE}, False, (Answer.NO, FilingReason.OPPOSED)),
        ({Flag.NOT_VISIBLE, Flag.FILING}, True, (Answer.NO, FilingReason.OPPOSED)),
        (set(), True, (Answer.YES, None)),
    ],
)
def test_the_rule_asks_what_the_host_is_told_to_do(
    report: Document, flags: set[Flag], hides: bool, answer: tuple[Any, ...]
) -> None:
    """Hidden only where the host's configuration says so; a refusal of filing is never answered by hiding."""
    profile = HostProfile("regional", "https://x", "2.25.7", "2.25.2", hides=hides)
    assert not_opposed(Context(report, Matched("p:1", (), frozenset(flags)), profile)) == answer


def test_announced_it_is_shown(client: DossierClient, custody: Any, report: Document, now: datetime) -> None:
    """The same document, its own confidentiality alone, another version of the entry; nothing is left to do."""
    before = held(client, report)
    assert show(custody, client, now) == Done(report.unique_id, SHOWN)
    after = held(client, report)
    assert (after.confidentiality, after.lid, after.sha1) == (("N",), before.lid, before.sha1)
    assert after.version == before.version + 1
    assert client.fetch(report.unique_id) == report.raw
    assert filings.hidden(custody.engine, TENANT) == ()
    assert [each["note"] for each in custody.facts("dossier-announced")] == [SHOWN]


def test_a_lost_answer_is_found_again(client: DossierClient, custody: Any, report: Document, now: datetime) -> None:
    """The host had changed it already: nothing is changed twice."""
    (filing,) = filings.hidden(custody.engine, TENANT)
    assert show(custody, client, now) == Done(report.unique_id, SHOWN)
    once = held(client, report)
    assert PATIENT.ins is not None
    assert Announcing(client, custody.client).show(filing, PATIENT.ins, now) == Done(report.unique_id, SHOWN)
    assert held(client, report) == once


def test_a_host_that_is_down_is_asked_again(
    client: DossierClient, bridge: Any, custody: Any, dossier_host: Any, report: Document, now: datetime
) -> None:
    """It stays hidden, and stands among what is hidden; later it is shown."""
    dossier_host.stop()
    answer = show(custody, client, now)
    assert isinstance(answer, Later)
    assert len(filings.hidden(custody.engine, TENANT)) == 1
    again = bridge.client(dossier_host())
    assert show(custody, again, now) == Done(report.unique_id, SHOWN)
    assert held(again, report).confidentiality == ("N",)


def test_what_is_no_longer_current_is_left(
    client: DossierClient, custody: Any, report: Document, lot: ebrim.Submission, now: datetime
) -> None:
    """Taken back meanwhile: the host is not asked to change it, and it is no work any more."""
    assert PATIENT.ins is not None
    entry = held(client, report)
    deleted = client.profile.norm.deleted
    taken = replace(lot, unique_id="2.25.99")
    assert isinstance(client.set_status(entry.entry_id, ebrim.APPROVED, deleted, taken, PATIENT.ins), Done)
    assert show(custody, client, now) == Done(report.unique_id, GONE)
    assert held(client, report).confidentiality == ("N", "INVISIBLE_PATIENT")
    assert filings.hidden(custody.engine, TENANT) == ()


def test_an_entry_that_is_not_there_is_never(
    client: DossierClient, bridge: Any, custody: Any, dossier_host: Any, tmp_path: Any, now: datetime
) -> None:
    """Another host, which holds nothing."""
    empty = bridge.client(dossier_host(folder=tmp_path / "other"))
    assert show(custody, empty, now) == Never(FilingReason.NOT_IN_DOSSIER)
    assert len(filings.hidden(custody.engine, TENANT)) == 1


def test_a_host_that_does_not_hide_is_caught(
    bridge: Any, dossier_host: Callable[..., str], report: Document, lot: ebrim.Submission
) -> None:
    """What it holds is read back: without the code, it contradicts itself."""
    assert PATIENT.ins is not None
    client = bridge.client(dossier_host())
    assert isinstance(client.submit([report], lot, PATIENT.ins), Done)
    found = client.find([report.unique_id])
    assert confirm.contradiction(client, report, found, fresh=True, masks=(codes.INVISIBLE,)) == "not hidden"
    assert confirm.contradiction(client, report, found, fresh=True) == ""


def test_hidden_and_shown_go_apart(
    bridge: Any, custody: Any, oppose: Any, dossier_host: Callable[..., str], report: Document, now: datetime
) -> None:
    """Of a letter with two documents the one that was named is hidden, the other is not; sent again, each stays so."""
    other = another(report)
    oppose(document=report.unique_id)
    url, mail = dossier_host(), bridge.mail(report, other)
    for _ in range(2):
        assert isinstance(bridge.deliver(url, mail, profile=HIDES), Done)
        client = bridge.client(url)
        assert held(client, report).confidentiality == ("N", "INVISIBLE_PATIENT")
        assert held(client, other).confidentiality == ("N",)
    assert [each.document_id for each in filings.hidden(custody.engine, TENANT)] == [report.unique_id]


def another(report: Document) -> Document:
    """Another document: its id and its set differ."""
    raw = report.raw.replace(report.unique_id.encode(), f"{report.unique_id}.9".encode())
    raw = raw.replace(report.set_id.encode(), f"{report.set_id}.9".encode()) if report.set_id.encode() in raw else raw
    document = cda.read(raw)
    assert isinstance(document, Document), document
    assert document.unique_id != report.unique_id
    return document


def test_who_is_forgotten_is_shown_nothing(client: DossierClient, custody: Any, report: Document) -> None:
    """With him his objection goes, and what was hidden from him stays as it is: nobody may take it for announced."""
    assert PATIENT.ins is not None
    whose = custody.pseudonyms.of(PATIENT.ins.value)
    forgetting.forget(custody.client, TENANT, whose, {"by": "jeanne"})
    assert filings.hidden(custody.engine, TENANT) == ()
    assert held(client, report).confidentiality == ("N", "INVISIBLE_PATIENT")


def test_the_author_of_an_entry_is_read_as_it_was_written(client: DossierClient, report: Document) -> None:
    """A change is made in the name of the structure that filed it."""
    entry = held(client, report).element
    assert entry is not None
    wrote, read = report.authors[0], author(entry)
    assert (read.person_id, read.institution_id) == (wrote.person_id, wrote.institution_id)
    assert (read.family_name, read.institution_name) == (wrote.family_name, wrote.institution_name)
    assert (read.is_system, read.person_root) == (wrote.is_system, wrote.person_root)


@pytest.mark.parametrize(("norm", "refused"), [("regional", False), ("regional-signed", False), ("national", True)])
def test_only_a_host_whose_entries_we_may_change_hides(norm: str, refused: bool, tmp_path: Any) -> None:
    """Refused by the configuration, in a sentence, where what is hidden could never be shown."""
    told = {"url": "https://x", "repository_id": "2.25.7", "source_id": "2.25.2", "norm": norm, "unannounced": "hide"}
    told |= {"certificate": tmp_path / "c", "key": tmp_path / "k", "homologation_file": tmp_path / "h"}
    if not refused:
        assert DossierSection.model_validate(told).unannounced == "hide"
        return
    with pytest.raises(ValidationError, match="lets us change no entry"):
        DossierSection.model_validate(told)


def test_an_unknown_code_is_not_thrown_away(client: DossierClient, custody: Any, report: Document) -> None:
    """An entry with a code that no list holds is left to a person."""
    entry = replace(held(client, report), confidentiality=("N", "INVISIBLE_PATIENT", "XX"))
    assert announcing._left(entry) is None
    assert announcing._left(replace(entry, confidentiality=("N", "INVISIBLE_PATIENT"))) == (codes.NORMAL,)

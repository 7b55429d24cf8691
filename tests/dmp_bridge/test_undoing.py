"""Taking a deposit back, and what earlier recipients and other forms of a document have to do with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from dmp_bridge import filings, sameness
from dmp_bridge.hosts import Hosts
from dmp_bridge.model import Document, FilingReason, FilingState
from dmp_bridge.norms import norm
from dmp_bridge.undoing import Asked, Undoing
from gateway.demo import sample
from relay.journal import SpoolJournal
from relay.model import Done, Never
from tests.dmp_bridge.letters import (
    asking_to_delete,
    mailed,
    self_presenting,
    serialised_otherwise,
    signed,
    version,
)

TENANT = "tilleuls"
DAY = timedelta(days=1)


def undo(bridge: Any, custody: Any, url: str, document: Document, at: datetime, **profile: Any) -> Any:
    filing = filings.of_document(custody.engine, TENANT, "regional", document.unique_id)[-1]
    undoing = Undoing(bridge.client(url, **profile), custody.client, SpoolJournal(custody.client))
    return undoing.undo(filing, document, Asked("a person", at, DAY))


def test_a_deposit_is_taken_back(
    bridge: Any, custody: Any, dossier_host: Callable[..., str], report: Document, now: datetime
) -> None:
    """The host says deleted, our row says undone, the journal who; once more is refused, there is nothing to undo."""
    url = dossier_host()
    bridge.deliver(url, bridge.mail(report))
    assert undo(bridge, custody, url, report, now) == Done(report.unique_id, "taken-back")
    (held,) = bridge.client(url).find([report.unique_id])
    assert not held.approved
    assert bridge.rows(report) == [FilingState.UNDONE]
    assert bridge.events().count("dossier-undone") == 1
    assert undo(bridge, custody, url, report, now) == Never(FilingReason.HOST_FORBIDS, "not-filed")


def test_after_the_time_that_policy_gives_it_is_not(
    bridge: Any, custody: Any, dossier_host: Callable[..., str], report: Document, now: datetime
) -> None:
    """The twin: too late, and the host was not asked."""
    url = dossier_host()
    bridge.deliver(url, bridge.mail(report))
    late = undo(bridge, custody, url, report, now + DAY + timedelta(seconds=1))
    assert late == Never(FilingReason.HOST_FORBIDS, "too-late")
    (held,) = bridge.client(url).find([report.unique_id])
    assert held.approved


def test_without_the_check_a_late_one_would_pass(
    bridge: Any, custody: Any, dossier_host: Callable[..., str], report: Document, now: datetime, monkeypatch: Any
) -> None:
    """The refusal is the policy check's: switched off, the same request goes through."""
    monkeypatch.setattr("dmp_bridge.undoing.refusal", lambda filing, asked: "")
    url = dossier_host()
    bridge.deliver(url, bridge.mail(report))
    assert isinstance(undo(bridge, custody, url, report, now + 9 * DAY), Done)


def test_what_was_replaced_counts_again(
    bridge: Any, custody: Any, dossier_host: Callable[..., str], report: Document, now: datetime
) -> None:
    """Undoing a replacement gives the old version back; undoing the old one first is refused."""
    url, newer = dossier_host(), version(report, 2)
    bridge.deliver(url, bridge.mail(report))
    assert bridge.deliver(url, bridge.mail(newer), letter_id="02" * 13) == Done(newer.unique_id, "filed")
    signed = norm("regional-signed")
    profile = {"norm": replace(norm("regional"), deleted=signed.deleted)}
    old = undo(bridge, custody, url, report, now, **profile)
    assert old == Never(FilingReason.OLD_VERSION, "changed-since")
    assert undo(bridge, custody, url, newer, now, **profile) == Done(newer.unique_id, "taken-back")
    held = {each.unique_id: each.approved for each in bridge.client(url).find([report.unique_id, newer.unique_id])}
    assert held == {report.unique_id: True, newer.unique_id: False}


def test_an_undo_of_which_the_answer_was_lost_is_done(
    bridge: Any, custody: Any, dossier_host: Callable[..., str], report: Document, now: datetime, lot: Any
) -> None:
    """The host deleted it, we did not hear so: asked again, it is done and recorded."""
    url = dossier_host()
    bridge.deliver(url, bridge.mail(report))
    client = bridge.client(url)
    (held,) = client.find([report.unique_id])
    client.set_status(held.entry_id, held.status, client.profile.norm.deleted, replace(lot, unique_id="2.25.8"),
                      report.patient.ins)  # fmt: skip
    assert undo(bridge, custody, url, report, now) == Done(report.unique_id, "taken-back")
    assert bridge.rows(report) == [FilingState.UNDONE]


# --- a deletion that the sender asks for, and what earlier recipients hear -----------------------------------------


def told(bridge: Any, url: str) -> tuple[Any, list[tuple[str, str]]]:
    heard: list[tuple[str, str]] = []
    courier = replace(
        bridge.courier(url), carry=lambda letter, document, what: heard.append((document.unique_id, what))
    )
    return courier, heard


def test_a_replacement_and_a_deletion_are_carried(
    bridge: Any, dossier_host: Callable[..., str], report: Document, lot: Any
) -> None:
    """What replaces a document, and an archive that asks to delete one, reach the dossier and are handed on."""
    url, newer = dossier_host(), version(report, 2)
    courier, heard = told(bridge, url)
    courier.deliver(bridge.job(bridge.mail(report)))
    courier.deliver(bridge.job(bridge.mail(newer), letter_id="02" * 13))
    assert heard == [(newer.unique_id, "replaced")]
    outcome = courier.deliver(bridge.job(asking_to_delete(newer, lot), letter_id="03" * 13))["r1"]
    assert outcome == Done(newer.unique_id, "taken-back")
    assert heard[1:] == [(newer.unique_id, "deleted")]
    assert bridge.rows(newer) == [FilingState.UNDONE]


def test_a_deletion_of_what_we_never_filed_is_refused(
    bridge: Any, dossier_host: Callable[..., str], report: Document, lot: Any
) -> None:
    """The twin: nothing of ours is there, nobody is told."""
    courier, heard = told(bridge, dossier_host())
    outcome = courier.deliver(bridge.job(asking_to_delete(report, lot)))["r1"]
    assert isinstance(outcome, Never)
    assert heard == []


# --- the same document in another form ------------------------------------------------------------------------------


FORMS = [serialised_otherwise, signed, self_presenting]


@pytest.mark.parametrize("form", FORMS)
def test_another_form_of_it_is_the_same_document(
    bridge: Any, dossier_host: Callable[..., str], report: Document, form: Callable[[bytes], bytes]
) -> None:
    """Filed from an archive, it comes again as a bare CDA written otherwise, under a signature or in its stylesheet:
    already there by its canonical form, not another document of that identifier."""
    url, other = dossier_host(), form(report.raw)
    bridge.deliver(url, bridge.mail(report))
    again = bridge.deliver(url, mailed(("cr.xml", "text/xml", other)), letter_id="02" * 13)
    assert again == Done(report.unique_id, "already-in-dossier")
    assert "dossier-same" in bridge.events()
    assert len(bridge.client(url).find_by_patient(report.patient.ins)) == 1


@pytest.mark.parametrize("form", [bytes, *FORMS])
def test_other_words_under_the_same_identifier_are_not(
    bridge: Any, dossier_host: Callable[..., str], report: Document, form: Callable[[bytes], bytes]
) -> None:
    """The twin: one word differs, and it is refused in each form."""
    url, other = dossier_host(), form(report.raw.replace(b"IRM du genou", b"IRM du coude"))
    bridge.deliver(url, bridge.mail(report))
    again = bridge.deliver(url, mailed(("cr.xml", "text/xml", other)), letter_id="02" * 13)
    assert isinstance(again, Never)
    assert len(bridge.client(url).find_by_patient(report.patient.ins)) == 1


@pytest.mark.parametrize("raw", [b"", b"<x/>", b"<!DOCTYPE x><x/>", b'<ClinicalDocument xmlns="urn:hl7-org:v3"/>' * 2])
def test_what_is_no_document_has_no_digest(raw: bytes) -> None:
    """Nothing is the same as it."""
    assert sameness.digest(raw) == ""


def test_hosts_of_one(bridge: Any, dossier_host: Callable[..., str], report: Document) -> None:
    """With one host there is nothing to choose, and the register is not asked."""
    client = bridge.client(dossier_host())

    def never(_: Document) -> Any:
        raise AssertionError

    assert Hosts.only(client).of(TENANT, [report], never) == (client, "only-one")
    assert sample.PATIENT.ins is not None

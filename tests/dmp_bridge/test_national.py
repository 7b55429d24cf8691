"""The national norm, played against a host of our own that asks for all it asks: no claim about a DMP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dmp_bridge.installed import Checked
from dmp_bridge.model import Answer, Document, FilingReason
from dmp_bridge.norms import norm
from dmp_bridge.standing import Standing
from dmp_bridge.vihf import Software, Structure
from relay.model import Done, Later, Never
from tests.dmp_bridge.letters import version

NATIONAL = norm("national")
HERE = "279035121518989;1.2.250.1.213.1.4.10"


@pytest.fixture
def national(bridge: Any, dossier_host: Callable[..., str], site: Any, tmp_path: Path) -> Callable[..., Any]:
    """A courier under the national norm, in front of a host that asks for assertions and lot signatures."""

    def made(patients: str = HERE) -> Any:
        listed = tmp_path / "patients.csv"
        listed.write_text(patients + "\n")
        url = dossier_host("", 0, "--assertions", "--lot-signatures", patients=str(listed))
        structure, software = Structure("1750000018", "SA08"), Software("Pli", "0.1.0", "", "H")
        told = Standing(NATIONAL, structure, software, lambda: site.seal, lambda: datetime.now(UTC))
        courier = bridge.courier(url, standing=told, norm=NATIONAL, reads=NATIONAL.reads)
        return replace(courier, schema=lambda raw: Checked(Answer.YES))

    return made


def test_a_document_is_filed_and_its_success_believed(
    national: Callable[..., Any], bridge: Any, report: Document
) -> None:
    """Existence asked, lot sealed, assertion in each header; nothing is read back, since the mode does not let us."""
    courier = national()
    assert courier.deliver(bridge.job(bridge.mail(report)))["r1"] == Done(report.unique_id, "filed")
    client = courier.hosts.clients["regional"]
    assert isinstance(client.fetch(report.unique_id), Never)
    found = client.locate(report.unique_id, report.patient.ins)
    assert isinstance(found, tuple)
    assert len(found) == 1


def test_a_replacement_finds_the_old_entry_by_reference(
    national: Callable[..., Any], bridge: Any, report: Document
) -> None:
    """RPLC names the entry that a search by reference id gave; the old one is no longer among the Approved."""
    courier, newer = national(), version(report, 2)
    courier.deliver(bridge.job(bridge.mail(report)))
    outcome = courier.deliver(bridge.job(bridge.mail(newer), letter_id="02" * 13))["r1"]
    assert outcome == Done(newer.unique_id, "filed")
    client = courier.hosts.clients["regional"]
    assert client.locate(report.unique_id, report.patient.ins) == ()
    assert len(client.locate(newer.unique_id, newer.patient.ins)) == 1


@pytest.mark.parametrize(
    ("patients", "reason"),
    [
        (f"{HERE};closed", FilingReason.DOSSIER_CLOSED),
        ("179035121518989;1.2.250.1.213.1.4.10", FilingReason.NO_DOSSIER),
    ],
)
def test_a_dossier_that_is_closed_or_absent_is_not_fed(
    national: Callable[..., Any], bridge: Any, report: Document, patients: str, reason: FilingReason
) -> None:
    """TD0.2 says so before anything is sent; a person is told."""
    outcome = national(patients).deliver(bridge.job(bridge.mail(report)))["r1"]
    assert outcome == Never(reason, "TD0.2")
    assert bridge.waiting() == [reason]


def test_without_schemas_nothing_is_filed(national: Callable[..., Any], bridge: Any, report: Document) -> None:
    """The rule cannot tell, and under this norm that holds back (design §8)."""
    outcome = replace(national(), schema=None).deliver(bridge.job(bridge.mail(report)))["r1"]
    assert isinstance(outcome, Never)
    assert outcome.reason == FilingReason.RULE_CANNOT_TELL


def test_without_a_seal_it_waits(national: Callable[..., Any], bridge: Any, report: Document) -> None:
    """A keeper that holds none now may hold one later: tried again, not given up."""
    courier = national()
    client = courier.hosts.clients["regional"]
    client._standing = replace(client._standing, signer=lambda: None)
    outcome = courier.deliver(bridge.job(bridge.mail(report)))["r1"]
    assert isinstance(outcome, Later)
    assert outcome.reason == "keeper.down"

"""Rows of what was filed: idempotent, told apart by tenant and bytes, and created by the migrations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dmp_bridge import filings
from dmp_bridge.filings import Attempt
from dmp_bridge.model import FilingReason, FilingState

TENANT = "tilleuls"
FIRST = Attempt("letter-1", "1.2.3", "2.25.1", "1.2.4", 1, "a" * 40, 10, "regional")


def begin(custody: Any, *attempts: Attempt, tenant: str = TENANT) -> list[bool]:
    answer: list[bool] = custody.client.write("filing.begin", tenant, **filings.begin_params(attempts))
    return answer


def end(custody: Any, attempt: Attempt, state: FilingState, **values: str) -> None:
    row_id = filings.attempt_id(TENANT, attempt)
    assert custody.client.write("filing.end", TENANT, id=row_id, state=state.value, **values) == 1


def test_an_attempt_is_seen_by_the_next(custody: Any) -> None:
    """The first attempt has none before it; the second has, from this letter or another."""
    assert begin(custody, FIRST) == [False]
    assert begin(custody, FIRST) == [True]
    assert begin(custody, replace(FIRST, letter_id="letter-2")) == [True]
    assert len(filings.of_letter(custody.engine, TENANT, "letter-1")) == 1


@pytest.mark.parametrize("change", [{"sha1": "b" * 40}, {"host": "other"}, {"document_id": "1.2.9"}])
def test_other_bytes_or_another_host_are_another_attempt(custody: Any, change: dict[str, str]) -> None:
    """An attempt with other bytes, at another host or of another document proves nothing."""
    begin(custody, FIRST)
    assert begin(custody, replace(FIRST, **change)) == [False]


def test_another_tenant_s_attempt_is_not_ours(custody: Any) -> None:
    """What another tenant sent is no attempt of this one."""
    begin(custody, FIRST, tenant="elsewhere")
    assert begin(custody, FIRST) == [False]


@pytest.mark.parametrize(
    ("state", "reason", "seen"),
    [
        (FilingState.FILED, "", True),
        (FilingState.FAILED, FilingReason.HOST_REFUSED.value, False),
        (FilingState.FAILED, FilingReason.HOST_WRONG.value, True),
    ],
)
def test_how_an_attempt_ended_says_whether_it_may_have_stored(
    custody: Any, state: FilingState, reason: str, seen: bool
) -> None:
    """A refused attempt stored nothing; a filed one did; one at a host that lied may have."""
    begin(custody, FIRST)
    end(custody, FIRST, state, reason=reason)
    assert begin(custody, replace(FIRST, letter_id="letter-2")) == [seen]


def test_filed_and_the_highest_version(custody: Any) -> None:
    """Only FILED rows count as filed and give the held version."""
    begin(custody, FIRST, replace(FIRST, document_id="1.2.5", version=3))
    engine = custody.engine
    assert filings.filed(engine, TENANT, "regional", "1.2.3", "a" * 40) is None
    assert filings.held_version(engine, TENANT, "regional", "1.2.4") is None
    end(custody, FIRST, FilingState.FILED, entry_id="urn:uuid:1")
    found = filings.filed(engine, TENANT, "regional", "1.2.3", "a" * 40)
    assert found is not None
    assert found.entry_id == "urn:uuid:1"
    assert filings.filed(engine, TENANT, "regional", "1.2.3", "b" * 40) is None
    assert filings.held_version(engine, TENANT, "regional", "1.2.4") == 1


def test_what_somebody_else_filed_is_no_attempt(custody: Any) -> None:
    """A document that was found is a row, and does not make a later 'already there' ours."""
    params = {**filings.begin_params([FIRST]), "entry_id": "urn:uuid:1"}
    assert custody.client.write("filing.found", TENANT, **params) is True
    assert custody.client.write("filing.found", TENANT, **params) is False
    (row,) = filings.of_document(custody.engine, TENANT, "regional", "1.2.3")
    assert row.state is FilingState.FOUND
    assert begin(custody, replace(FIRST, letter_id="letter-2")) == [False]


def test_a_document_waits_once(custody: Any) -> None:
    """The same document for the same reason stands on the work list once, for its own tenant only."""
    told = {"letter_id": "l", "document_id": "1.2.3", "host": "regional", "reason": "dossier.ins-absent"}
    for _ in range(2):
        custody.client.write("worklist.add", TENANT, evidence=[["ins", "absent"]], candidates=["p1"], **told)
    (waiting,) = filings.waiting(custody.engine, TENANT)
    assert (waiting.evidence, waiting.candidates) == ((("ins", "absent"),), ("p1",))
    assert filings.waiting(custody.engine, "elsewhere") == ()

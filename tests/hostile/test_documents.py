"""XML made to harm never becomes a document; what only points elsewhere is read and not followed.

Time and memory of each: `./dev bench refusals`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from dmp_bridge import cda, header
from dmp_bridge.model import Bad, Document, FilingReason
from tests.hostile.xml_attacks import ATTACKS, LET_BE, REFUSED


@pytest.fixture
def nobody_calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Every address that anything in this process connects to."""
    called: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: called.append(address))
    yield called
    assert called == []


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_document_is_refused_by_name(report_xml: bytes, nobody_calls: list[object], attack: str) -> None:
    """By the rule that it breaks, and the clause-by-clause check sees no document in it either, or an error."""
    make, rule = ATTACKS[attack]
    data = make(report_xml)
    answer = cda.read(data)
    assert isinstance(answer, Bad)
    assert answer.detail == rule
    known = b"ClinicalDocument" in data
    if rule == REFUSED and known:
        assert answer.reason == FilingReason.DOCUMENT_REFUSED
    breaches = header.check(data)
    assert breaches is None or any(each.error for each in breaches)


@pytest.mark.parametrize("name", LET_BE)
def test_what_points_elsewhere_is_not_followed(report_xml: bytes, nobody_calls: list[object], name: str) -> None:
    """A document that names a stylesheet, a schema or a file is read as if it did not."""
    data = LET_BE[name](report_xml)
    assert data != report_xml
    found = cda.read(data)
    assert isinstance(found, Document)
    assert found.raw == data
    assert b"root:" not in repr(found).encode()
    assert header.errors(data) == ()


def test_a_sound_document_is_read(report_xml: bytes) -> None:
    """The twin of all of them."""
    assert isinstance(cda.read(report_xml), Document)

"""The trail in plain words: whose name a letter carries, and what became of an encrypted one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from certs.model import Fault
from gateway import timeline
from relay.couriers.mailbox import words
from relay.model import SignatureState, Signer, Verdict

ROOT = Path(__file__).resolve().parent.parent.parent
NAMED = re.compile(
    r"""Event\(\s*"([a-z-]+)"|event\("([a-z-]+)", row|\("([a-z-]+)", (?:State|Word|None)\b"""
    r"""|c\.(?:notice|warning), "([a-z-]+)\""""
)


def test_every_event_has_a_sentence_in_both_languages() -> None:
    """What relay and its couriers journal is said, not only named."""
    found = {
        name
        for file in (ROOT / "relay").rglob("*.py")
        for each in NAMED.findall(file.read_text())
        for name in each
        if name
    }
    assert {"accepted", "opened", "quarantined", "released", "said-read", "silent", "warned"} <= found
    assert found - timeline.SENTENCES.keys() == set()
    assert all(french != english for french, english in timeline.SENTENCES.values())


@pytest.mark.parametrize("language", ["fr", "en"])
def test_an_establishment_seals_and_a_person_signs(language: str) -> None:
    """Design §7: 'scellé par l'établissement X', never 'signé par Dr Y'; three identities, three sentences."""
    told = [timeline.signature("valid", each.value, "X", language) for each in Signer]
    assert len(set(told)) == len(Signer)
    sealed = timeline.signature("valid", "establishment", "X", language)
    assert sealed == {"fr": "scellé par l'établissement X", "en": "sealed by the establishment X"}[language]
    assert not re.search(r"sign", sealed)


def test_another_address_is_said_in_both_places() -> None:
    """RFC 8550 §3: the trail and the letter's own field name whose certificate it is, and that it is another's."""
    verdict = Verdict(SignatureState.PARTIAL, Signer.AUTHOR, "Marie MARTIN", fault=Fault.WRONG_NAME)
    trail = timeline.signature("partial", "author", "Marie MARTIN")
    for sentence in (trail, words(verdict)):
        assert "Marie MARTIN" in sentence
        assert "une autre adresse" in sentence


@pytest.mark.parametrize("note", ["text-only", "not-opened", "warning-letter"])
def test_how_an_encrypted_letter_arrived_is_said(note: str) -> None:
    """The notes of a delivery that is not the letter as itself."""
    assert timeline.note(note) != note != timeline.note(note, "en")

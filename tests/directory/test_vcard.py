"""A mailbox as a vCard: read back by the rules of RFC 6350, it says the same."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.address import parse
from directory.model import Entry, Kind, Provenance
from directory.vcard import card

ENTRY = Entry(
    parse("paul.bernard@a.example"), Kind.PER, "Dr Paul BERNARD", "BERNARD", "Paul", "Dr", "10900000500",
    structure="Clinique; du Parc", service="Urgences, nuit", specialty="Cardiologie", town="L'Haÿ-les-Roses",
    postal_code="94240", preferred=2, certificates=(b"\x30\x03\x02\x01\x07",), provenance=Provenance("x", uuid="0-1"),
)  # fmt: skip


def properties(text: str) -> dict[str, str]:
    """Unfolded (RFC 6350 §3.2)."""
    lines = text.replace("\r\n ", "").split("\r\n")
    return dict(line.split(":", 1) for line in lines if line)


def values(text: str) -> list[str]:
    """The parts of a structured value, unescaped (§3.4)."""
    parts = re.findall(r"((?:\\.|[^;\\])*)(?:;|$)", text)
    return [re.sub(r"\\(.)", lambda sign: "\n" if sign[1] == "n" else sign[1], part) for part in parts]


def test_a_card_says_what_is_known() -> None:
    """Name, place, mailbox with its rank, certificate."""
    told = properties(card(ENTRY))
    assert (told["VERSION"], told["KIND"], told["FN"]) == ("4.0", "individual", "Dr Paul BERNARD")
    assert values(told["N"])[:4] == ["BERNARD", "Paul", "", "Dr"]
    assert values(told["ORG"])[:2] == ["Clinique; du Parc", "Urgences, nuit"]
    assert told["EMAIL;TYPE=work;PREF=2"] == "paul.bernard@a.example"
    assert values(told["ADR;TYPE=work"])[3:6] == ["L'Haÿ-les-Roses", "", "94240"]
    assert base64.b64decode(told["KEY"].partition("base64,")[2]) == ENTRY.certificates[0]


@pytest.mark.parametrize("kind", [Kind.ORG, Kind.APP, Kind.CAB])
def test_a_shared_mailbox_is_no_person(kind: Kind) -> None:
    """A structure's, an application's, a practice's."""
    assert properties(card(Entry(ENTRY.address, kind, "Urgences")))["KIND"] == "org"


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_whatever_a_name_holds_is_one_value(name: str) -> None:
    """No name makes a line of its own, none is longer than 75 octets, and none is cut inside a letter."""
    text = card(Entry(ENTRY.address, Kind.ORG, name))
    lines = text.encode().split(b"\r\n")
    assert all(len(line) <= 75 and line.decode() is not None for line in lines)
    told = properties(text)
    assert list(told) == ["BEGIN", "VERSION", "KIND", "FN", "EMAIL;TYPE=work;PREF=1", "END"]
    ends = re.sub("\r\n|\r", "\n", name)
    plain = re.sub(r"\\(.)", lambda sign: "\n" if sign[1] == "n" else sign[1], told["FN"])
    assert plain == "".join(sign if sign.isprintable() or sign == "\n" else " " for sign in ends)

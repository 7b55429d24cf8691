"""Pseudonyms: the same patient is the same word, and no text keeps a matricule."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from directory.model import Address
from relay.model import new_id
from relay.pseudonym import Pseudonyms

INS = "279035121518989"
NAMES = Pseudonyms(b"k" * 32)
WORD = NAMES.of(INS)


def test_a_pseudonym_has_its_shape() -> None:
    """'p:' and 16 letters or digits of base32, the same at each call."""
    assert WORD.startswith("p:")
    assert len(WORD) == 18
    assert WORD[2:].isalnum()
    assert NAMES.of(INS) == WORD


def test_another_key_or_patient_is_another_pseudonym() -> None:
    """Pseudonyms of two tenants, or of two patients, have nothing in common."""
    assert Pseudonyms(b"l" * 32).of(INS) != WORD
    assert NAMES.of("279035121519082") != WORD


def test_a_short_key_is_refused() -> None:
    """A key that could be guessed protects nobody."""
    with pytest.raises(ValueError, match="16 bytes"):
        Pseudonyms(b"k" * 15)


SPELLINGS = ["279035121518989", "2790351215189", "2 79 03 51 215 189 89", "2 79 03 51 215 189", " 279035121518989 "]


@pytest.mark.parametrize("text", [*SPELLINGS, "2\u00a079\u00a003\u00a051\u00a0215\u00a0189\u00a089"])
def test_one_matricule_has_one_pseudonym(text: str) -> None:
    """With or without key, grouped or solid: the same patient."""
    assert NAMES.of(text) == WORD


def test_corsica_has_letters() -> None:
    """A matricule of department 2A or 2B is one, in either case."""
    assert NAMES.scrub("né 1850 2a"), "words around are kept"
    assert NAMES.scrub("x 185032A12345678 y") == f"x {NAMES.of('185032a12345678')} y"


def test_a_patient_s_address_keeps_its_domain_only() -> None:
    """The local part of a citizen's address is replaced, however the domain is cased; twice is once."""
    hidden = f"{WORD}@patient.mssante.fr"
    assert NAMES.address(f"{INS}@patient.mssante.fr") == hidden
    assert NAMES.address(f"{INS}@Patient.MSSante.fr") == hidden
    assert NAMES.address(Address(INS, "patient.mssante.fr")) == hidden
    assert NAMES.address(hidden) == hidden


def test_a_professional_s_address_is_unchanged() -> None:
    """Professionals are not hidden, nor domains that only look like the citizens'."""
    for address in ("marie.martin@lilas.mssante.fr", "a@patient.mssante.fr.example", "", "patient.mssante.fr"):
        assert NAMES.address(address) == address


@pytest.mark.parametrize(
    "text",
    [
        f"<{INS}@patient.mssante.fr>",
        f"INS:{INS},",
        f"{INS}^^^&1.2.250.1.213.1.4.10&ISO^NH",
        f"doc_{INS}.xml",
        f"1.2.250.1.213.1.4.10.{INS}",
        "matricule 2 79 03 51 215 189 89 clé comprise",
        "2790351215189",
        f"{INS}\n{INS}",
        f"{INS}Z",
        f"lettre{INS}",
    ],
)
def test_no_matricule_stays_in_a_text(text: str) -> None:
    """Wherever a matricule stands in a text, it is replaced by its pseudonym."""
    scrubbed = NAMES.scrub(text)
    assert WORD in scrubbed
    assert "2790351215189" not in scrubbed.replace(" ", "")


def test_fifty_patients_leave_nothing() -> None:
    """Fifty matricules in one text: none is left, and fifty words stand for them."""
    matricules = [f"1{number:02d}0{number % 9 + 1}75{number:03d}001{number:02d}" for number in range(50)]
    scrubbed = NAMES.scrub(" ".join(matricules))
    assert not any(each[:13] in scrubbed for each in matricules)
    assert len(set(scrubbed.split())) == 50


@pytest.mark.parametrize(
    "text",
    [
        "20261125093000",
        "2026-11-25T09:30:00+00:00",
        "1234567890123456",
        "+33 1 99 00 00 00",
        hashlib.sha256(b"1").hexdigest(),
        "a1234567890123b" * 4,
        "2.25.123456789012345678901234567890",
        "Bonjour",
        "",
    ],
)
def test_what_is_no_matricule_stays(text: str) -> None:
    """Dates, telephone numbers, digests and object identifiers are not identities."""
    assert NAMES.scrub(text) == text


def test_letter_ids_stay() -> None:
    """A letter's id holds digits, and the trail needs it whole."""
    ids = " ".join(new_id(datetime.fromtimestamp(second * 1000, UTC)) for second in range(2000))
    assert NAMES.scrub(ids) == ids

"""Names are compared without accents, case and hyphens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.names import fold, words


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Hélène LE-GUENŒC", "helene le guenoec"),
        ("L'Haÿ-les-Roses", "l hay les roses"),
        ("Anne–Sophie  D’ARC", "anne sophie d arc"),
        ("ﬁche", "fiche"),
        ("Straße", "strasse"),
        ("*()\\\x00", ""),
    ],
)
def test_a_name_is_folded(text: str, folded: str) -> None:
    """Accents, ligatures, case, hyphens and signs go."""
    assert fold(text) == folded


def test_words_come_once() -> None:
    """Words of several texts, in order, without repeats."""
    assert words("Clinique du Parc", "clinique DU parc", "Urgences") == ("clinique", "du", "parc", "urgences")


@given(st.text(max_size=60))
def test_folding_is_final(text: str) -> None:
    """Folding what is folded changes nothing, and leaves only ASCII letters, digits and blanks."""
    assert fold(fold(text)) == fold(text)
    assert fold(text).replace(" ", "").isalnum() or not fold(text)

"""LDIF that another reader reads back."""

from __future__ import annotations

import io

import ldif
from hypothesis import given
from hypothesis import strategies as st

from directory.ldif import escaped, record


def read(text: str) -> list[tuple[str, dict[str, list[bytes]]]]:
    reader = ldif.LDIFRecordList(io.StringIO(text))
    reader.parse()
    return list(reader.all_records)


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=4))
def test_any_value_survives(values: list[bytes]) -> None:
    """python-ldap's reader gives the same bytes back, whatever they are."""
    assert read(record("cn=a", {"description": values})) == [("cn=a", {"description": values})]


def test_text_is_utf_8_and_empty_attributes_are_left_out() -> None:
    """Accents travel in base64; an attribute without values is not written."""
    assert record("cn=a", {"o": ["Évry"], "l": []}) == "dn: cn=a\no:: w4l2cnk=\n\n"


def test_a_name_cannot_leave_its_place() -> None:
    """Commas, plus and equal signs in a value do not end it inside a distinguished name."""
    assert escaped("a,ou=x+b@y.fr") == "a\\2cou\\3dx\\2bb@y.fr"

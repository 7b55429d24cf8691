"""A value in a filter is only ever a value."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.filters import begins, equal, every, no, some


@pytest.mark.parametrize("value", ["*", "(", ")", "\\", "\x00", "é", "*)(uid=*", "\ud800"])
def test_signs_of_the_language_are_escaped(value: str) -> None:
    """Each of them leaves as a hexadecimal pair (RFC 4515 §3)."""
    assert re.fullmatch(r"\(mail=(\\[0-9a-f]{2}|[a-z=])+\)", equal("mail", value))


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40))
def test_any_value_comes_back(value: str) -> None:
    """Read by the rules of RFC 4515, the filter holds exactly the value."""
    inner = equal("cn", value).removeprefix("(cn=").removesuffix(")")
    assert not set(inner) & set("()*\x00")
    raw = re.sub(rb"\\([0-9a-f]{2})", lambda pair: bytes([int(pair[1], 16)]), inner.encode())
    assert raw.decode() == value


def test_filters_are_joined() -> None:
    """And, or, not and beginnings are written in prefix form."""
    built = every(equal("a", "1"), some(begins("b", "2"), equal("c", "3")), no(equal("d", "4")))
    assert built == "(&(a=1)(|(b=2*)(c=3))(!(d=4)))"

"""A value in a filter is only ever a value."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.filters import Unindexed, begins, equal, every, no, present, since, some


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
    built = every(equal("mail", "1"), some(begins("sn", "2"), since("entryCSN", "3")), no(present("mergedInto")))
    assert built == "(&(mail=1)(|(sn=2*)(entryCSN>=3))(!(mergedInto=*)))"


@pytest.mark.parametrize("ask", [lambda: equal("displayName", "x"), lambda: begins("mail", "x"), lambda: present("sn")])
def test_what_has_no_index_is_not_asked(ask: Callable[[], object]) -> None:
    """An attribute without an index, or without this one, would make the server read every entry."""
    with pytest.raises(Unindexed, match="no index"):
        ask()


def test_another_directory_has_its_own_indexes() -> None:
    """What is indexed there can be asked there, and only there."""
    theirs = {"numeroNational": frozenset({"eq"})}
    assert equal("numeroNational", "7", theirs) == "(numeroNational=7)"
    with pytest.raises(Unindexed):
        equal("mail", "a@b.fr", theirs)

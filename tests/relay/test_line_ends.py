"""Line ends: what is whole and what is not, wherever a window ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import line_ends


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b".", b""]), max_size=12).map(b"".join))
def test_whole_is_what_holds_no_octet_of_a_line_end_alone(data: bytes) -> None:
    """The same as taking every CRLF out and looking for what is left of CR and LF."""
    rest = data.replace(b"\r\n", b"")
    assert line_ends.are_whole(data) is not (b"\r" in rest or b"\n" in rest)


@pytest.mark.parametrize("before", [line_ends._WINDOW - each for each in range(4)])
@pytest.mark.parametrize(("ends", "whole"), [(b"\r\n", True), (b"\r", False), (b"\n", False), (b"\n\r", False)])
def test_a_line_end_across_two_windows_counts_once(before: int, ends: bytes, whole: bool) -> None:
    """A large letter is looked at piece by piece."""
    assert line_ends.are_whole(b"x" * before + ends + b"y" * 9) is whole

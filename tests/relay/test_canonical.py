"""The 7-bit form of a large letter: lines are looked at window by window, and none escapes."""

from __future__ import annotations

import pytest

from relay import canonical
from relay.message import scan

LINE = b"x" * 76 + b"\r\n"


@pytest.mark.parametrize("before", [0, 1, 3360, 3361, 3362, 10_000])
def test_a_long_line_is_found_wherever_it_lies(before: int) -> None:
    """998 bytes may be, 999 may not (RFC 5322 §2.1.1), at the start, across a window's end and after it."""
    for after in (b"", LINE * 4000):
        assert canonical.is_seven_bit(LINE * before + b"y" * 998 + b"\r\n" + after)
        assert not canonical.is_seven_bit(LINE * before + b"y" * 999 + b"\r\n" + after)


def test_one_line_larger_than_a_window_is_long() -> None:
    """Without any line end there is one line; nothing at all is no line too long."""
    assert not canonical.is_seven_bit(b"z" * 600_000)
    assert canonical.is_seven_bit(b"")


def test_a_large_letter_comes_out_byte_for_byte() -> None:
    """What is 7-bit already is copied once, as it is."""
    body = LINE * 10_000
    content = canonical.content(scan(b"From: a@b.example\r\nContent-Type: text/plain\r\n\r\n" + body))
    assert content == b"Content-Type: text/plain\r\n\r\n" + body

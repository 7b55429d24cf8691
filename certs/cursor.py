"""One pass through a BER value whose middle is large: small parts come out as DER, the large one as views.

Promises: no copy of the large part is ever made; never more than ber's caps on bytes, depth and number of values;
anything that is no BER is ValueError. Does not: know any type of CMS (enveloped does).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from typing import TypeVar

from certs import ber

MAX_PART = 1024 * 1024
"""Bytes of a part that is copied: a thousand recipients stay far below."""

_CONSTRUCTED = 0x20
_OCTET_STRING = 0x04
_END = b"\x00\x00"


_T = TypeVar("_T")


class TooMany(ValueError):
    """More parts of a kind than are read, in DER or in BER."""


def read(cms: bytes, small: int, der: Callable[[bytes], _T], ber: Callable[[bytes], _T]) -> _T:
    """What one of two readers makes of it. DER is tried first up to `small` bytes: nearly all of that size is DER, and
    reading it so is quicker. Raises what they raise."""
    if len(cms) <= small:
        try:
            return der(cms)
        except TooMany:
            raise
        except ValueError:
            pass  # it is BER, or nothing
    return ber(cms)


class Pieces:
    """An octet string, in order, as views on the bytes that it was read from."""

    def __init__(self, data: bytes, bounds: array[int]) -> None:
        self._data = memoryview(data)
        self._bounds = bounds
        """Start and end of each piece in turn: a letter of 25 MB may come in 25,000."""

    @property
    def size(self) -> int:
        return sum(self._bounds[1::2]) - sum(self._bounds[::2])

    def __iter__(self) -> Iterator[memoryview]:
        for start, end in zip(self._bounds[::2], self._bounds[1::2], strict=True):
            yield self._data[start:end]


class Cursor:
    """Stands before a value; every step moves it past one, or into one. Steps raise ValueError."""

    def __init__(self, data: bytes) -> None:
        if len(data) > ber.MAX_BYTES:
            raise ValueError("too large")
        self._data = data
        self._at = 0
        self._left = ber.MAX_VALUES
        self._ends: list[tuple[int, bool]] = [(len(data), False)]
        """Of each value entered: where it ends at the latest, and whether it says so itself (indefinite)."""

    @property
    def tag(self) -> int:
        """The tag octet of the value ahead; -1 where the value entered has no more."""
        limit, indefinite = self._ends[-1]
        if self._at >= limit or (indefinite and self._ended(limit)):
            return -1
        return self._data[self._at]

    def enter(self, tag: int) -> None:
        """Into the constructed value ahead, which has this tag."""
        start, end, indefinite = self._opened(tag)
        self._at = start
        self._ends.append((end, indefinite))

    def leave(self) -> None:
        """Out of the value entered last, which has no more."""
        limit, indefinite = self._ends.pop()
        if indefinite:
            if not self._ended(limit):
                raise ValueError("an indefinite value without its end")
            self._at += 2
        elif self._at != limit:
            raise ValueError("something is left over")

    def finish(self) -> None:
        """Everything entered is left, and nothing follows."""
        if len(self._ends) != 1 or self._at != len(self._data):
            raise ValueError("something follows the value")

    def part(self) -> bytes:
        """The value ahead, as DER but for the order in sets, copied. At most MAX_PART bytes."""
        begun, tag = self._at, self.tag
        self._skip()
        if self._at - begun > MAX_PART:
            raise ValueError("a part is too large")
        value = self._data[begun : self._at]
        if tag & _CONSTRUCTED or value[1] >= 0x80:
            return ber.normalise(value)
        return value  # primitive and short: there is one way to write it

    def skip(self) -> None:
        """Past the value ahead, whatever its size."""
        self._skip()

    def octets(self, tag: int) -> Pieces:
        """The octet string ahead, whole or in pieces; `tag` is that of its primitive form (X.690 §8.7)."""
        bounds = array("Q")
        self._pieces(tag, bounds)
        return Pieces(self._data, bounds)

    def _pieces(self, tag: int, bounds: array[int]) -> None:
        if self.tag == tag:
            start, end, _ = self._opened(tag)
            self._at = end
            bounds.extend((start, end))
            return
        self.enter(tag | _CONSTRUCTED)
        while self.tag != -1:
            self._pieces(_OCTET_STRING, bounds)
        self.leave()

    def _ended(self, limit: int) -> bool:
        """The end-of-contents is ahead, and inside what holds the value."""
        return self._data[self._at : min(self._at + 2, limit)] == _END

    def _opened(self, tag: int) -> tuple[int, int, bool]:
        """(start, end at the latest, indefinite) of the content ahead."""
        self._left -= 1
        if tag < 0 or self.tag != tag or self._left < 0 or len(self._ends) > ber.MAX_DEPTH:
            raise ValueError("another value than expected, or too many, or too deep")
        _, start, size = ber.header(self._data, self._at)
        limit = self._ends[-1][0]
        end = limit if size is None else start + size
        if end > limit or (size is None and not tag & _CONSTRUCTED):
            raise ValueError("a value runs past its end")
        return start, end, size is None

    def _skip(self) -> None:
        """Past the value ahead; what has a size is not looked into."""
        start, end, indefinite = self._opened(self.tag)
        if not indefinite:
            self._at = end
            return
        self._at = start
        self._ends.append((end, True))
        while self.tag != -1:
            self._skip()
        self.leave()

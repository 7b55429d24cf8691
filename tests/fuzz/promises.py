"""What a door is to the fuzzer: a function that returns for any bytes, or says which promise does not hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Door: TypeAlias = Callable[[bytes], None]


class Broken(AssertionError):
    """A promise that does not hold; its text is the promise."""


def holds(condition: object, promise: str) -> None:
    if not condition:
        raise Broken(promise)

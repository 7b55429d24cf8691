"""Whether this machine's clock is kept right, as its kernel knows.

Promises: three answers; where the kernel cannot be asked it is "cannot tell". Does not: set the clock, or ask a server
of time.
"""

from __future__ import annotations

import ctypes
from enum import StrEnum

_TIMEX_BYTES = 256
"""struct timex of adjtimex(2) and room to spare."""
_ERROR = 5
"""TIME_ERROR of adjtimex(2): nobody keeps the clock."""


class Kept(StrEnum):
    YES = "synchronised"
    NO = "not synchronised"
    CANNOT_TELL = "cannot tell"


def kept() -> Kept:
    """adjtimex(2) with modes = 0 asks and changes nothing."""
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return Kept.CANNOT_TELL
    return judged(state)


def judged(state: int) -> Kept:
    """What adjtimex answered."""
    if state < 0:
        return Kept.CANNOT_TELL
    return Kept.NO if state == _ERROR else Kept.YES

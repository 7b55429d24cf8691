"""What to do with an input for which a door did not hold: told apart from others, made small, kept as a file.

Promises: two inputs that fail at the same place in the same way are one; what is kept still fails in that way. Does
not: repair anything; a kept file stays, and tests/fuzz/test_kept.py replays it for ever.
"""

from __future__ import annotations

import hashlib
import traceback
from pathlib import Path

from tests.fuzz.doors import DOORS, Broken, Door

CRASHES = Path(__file__).resolve().parent / "crashes"
_TRIES = 2000


def failure(door: Door, data: bytes) -> str:
    """How the door fails for this input: its promise, or the exception and where it was raised; '' if it holds."""
    try:
        door(data)
    except Broken as broken:
        return f"broken: {broken}"
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {Path(last.filename).name}:{last.name}"
    return ""


def smaller(door: Door, data: bytes, how: str) -> bytes:
    """`data` with everything cut out that the failure does not need, within a budget of tries."""
    tries, piece = 0, max(1, len(data) // 2)
    while piece and tries < _TRIES:
        at = 0
        while at < len(data) and tries < _TRIES:
            shorter = data[:at] + data[at + piece :]
            tries += 1
            if failure(door, shorter) == how:
                data = shorter
            else:
                at += piece
        piece //= 2
    return data


def kept(name: str, data: bytes, how: str, folder: Path = CRASHES) -> Path:
    """The file that holds the input made small, and beside it how it failed."""
    data = smaller(DOORS[name], data, how)
    path = folder / name / hashlib.sha256(data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.with_suffix(".txt").write_text(how + "\n")
    return path

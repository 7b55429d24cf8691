"""Where what ships beside the code lies: the pages of docs/ and the units of systemd.

Promises: the checkout's where we run from one, else what the installed distribution brought (share/pli).
Does not: read them.
"""

from __future__ import annotations

import sys
from pathlib import Path


def folder() -> Path:
    """docs/, with systemd/ in it."""
    checkout = Path(__file__).resolve().parent.parent / "docs"
    return checkout if checkout.is_dir() else Path(sys.prefix) / "share" / "pli" / "docs"

"""When a delayed recipient is tried again, and when it is given up.

Promises: pure; the same recipient and attempt give the same moment, spread among recipients so that a peer
which comes back is not met by everybody at once. Does not: look at a clock or a store.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Policy:
    """Back-off of one queue, in seconds."""

    delays_s: tuple[float, ...] = (30, 120, 300, 900, 1800, 3600)
    """After the first attempt, the second...; the last one repeats."""
    lifetime_s: float = 5 * 86400
    """RFC 5321 §4.5.4.1: at least 4-5 days before giving up."""
    spread: float = 0.2
    """A delay is lengthened by up to this share."""
    warn_s: float = 4 * 3600
    """So long unsettled, and the sender is warned, once (RFC 3461 §4.1 DELAY); 0: never."""
    silent_s: float = 3 * 86400
    """So long without the receipt that was asked for, and a letter is 'sans nouvelle'; 0: never."""


FACTORY = Policy()


def next_due(policy: Policy, recipient_id: str, attempts: int, queued_at: datetime, now: datetime) -> datetime | None:
    """The next attempt after `attempts` (at least 1); the last one falls on the end of the lifetime.
    None: the lifetime is over."""
    end = queued_at + timedelta(seconds=policy.lifetime_s)
    if now >= end:
        return None
    delay = policy.delays_s[min(attempts, len(policy.delays_s)) - 1]
    share = 1 + policy.spread * fraction(recipient_id, attempts)
    return min(now + timedelta(seconds=delay * share), end)


def fraction(name: str, attempts: int) -> float:
    """Between 0 and 1, and the same whenever it is asked."""
    digest = hashlib.sha256(f"{name} {attempts}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32

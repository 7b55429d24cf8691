"""What was fetched about revocation, on disk: the last good copy of each resource, and when to ask again.

Promises: a copy appears whole or not at all (temporary file, fsync, rename) and is replaced only by what the caller
found better; failures are remembered for each address, across restarts, with growing pauses; one process at a time
fetches a resource. Names on disk are digests. Does not: fetch, or judge what it keeps.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from certs import disk

FIRST_PAUSE = timedelta(minutes=5)
LONGEST_PAUSE = timedelta(hours=24)
"""spec/operator.md §2.2: a host that gave 403 is left alone, address by address."""
SOONEST = timedelta(minutes=15)
"""Between two successful fetches of one resource."""
DAY = timedelta(days=1)
FORGOTTEN = timedelta(days=30)
"""After its next fetch would have been due, a resource that nobody names any more is removed."""
_ENDINGS = {"crls": ".crl", "ocsp": ".der"}


@dataclass(frozen=True)
class Resource:
    """One thing to fetch: where, and for OCSP about which certificate (its fingerprint)."""

    folder: str
    """'crls' or 'ocsp'."""
    url: str
    about: str = ""

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{self.url}\0{self.about}".encode()).hexdigest()


@dataclass(frozen=True)
class State:
    """What is remembered of one resource. Times are ISO 8601 in UTC, empty where it never happened."""

    url: str = ""
    failures: int = 0
    since: str = ""
    """Of the first failure in a row."""
    why: str = ""
    not_before: str = ""
    fetched: str = ""
    until: str = ""
    """nextUpdate of the copy."""

    def due(self, at: datetime) -> bool:
        return not self.not_before or _time(self.not_before) <= at

    def over(self, at: datetime) -> bool:
        return not self.until or _time(self.until) <= at


class Cache:
    """Copies and states under one folder: crls/, ocsp/, state/ and lock/."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def held(self, resource: Resource) -> bytes | None:
        """The last good copy."""
        try:
            return self._copy(resource).read_bytes()
        except FileNotFoundError:
            return None

    def state(self, resource: Resource) -> State:
        """A state that cannot be read is one of nothing known."""
        try:
            return _state(json.loads(self._state(resource).read_bytes()))
        except (OSError, ValueError):
            return State(resource.url)

    def keep(self, resource: Resource, data: bytes, at: datetime, until: datetime | None, chance: float) -> State:
        """Writes a new good copy. `chance`: 0 to 1, so that not all nodes come at once."""
        if self.held(resource) != data:
            _put(self._copy(resource), data)
        state = State(
            resource.url, not_before=_text(next_time(at, until, chance)), fetched=_text(at), until=_text(until)
        )
        return self._remember(resource, state)

    def failed(self, resource: Resource, at: datetime, why: str, chance: float, after_s: float = 0.0) -> State:
        """Remembers a failure; the copy stays as it is."""
        known = self.state(resource)
        pause = max(pause_after(known.failures + 1, chance), min(timedelta(seconds=after_s), LONGEST_PAUSE))
        state = State(
            resource.url,
            failures=known.failures + 1,
            since=known.since or _text(at),
            why=why,
            not_before=_text(at + pause),
            fetched=known.fetched,
            until=known.until,
        )
        return self._remember(resource, state)

    @contextmanager
    def alone(self, resource: Resource) -> Iterator[bool]:
        """Whether this process is the one that fetches the resource now; another's download ends with its process."""
        path = self.folder / "lock" / resource.key
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            yield _locked(handle)
        finally:
            os.close(handle)

    def forget(self, kept: frozenset[str], at: datetime) -> None:
        """Removes what nobody has asked for since FORGOTTEN. `kept`: keys of what is asked for now.

        Not at once: a certificate may be missing for a moment, and a list that revokes is not given up so lightly.
        """
        for file in (self.folder / "state").glob("[!.]*.json"):
            if file.stem not in kept and self._long_ago(file, at):
                for each in self.folder.glob(f"*/{file.stem}*"):
                    each.unlink(missing_ok=True)

    def _long_ago(self, file: Path, at: datetime) -> bool:
        try:
            state = _state(json.loads(file.read_bytes()))
        except (OSError, ValueError):
            return True
        return state.due(at - FORGOTTEN)

    def _remember(self, resource: Resource, state: State) -> State:
        _put(self._state(resource), json.dumps(asdict(state)).encode())
        return state

    def _copy(self, resource: Resource) -> Path:
        return self.folder / resource.folder / (resource.key + _ENDINGS[resource.folder])

    def _state(self, resource: Resource) -> Path:
        return self.folder / "state" / f"{resource.key}.json"


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    disk.put(path, data, disk.PUBLIC)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def next_time(at: datetime, until: datetime | None, chance: float) -> datetime:
    """When a copy fetched at `at` is fetched again: half-way to its end, within a day, not all nodes at once."""
    left = (until - at) / 2 if until is not None else SOONEST
    return at + max(SOONEST, min(left, DAY) * (0.8 + 0.2 * chance))


def pause_after(failures: int, chance: float) -> timedelta:
    """Doubles from five minutes to a day."""
    pause: timedelta = min(FIRST_PAUSE * 2 ** min(failures - 1, 16), LONGEST_PAUSE)
    return pause * (0.8 + 0.2 * chance)


def _state(read: Mapping[str, Any]) -> State:
    """Raises ValueError on what we did not write."""
    try:
        state = State(**read)
        for time in (state.since, state.not_before, state.fetched, state.until):
            _time(time or "2000-01-01T00:00:00+00:00")
    except (TypeError, AttributeError) as error:
        raise ValueError("not a state") from error
    return state


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _text(at: datetime | None) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds") if at is not None else ""

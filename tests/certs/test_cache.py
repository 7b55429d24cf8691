"""The cache on disk: whole or not at all, the last good copy kept, failures remembered for each address."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from certs import cache
from certs.cache import DAY, LONGEST_PAUSE, SOONEST, Cache, Resource, State

URL = "http://igc.example/CRL/ACI-EL-ORG.crl"
ONE = Resource("crls", URL)
HOUR = timedelta(hours=1)


@pytest.fixture
def kept(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_what_was_kept_is_there_again(kept: Cache, now: datetime) -> None:
    """The bytes as they came, under a name that says nothing; another address has its own."""
    kept.keep(ONE, b"list", now, now + DAY, 1.0)
    assert Cache(kept.folder).held(ONE) == b"list"
    assert kept.held(Resource("crls", URL + "x")) is None
    names = [file.name for file in kept.folder.rglob("*") if file.is_file()]
    assert all("igc" not in name for name in names)
    assert Resource("ocsp", URL, "a").key != Resource("ocsp", URL, "b").key


def test_a_fetched_copy_is_fetched_again_before_its_end(now: datetime) -> None:
    """Half-way to its end, within a day, never at once; and not every node at the same second."""
    assert cache.next_time(now, now + 6 * HOUR, 1.0) == now + 3 * HOUR
    assert cache.next_time(now, now + 30 * DAY, 1.0) == now + DAY
    assert cache.next_time(now, now - DAY, 1.0) == now + SOONEST
    assert cache.next_time(now, None, 1.0) == now + SOONEST
    assert now + 2 * HOUR < cache.next_time(now, now + 6 * HOUR, 0.0) < now + 3 * HOUR


def test_failures_are_remembered_with_growing_pauses(kept: Cache, now: datetime) -> None:
    """Since when, how often, why, and not before: for this address alone, across a restart; the copy stays."""
    kept.keep(ONE, b"list", now, now + DAY, 1.0)
    at, pauses = now, []
    for _ in range(12):
        state = kept.failed(ONE, at, "status 403", 1.0)
        pauses.append(datetime.fromisoformat(state.not_before) - at)
        assert not Cache(kept.folder).state(ONE).due(at + pauses[-1] - timedelta(seconds=1))
        at += pauses[-1]
        assert Cache(kept.folder).state(ONE).due(at)
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[1], pauses[-1]) == (timedelta(minutes=5), timedelta(minutes=10), LONGEST_PAUSE)
    known = Cache(kept.folder).state(ONE)
    assert (known.failures, known.why, known.since) == (12, "status 403", now.isoformat(timespec="seconds"))
    assert kept.held(ONE) == b"list"
    assert Cache(kept.folder).state(Resource("crls", URL + "x")) == State(URL + "x")


def test_a_host_may_ask_for_a_longer_pause_but_not_for_ever(kept: Cache, now: datetime) -> None:
    """Retry-After counts where it is longer than ours, up to a day."""
    for asked, pause in ((0.0, timedelta(minutes=5)), (7200.0, 2 * HOUR), (1e9, LONGEST_PAUSE)):
        state = Cache(kept.folder / str(asked)).failed(ONE, now, "status 429", 1.0, asked)
        assert datetime.fromisoformat(state.not_before) - now == pause


def test_success_ends_a_row_of_failures(kept: Cache, now: datetime) -> None:
    """Then nothing is held against the address any more."""
    kept.failed(ONE, now, "status 403", 1.0)
    kept.keep(ONE, b"list", now + HOUR, now + DAY, 1.0)
    state = kept.state(ONE)
    assert (state.failures, state.since, state.why) == (0, "", "")


def test_a_copy_appears_whole_or_not_at_all(kept: Cache, now: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies before the rename leaves the old copy, and nothing that is read as a list."""
    kept.keep(ONE, b"old", now, now + DAY, 1.0)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", dies)
    with pytest.raises(KeyboardInterrupt):
        kept.keep(ONE, b"new and longer", now, now + DAY, 1.0)
    assert kept.held(ONE) == b"old"
    assert [file.name for file in (kept.folder / "crls").glob("[!.]*.crl")] == [f"{ONE.key}.crl"]


def test_one_process_at_a_time_fetches_a_resource(kept: Cache) -> None:
    """Another process does not get the same resource, but another one; a killed one does not keep it."""
    script = (
        "import sys; from pathlib import Path; from certs.cache import Cache, Resource\n"
        "with Cache(Path(sys.argv[1])).alone(Resource('crls', sys.argv[2])) as mine: print(mine)"
    )

    def other(url: str) -> str:
        ran = subprocess.run(
            [sys.executable, "-c", script, str(kept.folder), url], capture_output=True, text=True, check=True
        )
        return ran.stdout.strip()

    with kept.alone(ONE) as mine:
        assert (mine, other(URL), other(URL + "x")) == (True, "False", "True")
    assert other(URL) == "True"


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b'{"url": 1, "strange": 2}', b'{"not_before": "soon"}', b"\xff"])
def test_a_spoiled_state_is_one_of_nothing_known(kept: Cache, now: datetime, junk: bytes) -> None:
    """Then it is simply fetched again."""
    kept.failed(ONE, now, "status 403", 1.0)
    (kept.folder / "state" / f"{ONE.key}.json").write_bytes(junk)
    assert kept.state(ONE) == State(URL)
    assert kept.state(ONE).due(now)


def test_what_nobody_names_any_more_goes_in_the_end(kept: Cache, now: datetime) -> None:
    """Copies, states and locks of other resources are removed a month later; not at once, and not what is named."""
    other = Resource("ocsp", URL, "ab")
    for each in (ONE, other):
        kept.keep(each, b"x", now, now + DAY, 1.0)
        with kept.alone(each):
            pass
    for at in (now, now + 30 * DAY):
        kept.forget(frozenset({ONE.key}), at)
        assert kept.held(other) == b"x"
    kept.forget(frozenset({ONE.key}), now + 31 * DAY)
    assert kept.held(ONE) == b"x"
    assert kept.held(other) is None
    assert len([file for file in kept.folder.rglob("*") if file.is_file()]) == 3


def test_a_state_tells_an_operator_its_address(kept: Cache, now: datetime) -> None:
    """The file is readable JSON with the URL in it."""
    kept.failed(ONE, now, "status 403", 1.0)
    (file,) = (kept.folder / "state").iterdir()
    assert json.loads(file.read_bytes())["url"] == URL

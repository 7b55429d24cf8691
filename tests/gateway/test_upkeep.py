"""What a node does for its directory by the clock, with a real slapd and spooler: the ladder, the age of sources."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from directory.feed import ledger
from directory.feed.ledger import Taken
from gateway import app, feeding, health, upkeep
from gateway import config as configuration
from gateway.config import Settings
from tests.gateway import test_onboarding as onboarding

Town, town = onboarding.Town, onboarding.town
"""One tenant, its slapd, its spooler."""
ONE = "seule@central.mssante.example"
DAYS = 600
WHY = ("--because", "essai", "--by", "anne")


class Clock:
    """A clock that is passed."""

    def __init__(self, days: int = 0) -> None:
        self.now = app.clock() + timedelta(days=days)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def _settings(town: Any, monkeypatch: pytest.MonkeyPatch, **more: str) -> Settings:
    """Nobody is written to here: there is no Dovecot."""
    told = {"PLI_LIFECYCLE__BY": "anne", "PLI_LIFECYCLE__NOTIFY_DAYS": "0", "PLI_PUBLICATION__ADAPTER": "none"} | more
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return configuration.load(town.config)


def _keeping(settings: Settings, clock: Clock, name: str) -> upkeep.Upkeep:
    works = [each for each in upkeep.works(settings, clock) if each.name == name]
    made = upkeep.Upkeep(works, upkeep.file_of(settings), clock)
    made.look()
    return made


def _kept(settings: Settings, name: str) -> Any:
    return next(each for each in health.kept(settings) if each.name == f"{name} of central")


def _changes(town: Any, one: str) -> list[tuple[str, str, str]]:
    rows = sqlite3.connect(town.folder / "data/pli.sqlite").execute(
        "select facts from journal where event = 'mailbox.changed' order by number"
    )
    told = [each for each in (json.loads(row[0]) for row in rows) if each["mailbox"] == one]
    return [(each["act"], each["by"], each["because"]) for each in told]


@pytest.fixture
def unused(town: Any) -> str:
    """A mailbox of today, which the clock makes old."""
    words = ("mailbox", "create", ONE, "--kind", "ORG", "--name", "Seule", "--finess", "930000001", *WHY)
    if not _changes(town, ONE):
        town.pli(*words)
    return ONE


def test_the_ladder_waits_for_the_directory_and_is_climbed_then(
    town: Any, unused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later while slapd is down, and seen; once it answers, soon and not only tomorrow; the journal says for whom."""
    settings, clock = _settings(town, monkeypatch), Clock(DAYS)
    keeping = _keeping(settings, clock, "unused mailboxes")
    town.slapd.stop()
    try:
        clock.pass_(10)
        keeping.look()
        late = _kept(settings, "unused mailboxes")
        assert (late.ok, "directory" in late.sentence) == (False, True)
    finally:
        town.slapd.start()
    before = _changes(town, unused)
    clock.pass_(upkeep.FIRST_PAUSE_S * 1.2)
    keeping.look()
    assert _kept(settings, "unused mailboxes").ok
    assert _changes(town, unused)[len(before) :] == [("suspend", "anne", f"unused since {_today()}")]
    clock.pass_(upkeep.DAY_S * 1.2)
    keeping.look()
    assert len(_changes(town, unused)) == len(before) + 1


def _today() -> str:
    return app.clock().date().isoformat()


def test_pauses_grow_while_it_cannot_be_done(town: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a minute to an hour; each try is counted by the file that health reads."""
    settings, clock = _settings(town, monkeypatch, PLI_DIRECTORY__URI="ldap://127.0.0.1:1"), Clock()
    keeping = _keeping(settings, clock, "unused mailboxes")
    tries: list[float] = []
    begun, last = clock(), ""
    for _ in range(400):
        clock.pass_(30)
        keeping.look()
        told = upkeep.file_of(settings).read_text()
        if told != last:
            tries.append((clock() - begun).total_seconds())
        last = told
    pauses = [after - before for before, after in pairwise(tries)]
    assert pauses[:5] == sorted(pauses[:5])
    assert pauses[0] <= 90
    assert 1500 < max(pauses) <= 1.1 * upkeep.LONGEST_PAUSE_S + 30


@pytest.mark.parametrize(("who", "said"), [("zoe", "is not named there"), ("dora", "NotYours")])
def test_who_may_not_keep_mailboxes_is_nobody_to_do_it_for(
    town: Any, unused: str, monkeypatch: pytest.MonkeyPatch, who: str, said: str
) -> None:
    """The node's clock is no role: it may what the person may for whom it is done."""
    settings, clock = _settings(town, monkeypatch, PLI_LIFECYCLE__BY=who), Clock(DAYS)
    keeping = _keeping(settings, clock, "unused mailboxes")
    before = _changes(town, unused)
    clock.pass_(10)
    keeping.look()
    told = _kept(settings, "unused mailboxes")
    assert not told.ok
    assert said in told.sentence
    assert _changes(town, unused) == before


def test_a_source_that_grows_old_is_an_alarm(town: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fresh for its 48 hours, then late by name, without anybody who looks; a newer file ends it."""
    settings, clock = _settings(town, monkeypatch, PLI_FEED__FOLDER=str(tmp_path)), Clock()
    keeping = _keeping(settings, clock, "sources of the directory")
    _took(settings, clock())
    clock.pass_(10)
    keeping.look()
    assert _kept(settings, "sources of the directory").ok
    clock.pass_(49 * upkeep.HOUR_S)
    keeping.look()
    told = _kept(settings, "sources of the directory")
    assert (told.ok, "mssante" in told.sentence) == (False, True)
    _took(settings, clock())
    clock.pass_(2 * upkeep.HOUR_S)
    keeping.look()
    assert _kept(settings, "sources of the directory").ok


def _took(settings: Settings, at: datetime) -> None:
    with feeding.ledger(settings).opened() as link:
        ledger.finished(link, Taken("mssante", at.isoformat(), "d", 1, at.isoformat()))
        link.commit()

"""People read and write at the pages in the time of their region; what is kept, and what commands say, is UTC."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from starlette.testclient import TestClient

from gateway import app, config, lookout
from gateway.config import ConfigError
from gateway.web import imports
from gateway.web.faces import FACES
from gateway.web.sessions import COOKIE
from gateway.web.site import Site
from gateway.web.visits import Visit
from relay import spool
from relay.journal import SpoolJournal
from relay.model import BodyRef, Door, DoorProof, Event, Letter, Mode, Recipient, Route, State, Verdict, new_id
from tests.gateway.spooling import spooler, with_pages

ANNE = "anne@lilas.example"
EVENING = datetime(2026, 7, 14, 22, 30, 5, tzinfo=UTC)
LETTER = new_id(EVENING)
PARIS, REUNION, GUADELOUPE = "Europe/Paris", "Indian/Reunion", "America/Guadeloupe"
Pages = Callable[[str], str]


@pytest.fixture
def page(configure: Callable[[str], Path], tmp_path: Path) -> Iterator[Pages]:
    """Anne's page of a letter that she sent that evening and that arrived two days and an hour later, by time zone."""
    settings, now = with_pages(configure, tmp_path, ANNE), [EVENING]
    with spooler(settings, lambda: now[0]):
        _sent(settings, now)
        yield lambda zone: _seen(config.load(configure(f'[doors]\n[web]\ntime_zone = "{zone}"\n')))


def _sent(settings: config.Settings, now: list[datetime]) -> None:
    body, proof = BodyRef("0123abcd", 3, "d1"), DoorProof(account=ANNE, tls="TLSv1.3")
    letter = Letter(LETTER, "lilas", Door.SUBMISSION, ANNE, "<1@lilas>", body, EVENING, "", Verdict(), proof)
    route = Route(Mode.PEER_SIGNED, "parc.example", "signed-by-default")
    row = Recipient(f"{LETTER}-1", LETTER, "lilas", "labo@parc.example", route, State.QUEUED)
    spool.keep(app.client(settings), letter, [row], [Event("queued", LETTER, row.id)])
    now[0] += timedelta(days=2, hours=1)
    SpoolJournal(app.client(settings)).add("lilas", [Event("relayed", LETTER, row.id)])


def _seen(settings: config.Settings) -> str:
    site = Site(settings, FACES, lambda: datetime.now(UTC))
    http = TestClient(site.application(), base_url="https://testserver")
    http.cookies.set(COOKIE, site.sessions.begin(ANNE, "lilas"))
    return str(http.get(f"/lettres/{LETTER}").text)


@pytest.mark.parametrize(
    ("zone", "sent", "queued", "relayed"),
    [
        (PARIS, "15/07/2026 00:30", "00:30:05 mis en file", "17/07 01:30:05 remis à"),
        (REUNION, "15/07/2026 02:30", "02:30:05 mis en file", "17/07 03:30:05 remis à"),
        (GUADELOUPE, "14/07/2026 18:30", "18:30:05 mis en file", "16/07 19:30:05 remis à"),
    ],
)
def test_a_letter_is_of_its_readers_day(page: Pages, zone: str, sent: str, queued: str, relayed: str) -> None:
    """Its hour and its day as the clock on the wall says them; a step of another day has its day."""
    shown = page(zone)
    assert f"<h1>Lettre du {sent}</h1>" in shown
    assert f"<li>{queued}" in shown
    assert f"<li>{relayed}" in shown
    assert "UTC" not in shown


def test_commands_keep_utc(page: Pages, configure: Callable[[str], Path]) -> None:
    """As the log does, whatever the pages are told."""
    settings = config.load(configure(f'[doors]\n[web]\ntime_zone = "{REUNION}"\n'))
    trail = lookout.trail(settings, LETTER)
    assert trail is not None
    (queued, relayed) = lookout.recipient_lines(trail, f"{LETTER}-1", "en")
    assert queued.startswith("22:30:05 queued")
    assert relayed.startswith("16/07 23:30:05 handed")


@pytest.mark.parametrize(
    "zone", ["Europe/Pari", "CEST+2", "../../etc/passwd", "/etc/localtime", "", "a" * 300, "posix\0"]
)
def test_a_zone_that_is_none_is_refused(configure: Callable[[str], Path], zone: str) -> None:
    """By name, before anything starts."""
    written = zone.replace("\0", "\\u0000")
    with pytest.raises(ConfigError, match="time zone"):
        config.load(configure(f'[doors]\n[web]\ntime_zone = "{written}"\n'))


@pytest.mark.parametrize(
    ("moment", "form", "said"),
    [
        (EVENING, "second", "15/07/2026 00:30:05"),
        (EVENING, "hour", "00:30:05"),
        ("2026-01-14T22:30:05+00:00", "minute", "14/01/2026 23:30"),
        ("2026-07-14T22:30:05-03:00", "minute", "15/07/2026 03:30"),
        (datetime(9999, 12, 31, 23, 30, tzinfo=UTC), "minute", "31/12/9999 23:30"),
        (None, "minute", ""),
        ("", "minute", ""),
    ],
)
def test_a_moment_is_written_as_in_france(moment: Any, form: str, said: str) -> None:
    """Summer and winter, from a moment or its text; nothing where there is none; what no calendar holds stays as it
    is."""
    visit = Visit(cast(Any, SimpleNamespace(zone=ZoneInfo(PARIS))), cast(Any, None), None, "", "fr")
    assert visit.when(moment, form) == said


@pytest.mark.parametrize(
    ("zone", "typed", "meant"),
    [
        (PARIS, "2026-11-26T08:30", datetime(2026, 11, 26, 7, 30, tzinfo=UTC)),
        (PARIS, "2026-07-26T08:30", datetime(2026, 7, 26, 6, 30, tzinfo=UTC)),
        (GUADELOUPE, "2026-11-26T08:30", datetime(2026, 11, 26, 12, 30, tzinfo=UTC)),
        (PARIS, "", None),
        (PARIS, "hier", None),
        (REUNION, "0001-01-01T00:00", None),
    ],
)
def test_what_is_typed_is_of_the_same_clock(zone: str, typed: str, meant: datetime | None) -> None:
    """The date of a file of the directory; what is no date is none."""
    assert imports.moment(typed, ZoneInfo(zone)) == meant

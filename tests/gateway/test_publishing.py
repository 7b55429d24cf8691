"""Rounds of publication against a national directory that misbehaves: what is due, when again, and what was told."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from directory.address import parse
from directory.announcement import Fate, Told
from directory.model import Entry, Kind
from gateway import app, health, publishing, roster, upkeep
from gateway import config as configuration
from gateway.cli import pli
from gateway.config import Settings
from gateway.demo.servers import new_folder
from relay.store.publications import Publication, State
from tests.gateway.spooling import spooler

ANNA = Entry(parse("anna@lilas.example"), Kind.PER, "Dr Anna", "ANNA", rpps="10900000518")
WARD = Entry(parse("garde@lilas.example"), Kind.ORG, "Garde", finess="930000001", service="Garde")
MACHINE = Entry(parse("labo@lilas.example"), Kind.APP, "Labo", finess="930000001")

_MORE = """
[doors]
[publication]
adapter = "fhir-patch"
url = "{url}"
key_file = "{folder}/key"
calls_per_s = 17
timeout_s = 10
retry_s = [60, 600]
[feed]
bind_dn = "cn=gestion,dc=x"
password_file = "{folder}/key"
"""


class National(ThreadingHTTPServer):
    """Answers each PATCH with `status`; 200 tells back the mailbox as it was sent, or nothing after a deletion."""

    status = 200
    asked: list[list[str]]


class _Handler(BaseHTTPRequestHandler):
    server: National

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        parts = [{each["name"]: each for each in operation["part"]} for operation in body["parameter"]]
        self.server.asked.append([each["type"]["valueCode"] for each in parts])
        points = [each["value"]["valueContactPoint"] for each in parts if "value" in each]
        holder = self.path.partition("?")[0].rpartition("/")[2]
        data = json.dumps({"resourceType": holder, "telecom": points}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""


@dataclass
class Side:
    settings: Settings
    national: National
    config: Path

    def rows(self) -> dict[str, Publication]:
        return {each.address: each for each in publishing.listed(self.settings, tuple(State))}

    def pli(self, *words: str) -> tuple[int, list[str]]:
        done = CliRunner().invoke(pli, ["--config", str(self.config), "directory", "publish", *words])
        return done.exit_code, done.output.splitlines()


@contextmanager
def _national() -> Iterator[National]:
    server = National(("127.0.0.1", 0), _Handler)
    server.asked = []
    serving = threading.Thread(target=server.serve_forever, args=(0.05,))
    serving.start()
    try:
        yield server
    finally:
        server.shutdown()
        serving.join(10)
        server.server_close()


@pytest.fixture
def side(configure: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Side]:
    run = new_folder("pli-pub-")
    monkeypatch.setenv("PLI_PATHS__RUN", str(run))
    (run / "key").write_text("clef")
    with _national() as server:
        file = configure(_MORE.format(url=f"http://127.0.0.1:{server.server_address[1]}/fhir", folder=run))
        settings = configuration.load(file)
        with spooler(settings):
            yield Side(settings, server, file)
    shutil.rmtree(run)


def test_a_round_tells_what_is_due_and_nothing_twice(side: Side) -> None:
    """Of the kinds that are published; told, it is done; what was changed or withdrawn since is due again."""
    assert publishing.wish(side.settings, [ANNA, WARD, MACHINE], "eve") == 2
    assert dict(publishing.run(side.settings).sent) == {Fate.DONE: 2}
    assert dict(publishing.run(side.settings).sent) == {}
    assert publishing.wish(side.settings, [replace(ANNA, red_list=True), WARD], "eve") == 1
    publishing.run(side.settings)
    assert publishing.wish(side.settings, [WARD], "eve", published=False) == 1
    publishing.run(side.settings)
    assert side.national.asked == [["insert"], ["insert"], ["replace"], ["delete"]]
    assert {each.state for each in side.rows().values()} == {State.DONE}
    assert not side.rows()["garde@lilas.example"].published


def test_a_side_in_trouble_is_asked_later_and_then_put_right(side: Side) -> None:
    """The first pause, then the longer one; after a try whose fate is unknown the mailbox never stands twice."""
    publishing.wish(side.settings, [ANNA], "eve")
    side.national.status = 500
    before = app.clock()
    assert dict(publishing.run(side.settings).sent) == {Fate.LATER: 1}
    row = side.rows()["anna@lilas.example"]
    assert (row.state, row.attempts, row.reason) == (State.DUE, 1, "status-500")
    assert _pause(row, before) in (1, 2)
    assert dict(publishing.run(side.settings).sent) == {}  # not due yet
    side.national.status = 200
    again = publishing._settled(side.settings.publication, row, Told(row.address, Fate.LATER, "x"), app.clock())
    assert again.due_at is not None
    assert again.due_at - app.clock() > timedelta(minutes=9)
    publishing.wish(side.settings, [replace(ANNA, preferred=1)], "eve")
    assert dict(publishing.run(side.settings).sent) == {Fate.DONE: 1}
    assert side.national.asked[-1] == ["delete", "insert"]


def _pause(row: Publication, before: datetime) -> int:
    """Minutes, rounded up; a pause is spread by a fifth."""
    return round((row.due_at - before).total_seconds() / 60 + 0.49)


def test_a_refusal_waits_for_a_person(side: Side) -> None:
    """It is not due; --status shows it with its reason and exit code 1; once mended it is asked for again by hand."""
    publishing.wish(side.settings, [ANNA], "eve")
    side.national.status = 404
    assert dict(publishing.run(side.settings).sent) == {Fate.NEVER: 1}
    assert dict(publishing.run(side.settings).sent) == {}
    code, said = side.pli("--status", "--json")
    assert (code, json.loads(said[0])["reason"]) == (1, "holder-unknown")
    side.national.status = 200
    assert publishing.again(side.settings) == 1
    assert dict(publishing.run(side.settings).sent) == {Fate.DONE: 1}
    assert side.pli("--status") == (0, ["fhir-patch: 0 due, 0 sent, 1 done, 0 refused"])


def test_a_side_that_has_enough_ends_the_round(side: Side) -> None:
    """The others stay due as they were, and are not counted as tried."""
    publishing.wish(side.settings, [ANNA, WARD], "eve")
    side.national.status = 429
    assert dict(publishing.run(side.settings).sent) == {Fate.LATER: 1}
    assert sorted(each.attempts for each in side.rows().values()) == [0, 1]
    assert len(side.national.asked) == 1


def test_without_an_adapter_what_is_wanted_is_kept(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits until there is one."""
    monkeypatch.setenv("PLI_PUBLICATION__ADAPTER", "none")
    settings = configuration.load(side.config)
    publishing.wish(settings, [ANNA], "eve")
    assert dict(publishing.run(settings).sent) == {}
    assert side.national.asked == []
    code, said = side.pli("--status")
    assert (code, said[0]) == (0, "none: 1 due, 0 sent, 0 done, 0 refused")


@pytest.mark.parametrize(
    ("adapter", "said"), [("drop", "needs folder"), ("fhir-patch", "needs url and key_file"), ("sms", "adapter")]
)
def test_an_adapter_is_configured_whole(configure: Callable[[str], Path], adapter: str, said: str) -> None:
    """Half of one is a sentence."""
    with pytest.raises(configuration.ConfigError, match=said):
        configuration.load(configure(f'[doors]\n[publication]\nadapter = "{adapter}"\n'))


# --- by the clock ----------------------------------------------------------------------------------------------


class Clock:
    """A clock that is passed."""

    def __init__(self) -> None:
        self.now = app.clock()

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def _upkeep(side: Side, clock: Clock) -> upkeep.Upkeep:
    works = [each for each in upkeep.works(side.settings, clock) if each.name == "publication"]
    found = upkeep.Upkeep(works, upkeep.file_of(side.settings), clock)
    found.look()
    return found


def test_a_node_tells_by_itself_what_is_due(side: Side) -> None:
    """Some seconds after it started, then each minute: nobody types anything."""
    clock = Clock()
    publishing.wish(side.settings, [ANNA], "eve")
    keeping = _upkeep(side, clock)
    assert side.national.asked == []
    clock.pass_(10)
    keeping.look()
    assert side.national.asked == [["insert"]]
    assert [(each.work, each.ok) for each in upkeep.said(side.settings)] == [("publication", True)]
    publishing.wish(side.settings, [ANNA, WARD], "eve")
    keeping.look()
    assert len(side.national.asked) == 1
    clock.pass_(70)
    keeping.look()
    assert len(side.national.asked) == 2


@pytest.mark.parametrize(("status", "again"), [(500, False), (404, True)])
def test_what_cannot_be_told_is_late_and_seen_until_it_is(side: Side, status: int, again: bool) -> None:
    """In `pli health`, which stays ready or not as it was: letters do not wait for the national directory."""
    clock = Clock()
    publishing.wish(side.settings, [ANNA], "eve")
    side.national.status = status
    keeping = _upkeep(side, clock)
    clock.pass_(10)
    keeping.look()
    (told,) = health.kept(side.settings)
    assert not told.ok
    assert ("refused" if again else "tried in vain") in told.sentence
    assert told not in health.ready(side.settings)
    done = CliRunner().invoke(pli, ["--config", str(side.config), "health", "--json"])
    assert json.loads(done.output)["kept"] == [told.__dict__]
    side.national.status = 200
    publishing.again(side.settings)
    publishing.wish(side.settings, [replace(ANNA, preferred=1)], "eve")
    clock.pass_(100)
    keeping.look()
    assert [each.ok for each in health.kept(side.settings)] == [True]
    assert [each.ok for each in upkeep.said(side.settings)] == [True]


def test_a_store_that_is_down_is_later_too(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its spooler a round ends; nothing is lost, and the next one does it. Pauses grow up to the work's own."""
    clock = Clock()
    publishing.wish(side.settings, [ANNA], "eve")
    monkeypatch.setenv("PLI_PATHS__RUN", str(side.settings.paths.run / "nowhere"))
    (side.settings.paths.run / "nowhere").mkdir()
    away = replace(side, settings=configuration.load(side.config))
    keeping = _upkeep(away, clock)
    clock.pass_(10)
    keeping.look()
    assert [(each.ok, each.said) for each in upkeep.said(away.settings)] == [
        (False, "it could not be done (StoreDown)")
    ]
    assert side.rows()["anna@lilas.example"].state is State.DUE
    here = _upkeep(side, clock)
    clock.pass_(10)
    here.look()
    assert side.rows()["anna@lilas.example"].state is State.DONE


def test_a_process_of_its_own_does_it_where_there_is_something_to_do(
    side: Side, configure: Callable[[str], Path]
) -> None:
    """An adapter, a ladder, a feed of one's own, results to be shown one day; without them there is none."""
    assert "upkeep" in roster.names(side.settings)
    host = (
        '[dossier]\nurl = "https://x"\nrepository_id = "2.25.7"\nsource_id = "2.25.2"\ncertificate = "c"\nkey = "k"\n'
    )
    feed = '[feed]\nbind_dn = "cn=x"\npassword_file = "x"\n'
    for more in ('[lifecycle]\nby = "anne"\n', feed, f'{host}unannounced = "hide"\n'):
        assert "upkeep" in roster.names(configuration.load(configure(f"[doors]\n{more}")))
    for less in ("", host, f'{host}unannounced = "hide"\nenabled = false\n'):
        assert "upkeep" not in roster.names(configuration.load(configure(f"[doors]\n{less}")))

"""The supervisor: what it does when a process ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import children, roster, serve
from gateway.serve import Child


def program(code: str) -> Callable[[], BaseProcess]:
    """Launches a child that runs this."""
    return lambda: children.executed("test", [sys.executable, "-c", code])


DIES, REFUSES = program("raise SystemExit(1)"), program("raise SystemExit(2)")
LIVES = program("import time; time.sleep(600)")


@pytest.fixture
def settings(tmp_path: Path) -> Any:
    """Of a node, as far as the supervisor looks."""
    return SimpleNamespace(paths=SimpleNamespace(run=tmp_path))


def _until(seen: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not seen():
        assert time.monotonic() < end, "not seen within 30 s"
        time.sleep(0.02)


def test_a_process_in_its_pause_does_not_keep_another_from_starting_again(settings: Any) -> None:
    """One process that cannot live leaves the others looked after."""
    failing, killed = Child("keeper", DIES, pause=100.0), Child("carrier", LIVES)
    for child in (failing, killed):
        child.start()
    first_of_failing, first = failing.process, killed.process
    assert first is not None
    assert first.pid is not None
    stop = threading.Event()
    keeping = threading.Thread(target=serve._keep, args=(settings, [failing, killed], stop))
    keeping.start()
    try:
        _until(lambda: failing.due)
        os.kill(first.pid, signal.SIGKILL)
        _until(lambda: killed.process is not first)
        assert failing.process is first_of_failing
    finally:
        stop.set()
        keeping.join()
        serve._end([failing, killed])


def test_a_process_that_refuses_to_start_ends_the_node(settings: Any) -> None:
    """What would not succeed on a second try is not tried again."""
    refusing = Child("doors", REFUSES)
    refusing.start()
    assert serve._keep(settings, [refusing], threading.Event()) == serve.REFUSED


def _announcing(settings: Any, name: str) -> Callable[[], BaseProcess]:
    place = str(roster.ready_file(settings, name))
    return program(f"import pathlib, time; pathlib.Path({place!r}).touch(); time.sleep(600)")


def test_a_process_killed_after_it_served_does_not_stop_the_node_from_starting(settings: Any) -> None:
    """While a slower one still starts, the one that was killed is not taken for one that cannot."""
    killed, slow = Child("keeper", _announcing(settings, "keeper")), Child("doors", LIVES)
    answers: list[bool] = []
    starting = threading.Thread(
        target=lambda: answers.append(serve._started(settings, [killed, slow], threading.Event()))
    )
    starting.start()
    try:
        _until(lambda: roster.ready_file(settings, "keeper").exists())
        assert killed.process is not None
        killed.process.kill()
        killed.process.join()
        roster.announce(settings, "doors")
        starting.join()
        assert answers == [True]
    finally:
        serve._end([killed, slow])


def test_a_process_that_ends_before_it_serves_stops_the_node_from_starting(settings: Any) -> None:
    """Twin: what never served cannot start."""
    asked = [Child("keeper", DIES), Child("doors", LIVES)]
    try:
        assert not serve._started(settings, asked, threading.Event())
    finally:
        serve._end(asked)


def test_pauses_grow_for_a_process_that_dies_at_once() -> None:
    """Doubling, up to ten seconds."""
    child = Child("doors", DIES, started=time.monotonic())
    assert [child.next_pause() for _ in range(7)] == [0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_a_process_that_lived_for_a_while_starts_again_at_once() -> None:
    """What was killed in the middle of its work does not wait for the failures of another day."""
    child = Child("doors", DIES, started=time.monotonic() - 101, pause=10.0)
    assert child.next_pause() == 0.2


def test_a_forked_child_is_named_and_speaks_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In `ps` it has its own name; what systemd told its parent it does not know; it ends with the code of its work."""
    monkeypatch.setenv("NOTIFY_SOCKET", "@nobody")
    told = tmp_path / "told"

    def work() -> None:
        told.write_text(f"{Path('/proc/self/cmdline').read_bytes().decode()}|{os.environ.get('NOTIFY_SOCKET')}")
        sys.exit(serve.REFUSED)

    child = children.forked("doors-2", work)
    child.join(30)
    assert child.exitcode == serve.REFUSED
    assert told.read_text().replace("\0", "") == "pli: doors-2|None"
    assert os.environ["NOTIFY_SOCKET"] == "@nobody"


def test_what_holds_keys_is_executed_apart(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """The keeper shares no layout of memory with a door; the twin: a door is forked."""
    monkeypatch.setattr(children, "executed", lambda name, command: f"executed {name}: {command[1:3]}")
    monkeypatch.setattr(children, "forked", lambda name, work: f"forked {name}")
    launched = [serve._launch(settings, Path("pli.toml"), each, threading.Event())() for each in ("keeper", "doors-2")]
    assert launched == ["executed keeper: ['-m', 'gateway']", "forked doors-2"]

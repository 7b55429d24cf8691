"""The processes of one node: doors, spooler, keeper, carrier, refresher; and the supervisor that keeps them running.

Promises: a process that ends is started again, with growing pauses; SIGTERM ends all, letters in flight stay in
custody; a start that cannot succeed (port taken, configuration wrong) ends with exit code 2 and a sentence.
Does not: run as a system service by itself (a systemd unit calls it).
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import structlog

from gateway import children, notify
from gateway.config import ConfigError, Settings
from gateway.doors import ports
from gateway.roster import names, ready_file

APART = frozenset({"keeper"})
"""Executed, not forked: it holds keys."""

REFUSED = 2
"""Exit code of a process that cannot start and would not on a second try."""


@dataclass
class Child:
    name: str
    launch: Callable[[], BaseProcess]
    process: BaseProcess | None = None
    started: float = 0.0
    pause: float = field(default=0.2)
    due: float | None = None
    """When it starts again; None while it runs."""

    def start(self) -> None:
        self.process = self.launch()
        self.started, self.due = time.monotonic(), None

    def ended(self) -> int | None:
        return self.process.exitcode if self.process else None

    def next_pause(self) -> float:
        """Doubles up to 10 s; a process that lived ten times its pause was worth starting, and starts at once."""
        lived = time.monotonic() - self.started > 10 * self.pause
        self.pause = 0.2 if lived else min(self.pause * 2, 10.0)
        return self.pause


def ensure_free(settings: Settings) -> None:
    """Before any door opens: raises ConfigError where another program, or another Pli, has a port."""
    try:
        told = settings.doors
        own = (told.peers, told.submission, told.introspection, settings.web)
        for at in (*own, *(each for view in settings.views for each in (view.hl7, view.identities))):
            if at:
                ports.ensure_free(at.host, at.port)
        if settings.web and settings.web.certificate_port:
            ports.ensure_free(settings.web.host, settings.web.certificate_port)
    except ports.PortUnusable as error:
        raise ConfigError(str(error)) from None


def supervise(settings: Settings, config: Path, stop: threading.Event) -> int:
    """Runs every process of the node until `stop`. Answers an exit code."""
    settings.paths.run.mkdir(parents=True, exist_ok=True)
    settings.paths.data.mkdir(parents=True, exist_ok=True)
    children.prepare()
    running = [Child(name, _launch(settings, config, name, stop)) for name in names(settings)]
    first, rest = running[:1], running[1:]
    try:
        # the spooler brings the tables up to date before anyone reads them; the others do not wait for each other
        if not (_started(settings, first, stop) and _started(settings, rest, stop)):
            return REFUSED
        print(
            f"pli: {settings.node.name} is up ({', '.join(child.name for child in running)})",
            file=sys.stderr,
            flush=True,
        )
        notify.tell("READY=1")
        return _keep(settings, running, stop)
    finally:
        notify.tell("STOPPING=1")
        _end(running)


def _launch(settings: Settings, config: Path, name: str, stop: threading.Event) -> Callable[[], BaseProcess]:
    kind = name.partition("-")[0]
    if kind in APART:
        return lambda: children.executed(name, _command(config, name))
    return lambda: children.forked(name, lambda: _run(kind, settings, stop, name))


def _run(kind: str, settings: Settings, stop: threading.Event, name: str) -> None:
    from gateway import process

    process.run(kind, settings, stop, name)


def _command(config: Path, name: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "gateway",
        "--config",
        str(config),
        "serve",
        "--only",
        name.partition("-")[0],
        "--name",
        name,
    ]


def _started(settings: Settings, asked: list[Child], stop: threading.Event, limit: float = 30.0) -> bool:
    """Starts them together; True once all serve."""
    for child in asked:
        ready_file(settings, child.name).unlink(missing_ok=True)
        child.start()
    until = time.monotonic() + limit
    while time.monotonic() < until and not stop.is_set():
        starting = [child for child in asked if not ready_file(settings, child.name).exists()]
        if not starting:
            return True
        # one that served and was killed since is started again later, with the others
        if ended := [child.name for child in starting if child.ended() is not None]:
            print(f"pli: {', '.join(ended)} could not start; the reason stands above", file=sys.stderr, flush=True)
            return False
        time.sleep(0.02)
    return stop.is_set()


def _keep(settings: Settings, running: list[Child], stop: threading.Event) -> int:
    log, alive = structlog.get_logger(), notify.Watchdog()
    while not stop.wait(0.2):
        alive()
        for child in running:
            code = child.ended()
            if code is None:
                continue
            if code == REFUSED:
                log.error("process-ended", child=child.name, code=code)
                return REFUSED
            _revive(settings, child, code)
    return 0


def _revive(settings: Settings, child: Child, code: int) -> None:
    """Its pause begins, or is over; meanwhile the others are looked after."""
    if child.due is None:
        structlog.get_logger().error("process-ended", child=child.name, code=code)
        ready_file(settings, child.name).unlink(missing_ok=True)
        child.due = time.monotonic() + child.next_pause()
    elif time.monotonic() >= child.due:
        child.start()


def _end(running: list[Child]) -> None:
    """Who brings letters ends first, who keeps them last."""
    for child in reversed(running):
        if child.process:
            child.process.terminate()
    for child in reversed(running):
        if child.process:
            child.process.join(15)
            child.process.kill()

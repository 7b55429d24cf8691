"""What each process of a node does: spooler, keeper, doors, carrier.

Promises: a process says that it serves only once it does; a start that cannot succeed is a sentence and exit code 2.
Does not: build parts (gateway.app does) or watch over the others (gateway.serve does).
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from certs import tls
from gateway import app
from gateway.config import ConfigError, Listen, Settings
from gateway.doors import smtp
from gateway.doors.spec import DoorSpec, Limits
from gateway.keeper import Keeper
from gateway.log import configure
from gateway.serve import REFUSED, announce
from relay.intake import Intake
from relay.journal import SpoolJournal
from relay.model import Door, Event
from relay.spooler import Spooler, SpoolerRunning
from relay.store import engine


def run(process: str, settings: Settings, stop: threading.Event) -> None:
    """Runs one process of the node until `stop`; a start that cannot succeed exits with a sentence and code 2."""
    configure(settings.log.level, settings.log.file, process, app.pseudonyms(settings).scrub)
    try:
        {"spooler": spooler, "keeper": keeper, "doors": doors, "carrier": carrier}[process](settings, stop)
    except (ConfigError, smtp.PortUnusable, SpoolerRunning) as error:
        print(f"pli: {process}: {error}", file=sys.stderr, flush=True)
        sys.exit(REFUSED)


def spooler(settings: Settings, stop: threading.Event) -> None:
    app.migrate(settings)
    writer = engine.writer_engine(settings.database_url)
    serving = Spooler(writer, settings.spool_socket, app.WRITES, app.clock)
    _announced_when(settings, "spooler", settings.spool_socket)
    serving.serve(stop)


def keeper(settings: Settings, stop: threading.Event) -> None:
    records = SpoolJournal(app.client(settings))

    def record(name: str, facts: dict[str, str]) -> None:
        letter = facts.pop("letter", "")
        records.add(settings.node.tenant, [Event(name, letter, facts=tuple(facts.items()))])

    serving = Keeper(settings.keeper.folder, settings.keeper_socket, frozenset({os.getuid()}), record)
    _announced_when(settings, "keeper", settings.keeper_socket)
    serving.serve(stop)


def carrier(settings: Settings, stop: threading.Event) -> None:
    taking = app.letters_out(settings, app.intake(settings))
    announce(settings, "carrier")
    taking.run(stop)


# --- doors --------------------------------------------------------------------------------------------------------


def doors(settings: Settings, stop: threading.Event) -> None:
    entry = app.intake(settings)
    shown, key = settings.tls.certificate, settings.tls.key
    specs = []
    if at := settings.doors.peers:
        specs.append(_door(settings, Door.PEER, at, tls.peer_side(shown, key, entry.trust()), entry))
    if at := settings.doors.submission:
        specs.append(_door(settings, Door.SUBMISSION, at, tls.service_side(shown, key), entry))
    asyncio.run(_serve_doors(settings, specs, stop))


def _door(settings: Settings, kind: Door, at: Listen, context: ssl.SSLContext, entry: Intake) -> DoorSpec:
    limits = Limits(max_bytes=settings.doors.max_bytes, max_recipients=settings.doors.max_recipients)
    return DoorSpec(
        kind=kind,
        host=at.host,
        port=at.port,
        tls=context,
        hostname=settings.node.hostname,
        tenant=settings.node.tenant,
        intake=entry,
        bodies=app.bodies(settings),
        pseudonyms=entry.pseudonyms,
        clock=app.clock,
        trust=entry.trust,
        accounts=app.accounts(settings),
        limits=limits,
    )


async def _serve_doors(settings: Settings, specs: Sequence[DoorSpec], stop: threading.Event) -> None:
    ended = asyncio.Event()
    watching = asyncio.create_task(asyncio.to_thread(stop.wait))
    watching.add_done_callback(lambda _: ended.set())
    await smtp.serve(specs, ended, lambda _: announce(settings, "doors"))


# --- what a process says once it serves ---------------------------------------------------------------------------


def _announced_when(settings: Settings, process: str, socket_path: Path) -> None:
    """Announces `process` as soon as its socket is there."""

    def watch() -> None:
        before = socket_path.stat().st_mtime_ns if socket_path.exists() else 0
        while not socket_path.exists() or socket_path.stat().st_mtime_ns == before:
            time.sleep(0.01)
        announce(settings, process)

    threading.Thread(target=watch, daemon=True).start()

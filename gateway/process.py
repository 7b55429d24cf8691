"""What each process of a node does: spooler, keeper, doors, carrier, collector, refresher, monitor, upkeep.

Promises: a process imports only what it serves with, and says that it serves only once it does; a start that cannot
succeed is a sentence and exit code 2. Does not: build parts (gateway.app and gateway.outward do) or watch over the
others (gateway.serve does).
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from certs import meter
from gateway import app
from gateway.config import ConfigError, Settings
from gateway.log import Processors, configure
from gateway.presence import Presence
from gateway.roster import announce
from gateway.serve import REFUSED


def _end_with(supervisor: int, stop: threading.Event) -> None:
    """A process whose supervisor was killed ends too, so that the node can be started anew."""
    while os.getppid() == supervisor and not stop.wait(0.5):
        pass
    stop.set()


def run(process: str, settings: Settings, stop: threading.Event, name: str = "") -> None:
    """Runs one process of the node until `stop`; a start that cannot succeed exits with a sentence and code 2.

    `name`: which of several processes of this kind; its pid file is called so.
    """
    counting = _counting(settings, name or process)
    configure(settings.log.level, settings.log.file, name or process, app.log_names(settings).scrub, counting)
    if name:
        threading.Thread(target=_end_with, args=(os.getppid(), stop), daemon=True).start()
    try:
        if process == "doors":
            doors(settings, stop, name or process)
        else:
            _SIMPLE[process](settings, stop)
    except ConfigError as error:
        print(f"pli: {process}: {error}", file=sys.stderr, flush=True)
        sys.exit(REFUSED)
    finally:
        _leave_totals(settings.paths.run / f"{name or process}.meter")


def _counting(settings: Settings, name: str) -> Processors:
    """What sees each log line: at the doors who was connected; where a monitor is wanted, what is counted."""
    present: Processors = (_presence(settings),) if name.partition("-")[0] == "doors" else ()
    if settings.monitor is None:
        return present
    from gateway import metrics

    metrics.tell(metrics.socket_of(settings.paths.run, name))
    return (metrics.counted, *present)


def _presence(settings: Settings) -> Presence:
    from relay.journal import SpoolJournal

    tenants = {domain.lower(): view.node.tenant for view in settings.views for domain in view.node.domains}
    return Presence(SpoolJournal(app.client(settings.views[0])), tenants, app.clock)


def _leave_totals(path: Path) -> None:
    """Where this process's CPU time went, for the bench: JSON."""
    steps = {step: {"times": times, "cpu_s": spent} for step, (times, spent) in meter.totals().items()}
    path.write_text(json.dumps({"cpu_s": time.process_time(), "steps": steps}) + "\n")


def spooler(settings: Settings, stop: threading.Event) -> None:
    from relay.spooler import Spooler, SpoolerRunning
    from relay.store import engine

    app.migrate(settings)
    url = settings.database_url
    # Several nodes may share a PostgreSQL: its clock counts for all, and each has chains of the journal of its own.
    clock = None if engine.is_postgresql(url) else app.clock
    serving = Spooler(engine.writer_engine(url), settings.spool_socket, app.WRITES, clock, settings.node.name)
    threading.Thread(target=_announce_when, args=(serving.ready, settings), daemon=True).start()
    threading.Thread(target=_care, args=(settings, serving.ready, stop), daemon=True).start()
    try:
        serving.serve(stop)
    except SpoolerRunning as error:
        raise ConfigError(f"this node is already running: {error}") from None


def _announce_when(ready: threading.Event, settings: Settings) -> None:
    ready.wait()
    announce(settings, "spooler")


ORPHAN_AGE = timedelta(hours=1)
"""No letter is so long on its way from its first byte to its row."""


CARE_S = 600.0
"""Between two looks at what may be erased."""


def _care(settings: Settings, ready: threading.Event, stop: threading.Event) -> None:
    """Bodies that a crash left without a letter, once; those that retention lets go, again and again."""
    ready.wait()
    _erase("bodies-not-swept", lambda: _sweep(settings))
    while not stop.is_set():
        _erase("bodies-not-erased", lambda: app.forget_bodies(settings))
        stop.wait(CARE_S)


def _erase(trouble: str, work: Callable[[], int]) -> None:
    from relay.spooler import StoreDown

    try:
        work()
    except (OSError, SQLAlchemyError, StoreDown) as error:
        structlog.get_logger().warning(trouble, error=type(error).__name__)


def _sweep(settings: Settings) -> int:
    from relay.store import engine, reads

    reader = engine.reader_engine(settings.database_url)
    try:
        erased = app.bodies(settings.views[0]).sweep(lambda: reads.body_names(reader), app.clock() - ORPHAN_AGE)
    finally:
        reader.dispose()
    structlog.get_logger().info("bodies-swept", erased=erased)
    return erased


def keeper(settings: Settings, stop: threading.Event) -> None:
    from gateway.keeper import Keeper
    from gateway.keeper import run as run_keeper
    from relay.journal import SpoolJournal
    from relay.model import Event

    records = SpoolJournal(app.client(settings))

    def record(name: str, facts: dict[str, str]) -> None:
        letter, tenant = facts.pop("letter", ""), facts.pop("tenant")
        records.add(tenant, [Event(name, letter, facts=tuple(facts.items()))])

    folders = {view.node.tenant: view.keeper.folder for view in settings.views}
    try:
        serving = Keeper(folders, settings.keeper_socket, frozenset({os.getuid()}), record)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the keys in {', '.join(map(str, folders.values()))} cannot be used: {error}") from None
    run_keeper(serving, stop, lambda: announce(settings, "keeper"))


def carrier(settings: Settings, stop: threading.Event) -> None:
    from gateway import outward, records

    taking = outward.letters_out(settings)
    threading.Thread(target=records.keep_sealing, args=(settings, stop), daemon=True).start()
    announce(settings, "carrier")
    taking.run(stop)


def collector(settings: Settings, stop: threading.Event) -> None:
    from gateway import collectors

    collectors.serve(settings, stop, lambda: announce(settings, "collector"))


def refresher(settings: Settings, stop: threading.Event) -> None:
    from gateway import refresher as refreshing

    refreshing.serve(settings, stop, lambda: announce(settings, "refresher"))


def monitor(settings: Settings, stop: threading.Event) -> None:
    if settings.monitor is None:
        raise ConfigError("there is nothing to monitor at: name a port in [monitor]")
    from gateway import monitor as watching

    watching.serve_until(settings, stop, lambda: announce(settings, "monitor"))


def mllp(settings: Settings, stop: threading.Event) -> None:
    from gateway import bus

    bus.serve(settings, stop, lambda: announce(settings, "mllp"))


def identities(settings: Settings, stop: threading.Event) -> None:
    from gateway import identities as feeding

    feeding.serve(settings, stop, lambda: announce(settings, "identities"))


def upkeep(settings: Settings, stop: threading.Event) -> None:
    from gateway import upkeep as keeping

    keeping.serve(settings, stop, lambda: announce(settings, "upkeep"))


def web(settings: Settings, stop: threading.Event) -> None:
    from gateway.web import serving

    serving.serve_until(settings, stop, lambda: announce(settings, "web"))


_SIMPLE = {
    "web": web,
    "spooler": spooler,
    "keeper": keeper,
    "carrier": carrier,
    "collector": collector,
    "refresher": refresher,
    "mllp": mllp,
    "identities": identities,
    "monitor": monitor,
    "upkeep": upkeep,
}


def doors(settings: Settings, stop: threading.Event, name: str) -> None:
    from gateway import entrance

    entrance.serve(settings, stop, lambda: announce(settings, name))

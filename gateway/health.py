"""How a node is: which of its processes answer, and whether it can take and carry letters.

Promises: each look is one sentence, asks for nothing but an answer and writes nothing; alive is what a restart would
mend, ready is what lets letters in. Does not: mend anything.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from directory.model import DirectoryDown
from gateway import app, metrics, roster, upkeep
from gateway.config import ConfigError, Settings
from gateway.readiness import Check
from relay.store import engine
from relay.store.tables import letters

_ANSWER_S = 3.0
HOUR = timedelta(hours=1)
FREE_MB = 512
"""Where no [monitor] says otherwise."""


def alive(settings: Settings) -> tuple[Check, ...]:
    """Every process of the node: there, and answering."""
    return tuple(_process(settings, name) for name in roster.names(settings))


def ready(settings: Settings) -> tuple[Check, ...]:
    """Alive, and everything at hand that a letter needs on its way in and out."""
    return (*alive(settings), *parts(settings))


def parts(settings: Settings) -> tuple[Check, ...]:
    """What is at hand, without the processes; of a view, one tenant's."""
    looks: tuple[Callable[[Settings], Iterator[Check]], ...] = (_store, _sockets, _ports, _directory, _lists, _room)
    return tuple(check for look in looks for check in look(settings))


def kept(settings: Settings) -> tuple[Check, ...]:
    """What is done by the clock for the directory: late or not, letters go in and out all the same."""
    return tuple(
        Check(f"{each.work} of {each.tenant}", each.ok, f"{each.said} ({each.at})") for each in upkeep.said(settings)
    )


def _process(settings: Settings, name: str) -> Check:
    try:
        pid = int(roster.ready_file(settings, name).read_text())
        os.kill(pid, 0)
    except PermissionError:  # somebody else's process bears the number; ours run as we do, or we are root
        return Check(name, False, "its pid is another account's: ask as the node's account or as root")
    except (OSError, ValueError):
        return Check(name, False, "does not run: look at its last lines in the log")
    try:
        metrics.asked(metrics.socket_of(settings.paths.run, name)) if settings.monitor else ""
    except OSError:
        return Check(name, False, f"process {pid} is there and does not answer")
    return Check(name, True, f"process {pid}")


def _store(settings: Settings) -> Iterator[Check]:
    try:
        reader = engine.reader_engine(settings.database_url)
        with reader.connect() as conn:
            conn.execute(select(letters.c.id).limit(1)).all()
        reader.dispose()
        yield Check("store", True, "the database can be read")
    except SQLAlchemyError as error:
        yield Check("store", False, f"the database cannot be read ({type(error).__name__})")


def _sockets(settings: Settings) -> Iterator[Check]:
    for name, path in (("spooler answers", settings.spool_socket), ("keeper answers", settings.keeper_socket)):
        yield _reached(name, socket.AF_UNIX, str(path))


def _ports(settings: Settings) -> Iterator[Check]:
    for name, at in (("door of peers", settings.doors.peers), ("door of submission", settings.doors.submission)):
        if at:
            host = "127.0.0.1" if at.host in ("0.0.0.0", "::", "") else at.host  # noqa: S104
            yield _reached(name, socket.AF_INET6 if ":" in host else socket.AF_INET, (host, at.port))


def _reached(name: str, family: socket.AddressFamily, place: str | tuple[str, int]) -> Check:
    said = place if isinstance(place, str) else f"{place[0]} port {place[1]}"
    try:
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ANSWER_S)
            connection.connect(place)
        return Check(name, True, said)
    except OSError as error:
        return Check(name, False, f"{said}: {error.strerror or type(error).__name__}")


def _directory(settings: Settings) -> Iterator[Check]:
    """Any address: found or not, the directory has answered."""
    from directory import address

    for view in settings.views:
        try:
            asked = address.parse(f"pli-health@{view.node.domains[0]}")
            answer = app.directory(view).find(asked)
        except ConfigError as error:
            yield Check("directory", False, str(error))
            continue
        down = isinstance(answer, DirectoryDown)
        yield Check("directory", not down, f"{view.directory.uri} {'does not answer' if down else 'answers'}")


def _lists(settings: Settings) -> Iterator[Check]:
    for view in settings.views:
        try:
            held = app.white_list(view, app.trust(view))()
        except ConfigError as error:
            yield Check("white list", False, str(error))
            continue
        age = app.clock() - held.generated_at
        most = timedelta(hours=view.trust.white_list_max_age_hours)
        yield Check("white list", age <= most, f"{age / HOUR:.0f} h old, {most / HOUR:.0f} h at most")


def _room(settings: Settings) -> Iterator[Check]:
    least = settings.monitor.free_mb if settings.monitor else FREE_MB
    free = shutil.disk_usage(_nearest(settings.paths.data)).free >> 20
    yield Check("disk", free >= least, f"{free} MB free for letters, {least} at least")


def _nearest(path: Path) -> Path:
    return path if path.exists() else path.parent

"""The first load of a region: a reviewed plan into a slapd that is stopped, by slapadd, as one stream.

Promises: refused while slapd runs; slapadd runs as whoever owns the data; what it refuses is told with its words, and
nothing is noted; loaded, it is on disk before the ledger and the journal say so. Does not: stop or start slapd, or mend
a database in which slapadd stopped half-way: it is emptied, and the fixed entries loaded again (docs/directory.md).
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from directory.feed import loading, plan
from directory.feed.items import Source
from gateway import app, feeding
from gateway.config import ConfigError, Settings
from relay.journal import SpoolJournal
from relay.model import Event

_CONNECT_S = 3.0


@dataclass(frozen=True)
class Server:
    """A slapd that is stopped."""

    conf: Path
    slapadd: Path

    @property
    def data(self) -> Path:
        return self._told("directory")

    @property
    def pid_file(self) -> Path:
        return self._told("pidfile")

    def _told(self, name: str) -> Path:
        try:
            found = re.search(rf'(?m)^{name}\s+"?([^"\n]+)"?', self.conf.read_text("utf-8"))
        except OSError as error:
            raise ConfigError(f"{self.conf}: {error.strerror}") from None
        if found is None:
            raise ConfigError(f"{self.conf}: there is no line '{name}'")
        return Path(found[1].strip())


def load(
    settings: Settings, source: Source, path: Path, server: Server, by: str, progress: Callable[[int], None]
) -> int:
    """How many entries. Raises FeedError, ConfigError, StoreDown."""
    head, book, now = plan.head_of(path), feeding.ledger(settings), app.clock()
    if why := loading.refusal(head, source, book.last(source.name)):
        raise ConfigError(why)
    if why := _running(settings, server):
        raise ConfigError(why)
    facts = {"source": head.source, "plan": plan.digest_of(path), "file": head.digest, "dated": head.dated, "by": by}
    records, tenant = SpoolJournal(app.client(settings)), settings.node.tenant
    records.add(tenant, [Event("directory.load-begun", "", "", tuple(facts.items()))])
    entries = loading.ldif_of(path, source, settings.directory.base, now)
    _slapadd(server, entries, progress)
    loading.note(book, source, path, now, progress)
    count = sum(head.counts.values())
    records.add(tenant, [Event("directory.load-ended", "", "", (*facts.items(), ("entries", str(count))))])
    return count


def _running(settings: Settings, server: Server) -> str:
    """Why it is taken to run; empty where it does not."""
    try:
        os.kill(int(server.pid_file.read_text()), 0)
        return f"slapd runs ({server.pid_file}): stop it first"
    except (OSError, ValueError):
        pass
    at = urlsplit(settings.directory.uri)
    try:
        socket.create_connection((at.hostname or "127.0.0.1", at.port or 389), _CONNECT_S).close()
    except OSError:
        return ""
    return f"a server answers at {settings.directory.uri}: stop it first"


def _slapadd(server: Server, entries: object, progress: Callable[[int], None]) -> None:
    """-q: no sync at each entry, the database is synced whole at the end; -w: whoever follows changes begins here."""
    owner = server.data.stat()
    who = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    command = [str(server.slapadd), "-q", "-w", "-f", str(server.conf)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", cwd="/", **who
    ) as process:  # type: ignore[call-overload]
        try:
            for each in entries:  # type: ignore[attr-defined]
                process.stdin.write(each)
                progress(1)
            process.stdin.close()
        except BrokenPipeError:
            with suppress(BrokenPipeError):
                process.stdin.close()
        said = process.stderr.read()
    if process.returncode:
        last = " / ".join(said.splitlines()[-3:])
        raise ConfigError(f"slapadd stopped; empty {server.data} before another try: {last}")
    for file in server.data.glob("*.mdb"):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())

"""A private PostgreSQL server, unprivileged, on a Unix socket in its own folder: for tests, and to try a node on it.

Promises: `start` returns when it answers; it listens on no network, and who cannot enter its folder cannot connect;
`stop` also works from another process, by the pid in the folder; what it holds outlives `stop`. Does not: tune it for
production, or start the machine's own server.
"""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gateway.demo.processes import (
    Account,
    Process,
    Programs,
    ServerTrouble,
    account,
    claim,
    programs,
    require_reachable,
    until,
)

PROGRAMS = "usr/lib/postgresql/15/bin"
SUPERUSER = "pli"
_SETTINGS = {
    "listen_addresses": "''",
    "unix_socket_directories": "'.'",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "jit": "off",
    "log_min_messages": "warning",
    "log_statement": "none",
    # Values of a statement that failed would reach the log: addresses of patients among them.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}


@dataclass(frozen=True)
class Postgresql:
    """`durable` false: nothing is synced, for tests that need no power cut."""

    folder: Path
    durable: bool = True

    @property
    def data(self) -> Path:
        return self.folder.resolve() / "data"

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://{SUPERUSER}@/{database}?host={self.data}"

    def start(self) -> None:
        """Makes the cluster at the first start. Raises ServerTrouble."""
        who, software = account(), programs_of()
        folder = claim(self.folder, who)
        require_reachable(software.root / PROGRAMS, who)
        if not (self.data / "PG_VERSION").exists():
            self._make(software, who)
        command = [str(software.root / PROGRAMS / "postgres"), "-D", str(self.data)]
        settings = _SETTINGS | ({} if self.durable else {"fsync": "off", "full_page_writes": "off"})
        for name, value in settings.items():
            command += ["-c", f"{name}={value.strip(chr(39))}"]
        process = Process(folder)
        process.launch(command, software.environment(), who)
        if not until(lambda: process.pid() is None or self._answers(software, who)) or process.pid() is None:
            raise ServerTrouble(f"PostgreSQL n'a pas démarré : voyez {folder / 'server.log'}.")

    def stop(self) -> None:
        """Fast: who is connected is hung up on (SIGINT, postgres(1))."""
        Process(self.folder.resolve()).stop(signal.SIGINT)

    def kill(self) -> None:
        """As if the power were cut."""
        Process(self.folder.resolve()).stop(signal.SIGKILL, whole=True)

    @property
    def pid(self) -> int | None:
        return Process(self.folder.resolve()).pid()

    def _make(self, software: Programs, who: Account) -> None:
        words = [
            "initdb",
            "-D",
            str(self.data),
            "-U",
            SUPERUSER,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]
        share = ["-L", str(software.root / "usr/share/postgresql/15")] if software.unpacked else []
        done = _run(software, [*words, *share], who)
        if done.returncode:
            last = " / ".join(done.stderr.splitlines()[-3:])
            raise ServerTrouble(f"La base PostgreSQL n'a pas pu être créée : {last}")

    def _answers(self, software: Programs, who: Account) -> bool:
        return not _run(software, ["pg_isready", "-q", "-h", str(self.data)], who).returncode


def programs_of() -> Programs:
    """Where PostgreSQL 15 lies. Raises ServerTrouble."""
    return programs("postgres", PROGRAMS)


def _run(software: Programs, words: list[str], who: Account) -> subprocess.CompletedProcess[str]:
    program, *rest = words
    return subprocess.run(
        [str(software.root / PROGRAMS / program), *rest],
        env=software.environment(),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        user=who.uid if who.dropped else None,
        group=who.gid if who.dropped else None,
        extra_groups=[] if who.dropped else None,
    )

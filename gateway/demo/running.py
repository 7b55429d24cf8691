"""Starts and stops what stands on the stage: slapd, two Dovecots, a dossier host, two nodes of Pli.

Promises: each is its own process in its own folder, unprivileged where we are root, known by its pid there; `stop_all`
also works from another process, for what an earlier run left. Does not: play, nor start any system service.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.demo.processes import Account, Process, ServerTrouble, account, give, require_reachable
from gateway.demo.servers import Dovecot, Slapd
from gateway.demo.stage import REPOSITORY_ID, SUFFIX, Seat, Stage


def our_account() -> Account:
    """`nobody` where we are root and it can reach our code, otherwise ourselves."""
    who = account()
    try:
        require_reachable(Path(sys.prefix), who)
        require_reachable(Path(__file__).parent, who)
    except ServerTrouble:
        return _ourselves()
    return who


def _ourselves() -> Account:
    import grp
    import pwd

    user = pwd.getpwuid(os.geteuid())
    return Account(user.pw_name, grp.getgrgid(user.pw_gid).gr_name, user.pw_uid, user.pw_gid)


def serve(
    process: Process, config: Path, environment: Mapping[str, str], ports: Mapping[int, bytes], name: str
) -> None:
    """Starts a node, and waits until each of its processes serves: its doors open before its keeper answers."""
    before = process.log.stat().st_size if process.log.exists() else 0
    command = [sys.executable, "-m", "gateway", "--config", str(config), "serve"]
    process.launch(command, environment, our_account())
    logs = [process.log, process.folder / "pli.log"]
    process.wait_ready(ports, name, logs, also=lambda: _UP in process.log.read_bytes()[before:])


_UP = b" is up ("
"""What the supervisor says once all serve (gateway.serve)."""


@dataclass(frozen=True)
class Company:
    """Everything of one stage that runs."""

    stage: Stage

    @property
    def slapd(self) -> Slapd:
        return Slapd(self.stage.folder / "slapd", self.stage.directory_port, SUFFIX, self.stage.passwords)

    def dovecot(self, seat: Seat) -> Dovecot:
        certificate, key = seat.tls
        return Dovecot(
            seat.folder / "dovecot", seat.ports.imap, seat.ports.lmtp, seat.accounts, certificate, key,
            seat.who.hostname, seat.ports.imaps, seat.ports.introspection,
        )  # fmt: skip

    def start(self, wrong_host: str | None = None) -> None:
        """Everything; raises ServerTrouble for the first that does not start."""
        self.slapd.load(self.stage.ldif)
        self.slapd.start()
        seats = list(self.stage.seats.values())
        with ThreadPoolExecutor() as pool:  # they do not wait for each other
            begun = [pool.submit(self.dovecot(seat).start) for seat in seats]
            begun += [pool.submit(self.start_node, seat) for seat in seats]
            begun.append(pool.submit(self.start_host, wrong_host))
        for each in begun:
            each.result()

    # --- the dossier host -----------------------------------------------------------------------------------

    @property
    def host_folder(self) -> Path:
        return self.stage.folder / "dossier"

    def start_host(self, wrong: str | None = None) -> None:
        who = our_account()
        certificate, key = self.stage.host_tls
        _give_all(self.host_folder, who)
        command = [
            sys.executable, "-m", "dmp_bridge.host", "--folder", str(self.host_folder / "kept"), "--port",
            str(self.stage.dossier_port), "--cert", str(certificate), "--key", str(key), "--trust",
            str(self.stage.trust), "--repository-id", REPOSITORY_ID,
        ]  # fmt: skip
        process = Process(self.host_folder)
        process.launch(command + (["--wrong", wrong] if wrong else []), _environment(), who)
        process.wait_ready({self.stage.dossier_port: b""}, "dossier host", [self.host_folder / "server.log"])

    def stop_host(self) -> None:
        Process(self.host_folder).stop()

    # --- the nodes ------------------------------------------------------------------------------------------

    def start_node(self, seat: Seat, more: Mapping[str, str] | None = None) -> None:
        """`more`: set in the environment of its processes."""
        who = our_account()
        _give_all(seat.folder, who, leave=("dovecot",))
        ports = {seat.ports.peers: b"220", seat.ports.submission: b"220"}
        if self.stage.pages:
            ports[seat.ports.pages] = b""
        serve(Process(seat.folder), seat.config, {**_environment(), **(more or {})}, ports, f"pli {seat.who.name}")

    def stop_node(self, seat: Seat) -> None:
        Process(seat.folder).stop()

    def kill(self, seat: Seat, name: str) -> None:
        """SIGKILL to one process of a node; its supervisor starts it again."""
        pid = int((seat.folder / "run" / f"{name}.pid").read_text())
        os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        stop_all(self.stage.folder)


FIRST, THEN = ("lilas", "parc", "dossier"), ("lilas/dovecot", "parc/dovecot", "slapd")
"""Who delivers ends before who is delivered to."""


def stop_all(folder: Path) -> int:
    """Stops by pid whatever runs from `folder`; answers how many."""
    stopped = 0
    with ThreadPoolExecutor() as pool:
        for group in (FIRST, THEN):
            stopped += sum(pool.map(_stop, [folder / where for where in group]))
    return stopped


def _stop(folder: Path) -> int:
    process = Process(folder)
    if process.pid() is None:
        return 0
    # slapd closes its database on SIGINT; Dovecot's master, asked alone, waits a second for its logger
    process.stop(signal.SIGINT if folder.name == "slapd" else signal.SIGTERM, whole=folder.name == "dovecot")
    return 1


@contextmanager
def company(stage: Stage, wrong_host: str | None = None) -> Iterator[Company]:
    """The company, running; ended at the end, whatever happened."""
    running = Company(stage)
    try:
        running.start(wrong_host)
        yield running
    finally:
        running.stop()


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


def _give_all(folder: Path, who: Account, leave: tuple[str, ...] = ()) -> None:
    """The folder and all in it belong to the account; what belongs to another server stays."""
    folder.mkdir(parents=True, exist_ok=True)
    give(folder, who)
    for path in folder.rglob("*"):
        if path.relative_to(folder).parts[0] not in leave:
            give(path, who)

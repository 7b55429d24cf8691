"""Processes known by their folder, the account that they run as, and what is said when they cannot run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.demo import processes
from gateway.demo.processes import (
    Account,
    Process,
    ServerTrouble,
    account,
    claim,
    free_port,
    place,
    programs,
    require_free,
    require_reachable,
)
from gateway.demo.servers import Slapd

STRANGER = Account("personne", "personne", 64_999, 64_999)
SLEEP = ["/bin/sleep", "600"]
NOTHING: dict[str, str] = {}


def test_a_process_is_stopped_from_elsewhere(servers_folder: Path) -> None:
    """Whoever has the folder can ask for the pid and end the process."""
    folder = claim(servers_folder / "p", account())
    Process(folder).launch(SLEEP, NOTHING, account())
    pid = Process(folder).pid()
    assert pid
    Process(folder).stop()
    assert Process(folder).pid() is None
    assert not Path(f"/proc/{pid}/cmdline").exists()


def test_a_recycled_number_is_not_ours(servers_folder: Path) -> None:
    """A process with the recorded number and another start time is left alone."""
    folder = claim(servers_folder / "p", account())
    place(folder, "server.pid", f"{os.getpid()} 1".encode(), account())
    assert Process(folder).pid() is None
    Process(folder).stop()


def test_nothing_started_nothing_to_stop(servers_folder: Path) -> None:
    """Stopping where nothing runs is no trouble."""
    Process(servers_folder).stop()
    assert Process(servers_folder).pid() is None


def test_a_process_that_ignores_the_request_is_killed(servers_folder: Path) -> None:
    """SIGTERM has its time, then SIGKILL ends it."""
    folder = claim(servers_folder / "p", account())
    process = Process(folder)
    process.launch(["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"], NOTHING, account())
    process.stop()
    assert process.pid() is None


def test_a_process_that_ends_at_once_is_said(servers_folder: Path) -> None:
    """The sentence holds the end of its log."""
    folder = claim(servers_folder / "p", account())
    process = Process(folder)
    process.launch(["/bin/sh", "-c", "echo panne de courant; exit 1"], NOTHING, account())
    with pytest.raises(ServerTrouble, match="panne de courant"):
        process.wait_ready({free_port(): b""}, "essai", [folder / "server.log"])


def test_a_closed_folder_is_said(tmp_path: Path) -> None:
    """A folder that the account cannot reach is named, with what to do."""
    closed = tmp_path / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0o700)
    with pytest.raises(ServerTrouble, match=r"n'est pas ouvert au compte personne.*chmod o\+x"):
        require_reachable(closed / "inner", STRANGER)


def test_an_open_folder_is_reachable(servers_folder: Path) -> None:
    """The twin: every parent lets the account through."""
    require_reachable(servers_folder, STRANGER)


def test_a_link_in_the_folder_is_not_followed(servers_folder: Path, tmp_path: Path) -> None:
    """The folder belongs to the account: files that we write there never go elsewhere."""
    folder = claim(servers_folder / "p", account())
    target = tmp_path / "target"
    target.write_text("intact")
    (folder / "server.log").symlink_to(target)
    (folder / "server.pid").symlink_to(target)
    with pytest.raises(OSError, match=r"server\.log"):
        Process(folder).launch(SLEEP, NOTHING, account())
    place(folder, "server.pid", b"1 1", account())
    assert target.read_text() == "intact"


def test_a_private_file_is_private(servers_folder: Path) -> None:
    """What is placed for the account is its own and nobody else's to read."""
    who = account()
    path = place(claim(servers_folder / "p", who), "secret", b"x", who)
    assert (path.stat().st_mode & 0o777, path.stat().st_uid) == (0o600, who.uid)


def test_a_free_port_is_free() -> None:
    """The port can be listened on, and is then no longer free."""
    port = free_port()
    require_free(port)
    with socket.create_server(("127.0.0.1", port)), pytest.raises(ServerTrouble, match="déjà pris"):
        require_free(port)


def test_absent_programs_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where $PLI_SERVERS points, slapd must be; otherwise the sentence says how to get it."""
    monkeypatch.setenv("PLI_SERVERS", str(tmp_path))
    with pytest.raises(ServerTrouble, match=r"slapd est introuvable.*\./dev servers"):
        programs("slapd")


def test_present_programs_are_found() -> None:
    """slapd, its modules and its schemas lie together."""
    software = programs("slapd")
    assert software.path("slapadd").exists()
    assert (software.openldap.modules / "back_mdb.so").exists()
    assert (software.openldap.schemas / "core.schema").exists()


def test_servers_run_without_root(slapd: Slapd) -> None:
    """The whole way as an ordinary user: whoever runs the tests first becomes the unprivileged account."""
    who = account()
    os.chown(slapd.folder.parent, who.uid, who.gid)
    child = os.fork()
    if child == 0:
        os._exit(_as(who, slapd))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _as(who: Account, slapd: Slapd) -> int:
    """Runs in a child; 0 when slapd was loaded, started and stopped by an ordinary user."""
    try:
        os.setgroups([]) if os.geteuid() == 0 else None
        os.setgid(who.gid)
        os.setuid(who.uid)
        slapd.load("")
        slapd.start()
        running = slapd.pid is not None
        slapd.stop()
        return 0 if running and slapd.pid is None else 1
    except BaseException as trouble:
        os.write(2, repr(trouble).encode())
        return 2


def test_a_port_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither twice by one process, nor by two that choose alike before either listens."""
    first = free_port()
    said = subprocess.run(
        [sys.executable, "-c", f"from gateway.demo import processes; print(processes._reserved({first}))"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said == "False\n"
    choices = iter([first, first, first + 1, first + 2, first + 3, *range(20_000, 20_100)])
    monkeypatch.setattr(processes.secrets, "choice", lambda _: next(choices))
    assert free_port() != first

"""What a process tells systemd, read from a real socket; and the units that ship, as systemd's own tool sees them."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import notify
from gateway.demo.processes import new_folder, programs

UNITS = Path(__file__).resolve().parent.parent.parent / "docs" / "systemd"
EXPOSED_MOST = 2.5
"""Of 10, in the words of `systemd-analyze security`: OK is under 5."""


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Systemd's end of the socket."""
    folder = new_folder("pli-n-")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(folder / "notify"))
        end.settimeout(5)
        monkeypatch.setenv(notify.PLACE, str(folder / "notify"))
        yield end
    shutil.rmtree(folder)


def test_a_word_reaches_systemd(listener: socket.socket) -> None:
    """One datagram, as sd_notify(3) sends it."""
    notify.tell("READY=1")
    assert listener.recv(100) == b"READY=1"


def test_the_abstract_namespace_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that begins with @ has a NUL there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        name = f"pli-test-{os.getpid()}"
        end.bind(f"\0{name}")
        end.settimeout(5)
        monkeypatch.setenv(notify.PLACE, f"@{name}")
        notify.tell("STOPPING=1")
        assert end.recv(100) == b"STOPPING=1"


def test_without_systemd_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket named, or nobody at it: no harm."""
    monkeypatch.delenv(notify.PLACE, raising=False)
    notify.tell("READY=1")
    monkeypatch.setenv(notify.PLACE, "/nowhere/notify")
    notify.tell("READY=1")


def test_nobody_waits_for_a_reader(listener: socket.socket) -> None:
    """More words than the kernel keeps (unix(7), max_dgram_qlen): those beyond are lost, and the supervisor goes on."""
    for _ in range(2000):
        notify.tell("WATCHDOG=1")
    assert listener.recv(100) == b"WATCHDOG=1"


def test_signs_of_life_come_as_often_as_asked(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first at once, none too early; of another process's watchdog none at all."""
    monkeypatch.setenv(notify.EVERY, "90000000")
    monkeypatch.setenv(notify.WHOSE, str(os.getpid()))
    alive = notify.Watchdog()
    assert alive.every == 30
    alive()
    alive()
    assert listener.recv(100) == b"WATCHDOG=1"
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.recv(100)
    monkeypatch.setenv(notify.WHOSE, "1")
    assert notify.Watchdog().every == 0


def test_children_know_nothing_of_it(listener: socket.socket) -> None:
    """The supervisor alone speaks for the node."""
    assert notify.PLACE not in notify.environment()
    assert notify.environment()["PATH"] == os.environ["PATH"]


# --- the units --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def analyze() -> list[str]:
    """The words that begin a command of systemd-analyze(1): the system's, or the one that `dev` unpacked."""
    if found := shutil.which("systemd-analyze"):
        return [found]
    software = programs("systemd-analyze")
    libraries = [*software.root.glob("usr/lib/*-linux-gnu*/systemd"), *software.root.glob("usr/lib/*-linux-gnu*")]
    return ["env", f"LD_LIBRARY_PATH={':'.join(map(str, libraries))}", str(software.path("systemd-analyze"))]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units with our own `pli` in the place of the deployer's, which systemd wants to see."""
    folder = tmp_path / "units"
    shutil.copytree(UNITS, folder)
    for unit in folder.glob("*.service"):
        text = unit.read_text().replace("/opt/pli/bin/pli", str(Path(sys.executable).with_name("pli")))
        unit.write_text(text)
    return folder


def _verify(analyze: list[str], folder: Path, *units: str) -> subprocess.CompletedProcess[str]:
    command = [*analyze, "verify", "--man=no", "--recursive-errors=no", *(str(folder / unit) for unit in units)]
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_systemd_finds_no_fault_in_the_units(analyze: list[str], installed: Path) -> None:
    """Of the whole node, of each process by itself, of their target."""
    singles = [f"pli@{name}.service" for name in ("spooler", "keeper", "doors", "carrier", "refresher", "monitor")]
    done = _verify(analyze, installed, "pli.service", "pli.target", *singles)
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_would_find_one(analyze: list[str], installed: Path) -> None:
    """A word that is none of systemd's is told."""
    unit = installed / "pli.service"
    unit.write_text(unit.read_text().replace("ProtectSystem=strict", "ProtectSystems=strict"))
    assert "ProtectSystems" in _verify(analyze, installed, "pli.service").stderr


@pytest.mark.parametrize("unit", ["pli.service", "pli@.service"])
def test_the_units_leave_little_open(analyze: list[str], installed: Path, unit: str) -> None:
    """systemd's own measure of exposure; without the wall around files it is worse."""
    assert _exposure(analyze, installed / unit) <= EXPOSED_MOST
    text = (installed / unit).read_text()
    (installed / unit).write_text(re.sub(r"(?m)^(Protect|Private|Restrict|SystemCall|NoNew).*\n", "", text))
    assert _exposure(analyze, installed / unit) > EXPOSED_MOST


def _exposure(analyze: list[str], unit: Path) -> float:
    command = [*analyze, "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    return float(found[1])

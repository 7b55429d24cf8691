"""An import by somebody at a terminal: how far it is, stopped by Ctrl-C between two batches, and gone on with."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import pli
from tests.gateway.browsing import ANNE
from tests.gateway.imports import boxes
from tests.gateway.region import NOW, Region, opened

MAILBOXES = 2_000
_HALF_WAY = re.compile(rb"application.*\D[1-9]\d?%")


@pytest.fixture
def region() -> Iterator[Region]:
    with opened() as made:
        yield made


@dataclass
class Typed:
    """A command at a terminal: `shown` is what its standard error showed there."""

    process: subprocess.Popen[bytes]
    terminal: int
    shown: bytes = b""

    def read(self) -> bool:
        """More of it; False at its end."""
        try:
            more = os.read(self.terminal, 65_536)
        except OSError:  # nobody holds the other side any more
            more = b""
        self.shown += more
        return bool(more)

    def ended(self) -> tuple[int, str]:
        """Exit code and standard output."""
        while self.read():
            pass
        assert self.process.stdout
        told = self.process.stdout.read().decode()
        return self.process.wait(60), told


@contextmanager
def typed(region: Region, *words: str) -> Iterator[Typed]:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "gateway", "--config", str(region.folder / "pli.toml"), *words]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100", "LANG": "C.UTF-8"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment)
    os.close(theirs)
    try:
        yield Typed(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_an_import_shows_how_far_it_is_stops_and_goes_on(region: Region, tmp_path: Path) -> None:
    """Half-way is seen at a terminal; Ctrl-C leaves whole batches there, and the same command does the rest, once."""
    run = CliRunner().invoke
    config = ["--config", str(region.folder / "pli.toml"), "directory"]
    made = run(pli, [*config, "generate", "--out", str(tmp_path), "--mailboxes", str(MAILBOXES), "--json"])
    file = json.loads(made.stdout.splitlines()[0])["path"]
    dated = NOW.strftime("%Y-%m-%dT%H:%M:%S")
    told = json.loads(run(pli, [*config, "plan", file, "--source", "mssante", "--dated", dated, "--json"]).stdout)
    apply = ("directory", "apply", told["path"], "--by", ANNE, "--json")
    with typed(region, *apply) as at:
        while not _HALF_WAY.search(at.shown) and at.read():
            pass
        at.process.send_signal(signal.SIGINT)
        code, said = at.ended()
    first = json.loads(said)
    assert (code, first["stopped"]) == (1, True)
    assert 0 < first["create-done"] == boxes(region) < told["counts"]["create"]
    with typed(region, *apply) as at:
        code, said = at.ended()
    second = json.loads(said)
    assert (code, second["stopped"], second["create-already"]) == (0, False, first["create-done"])
    assert second["create-done"] + first["create-done"] == boxes(region) == told["counts"]["create"]
    quiet = run(pli, [*config, *apply[1:]])
    assert "application" in at.shown.decode()
    assert quiet.stderr == ""

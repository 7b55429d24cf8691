"""The doors of a node as its own process opens them: applications by certificate, Dovecot's questions, files of
clients."""

from __future__ import annotations

import shutil
import signal
import smtplib
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from gateway import config
from gateway.cli import pli
from gateway.demo import stage
from gateway.demo.processes import new_folder
from gateway.demo.stage import Seat

LAB = "laboratoire@imagerie-des-lilas.mssante.example"


@dataclass(frozen=True)
class Doors:
    ours: Seat
    theirs: Seat
    anchors: Path
    port: int
    process: subprocess.Popen[bytes]

    def client(self, shown: tuple[Path, Path] | None) -> smtplib.SMTP:
        context = ssl.create_default_context(cafile=self.anchors)
        context.check_hostname = False
        if shown:
            context.load_cert_chain(*shown)
        client = smtplib.SMTP("127.0.0.1", self.ours.ports.submission, local_hostname="labo.example")
        client.starttls(context=context)
        client.ehlo()
        return client


def _shown(seat: Seat) -> tuple[Path, Path]:
    """The ORG AUTH_CLI certificate of an establishment."""
    folder = seat.config.parent / "tls"
    return folder / "auth-cli.pem", folder / "auth-cli.key"


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    folder = new_folder("pli-entrance-")
    built = stage.build(folder / "demo", datetime.now(UTC))
    ours, theirs = built.seats["lilas"], built.seats["parc"]
    told = "[doors]\nclient_certificates = true\nautoconfig = true\n"
    ours.config.write_text(ours.config.read_text("utf-8").replace("[doors.peers]", f"{told}[doors.peers]"), "utf-8")
    settings = config.load(ours.config)
    settings.paths.run.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "gateway", "--config", str(ours.config), "serve", "--only", "doors"]
    process = subprocess.Popen(command)
    until = time.monotonic() + 60
    while not (settings.paths.run / "doors.pid").exists():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    yield Doors(ours, theirs, built.trust / "anchors" / "root.pem", ours.ports.introspection, process)
    process.kill()
    process.wait(20)
    shutil.rmtree(folder, ignore_errors=True)


def test_an_application_logs_in_by_its_certificate(doors: Doors) -> None:
    """Bound by command, taken by the doors at once; another's certificate is refused, and without one nothing is
    offered."""
    words = ["--config", str(doors.ours.config), "account", "certificate", LAB, str(_shown(doors.ours)[0])]
    assert CliRunner().invoke(pli, words).exit_code == 0
    with doors.client(_shown(doors.ours)) as client:
        assert "EXTERNAL" in client.esmtp_features["auth"].split()
        assert client.docmd("AUTH", "EXTERNAL =")[0] == 235
        assert client.mail(LAB)[0] == 250
        client.rset()
        assert client.mail("anna@imagerie-des-lilas.mssante.example")[0] == 550
    with doors.client(_shown(doors.theirs)) as client:
        assert client.docmd("AUTH", "EXTERNAL =")[0] == 535
    with doors.client(None) as client:
        assert "EXTERNAL" not in client.esmtp_features["auth"].split()


def test_dovecot_is_answered_and_clients_find_their_file(doors: Doors) -> None:
    """On the port of the configuration; the file names the node."""
    url = f"http://127.0.0.1:{doors.port}"
    assert httpx.post(f"{url}/introspection", data={"token": "x"}).json() == {"active": False}
    host = {"Host": "autoconfig.imagerie-des-lilas.mssante.example"}
    answer = httpx.get(f"{url}/mail/config-v1.1.xml", headers=host)
    assert (answer.status_code, "<hostname>mss.imagerie-des-lilas" in answer.text) == (200, True)
    assert httpx.get(f"{url}/mail/config-v1.1.xml").status_code == 404


def test_it_ends_when_it_is_told(doors: Doors) -> None:
    """The HTTP door keeps no process alive, and takes no signal that is the process's."""
    with httpx.Client() as client:
        client.get(f"http://127.0.0.1:{doors.port}/")
        doors.process.send_signal(signal.SIGTERM)
        assert doors.process.wait(30) == 0

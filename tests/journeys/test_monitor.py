"""A node under systemd and Prometheus: what it tells, what is scraped, what its health says when something is gone."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import smtplib
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from gateway import roster
from gateway.cli import pli
from gateway.config import load
from gateway.demo import sample, stage
from gateway.demo.cast import PASSWORD, RADIOLOGIST, SURGEON
from gateway.demo.processes import free_port, new_folder
from gateway.demo.running import Company, stop_all
from gateway.demo.stage import Seat

BOARD = Path(__file__).resolve().parent.parent.parent / "docs" / "grafana" / "pli.json"
pytestmark = pytest.mark.journey
LIMIT_S = 120.0


@dataclass(frozen=True)
class Watched:
    """One node with its monitor, a directory beside it, and systemd's end of its socket."""

    company: Company
    port: int
    told: socket.socket

    @property
    def seat(self) -> Seat:
        return self.company.stage.seats["lilas"]

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def samples(self) -> dict[str, list[Any]]:
        status, text = self.get("/metrics")
        assert status == 200
        found: dict[str, list[Any]] = {}
        for family in text_string_to_metric_families(text):
            for each in family.samples:
                found.setdefault(each.name, []).append(each)
        return found

    def value(self, name: str, **labels: str) -> float:
        rows = self.samples().get(name, [])
        return float(sum(each.value for each in rows if labels.items() <= each.labels.items()))

    def submit(self, to: str) -> None:
        mail = EmailMessage(policy=SMTP)
        mail["From"], mail["To"], mail["Subject"] = str(RADIOLOGIST.address), to, "Essai"
        mail["Date"], mail["Message-ID"] = datetime.now(UTC), f"<{time.time_ns()}@monitor.example>"
        mail.set_content("Bonjour")
        with smtplib.SMTP("127.0.0.1", self.seat.ports.submission, local_hostname="poste.example") as client:
            client.starttls(context=ssl.create_default_context(cafile=str(self.company.stage.anchors)))
            client.login(str(RADIOLOGIST.address), PASSWORD)
            client.sendmail(str(RADIOLOGIST.address), [to], mail.as_bytes())

    def pid(self, name: str) -> int:
        return int((self.seat.folder / "run" / f"{name}.pid").read_text())


def _until(look: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + LIMIT_S
    while not (answer := look()):
        assert time.monotonic() < end, what
        time.sleep(0.1)
    return answer


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    """No mailboxes, no peer, no dossier host: letters wait."""
    folder = new_folder("pli-m-")
    built = stage.build(folder / "s", datetime.now(UTC))
    seat, port = built.seats["lilas"], free_port()
    with seat.config.open("a", encoding="utf-8") as config:
        config.write(f"\n[monitor]\nport = {port}\n")
    running = Company(built)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(folder / "notify"))
        os.chmod(folder / "notify", 0o777)  # noqa: S103  (the node runs as nobody)
        end.settimeout(LIMIT_S)
        try:
            running.slapd.load(built.ldif)
            running.slapd.start()
            running.start_node(seat, {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "900000"})
            yield Watched(running, port, end)
        finally:
            stop_all(built.folder)
    shutil.rmtree(folder)


def test_systemd_is_told_that_the_node_serves_and_lives(watched: Watched) -> None:
    """READY=1 once every process serves, then signs of life."""
    assert watched.told.recv(100) == b"READY=1"
    assert watched.told.recv(100) == b"WATCHDOG=1"


def test_one_scrape_tells_of_every_process_and_of_the_queue(watched: Watched) -> None:
    """Letters at the door, in custody and waiting are counted, and every process is up."""
    watched.submit(str(SURGEON.address))
    names = roster.names(load(watched.seat.config))
    assert {each.labels["process"]: each.value for each in watched.samples()["pli_up"]} == dict.fromkeys(names, 1.0)
    _until(lambda: watched.value("pli_not_served_total", reason="peer.unreachable"), "a letter that is delayed")
    assert watched.value("pli_accepted_letters_total", door="submission") == 1
    assert watched.value("pli_door_letters_total", door="submission", outcome="accepted", process="doors") == 1
    assert watched.value("pli_queue_recipients") == 1
    assert watched.value("pli_destination_recipients", destination=SURGEON.address.domain) == 1
    assert watched.value("pli_log_lines_total", event="letter") >= 1
    assert watched.value("pli_process_open_fds", process="spooler") > 0
    assert watched.value("pli_step_cpu_seconds_total", step="enqueue", process="spooler") > 0


def test_nobody_is_named_in_a_scrape(watched: Watched) -> None:
    """A patient's number, a mailbox, a letter's id: none of them is a label."""
    ins = sample.PATIENT.ins
    assert ins is not None
    watched.submit(f"{ins.value}@patient.mssante.fr")
    _until(lambda: watched.value("pli_accepted_letters_total") == 2, "the second letter")
    _, text = watched.get("/metrics")
    assert ins.value not in text
    assert re.findall(r"[\w.+-]+@[\w.-]+", text) == []
    assert "patient.mssante.fr" in text


def test_every_metric_of_the_board_exists(watched: Watched) -> None:
    """What ships for Grafana draws nothing that is never there; each panel has a title in both languages or a word."""
    exposed, asked = set(watched.samples()), set()
    for panel in json.loads(BOARD.read_text(encoding="utf-8"))["panels"]:
        assert panel["title"]
        for target in panel["targets"]:
            asked |= set(re.findall(r"\bpli_\w+", target["expr"]))
    assert len(asked) > 15
    assert asked - exposed == set()


def test_health_follows_a_process_that_is_killed(watched: Watched) -> None:
    """503 with a sentence while the keeper is gone, 200 again once the supervisor has started it."""
    assert watched.get("/healthz")[0] == 200
    os.kill(watched.pid("keeper"), signal.SIGSTOP)
    try:
        # a signal is delivered thread by thread: one of them may answer still
        _until(lambda: watched.get("/healthz")[0] == 503, "the keeper missed")
        _, text = watched.get("/healthz")
        assert re.search(r"^BAD  keeper: process \d+ is there and does not answer$", text, re.MULTILINE)
    finally:
        os.kill(watched.pid("keeper"), signal.SIGKILL)
    _until(lambda: watched.get("/healthz")[0] == 200, "the keeper back")


def test_readiness_follows_the_directory(watched: Watched) -> None:
    """Ready, and `pli health` ends with 0; without the directory alive but not ready, and it ends with 1."""
    asked = ["--config", str(watched.seat.config), "health"]
    assert watched.get("/readyz")[0] == 200
    done = CliRunner().invoke(pli, [*asked, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["ok"]
    watched.company.slapd.stop()
    status, text = watched.get("/readyz")
    assert status == 503
    assert "BAD  directory: " in text
    assert watched.get("/healthz")[0] == 200
    done = CliRunner().invoke(pli, asked)
    assert done.exit_code == 1
    assert "BAD  directory: " in done.output
    assert CliRunner().invoke(pli, [*asked, "--alive"]).exit_code == 0
    watched.company.slapd.start()


def test_what_is_no_page_is_not_found(watched: Watched) -> None:
    """Three addresses, and nothing else; they are read, never written."""
    assert watched.get("/")[0] == 404
    asked = urllib.request.Request(f"http://127.0.0.1:{watched.port}/metrics", data=b"x", method="POST")
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(asked, timeout=10)  # noqa: S310


def test_the_handbook_is_read_at_a_node(watched: Watched) -> None:
    """/aide and each of its pages, by whoever is on the machine; what is no page is not."""
    status, text = watched.get("/aide")
    assert (status, "/aide/when" in text) == (200, True)
    assert "The queue grows" in watched.get("/aide/when")[1]
    assert watched.get("/aide/../SECURITY.md")[0] == 404

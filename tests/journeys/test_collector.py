"""Letters from a mailbox at another operator: they arrive, once, whatever is killed; who cannot be reached is said."""

from __future__ import annotations

import json
import os
import random
import signal
import smtplib
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway import config
from gateway.accounts import Accounts
from gateway.demo import looks
from gateway.demo.cast import RADIOLOGIST, SURGEON
from gateway.demo.processes import Process, free_port
from gateway.demo.running import our_account
from gateway.demo.servers import Dovecot
from relay.store.engine import reader_engine
from relay.store.tables import letters

KILLS = int(os.environ.get("PLI_KILLS", "6"))
"""In CI; the full size is PLI_KILLS=200 ./dev test tests/journeys/test_collector.py."""
USER, PASSWORD = "imagerie@ailleurs.example", "un mot de passe"


class Elsewhere:
    """A mailbox of the imaging centre at another operator."""

    def __init__(self, folder: Path, tls: tuple[Path, Path]) -> None:
        accounts = Accounts(folder / "accounts-elsewhere")
        accounts.add(USER, PASSWORD)
        self.password = folder / "elsewhere.password"
        self.password.write_text(PASSWORD)
        self.server = Dovecot(
            folder / "elsewhere", free_port(), free_port(), folder / "accounts-elsewhere", *tls, imaps_port=free_port()
        )

    def deliver(self, mail: bytes) -> None:
        with closing(smtplib.LMTP("127.0.0.1", self.server.lmtp_port)) as client:
            assert client.sendmail(str(SURGEON.address), [USER], mail) == {}

    def settings(self, to: str) -> str:
        told = {
            "host": "127.0.0.1", "port": self.server.imaps_port, "user": USER,
            "password_file": str(self.password), "to": to, "poll_s": 5,
        }  # fmt: skip
        return "\n[collect.clinique]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in told.items())


@pytest.fixture
def joined(own_world: Callable[..., Any]) -> Iterator[Callable[..., tuple[Any, Elsewhere]]]:
    """A stage whose imaging centre also has a mailbox elsewhere; `collecting`: its node collects from there."""
    opened: list[Elsewhere] = []

    def make(collecting: bool = True) -> tuple[Any, Elsewhere]:
        def change(stage: Any) -> None:
            seat = stage.seats["lilas"]
            elsewhere = Elsewhere(stage.folder, seat.tls)
            opened.append(elsewhere)
            elsewhere.server.start()
            if collecting:
                with seat.config.open("a") as file:
                    file.write(elsewhere.settings(str(RADIOLOGIST.address)))

        return own_world(change), opened[-1]

    yield make
    for each in opened:
        each.server.stop()


def collectors(world: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in looks.pli(world.lilas, "collectors", "--json").splitlines()]


def test_a_letter_from_elsewhere_arrives(joined: Callable[..., tuple[Any, Elsewhere]]) -> None:
    """What lies in the other mailbox, a document among it, is delivered here; the document is looked up in the dossier
    and not filed, since its sender's node files; what has a second author stays there, with its reason."""
    world, elsewhere = joined()
    plain = world.plain(str(SURGEON.address), USER, subject="Avis")
    report = world.packed(world.report(), RADIOLOGIST.address)
    odd = world.plain(str(SURGEON.address), USER).replace(b"From: ", b"From: autre@parc.example\r\nFrom: ", 1)
    for mail in (plain, odd, report):
        elsewhere.deliver(mail)
    for mail in (plain, report):
        world.until(
            lambda mail=mail: world.inbox(world.lilas, RADIOLOGIST.address, looks.message_id(mail)), "the letter here"
        )
    (seen,) = world.until(lambda: [row for row in collectors(world) if row["entered"] == 2], "the collector's health")
    assert (seen["state"], seen["refused"]) == ("watching", 1)
    letter = world.trail(world.lilas, "--message-id", looks.message_id(report))
    assert {row["mode"] for row in letter["recipients"]} == {"mailbox", "dossier-show"}
    assert world.settled(world.lilas, letter["letter"])["mailbox"][0] == "done"


def test_a_mailbox_that_cannot_be_reached_is_said(joined: Callable[..., tuple[Any, Elsewhere]]) -> None:
    """The collector says that it fails and why, gone or another password there, and goes on by itself when the other
    side is back as it was."""
    world, elsewhere = joined()
    world.until(lambda: [row for row in collectors(world) if row["state"] == "watching"], "the collector well")
    elsewhere.server.stop()
    (row,) = world.until(
        lambda: [row for row in collectors(world) if row["state"] == "failing"], "the collector's failure"
    )
    assert row["reason"] == "collector.lost"
    assert row["well_at"]
    accounts = Accounts(elsewhere.server.accounts)
    accounts.add(USER, "un autre")
    elsewhere.server.start()
    world.until(lambda: [row for row in collectors(world) if row["reason"] == "collector.denied"], "a refused login")
    elsewhere.server.stop()
    accounts.add(USER, PASSWORD)
    elsewhere.server.start()
    mail = world.plain(str(SURGEON.address), USER)
    elsewhere.deliver(mail)
    world.until(lambda: world.inbox(world.lilas, RADIOLOGIST.address, looks.message_id(mail)), "the letter here")


class Postman:
    """Brings letters without end, until told."""

    def __init__(self, world: Any, elsewhere: Elsewhere) -> None:
        self._world, self._elsewhere = world, elsewhere
        self.brought: list[str] = []
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._enough.wait(0.05):
            mail = self._world.plain(str(SURGEON.address), USER)
            self._elsewhere.deliver(mail)
            self.brought.append(looks.message_id(mail))

    def __enter__(self) -> Postman:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join(30)


def test_killed_over_and_over_each_letter_enters_once(joined: Callable[..., tuple[Any, Elsewhere]]) -> None:
    """SIGKILL at any moment of its work: nothing is lost, nothing enters twice."""
    world, elsewhere = joined(collecting=False)
    path = world.lilas.folder / "collecting.toml"
    path.write_text(world.lilas.config.read_text() + elsewhere.settings(str(RADIOLOGIST.address)))
    settings, dice = config.load(path), random.Random(7)
    process = Process(world.lilas.folder / "collector")
    (world.lilas.folder / "collector").mkdir()
    with Postman(world, elsewhere) as postman:
        for _ in range(KILLS):
            _collect(process, path, settings)
            time.sleep(dice.uniform(0, 0.6))
            process.stop(signal.SIGKILL)
        world.until(lambda: len(postman.brought) > KILLS, "letters to collect")
    _collect(process, path, settings)
    try:
        world.until(lambda: set(_entered(settings)) >= set(postman.brought), "every letter in custody")
    finally:
        process.stop()
    entered = _entered(settings)
    assert {name: entered[name] for name in postman.brought} == dict.fromkeys(postman.brought, 1)
    assert set(entered) == set(postman.brought)


def _collect(process: Process, path: Path, settings: config.Settings) -> None:
    """Starts the collector alone, and waits until it serves."""
    ready = settings.paths.run / "collector.pid"
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "gateway", "--config", str(path), "serve", "--only", "collector"]
    process.launch(command, dict(os.environ), our_account())
    end = time.monotonic() + 30
    while not ready.exists():
        assert time.monotonic() < end, "the collector does not start"
        time.sleep(0.01)


def _entered(settings: config.Settings) -> Counter[str]:
    """How often each Message-ID was taken into custody."""
    engine = reader_engine(settings.database_url)
    try:
        with engine.connect() as conn:
            return Counter(conn.scalars(select(letters.c.message_id).where(letters.c.door == "collected")))
    finally:
        engine.dispose()

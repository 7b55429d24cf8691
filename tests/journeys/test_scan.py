"""The malware scan at the door, with a real clamd: what it finds does not enter; what it cannot do is said."""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import pytest

from gateway.demo.cast import RADIOLOGIST, SURGEON
from gateway.demo.clamd import EICAR, Clamd

TO = str(SURGEON.address)


@pytest.fixture
def scanned(own_world: Callable[..., Any]) -> Iterator[tuple[Any, Clamd]]:
    """A stage whose imaging centre scans."""
    made: list[Clamd] = []

    def change(stage: Any) -> None:
        made.append(Clamd(stage.folder / "clamd"))
        made[0].start()
        with stage.seats["lilas"].config.open("a") as file:
            file.write(f'\n[scan]\nsocket = "{made[0].socket}"\nown_signatures = true\n')

    yield own_world(change), made[0]
    made[0].stop()


def attached(world: Any, data: bytes) -> bytes:
    mail = EmailMessage(policy=SMTP)
    world.serial += 1
    mail["From"], mail["To"], mail["Subject"] = str(RADIOLOGIST.address), TO, "Piece"
    mail["Message-ID"] = f"<scan.{world.serial}@journeys.example>"
    mail.set_content("Bonjour")
    mail.add_attachment(data, maintype="application", subtype="octet-stream", filename="piece.bin")
    return mail.as_bytes()


def test_what_clamd_finds_does_not_enter(scanned: tuple[Any, Clamd]) -> None:
    """Infected is refused for good with the signature's name; the same letter without it arrives, marked clean; while
    clamd is down letters wait with their senders, and enter when it is back."""
    world, clamd = scanned
    sender = str(RADIOLOGIST.address)
    with world.submission(world.lilas, sender) as client:
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail(sender, [TO], attached(world, EICAR))
        assert refused.value.smtp_code == 554
        assert b"Eicar-Test" in refused.value.smtp_error
    letter = world.submit(attached(world, b"rien de mal"))
    assert world.settled(world.lilas, letter)["peer-signed"][0] == "done"
    verified = [step for step in world.trail(world.lilas, letter)["steps"] if step["event"] == "verified"]
    assert verified[0]["facts"]["scan"] == "clean"
    assert world.pli(world.lilas, "scan").stdout.startswith("ready ClamAV")

    clamd.stop()
    said = world.pli(world.lilas, "scan")
    assert said.returncode == 2
    assert "scan down: defer" in said.stderr
    with world.submission(world.lilas, sender) as client, pytest.raises(smtplib.SMTPDataError) as delayed:
        client.sendmail(sender, [TO], attached(world, b"plus tard"))
    assert delayed.value.smtp_code == 451
    clamd.start()
    world.settled(world.lilas, world.submit(attached(world, b"plus tard")))

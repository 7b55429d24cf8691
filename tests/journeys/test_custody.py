"""What a crash, a silence or a lack leaves behind: nothing lost, one document."""

from __future__ import annotations

import os
import signal
import smtplib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.demo.cast import PARC, RADIOLOGIST, SURGEON
from gateway.demo.looks import message_id
from gateway.demo.processes import Process
from gateway.roster import PROCESSES

pytestmark = pytest.mark.journey


def test_a_dossier_host_that_was_down_gets_one_document_when_it_is_back(world: Any) -> None:
    """Filing waits, then happens once."""
    document = world.report()
    world.company.stop_host()
    try:
        letter = world.submit(world.packed(document))
        waits = ("queued", "dossier.host-down")  # and runs in between, at each try
        world.until(lambda: world.states(world.lilas, letter)["dossier"] == waits, "a try that failed")
    finally:
        world.company.start_host()
    assert world.settled(world.lilas, letter)["dossier"][0] == "done"
    assert len(world.entries(document)) == 1
    assert world.fetched(document) == document.raw


def test_killed_between_accept_and_delivery_the_letter_is_delivered_once(world: Any) -> None:
    """SIGKILL to every process of the sender's node after the 250; started again, it delivers and files once."""
    document = world.report()
    mail = world.packed(document)
    world.company.stop_node(world.parc)
    world.company.stop_host()
    try:
        letter = world.submit(mail)
        _kill_all(world)
    finally:
        world.company.start_host()
        world.company.start_node(world.parc)
        world.company.start_node(world.lilas)
    assert {state for state, _ in world.settled(world.lilas, letter).values()} == {"done"}
    assert len(world.inbox(world.parc, SURGEON.address, message_id(mail))) == 1
    assert len(world.entries(document)) == 1


def _kill_all(world: Any) -> None:
    pids = [int((world.lilas.folder / "run" / f"{name}.pid").read_text()) for name in PROCESSES]
    supervisor = Process(world.lilas.folder).pid()
    assert supervisor is not None
    for pid in (supervisor, *pids):
        os.kill(pid, signal.SIGKILL)
    world.until(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in pids), "every process ended")


def test_the_processes_of_a_killed_supervisor_end_and_the_node_starts_anew(world: Any) -> None:
    """SIGKILL to the supervisor alone leaves nothing behind that would keep the next start out."""
    pids = [int((world.lilas.folder / "run" / f"{name}.pid").read_text()) for name in PROCESSES]
    supervisor = Process(world.lilas.folder).pid()
    assert supervisor is not None
    os.kill(supervisor, signal.SIGKILL)
    world.until(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in pids), "every process ended")
    world.company.start_node(world.lilas)
    letter = world.submit(world.plain(str(RADIOLOGIST.address), str(SURGEON.address)))
    assert {state for state, _ in world.settled(world.lilas, letter).values()} == {"done"}


def test_with_the_directory_down_recipients_are_refused_for_now_and_nothing_is_lost(world: Any) -> None:
    """A temporary refusal that says why, for whom nobody looked up of late; the same letter goes through when the
    directory is back."""
    mail = world.plain(str(RADIOLOGIST.address), str(SURGEON.address))
    world.company.slapd.stop()
    try:
        with world.submission(world.lilas, str(RADIOLOGIST.address)) as client:
            client.mail(str(RADIOLOGIST.address))
            code, said = client.rcpt(f"jamais.demande@{PARC}")
        assert code == 451
        assert b"annuaire" in said
    finally:
        world.company.slapd.start()
    assert {s for s, _ in world.settled(world.lilas, world.submit(mail)).values()} == {"done"}


@pytest.mark.root
def test_a_full_disk_is_told_and_nothing_is_taken(own_world: Any) -> None:
    """Where a body cannot be written the sender is told to keep the letter; with room again it goes through."""
    world = own_world()
    mail = world.packed(world.report())
    with _small_disk(world.lilas.folder / "data" / "bodies"):
        with world.submission(world.lilas, str(RADIOLOGIST.address)) as client:
            refused = _refused(client, mail)
        assert (refused.smtp_code, b"4.3.1" in refused.smtp_error) == (452, True)
    assert {state for state, _ in world.settled(world.lilas, world.submit(mail)).values()} == {"done"}


def _refused(client: smtplib.SMTP, mail: bytes) -> smtplib.SMTPDataError:
    with pytest.raises(smtplib.SMTPDataError) as refused:
        client.sendmail(str(RADIOLOGIST.address), [str(SURGEON.address)], mail)
    return refused.value


@contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    """A file system of 8 KiB over `folder`, owned as it is."""
    folder.mkdir(exist_ok=True)
    owner = folder.stat()
    options = f"size=8k,uid={owner.st_uid},gid={owner.st_gid},mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    for number in range(256):  # the folders that the store made below, hidden now
        below = folder / f"{number:02x}"
        below.mkdir(mode=0o700)
        os.chown(below, owner.st_uid, owner.st_gid)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)

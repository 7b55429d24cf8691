"""A mailbox from its making to its end, by command on a running node: doors, Dovecot, directory and journal follow."""

from __future__ import annotations

import imaplib
import json
import shutil
import smtplib
import sqlite3
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from directory.address import parse
from directory.lifecycle import Rung
from directory.region import with_luhn
from gateway import app, inactivity
from gateway import config as configuration
from gateway.cli import pli as command
from gateway.demo.cast import LILAS, SURGEON
from gateway.demo.processes import free_port, give, new_folder
from gateway.demo.running import our_account

pytestmark = pytest.mark.journey

ADDRESS = f"accueil.nouveau@{LILAS}"
RPPS = with_luhn("1098765432")
WRONG = f"{RPPS[:-1]}{(int(RPPS[-1]) + 1) % 10}"
WHY = ("--because", "essai", "--by", "anne")


def pli(world: Any, *words: str, status: int = 0) -> str:
    done = CliRunner().invoke(command, ["--config", str(world.lilas.config), *words])
    assert done.exit_code == status, done.output
    if words[0] in ("mailbox", "account"):
        _as_dovecot_reads_it(world)
    return str(done.stderr if status == 2 else done.stdout)


def _as_dovecot_reads_it(world: Any) -> None:
    """The stage's Dovecot has a copy of the accounts; a node's own reads the file itself."""
    copy = world.lilas.folder / "dovecot" / "accounts"
    copy.write_bytes(world.lilas.accounts.read_bytes())


@contextmanager
def imap(world: Any) -> Iterator[imaplib.IMAP4]:
    client = imaplib.IMAP4("127.0.0.1", world.lilas.ports.imap)
    client.starttls(ssl.create_default_context(cafile=str(world.ca)))
    yield client
    client.shutdown()


def reads_mail(world: Any, login: str, password: str) -> bool:
    """As Dovecot says, which looks at its file once a second: ask until it has."""
    with imap(world) as client:
        try:
            return client.login(login, password)[0] == "OK"
        except imaplib.IMAP4.error:
            return False


def submits(world: Any, login: str, password: str) -> bool:
    with smtplib.SMTP("127.0.0.1", world.lilas.ports.submission, local_hostname="poste.example") as client:
        client.starttls(context=ssl.create_default_context(cafile=str(world.ca)))
        try:
            client.login(login, password)
        except smtplib.SMTPAuthenticationError:
            return False
        return True


def answer_at_rcpt(world: Any, to: str) -> tuple[int, str]:
    """What the doors say of a recipient, to somebody of the house."""
    with world.submission(world.lilas, f"claire.moreau@{LILAS}") as client:
        client.mail(f"claire.moreau@{LILAS}")
        code, words = client.rcpt(to)
        return code, words.decode()


def test_a_mailbox_lives_and_ends(world: Any) -> None:
    """Made, written to, suspended (no login anywhere, letters refused by name), resumed, closed for good."""
    place = ("--kind", "ORG", "--name", "Accueil", "--finess", "930000017", "--structure", "LILAS")
    made = json.loads(pli(world, "mailbox", "create", ADDRESS, *place, "--json", *WHY))
    assert (made["before"], made["after"]) == ("", "active")
    device = pli(world, "account", "application", ADDRESS, "poste-1").split()
    world.until(lambda: answer_at_rcpt(world, ADDRESS)[0] == 250, "the doors know the new mailbox")
    mail = world.plain(f"claire.moreau@{LILAS}", ADDRESS)
    world.submit(mail, parse(ADDRESS))
    world.until(lambda: reads_mail(world, *device), "Dovecot lets him in")
    assert submits(world, *device)

    pli(world, "mailbox", "suspend", ADDRESS, *WHY)
    world.until(lambda: "suspendue" in answer_at_rcpt(world, ADDRESS)[1], "the doors refuse the suspended mailbox")
    world.until(lambda: not reads_mail(world, *device), "Dovecot lets nobody in")
    assert not submits(world, *device)
    another = pli(world, "account", "application", ADDRESS, "poste-2").split()
    world.until(lambda: not reads_mail(world, *another), "nor by a new password")
    assert not submits(world, *another)

    pli(world, "mailbox", "resume", ADDRESS, *WHY)
    world.until(lambda: reads_mail(world, *device), "Dovecot lets him in")
    world.until(lambda: answer_at_rcpt(world, ADDRESS)[0] == 250, "it takes letters again")

    pli(world, "mailbox", "close", ADDRESS, *WHY)
    world.until(lambda: not reads_mail(world, *device), "Dovecot lets nobody in")
    world.until(lambda: answer_at_rcpt(world, ADDRESS)[0] == 550, "closed")
    assert "never given again" in pli(world, "mailbox", "create", ADDRESS, *place, *WHY, status=2)
    assert "closed" in pli(world, "mailbox", "resume", ADDRESS, *WHY, status=2)
    assert [(a, b) for _, a, b in changes(world)] == [
        ("", "active"), ("active", "suspended"), ("suspended", "active"), ("active", "closed"),
    ]  # fmt: skip


def changes(world: Any) -> list[tuple[str, str, str]]:
    """(by, before, after) of the mailbox's changes, as the journal has them."""
    rows = sqlite3.connect(world.lilas.folder / "data/pli.sqlite").execute(
        "select facts from journal where event = 'mailbox.changed' order by number"
    )
    facts = [json.loads(each[0]) for each in rows]
    assert {each["because"] for each in facts} == {"essai"}
    return [(each["by"], each["before"], each["after"]) for each in facts if each["mailbox"] == ADDRESS]


def test_the_red_list_hides_and_shows(world: Any) -> None:
    """Hidden it is in no list and still reached by its address; shown again it is found."""
    one = f"discrete@{LILAS}"
    pli(world, "mailbox", "create", one, "--kind", "PER", "--name", "Dr Zélie Discrète", "--rpps", RPPS, *WHY)
    assert one in pli(world, "directory", "search", "zelie discrete")
    assert json.loads(pli(world, "mailbox", "red-list", one, "--json", *WHY))["after"] == "red-list"
    assert one not in pli(world, "directory", "search", "zelie discrete", status=1)
    world.until(lambda: answer_at_rcpt(world, one)[0] == 250, "reached by its exact address")
    pli(world, "mailbox", "red-list", one, "--off", *WHY)
    assert one in pli(world, "directory", "search", "zelie discrete")
    pli(world, "mailbox", "close", one, *WHY)


def test_what_cannot_be_is_one_sentence(world: Any) -> None:
    """Another's address, a citizen's, a number that is none, an attribute that never changes, a mailbox of nobody."""
    new = ("--kind", "ORG", "--name", "X", *WHY)
    for words, said in (
        (("create", str(SURGEON.address), *new), "is of no domain of lilas"),
        (("create", "279035121518989@patient.mssante.fr", *new), "in no directory"),
        (("create", f"x@{LILAS}", *new, "--rpps", WRONG), "no RPPS number"),
        (("create", "pas une adresse", *new), "is not a mail address"),
        (("change", f"claire.moreau@{LILAS}", "mail", "autre@x.example", *WHY), "does not change"),
        (("suspend", f"personne@{LILAS}", *WHY), "no such mailbox"),
    ):
        assert said in pli(world, "mailbox", *words, status=2)


def test_who_does_not_use_his_mailbox_is_told_then_suspended(world: Any) -> None:
    """A letter after a year, once; suspension at eighteen months; a year later nothing of the others."""
    one = parse(f"endormie@{LILAS}")
    pli(world, "mailbox", "create", str(one), "--kind", "ORG", "--name", "Endormie", "--finess", "930000017", *WHY)
    pli(world, "account", "application", str(one), "poste-1")
    settings = configuration.load(world.lilas.config)
    now = app.clock()

    def seen(days: int) -> inactivity.Idle | None:
        idle = inactivity.idle(settings, now + timedelta(days=days), "anne")
        return next((each for each in idle if each.address == one), None)

    assert seen(300) is None
    first = seen(400)
    assert first is not None
    assert (first.rung, first.due) == (Rung.NOTIFY, True)
    world.until(lambda: answer_at_rcpt(world, str(one))[0] == 250, "the doors know it")
    told = sqlite3.connect(world.lilas.folder / "data/pli.sqlite")
    done = inactivity.act(settings, first, "anne")
    assert done == "notified"
    letter = told.execute("select letter_id from journal where event = 'mailbox.notified'").fetchall()
    assert len(letter) == 1
    again = seen(400)
    assert again is not None
    assert (again.rung, again.due) == (Rung.NOTIFY, False)
    second = seen(600)
    assert second is not None
    assert inactivity.act(settings, second, "anne") == "suspended"
    assert "suspended" in pli(world, "mailbox", "list", "--state", "suspended")
    third = seen(800)
    assert third is not None
    assert (third.rung, inactivity.act(settings, third, "anne")) == (Rung.UNPUBLISH, "withdrawn")
    assert "endormie" not in pli(world, "directory", "publish", "--status").replace("wanted", "")
    pli(world, "mailbox", "close", str(one), *WHY)


@contextmanager
def upkeep_process(world: Any, **more: str) -> Iterator[Callable[[], dict[str, dict[str, Any]]]]:
    """The node's process for what is done by the clock, as a unit by itself; answers what `pli health` says of it."""
    who, seat = our_account(), world.lilas
    environment = {"LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "PLI_LIFECYCLE__BY": "anne", **more}
    command = [sys.executable, "-m", "gateway", "--config", str(seat.config)]
    run = {
        "env": environment, "cwd": "/", "user": who.uid if who.dropped else None,
        "group": who.gid if who.dropped else None, "extra_groups": [] if who.dropped else None,
    }  # fmt: skip

    def kept() -> dict[str, dict[str, Any]]:
        told = subprocess.run([*command, "health", "--json"], capture_output=True, text=True, check=False, **run)
        return {each["name"]: each for each in json.loads(told.stdout)["kept"]}

    process = subprocess.Popen([*command, "serve", "--only", "upkeep"], **run)
    try:
        yield kept
    finally:
        process.terminate()
        assert process.wait(30) == 0
        for left in ("upkeep.json", "upkeep.pid"):
            (configuration.load(seat.config).paths.run / left).unlink(missing_ok=True)


def test_what_is_due_by_the_clock_is_done_by_a_process_of_the_node(world: Any) -> None:
    """Its mailbox is told of by itself; a directory that is away makes the ladder late, and publication goes on."""
    one = f"horloge@{LILAS}"
    pli(world, "mailbox", "create", one, "--kind", "ORG", "--name", "Horloge", "--finess", "930000017", *WHY)
    drop = new_folder("pli-drop-")
    give(drop, our_account())
    more = {"PLI_PUBLICATION__ADAPTER": "drop", "PLI_PUBLICATION__FOLDER": str(drop)}
    publication, ladder = (f"{name} of lilas" for name in ("publication", "unused mailboxes"))
    try:
        with upkeep_process(world, **more) as kept:
            world.until(lambda: list((drop / "aller").glob("*.csv")), "the mailbox is told of")
            told = world.until(lambda: {publication, ladder} <= set(told := kept()) and told, "both were done")
            assert (told[publication]["ok"], told[ladder]["ok"]) == (True, True)
        assert one in "".join(path.read_text() for path in (drop / "aller").glob("*.csv"))
        with upkeep_process(world, PLI_DIRECTORY__URI=f"ldap://127.0.0.1:{free_port()}", **more) as kept:
            told = world.until(lambda: {publication, ladder} <= set(told := kept()) and told, "both were tried")
            assert (told[publication]["ok"], told[ladder]["ok"]) == (True, False)
            assert "directory" in told[ladder]["sentence"]
    finally:
        shutil.rmtree(drop)
    pli(world, "mailbox", "close", one, *WHY)

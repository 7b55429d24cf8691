"""Two gateways that both try to file and both fail: one letter, one receipt, and then silence."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from dmp_bridge.model import Ins
from gateway import config as configuration
from gateway.demo import clients, sample
from gateway.demo.cast import PASSWORD, RADIOLOGIST, SURGEON
from gateway.demo.clients import Login
from gateway.demo.looks import message_id
from relay.store import engine
from relay.store.tables import letters, recipients

pytestmark = pytest.mark.journey

STRANGER = replace(
    sample.PATIENT, ins=Ins(f"1740675056066{97 - 1740675056066 % 97:02}", "1.2.250.1.213.1.4.10"), local_ids=()
)
"""In nobody's register."""
QUIET_S = 3.0


@pytest.fixture(scope="module")
def two(make_world: Callable[..., Any]) -> Iterator[Any]:
    """A receiver that files what peers send, beside a sender that files what it sends."""

    def files_incoming(stage: Any) -> None:
        config = stage.seats["parc"].config
        text = config.read_text(encoding="utf-8")
        config.write_text(text.replace("[dossier]", "[dossier]\nfiles_incoming = true"), "utf-8")

    with make_world(files_incoming) as world:
        yield world


def _rows(world: Any, name: str) -> tuple[Counter[str], list[tuple[str, str, str]]]:
    """Letters by door; (mode, state, notice) of each recipient."""
    seat = getattr(world, name)
    reader = engine.reader_engine(configuration.load(seat.config).database_url)
    with reader.connect() as conn:
        doors = Counter(conn.scalars(select(letters.c.door)))
        table = recipients.c
        states = [tuple(row) for row in conn.execute(select(table.mode, table.state, table.notice))]
    reader.dispose()
    return doors, states


def _quiet(world: Any) -> dict[str, Counter[str]]:
    """Letters by node and door, once nothing is on its way, nothing has to be told, and it stays so."""
    since, last = time.monotonic(), None

    def look() -> dict[str, Counter[str]] | None:
        nonlocal since, last
        seen = {name: _rows(world, name) for name in ("lilas", "parc")}
        waits = any(
            state not in ("done", "failed") or notice == "due" for _, rows in seen.values() for _, state, notice in rows
        )
        if waits or seen != last:
            since, last = time.monotonic(), seen
        calm = time.monotonic() - since > QUIET_S
        return {name: doors for name, (doors, _) in seen.items()} if calm else None

    answer: dict[str, Counter[str]] = world.until(look, "two quiet nodes")
    return answer


def _mailbox(world: Any) -> dict[str, int]:
    """How many letters lie in the sender's mailbox and in the recipient's."""
    boxes = {"lilas": RADIOLOGIST, "parc": SURGEON}
    return {name: _held(world, name, str(entry.address)) for name, entry in boxes.items()}


def _held(world: Any, name: str, address: str) -> int:
    port = getattr(world, name).ports.imap
    said = clients.run(
        "curl", "-sS", "--ssl-reqd", "--cacert", str(world.ca), "-u", f"{address}:{PASSWORD}",
        "-X", "STATUS INBOX (MESSAGES)", f"imap://127.0.0.1:{port}/",
    ).decode()  # fmt: skip
    return int(said.partition("MESSAGES ")[2].partition(")")[0])


def _more(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {name: after[name] - before[name] for name in before}


def test_two_plis_whose_filings_fail_exchange_one_letter_and_one_receipt(two: Any) -> None:
    """Both nodes fail on an unknown patient: between them go the letter and one receipt, which nobody answers."""
    before, boxes = _quiet(two), _mailbox(two)
    mail = two.packed(two.report(STRANGER))
    letter = two.submit(mail)
    assert two.settled(two.lilas, letter)["dossier"] == ("failed", "dossier.patient-unknown")
    after = _more(before, _quiet(two))

    # each node tells the radiologist once; the one of Parc's crosses over
    assert after["lilas"] == Counter({"submission": 1, "notice": 1, "peer": 1})
    assert after["parc"] == Counter({"peer": 1, "notice": 1})
    assert _more(boxes, _mailbox(two)) == {"lilas": 2, "parc": 1}
    theirs = two.trail(two.parc, "--message-id", message_id(mail))["recipients"]
    assert {row["mode"]: row["state"] for row in theirs} == {"mailbox": "done", "dossier": "failed"}


def test_a_receipt_with_the_documents_in_it_is_not_filed_again(two: Any) -> None:
    """What a bridge gives back with its receipt is delivered to the mailbox and goes into no dossier."""
    mail = two.packed(two.report(STRANGER))
    letter = two.submit(mail)
    two.settled(two.lilas, letter)
    _quiet(two)
    theirs = two.trail(two.parc, "--message-id", message_id(mail))["letter"]
    receipt = f"<receipt.{theirs}@{two.parc.who.hostname}>"
    uid = two.inbox(two.lilas, RADIOLOGIST.address, receipt)[0]
    who = Login(str(RADIOLOGIST.address), PASSWORD)
    delivered = clients.mailbox_read(two.lilas.ports.imap, who, uid, two.ca)
    assert b"IHE_XDM.zip" in delivered
    assert b"902" in delivered
    assert [row["mode"] for row in two.trail(two.lilas, "--message-id", receipt)["recipients"]] == ["mailbox"]


def test_without_a_receipt_asked_the_other_side_stays_silent(two: Any) -> None:
    """The twin: no Disposition-Notification-To, so nothing comes back from Parc; our own sender is told by us."""
    before, boxes = _quiet(two), _mailbox(two)
    letter = two.submit(two.packed(two.report(STRANGER), read_receipt=False))
    two.settled(two.lilas, letter)
    after = _more(before, _quiet(two))
    assert after["lilas"] == Counter({"submission": 1, "notice": 1})
    assert after["parc"] == Counter({"peer": 1})
    assert _more(boxes, _mailbox(two)) == {"lilas": 1, "parc": 1}


def test_a_receipt_that_cannot_be_delivered_is_not_answered(two: Any) -> None:
    """A null sender is never told anything: the receipt to a closed mailbox server ends in silence."""
    before = _quiet(two)
    two.company.dovecot(two.lilas).stop()
    try:
        letter = two.submit(two.packed(two.report(STRANGER)))
        two.until(lambda: two.states(two.lilas, letter)["dossier"][0] == "failed", "the filing failed")
        two.until(lambda: _rows(two, "lilas")[0]["peer"] > before["lilas"]["peer"], "Parc's receipt came over")
    finally:
        two.company.dovecot(two.lilas).start()
    after = _more(before, _quiet(two))
    assert after["lilas"] == Counter({"submission": 1, "notice": 1, "peer": 1})
    assert after["parc"] == Counter({"peer": 1, "notice": 1})

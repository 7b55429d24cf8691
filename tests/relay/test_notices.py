"""Notices: what a sender is told, and what is never told."""

from __future__ import annotations

import email
import email.policy
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy import Engine
from structlog.testing import capture_logs

from certs.chain import TrustStore
from directory.ldap import LdapDirectory
from gateway.doors import replies
from relay import message as mime
from relay import spool
from relay.couriers.peer import BY_PEER
from relay.intake import Intake
from relay.message import scan
from relay.model import (
    Asked,
    BodyRef,
    Door,
    DoorProof,
    Letter,
    Mode,
    Reason,
    Recipient,
    Route,
    State,
    Verdict,
    new_id,
)
from relay.notices import SUBJECT_INSTEAD, NoticeDelayed, Notices, answerable, delivered, failure
from relay.partners import Listed, WhiteList
from relay.pseudonym import Pseudonyms
from relay.routing import Node
from relay.spooler import SpoolClient, Spooler, StoreDown, StoreRefused
from relay.store import engine, migrations, tables
from relay.store.bodies import BodyStore

OURS, PEER = "lilas.mssante.example", "parc.mssante.example"
SENDER = f"marie.martin@{OURS}"
NODE = Node("lilas", frozenset({OURS}), "mss.lilas.example")
Mail = Callable[..., bytes]


def letter(at: datetime, sender: str = SENDER, automatic: str = "") -> Letter:
    return Letter(
        id=new_id(at),
        tenant="lilas",
        door=Door.SUBMISSION,
        sender=sender,
        message_id="<1@lilas.mssante.example>",
        body=BodyRef("n", 1, "d"),
        received_at=at,
        trace="",
        verdict=Verdict(automatic=automatic),
        proof=DoorProof(),
        envid="env-1",
    )


def row(state: State, mode: Mode = Mode.PEER_SIGNED, notify: frozenset[str] = frozenset(), note: str = "") -> Recipient:
    return Recipient(
        id=f"r-{mode.value}-{state.value}",
        letter_id="l",
        tenant="lilas",
        address=f"paul.durand@{PEER}" if mode is not Mode.DOSSIER else "dossier:regional",
        route=Route(mode, PEER, "test"),
        state=state,
        reason=Reason.PEER_REFUSED if state is State.FAILED else "",
        reference="550 5.1.1 <…> unknown" if state is State.FAILED else "250 ok",
        note=note,
        asked=Asked(notify, "rfc822;paul@parc.mssante.example"),
    )


def words(reason: str) -> tuple[str, str, str]:
    """The product's own sentences."""
    told = replies.of(reason)
    return told.enhanced, told.french, told.english


def parsed(notice: bytes) -> EmailMessage:
    message = email.message_from_bytes(notice, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


FAILED, SUCCESS = row(State.FAILED), row(State.DONE, notify=frozenset({"SUCCESS"}))


def test_a_failure_is_a_report_with_words_fields_and_a_fixed_list_of_headers(now: datetime, make_mail: Mail) -> None:
    """RFC 3464 in RFC 6522: French then English, per-recipient fields, none of the original's content."""
    attachments = (("IHE_XDM.zip", "application/zip", b"PK\x03\x04"),)
    raw = make_mail("secret-text\n", attachments, Subject="Résultats", X_MSS_INS="O", X_Other="secret-field")
    notice = failure(letter(now), (FAILED,), lambda: raw, NODE, lambda: now, words)
    assert notice is not None
    shown = parsed(notice)
    assert shown.get_content_type() == "multipart/report"
    assert shown["To"] == SENDER
    assert shown["From"] == f"Pli <postmaster@{OURS}>"
    text, status, headers = shown.iter_parts()
    told = text.get_content()
    assert told.index("n'a pas été remise") < told.index("was not delivered")
    assert words(Reason.PEER_REFUSED)[1] in told
    fields = status.as_string()
    for line in (
        "Reporting-MTA: dns; mss.lilas.example",
        "Original-Envelope-Id: env-1",
        f"Final-Recipient: rfc822; paul.durand@{PEER}",
        "Original-Recipient: rfc822;paul@parc.mssante.example",
        "Action: failed",
        "Status: 5.",
        "Diagnostic-Code: smtp; 550 5.1.1",
    ):
        assert line in fields
    assert headers.get_content_type() == "text/rfc822-headers"
    returned = email.message_from_string(headers.get_payload(), policy=email.policy.default)
    assert set(returned.keys()) == {"Date", "From", "To", "Message-ID", "Subject"}
    assert returned["Subject"] == "Résultats"
    assert b"secret" not in notice
    assert b"PK" not in notice


@pytest.mark.parametrize(
    "subject", ["XDM/1.0/DDM+CR VIAL Paul 26/11/1978", "Re: xdm/1.0/DDM+CR VIAL Paul", "[KO !][902] XDM/1.0/DDM+VIAL"]
)
def test_a_subject_that_names_a_patient_is_replaced(now: datetime, make_mail: Mail, subject: str) -> None:
    """Design §4: the XDM subject holds a name and a birth date."""
    raw = make_mail(Subject=subject)
    notice = failure(letter(now), (FAILED,), lambda: raw, NODE, lambda: now)
    assert notice is not None
    assert b"VIAL" not in notice
    assert SUBJECT_INSTEAD.encode() in notice


@pytest.mark.parametrize("subject", ["a\tb", "é" * 1200, "=?utf-8?q?a=0D=0ABcc:_x@y.example?="])
def test_a_subject_cannot_add_a_field(now: datetime, make_mail: Mail, subject: str) -> None:
    """CVE-2024-6923: a line end in a decoded value stays inside it."""
    raw = b"Subject: " + subject.encode() + b"\r\n" + make_mail().split(b"\r\n", 1)[1]
    notice = failure(letter(now), (FAILED,), lambda: raw, NODE, lambda: now)
    assert notice is not None
    assert b"\nBcc" not in notice
    assert mime.scan(notice).defects == ()


@pytest.mark.parametrize(
    ("sender", "automatic", "told"),
    [
        (SENDER, "", True),
        (SENDER, "auto-submitted", True),
        (SENDER, "error-subject", True),
        ("", "null-sender", False),
        ("", "", False),
        (SENDER, "report", False),
    ],
)
def test_a_failure_is_told_to_whoever_can_be_told(
    now: datetime, make_mail: Mail, sender: str, automatic: str, told: bool
) -> None:
    """Never to a null sender, never about a report; a laboratory's automatic letter has somebody who
    waits."""
    given = letter(now, sender, automatic)
    assert answerable(given) is told
    assert (failure(given, (FAILED,), make_mail, NODE, lambda: now) is not None) is told


@pytest.mark.parametrize(
    ("recipient", "told"),
    [
        (FAILED, True),
        (row(State.FAILED, notify=frozenset({"FAILURE"})), True),
        (row(State.FAILED, notify=frozenset({"SUCCESS"})), False),
        (row(State.FAILED, notify=frozenset({"NEVER"})), False),
        (row(State.FAILED, Mode.DOSSIER), False),
        (row(State.DONE), False),
        (row(State.QUEUED), False),
    ],
)
def test_a_failure_is_told_as_asked(now: datetime, make_mail: Mail, recipient: Recipient, told: bool) -> None:
    """RFC 3461 §4.1; a dossier's failure is another builder's."""
    assert (failure(letter(now), (recipient,), make_mail, NODE, lambda: now) is not None) is told


@pytest.mark.parametrize(
    ("recipient", "automatic", "action"),
    [
        (SUCCESS, "", "relayed"),
        (row(State.DONE, Mode.MAILBOX, frozenset({"SUCCESS"})), "", "delivered"),
        (row(State.DONE), "", ""),
        (row(State.DONE, notify=frozenset({"SUCCESS"}), note=BY_PEER), "", ""),
        (row(State.FAILED, notify=frozenset({"SUCCESS"})), "", ""),
        (row(State.DONE, Mode.DOSSIER, frozenset({"SUCCESS"})), "", ""),
        (SUCCESS, "auto-submitted", ""),
    ],
)
def test_a_delivery_is_told_where_it_was_asked_and_nobody_else_will(
    now: datetime, make_mail: Mail, recipient: Recipient, automatic: str, action: str
) -> None:
    """RFC 3461 §5.2: 'relayed' where the next server keeps no DSN, 'delivered' where the mailbox is ours."""
    notice = delivered(letter(now, automatic=automatic), (recipient,), make_mail, NODE, lambda: now)
    assert (notice is not None) is bool(action)
    if notice is not None:
        assert f"Action: {action}\r\n".encode() in notice
        assert b"Status: 2.0.0" in notice


def test_a_notice_is_automatic_mail_by_two_rules(now: datetime, make_mail: Mail) -> None:
    """Whoever gets it, by whatever sender, answers nothing."""
    notice = failure(letter(now), (FAILED,), make_mail, NODE, lambda: now)
    assert notice is not None
    assert mime.automatic(scan(notice), null_sender=True) == "null-sender"
    assert mime.automatic(scan(notice), null_sender=False) == "report"
    assert scan(notice).value("Auto-Submitted") == "auto-replied"


# --- as letters of their own --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Post:
    notices: Notices
    engine: Engine
    bodies: Path
    socket: Path
    stop_spooler: Callable[[], None]

    def sent(self) -> list[tuple[Letter, tuple[Recipient, ...]]]:
        letters = spool.find(self.engine, "lilas")
        found = [spool.letter(self.engine, "lilas", each.id) for each in letters]
        return [each for each in found if each is not None]


@pytest.fixture
def post(trust: TrustStore, today: datetime, tmp_path: Path) -> Iterator[Post]:
    url = f"sqlite:///{tmp_path / 'pli.sqlite'}"
    migrations.upgrade(url, [tables.metadata])
    stop = threading.Event()
    spooler = Spooler(engine.writer_engine(url), tmp_path / "s.sock", spool.WRITES, lambda: today)
    thread = threading.Thread(target=spooler.serve, args=(stop,))
    thread.start()
    assert spooler.ready.wait(10)

    def end() -> None:
        stop.set()
        thread.join(10)

    white_list = WhiteList.of([Listed(PEER, "CN=mss.parc.example,O=PARC,C=FR")], today)
    intake = Intake(
        node=NODE,
        client=SpoolClient(tmp_path / "s.sock", timeout=5.0),
        # A notice goes back to whoever wrote: the directory is not asked, and may be down
        directory=LdapDirectory("ldap://127.0.0.1:1", "dc=x", "cn=x", "x", clock=lambda: today),
        white_list=lambda: white_list,
        trust=lambda: trust,
        finders=(),
        pseudonyms=Pseudonyms(b"k" * 32),
        clock=lambda: today,
    )
    bodies = BodyStore(tmp_path / "bodies", X25519PrivateKey.generate().public_key().public_bytes_raw(), os.urandom(32))
    builders = (partial(failure, node=NODE, clock=lambda: today), partial(delivered, node=NODE, clock=lambda: today))
    notices = Notices(intake, bodies, NODE, builders, lambda: today)
    yield Post(notices, engine.reader_engine(url), tmp_path / "bodies", tmp_path / "s.sock", end)
    end()


def kept_bodies(post: Post) -> int:
    return sum(1 for each in post.bodies.rglob("*") if each.is_file())


def test_a_notice_is_a_new_letter_in_custody(post: Post, today: datetime, make_mail: Mail) -> None:
    """Null sender, through the intake, to the sender's mailbox."""
    post.notices(letter(today), (FAILED,), make_mail)
    ((sent, to),) = post.sent()
    assert (sent.door, sent.sender, sent.verdict.automatic) == (Door.NOTICE, "", "null-sender")
    assert [(each.address, each.route.mode) for each in to] == [(SENDER, Mode.MAILBOX)]


def test_a_repeated_try_is_the_same_notice(post: Post, today: datetime, make_mail: Mail) -> None:
    """A carrier killed between the notice and its mark tells once."""
    given = letter(today)
    post.notices(given, (FAILED,), make_mail)
    post.notices(given, (FAILED,), make_mail)
    post.notices(letter(today), (FAILED,), make_mail)
    assert len({sent.id for sent, _ in post.sent()}) == 2


def test_one_settlement_may_make_two_notices(post: Post, today: datetime, make_mail: Mail) -> None:
    """One recipient failed, another one's delivery report was asked."""
    post.notices(letter(today), (FAILED, SUCCESS), make_mail)
    assert len(post.sent()) == 2


def test_a_peers_sender_is_told_through_its_operator(post: Post, today: datetime, make_mail: Mail) -> None:
    """A notice for another domain is routed like any letter."""
    post.notices(letter(today, f"paul.durand@{PEER}"), (FAILED,), make_mail)
    ((_, to),) = post.sent()
    assert to[0].route.mode is Mode.PEER_SIGNED


def test_a_null_sender_is_never_answered(post: Post, today: datetime, make_mail: Mail) -> None:
    """No notice about a notice: two gateways cannot play ping-pong."""
    post.notices(letter(today, ""), (FAILED, SUCCESS), make_mail)
    assert post.sent() == []
    assert kept_bodies(post) == 0


def test_a_notice_that_cannot_be_routed_is_an_alarm(post: Post, today: datetime, make_mail: Mail) -> None:
    """Nobody is left to tell but the operator."""
    with capture_logs() as logs:
        post.notices(letter(today, "x@elsewhere.example"), (FAILED,), make_mail)
    assert [entry["event"] for entry in logs] == ["alarm-notice-refused"]
    assert post.sent() == []


def test_a_store_that_is_down_keeps_the_notice_due(post: Post, today: datetime, make_mail: Mail) -> None:
    """Raised to the carrier, which asks again."""
    post.stop_spooler()
    with pytest.raises(NoticeDelayed):
        post.notices(letter(today), (FAILED,), make_mail)
    assert post.sent() == []


class _LosesAnswers(SpoolClient):
    """Of a spooler that is killed between its commit and its answer."""

    def write(self, name: str, tenant: str, **params: Any) -> Any:
        super().write(name, tenant, **params)
        raise StoreDown("closed before the answer")


def test_a_notice_kept_without_an_answer_has_its_body(post: Post, today: datetime, make_mail: Mail) -> None:
    """The row may be written although nobody said so: the body stays, and the next try finds the notice kept."""
    given = letter(today)
    losing = _LosesAnswers(post.socket, timeout=5.0)
    with pytest.raises(NoticeDelayed):
        replace(post.notices, intake=replace(post.notices.intake, client=losing))(given, (FAILED,), make_mail)
    post.notices(given, (FAILED,), make_mail)
    ((sent, _),) = post.sent()
    assert (post.bodies / sent.body.name[:2] / sent.body.name).exists()


class _Refuses(SpoolClient):
    """Of a spooler that says no: nothing was written."""

    def write(self, name: str, tenant: str, **params: Any) -> Any:
        raise StoreRefused("no")


def test_a_notice_that_was_surely_not_kept_leaves_no_body(post: Post, today: datetime, make_mail: Mail) -> None:
    """Twin: refused in words, nothing stays."""
    refusing = replace(post.notices.intake, client=_Refuses(post.socket))
    with pytest.raises(NoticeDelayed):
        replace(post.notices, intake=refusing)(letter(today), (FAILED,), make_mail)
    assert kept_bodies(post) == 0


def test_a_recipient_sent_again_is_told_again(post: Post, today: datetime, make_mail: Mail) -> None:
    """A second failure after a person's resend is another notice."""
    given = letter(today)
    post.notices(given, (FAILED,), make_mail)
    post.notices(given, (replace(FAILED, due_at=today),), make_mail)
    assert len({sent.id for sent, _ in post.sent()}) == 2

"""Whatever a letter's fields hold, none of the letters that we compose gains a field by it (Mime4J CVE-2024-21742,
Python CVE-2024-6923)."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime

from hypothesis import example, given, settings
from hypothesis import strategies as st

from dmp_bridge import receipts
from relay import notices, warning
from relay.message import Message, scan
from relay.model import BodyRef, Door, DoorProof, Letter, Mode, Recipient, Route, State, Verdict
from relay.routing import Node

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
NODE = Node("lilas", frozenset({"lilas.mssante.example"}), "mss.lilas.example")
SENDER = "anna@lilas.mssante.example"
PIECES = (
    "\r\n", "\n", "\r", "\r\n\r\n", "\0", "\x0b", "\x85", "\u2028", ":", " ", "a", "--", "é",
    "Bcc: e@x.example", "X-Pli-Signature: valid", "=?utf-8?q?=0D=0ABcc:e?=",
)  # fmt: skip
EVIL = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
OURS = {"from", "to", "subject", "date", "message-id", "in-reply-to", "auto-submitted", "mime-version", "content-type"}


def original(subject: str, name: str) -> bytes:
    """A letter whose Subject, Message-ID and file name hold what is given, in encoded words."""
    word = "=?utf-8?b?" + b64encode(subject.encode()).decode() + "?="
    plain = " ".join(subject.replace("\0", " ").split())
    fields = (
        f"From: {SENDER}",
        f"Subject: {word}",
        f"Message-ID: <{plain}@x>",
        f"Disposition-Notification-To: {SENDER}",
        f"Content-Disposition: attachment; filename*=utf-8''{''.join(f'%{byte:02X}' for byte in name.encode())}",
    )
    return "\r\n".join(fields).encode() + b"\r\n\r\nBonjour.\r\n"


def letter(raw: bytes) -> Letter:
    body = BodyRef("n", len(raw), "d")
    verdict = Verdict(fault="bad-signature")
    return Letter(
        "01abc", "lilas", Door.SUBMISSION, SENDER, scan(raw).message_id, body, NOW, "", verdict, DoorProof(), "env"
    )


def row(mode: Mode, reference: str) -> Recipient:
    address = "dossier:regional" if mode is Mode.DOSSIER else "bert@parc.mssante.example"
    return Recipient(
        "r", "01abc", "lilas", address, Route(mode, "t", "r"), State.FAILED, reason="x", reference=reference
    )


def words(reason: str) -> tuple[str, str, str]:
    return "5.0.0", "Motif.", "Reason."


def outermost(raw: bytes) -> Message:
    message = scan(raw)
    names = [each.name.lower() for each in message.headers]
    assert set(names) <= OURS | {"x-pli-warning"}
    assert len(names) == len(set(names))
    assert message.values("To") in ([f"<{SENDER}>"], ["<bert@parc.mssante.example>"])
    return message


@given(EVIL, EVIL, EVIL)
@example("x\r\nBcc: e@x.example\r\n\r\nevil", "a\r\nb", "550 no\r\nBcc: e@x.example")
@settings(max_examples=150, deadline=None)
def test_nothing_in_a_letter_adds_a_field_to_ours(subject: str, name: str, reference: str) -> None:
    """Notice, warning letter and receipt: the same fields, each once, to the same recipient, whatever is quoted."""
    raw = original(subject, name)
    mine = letter(raw)
    failed = notices.failure(mine, (row(Mode.PEER_SIGNED, reference),), lambda: raw, NODE, lambda: NOW, words)
    told = receipts.receipt(mine, (row(Mode.DOSSIER, reference),), lambda: raw, NODE, lambda: NOW, words)
    warned = warning.wrap(
        mine, warning.failed_signature(mine), raw, "bert@parc.mssante.example", "mss.parc.example", NOW
    )
    assert failed is not None
    assert told is not None
    for each in (failed, told, warned):
        assert not outermost(each).values("Bcc")
    report = scan(failed)
    assert [part.type for part in report.children(report.root)] == [
        "text/plain", "message/delivery-status", "text/rfc822-headers",
    ]  # fmt: skip

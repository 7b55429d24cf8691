"""The warning letter: how a letter whose signature fails reaches its reader, "not as itself, and marked".

Promises: it is ours, from our postmaster; its Subject and X-Pli-Warning say what it is; it says why in
French, then in English; the original is inside as message/rfc822, byte for byte; it is automatic mail, so
that nothing in it is ever filed or answered by itself. Does not: decide which letter is replaced
(relay.couriers.mailbox does).
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from email.header import Header
from email.utils import format_datetime

from certs.model import Fault
from relay.fields import Malformed
from relay.message import scan
from relay.model import Letter

MARK = "[SIGNATURE NON VALIDE]"
SUBJECT_MOST = 200
CRLF = "\r\n"

_WHY: dict[str, tuple[str, str]] = {
    Fault.DIGEST_MISMATCH: (
        "son contenu n'est plus celui qui a été signé",
        "its content is no longer the one that was signed",
    ),
    Fault.BAD_SIGNATURE: ("la signature est fausse", "the signature is wrong"),
    Fault.EXPIRED: ("le certificat du signataire a expiré", "the signer's certificate has expired"),
    Fault.NOT_YET_VALID: (
        "le certificat du signataire n'est pas encore valable",
        "the signer's certificate is not valid yet",
    ),
    Fault.REVOKED: ("le certificat du signataire est révoqué", "the signer's certificate has been revoked"),
    Fault.UNKNOWN_ISSUER: (
        "le certificat du signataire vient d'une autorité inconnue",
        "the signer's certificate comes from an unknown authority",
    ),
    Fault.WRONG_USAGE: (
        "le certificat du signataire n'est pas fait pour signer du courrier",
        "the signer's certificate is not meant for signing mail",
    ),
}
_OTHERWISE = ("sa signature ne peut pas être reconnue", "its signature cannot be recognised")

_TEXT = """\
Cette lettre n'est pas remise telle quelle : {french}.

N'utilisez pas son contenu pour un soin avant d'avoir joint l'expéditeur par un autre moyen.
L'original se trouve ci-joint, tel que nous l'avons reçu (lettre-originale.eml).

Motif technique : {fault}. Référence : {letter}.

--

This letter is not delivered as itself: {english}.

Do not use its content for care before you have reached the sender by another way.
The original is attached as we received it (lettre-originale.eml).

Technical cause: {fault}. Reference: {letter}.
"""


def reason(fault: str) -> tuple[str, str]:
    """Why, in French and in English."""
    return _WHY.get(fault, _OTHERWISE)


def wrap(letter: Letter, original: bytes, recipient: str, hostname: str, at: datetime) -> bytes:
    """The warning letter for one recipient. `original`: as received, without our own fields."""
    boundary = "pli-" + hashlib.sha256(original).hexdigest()[:40]
    parts = (
        _head(letter, original, recipient, hostname, at, boundary),
        f"--{boundary}\r\n".encode(),
        _text(letter),
        f"\r\n--{boundary}\r\n".encode(),
        _enclosed(original),
        f"\r\n--{boundary}--\r\n".encode(),
    )
    return b"".join(parts)


def _head(letter: Letter, original: bytes, recipient: str, hostname: str, at: datetime, boundary: str) -> bytes:
    domain = recipient.rpartition("@")[2]
    subject = Header(_subject(original), "utf-8", header_name="Subject")
    lines = (
        f'From: "Pli" <postmaster@{domain}>',
        f"To: <{recipient}>",
        f"Subject: {subject.encode(linesep=CRLF)}",
        f"Date: {format_datetime(at)}",
        f"Message-ID: <warning.{letter.id}@{hostname}>",
        "Auto-Submitted: auto-generated",  # RFC 3834 §5
        f"X-Pli-Warning: signature-invalid; fault={letter.verdict.fault or 'unknown'}",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/mixed; boundary="{boundary}"',
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _subject(original: bytes) -> str:
    """The mark stands first, so that no rule takes it for an XDM subject."""
    try:
        written = scan(original).subject
    except Malformed:
        written = ""
    readable = "".join(each if each.isprintable() else " " for each in written)
    return f"{MARK} {readable[:SUBJECT_MOST]}".strip()


def _text(letter: Letter) -> bytes:
    french, english = reason(letter.verdict.fault)
    text = _TEXT.format(french=french, english=english, fault=letter.verdict.fault, letter=letter.id)
    head = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    return (head + text.replace("\n", "\r\n")).encode("utf-8")


def _enclosed(original: bytes) -> bytes:
    encoding = "7bit" if original.isascii() else "8bit"  # RFC 2046 §5.2.1: no other is allowed
    head = (
        "Content-Type: message/rfc822\r\n"
        f"Content-Transfer-Encoding: {encoding}\r\n"
        'Content-Disposition: attachment; filename="lettre-originale.eml"\r\n\r\n'
    )
    return head.encode() + original

"""The warning letter: how a letter whose signature fails, or for whose content nobody vouches (EFAIL), reaches its
reader, "not as itself, and marked".

Promises: it is ours, from our postmaster; its Subject and X-Pli-Warning say what it is; it says why in
French, then in English; the original is inside as message/rfc822, byte for byte; it is automatic mail, so
that nothing in it is ever filed or answered by itself. Does not: decide which letter is replaced
(relay.couriers does), nor render anything: what is shown of an unauthenticated letter is its plain text.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from email.header import Header
from email.utils import format_datetime

from certs.model import Fault
from relay.fields import Malformed
from relay.message import scan
from relay.model import Letter

AS_WARNING, AS_TEXT = "warning-letter", "text-only"
"""Notes of a Done."""
MARK = "[SIGNATURE NON VALIDE]"
MARK_TEXT_ONLY = "[CONTENU NON GARANTI]"
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


_UNAUTHENTICATED = """\
Cette lettre chiffrée n'est pas remise telle quelle : rien ne garantit que son contenu n'a pas été changé en route.

N'utilisez pas son contenu pour un soin avant d'avoir joint l'expéditeur par un autre moyen. Seul son texte est
montré ci-dessous ; l'original chiffré se trouve ci-joint, tel que nous l'avons reçu (lettre-originale.eml).

Référence : {letter}.

--

This encrypted letter is not delivered as itself: nothing guarantees that its content was not changed on the way.

Do not use its content for care before you have reached the sender by another way. Only its text is shown below;
the encrypted original is attached as we received it (lettre-originale.eml).

Reference: {letter}.

----- Texte de la lettre / Text of the letter -----

{text}
"""
_NO_TEXT = "(aucun texte / no text)"


@dataclass(frozen=True)
class Cause:
    """Why a letter is replaced by a warning letter, and what that says."""

    mark: str
    """Stands first in its Subject."""
    name: str
    """X-Pli-Warning."""
    text: str = field(repr=False)
    note: str
    """Of its delivery."""


def failed_signature(letter: Letter) -> Cause:
    french, english = reason(letter.verdict.fault)
    text = _TEXT.format(french=french, english=english, fault=letter.verdict.fault, letter=letter.id)
    name = f"signature-invalid; fault={letter.verdict.fault or 'unknown'}"
    return Cause(MARK, name, text, AS_WARNING)


def unauthenticated(letter: Letter, text: str) -> Cause:
    """`text`: the plain text of the letter; empty if it has none."""
    filled = _UNAUTHENTICATED.format(letter=letter.id, text=text.replace("\r\n", "\n") or _NO_TEXT)
    return Cause(MARK_TEXT_ONLY, "content-unauthenticated", filled, AS_TEXT)


def reason(fault: str) -> tuple[str, str]:
    """Why, in French and in English."""
    return _WHY.get(fault, _OTHERWISE)


def wrap(letter: Letter, what: Cause, original: bytes, recipient: str, hostname: str, at: datetime) -> bytes:
    """The warning letter for one recipient. `original`: as received, without our own fields."""
    boundary = "pli-" + hashlib.sha256(original).hexdigest()[:40]
    headed = (*_who(letter, recipient, hostname), *_what(what, original, at, boundary))
    parts = (
        ("\r\n".join(headed) + "\r\n\r\n").encode("utf-8"),  # the recipient may be (RFC 6532)
        f"--{boundary}\r\n".encode(),
        _text(what),
        f"\r\n--{boundary}\r\n".encode(),
        _enclosed(original),
        f"\r\n--{boundary}--\r\n".encode(),
    )
    return b"".join(parts)


def _who(letter: Letter, recipient: str, hostname: str) -> tuple[str, ...]:
    domain = recipient.rpartition("@")[2]
    return (
        f'From: "Pli" <postmaster@{domain}>',
        f"To: <{recipient}>",
        f"Message-ID: <warning.{letter.id}@{hostname}>",
    )


def _what(what: Cause, original: bytes, at: datetime, boundary: str) -> tuple[str, ...]:
    subject = Header(_subject(what.mark, original), "utf-8", header_name="Subject")
    return (
        f"Subject: {subject.encode(linesep=CRLF)}",
        f"Date: {format_datetime(at)}",
        "Auto-Submitted: auto-generated",  # RFC 3834 §5
        f"X-Pli-Warning: {what.name}",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/mixed; boundary="{boundary}"',
    )


def _subject(mark: str, original: bytes) -> str:
    """The mark stands first, so that no rule takes it for an XDM subject."""
    try:
        written = scan(original).subject
    except Malformed:
        written = ""
    readable = "".join(each if each.isprintable() else " " for each in written)
    return f"{mark} {readable[:SUBJECT_MOST]}".strip()


def _text(what: Cause) -> bytes:
    """In base64: no line of a stranger's text is a delimiter, or too long."""
    head = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    text = base64.encodebytes(what.text.replace("\n", "\r\n").encode("utf-8", "replace"))
    return head.encode() + text.replace(b"\n", b"\r\n")


def _enclosed(original: bytes) -> bytes:
    encoding = "7bit" if original.isascii() else "8bit"  # RFC 2046 §5.2.1: no other is allowed
    head = (
        "Content-Type: message/rfc822\r\n"
        f"Content-Transfer-Encoding: {encoding}\r\n"
        'Content-Disposition: attachment; filename="lettre-originale.eml"\r\n\r\n'
    )
    return head.encode() + original

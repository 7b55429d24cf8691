"""A letter encrypted for one of our mailboxes, opened: what its reader is shown, and on whose word.

Promises: only an entity that is the whole letter is opened, never a part beside others (EFAIL); what opened without
authentication (CBC) and without a valid signature over all of it is shown as text only; what does not open has one
answer, whatever the cause (format oracles, USENIX Security 2023), and stays as it came. Does not: hold a key (openers
do), deliver, file, or tell the sender anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from certs import envelope
from certs.chain import TrustStore
from certs.envelope import Opened
from certs.keys import KeeperRefused
from certs.model import Fault, Untrusted
from certs.openers import Opener
from relay import canonical, coverage, line_ends, protected, smime
from relay import message as mime
from relay.fields import Field, Malformed, block_end, parameters, read_block
from relay.message import OWN_FAMILY, Message, Part, scan
from relay.model import SignatureState, Verdict

TEXT_MOST = 256 * 1024
"""Bytes of the text that is shown of a letter which nobody vouches for."""
# Of those that Python knows, some cost minutes or fail in ways of their own
_CHARSET = re.compile(r"utf-8|us-ascii|iso-8859-(?:[1-9]|1[013456])|windows-125[0-8]|cp125[0-8]")
_HIDES = coverage.PKCS7 | {"multipart/signed", "application/octet-stream"}


class Shown(StrEnum):
    """How an encrypted letter reaches its reader."""

    OPENED = "opened"
    TEXT_ONLY = "text-only"
    """EFAIL: anybody on the way may have changed it."""
    CLOSED = "not-opened"


@dataclass(frozen=True)
class Opening:
    shown: Shown
    letter: bytes = field(repr=False)
    """What is delivered or, if it is shown as text only, what is to be kept from every renderer."""
    verdict: Verdict
    """Of the opened letter; that of the closed one where it stayed closed."""
    algorithm: str = ""
    """Of the content: 'aes-256-gcm'."""
    text: str = field(default="", repr=False)
    """Of a letter shown as text only."""


def may_be_encrypted(raw: bytes) -> bool:
    """Whether the outermost block lets an encrypted letter be inside: nothing else of the letter is read."""
    end, _ = block_end(raw, 0, len(raw))
    try:
        fields, _ = read_block(raw, 0, end)
        said = next((each.text for each in fields if each.name.lower() == "content-type"), "")
        kind = parameters(said)[0]
        # what is no type at all is read as octets (relay.message), and a name may then say what they are
        return kind in _HIDES or (bool(kind) and "/" not in kind)
    except Malformed:
        return False


def opened(
    message: Message, closed: Verdict, openers: Sequence[Opener], store: TrustStore, at: datetime
) -> Opening | None:
    """The letter as its reader will have it; None where it is not encrypted to any of these openers.

    `closed`: the verdict of entry; where a signature around the closed letter fails, it is left to that verdict.
    Raises KeeperDown where the keeper cannot be reached: nothing is known then.
    """
    part = coverage.encrypted(message)
    if part is None or not openers or closed.signature is SignatureState.INVALID:
        return None
    try:
        answer = envelope.decrypt(part.decode(), openers)
    except KeeperRefused:  # a key that was taken away meanwhile
        return _closed(message, closed)
    if isinstance(answer, Untrusted) and answer.fault is Fault.NOT_FOR_US:
        return None
    return _read(message, closed, answer, store, at) if isinstance(answer, Opened) else _closed(message, closed)


def _closed(message: Message, closed: Verdict) -> Opening:
    told = replace(closed, findings=tuple(dict.fromkeys((*closed.findings, "smime.not-opened"))))
    return Opening(Shown.CLOSED, message.raw, told)


def _read(message: Message, closed: Verdict, answer: Opened, store: TrustStore, at: datetime) -> Opening:
    content = _strict(answer.content)
    if content is None:
        return _closed(message, closed)
    try:
        letter = scan(_letter(message, scan(content)))
        verdict = _judged(letter, message, scan(content), store, at)
    except Malformed:
        return _closed(message, closed)
    verdict = replace(verdict, automatic=mime.automatic(letter, null_sender=False) or closed.automatic)
    if may_be_rendered(answer, verdict):
        return Opening(Shown.OPENED, letter.raw, verdict, answer.algorithm)
    return Opening(Shown.TEXT_ONLY, message.raw, _distrusted(verdict), answer.algorithm, text_of(letter))


def may_be_rendered(answer: Opened, verdict: Verdict) -> bool:
    """EFAIL (CVE-2017-17688, -17689): the cipher vouches for the content, or a signature over all of it does."""
    return answer.authenticated or verdict.signature is SignatureState.VALID


def _distrusted(verdict: Verdict) -> Verdict:
    return replace(verdict, findings=(*verdict.findings, "smime.unauthenticated"))


def _judged(letter: Message, outer: Message, inner: Message, store: TrustStore, at: datetime) -> Verdict:
    """The signature inside, and what the inner header protects (RFC 9788) beside what stood outside."""
    verdict = smime.judge(letter, store, at)
    inside = protected.of(outer, inner.root)
    findings = dict.fromkeys((*verdict.findings, *inside.findings, *letter.defects))
    verdict = replace(verdict, findings=tuple(findings))
    if verdict.signature is SignatureState.VALID and "From" in inside.differing:
        return replace(verdict, signature=SignatureState.PARTIAL, signer=None, fault="header.differs:From")
    return verdict


def _strict(content: bytes) -> bytes | None:
    """RFC 8551 §3.1: what was encrypted had CRLF line ends. What has not is put into 7-bit form where nothing signed
    stands in the way; a letter that no server would take is none, or its refusal would be an answer."""
    if line_ends.are_whole(content):
        return content
    try:
        repaired = canonical.content(scan(content))
    except Malformed:
        return None
    return repaired if line_ends.are_whole(repaired) else None


def _letter(outer: Message, inner: Message) -> bytes:
    """The header as it stood outside, with the inner entity as its content. Inner fields that are not Content-* are
    never moved outside (CVE-2026-27443): protected ones are compared, not believed."""
    kept = [each for each in outer.headers if not each.name.lower().startswith(("content-", OWN_FAMILY))]
    told = [each for each in inner.headers if each.name.lower().startswith("content-")]
    version = [] if outer.values("MIME-Version") else [b"MIME-Version: 1.0\r\n"]
    lines = [*(_line(outer, each) for each in kept), *version, *(_line(inner, each) for each in told)]
    return b"".join((*lines, b"\r\n", inner.root.body))


def letter_of(sealed: bytes, content: bytes) -> bytes:
    """The opened letter of a sealed one and what was decrypted from it. Raises Malformed. Judges nothing."""
    return _letter(scan(sealed), scan(content))


def _line(message: Message, each: Field) -> bytes:
    return message.raw[each.span[0] : each.span[1]]


# --- text only ----------------------------------------------------------------------------------------------


def text_of(message: Message) -> str:
    """The first text/plain of a letter, and nothing that could be drawn, followed or run: printable characters and
    line ends, up to TEXT_MOST. Empty where it has none."""
    for part in message.parts:
        if part.type == "text/plain" and part.disposition != "attachment":
            return _plain(part)
    return ""


def _plain(part: Part) -> str:
    try:
        data = part.decode()[:TEXT_MOST]
    except Malformed:
        return ""
    charset = part.params.get("charset", "utf-8").lower()
    text = data.decode(charset if _CHARSET.fullmatch(charset) else "utf-8", "replace")
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join("".join(each if each.isprintable() else " " for each in line) for line in lines)

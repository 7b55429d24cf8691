"""Trace fields: the lines that we put on top of a letter (RFC 5321 §4.4), and the loops that they show.

Promises: what the other end said is printable ASCII before it enters a field; no recipient is named, since a
recipient may be a patient's identity. Does not: touch the letter's own bytes.
"""

from __future__ import annotations

import re
from email.utils import format_datetime

from relay.message import Message
from relay.model import Door, Envelope

HOPS_MOST = 50
"""Received fields of a letter that is going in circles (RFC 5321 §6.3)."""

_UNSAID = re.compile(r"[^A-Za-z0-9.:\-_]")
# RFC 3848: S for TLS, A for authenticated; RFC 6531 §3.7.3: UTF8SMTP where SMTPUTF8 was asked
_WITH = {Door.PEER: ("ESMTPS", "UTF8SMTPS"), Door.SUBMISSION: ("ESMTPSA", "UTF8SMTPSA")}


def received(envelope: Envelope, hostname: str) -> str:
    """One Received field, CRLF lines."""
    stamp = f"id {envelope.id};\r\n\t{format_datetime(envelope.received_at)}\r\n"
    if envelope.door not in _WITH:
        return f"Received: by {hostname} (Pli, {envelope.door.value}) {stamp}"
    proof = envelope.proof
    if envelope.proof.neighbour:  # no session, hence no protocol to name
        return f"Received: from {_said(envelope.proof.helo)} (Pli, neighbour)\r\n\tby {hostname} (Pli) {stamp}"
    helo, client = _said(proof.helo) or "unknown", _said(proof.client) or "unknown"
    tls = f"\r\n\t(using {' '.join(map(_said, proof.tls.split()))})" if proof.tls else ""
    with_ = f"by {hostname} (Pli) with {_WITH[envelope.door][envelope.utf8]}"
    return f"Received: from {helo} ([{client}]){tls}\r\n\t{with_} {stamp}"


def _said(text: str) -> str:
    return _UNSAID.sub("", text)[:120]


def is_looping(message: Message) -> bool:
    return len(message.values("Received")) > HOPS_MOST

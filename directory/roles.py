"""Who may do what in the directory: the roles of those who keep it, in one table.

Promises: `permitted` is asked by directory.desk before anything goes to the server, and the server's own rules
(directory.access) say the same again: either is enough to refuse. Does not: know who is logged in, or speak LDAP.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    REGION = "region"
    """Keeps the whole directory."""
    ESTABLISHMENT = "establishment"
    """Keeps what is its establishment's, and sees nothing else."""
    DELEGATE = "delegate"
    """Follows adoption (spec/directory.md §1.1 A10): how many mailboxes of which kind are where, of nobody by name."""
    SUPPORT = "support"
    """The help desk: sees who is who, changes nothing."""


class Act(StrEnum):
    SEE = "see"
    COUNT = "count"
    """Kinds, places and states of mailboxes, without a name or an address."""
    CREATE = "create"
    CHANGE = "change"
    """A text of an entry: service, town, display name."""
    SUSPEND = "suspend"
    RESUME = "resume"
    CLOSE = "close"
    RED_LIST = "red-list"
    MERGE = "merge"
    IMPORT = "import"
    """What a source says of everybody."""
    PUBLISH = "publish"
    """Towards the national directory."""


@dataclass(frozen=True)
class Actor:
    """A person who keeps the directory, and as what."""

    name: str
    role: Role
    establishment: str = ""
    """Of Role.ESTABLISHMENT: its name below access.TENANTS."""


_ALL = frozenset(Act)
_MAY = {
    Role.REGION: _ALL,
    # Who is one across establishments, and what a source says of all, is no establishment's to say.
    Role.ESTABLISHMENT: _ALL - {Act.MERGE, Act.IMPORT},
    Role.DELEGATE: frozenset({Act.COUNT}),
    Role.SUPPORT: frozenset({Act.SEE}),
}


class NotYours(Exception):
    """Refused by role; the text is for people."""

    def __init__(self, actor: Actor, act: Act, establishment: str) -> None:
        where = f" ({establishment})" if establishment else ""
        super().__init__(f"{actor.name}, as {actor.role}, may not {act}{where}")
        self.actor, self.act = actor, act


def permitted(actor: Actor, act: Act, establishment: str) -> bool:
    """May he do this to what is that establishment's? Empty: to what is the region's."""
    if act not in _MAY[actor.role]:
        return False
    return actor.role is not Role.ESTABLISHMENT or actor.establishment == establishment

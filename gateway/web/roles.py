"""Who may open what: the roles of people, and the one table row that each page is.

Promises: a page without a role is open to nobody unless it says that it is public; the rule is `allowed`, asked in one
place (gateway.web.guard). Does not: know sessions or pages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from starlette.responses import Response

SMALL = 64 * 1024
"""Octets of a form without a file."""


class Role(StrEnum):
    """What a person may be here; one person may have several."""

    PROFESSIONAL = "professional"
    """Whoever has an account: his own letters."""
    ESTABLISHMENT = "establishment-admin"
    DIRECTORY = "directory-admin"
    DELEGATE = "delegate"
    IDENTITY = "identity"
    """Says whose a document is (identitovigilance): sees patients' identities, each look journalled."""
    OPERATOR = "operator"
    """Runs the node: no content."""
    SUPPORT = "support"
    """Answers 'where is my letter', without content, each look-up audited."""


Page = Callable[[Any], Awaitable[Response]]
"""Takes a gateway.web.visits.Visit."""
Keeps = Callable[[Any], object]
"""Takes a visit with its form."""


@dataclass(frozen=True)
class Face:
    """One row of the table: a path, what answers, and who may open it."""

    path: str
    page: Page
    roles: frozenset[Role] = frozenset()
    methods: tuple[str, ...] = ("GET",)
    public: bool = False
    """Open to who is not signed in."""
    quiet: bool = False
    """Asked by the page itself, again and again: it keeps no session awake."""
    beside: bool = False
    """Served at the port that asks for certificates, and nowhere else; its form stands on a page of the usual port."""
    upload: bool = False
    """Its form brings files."""
    keeps: Keeps | None = None
    """What is kept of a form that comes when its session is locked: kept, and nothing done."""
    large: bool = False
    """The file is a source's of the directory: far larger than what a letter may hold."""
    menu: str = ""
    """Key of the sentence under which it stands in the menu; empty: it does not."""


def allowed(face: Face, roles: frozenset[Role]) -> bool:
    """May somebody with these roles open this page?"""
    return face.public or bool(face.roles & roles)

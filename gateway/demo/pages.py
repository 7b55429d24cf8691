"""The pages of the demo: where they are, who signs in, and the one-time code of the moment.

Promises: roles and secrets lie where a real node keeps them (gateway.web.people), readable by its owner alone. Does
not: serve, or exist outside the demo: a real node's secrets are shown once, by `pli account code`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.accounts import Accounts
from gateway.demo.cast import LILAS, PASSWORD, RADIOLOGIST, SURGEON
from gateway.web.people import People
from gateway.web.roles import Role

if TYPE_CHECKING:
    from gateway.demo.stage import Seat

KEEPER = f"exploitation@{LILAS}"
"""Runs the first operator's node and keeps the region's directory; has no mailbox in the directory."""
ROLES: Mapping[str, frozenset[Role]] = {
    str(RADIOLOGIST.address): frozenset({Role.IDENTITY}),
    str(SURGEON.address): frozenset({Role.IDENTITY}),
    KEEPER: frozenset({Role.OPERATOR, Role.SUPPORT, Role.DIRECTORY}),
}
"""What each may be beside a professional."""
SAID: Mapping[str, str] = {
    str(RADIOLOGIST.address): "écrit, suit ses lettres, dit de qui est un document",
    KEEPER: "tient le nœud et l'annuaire, cherche où est une lettre",
}
"""Of the first operator's pages."""


def section(seat: Seat) -> dict[str, object]:
    """[web] of a node on the stage."""
    return {"port": seat.ports.pages, "imap_port": seat.ports.imaps, "imap_name": seat.who.hostname}


def address(seat: Seat) -> str:
    """Its certificate bears the name, which no name server knows."""
    return f"https://{seat.who.hostname}:{seat.ports.pages}"


def admit(seat: Seat) -> None:
    """Gives those of this operator their roles and a secret."""
    people = _people(seat.folder)
    for login, roles in ROLES.items():
        if login.endswith(f"@{seat.who.domain}"):
            people.give(login, roles)
            people.enrol(login)
    if KEEPER.endswith(f"@{seat.who.domain}"):
        Accounts(seat.accounts).add(KEEPER, PASSWORD)


def code(home: Path, login: str, at: datetime) -> str:
    """Six digits; each counts once. `home`: the operator's folder; `login` is one of ROLES."""
    return _people(home).code(login, at)


def _people(home: Path) -> People:
    (home / "data").mkdir(mode=0o700, exist_ok=True)
    return People(home / "data" / "people.json")

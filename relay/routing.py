"""Which courier serves a recipient, and the rule that chose it (design §4, Modes).

Promises: rules are a table, asked in order; each answers a route, a refusal, or nothing; the first that
answers counts and its name is kept, so that `pli explain` can say why. Does not: look anything up; everything
is handed over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from directory.model import Address
from relay.model import Addressee, Mode, Reason, Route

LMTP = "lmtp"


class Listed(Protocol):
    """What routing asks of the white list (relay.partners.WhiteList)."""

    def lists(self, domain: str) -> bool: ...


@dataclass(frozen=True)
class Node:
    """Who we are: what the wiring knows and every letter needs."""

    tenant: str
    domains: frozenset[str]
    """Mail domains whose mailboxes are here, lower-case A-labels."""
    hostname: str
    """Said in trace fields and notices."""
    name: str = ""

    def serves(self, address: Address) -> bool:
        return address.domain in self.domains


Answer: TypeAlias = Route | Reason | None
Rule: TypeAlias = Callable[[Addressee, Listed, Node], Answer]


def _mailbox_here(addressee: Addressee, white_list: Listed, node: Node) -> Answer:
    return Route(Mode.MAILBOX, LMTP, "mailbox-here") if node.serves(addressee.address) else None


def _outside(addressee: Addressee, white_list: Listed, node: Node) -> Answer:
    return None if white_list.lists(addressee.address.domain) else Reason.NOT_LISTED


def _patient_space(addressee: Addressee, white_list: Listed, node: Node) -> Answer:
    """Mon espace santé expects the archive as a plain attachment (spec/operator.md §7)."""
    plain = Route(Mode.PEER_PLAIN, addressee.address.domain, "patient-space-plain")
    return plain if addressee.address.is_patient else None


def _declined_signature(addressee: Addressee, white_list: Listed, node: Node) -> Answer:
    declined = addressee.entry is not None and addressee.entry.capabilities.smime is False
    return Route(Mode.PEER_PLAIN, addressee.address.domain, "signature-declined") if declined else None


def _signed(addressee: Addressee, white_list: Listed, node: Node) -> Answer:
    return Route(Mode.PEER_SIGNED, addressee.address.domain, "signed-by-default")


RULES: tuple[tuple[str, Rule], ...] = (
    ("mailbox-here", _mailbox_here),
    ("domain-not-listed", _outside),
    ("patient-space-plain", _patient_space),
    ("signature-declined", _declined_signature),
    ("signed-by-default", _signed),
)
"""Factory policy. The last one always answers."""


def route(addressee: Addressee, white_list: Listed, node: Node) -> Route | Reason:
    for _, rule in RULES:
        answer = rule(addressee, white_list, node)
        if answer is not None:
            return answer
    return Reason.NO_ROUTE


def explain(addressee: Addressee, white_list: Listed, node: Node) -> tuple[tuple[str, Answer], ...]:
    """Every rule asked, in order, with its answer; the last one decided."""
    asked: list[tuple[str, Answer]] = []
    for name, rule in RULES:
        asked.append((name, rule(addressee, white_list, node)))
        if asked[-1][1] is not None:
            break
    return tuple(asked)

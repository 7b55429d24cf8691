"""Which courier serves a recipient, and the rule that chose it (design §4, Modes).

Promises: rules are a table, asked in order; each answers a route, a refusal, or nothing; the first that
answers counts and its name is kept, so that `pli explain` can say why. Where policy asks for encryption no rule answers
with anything less. Does not: look anything up; everything is handed over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from directory.model import Address, Kind
from relay.certificates import NONE, Usable
from relay.model import Addressee, Mode, Reason, Route
from relay.policy import FACTORY_BOOK, Wanted

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


@dataclass(frozen=True)
class Terms:
    """On which terms a letter goes to this recipient."""

    wanted: Wanted = field(default_factory=lambda: FACTORY_BOOK.wanted(None, None))
    usable: Usable = NONE
    """To what it could be encrypted."""
    encrypted: bool = False
    """By its author already, whole."""
    notice: bool = False
    """Made of our own words, without content: signed, never encrypted."""

    def encrypting(self, how: str) -> bool:
        return not self.notice and self.wanted["encrypt"] == how


FACTORY = Terms()
Answer: TypeAlias = Route | Reason | None


@dataclass(frozen=True)
class Case:
    """What a rule may look at."""

    addressee: Addressee
    white_list: Listed
    node: Node
    terms: Terms

    def by(self, mode: Mode, rule: str) -> Route:
        return Route(mode, self.addressee.address.domain, rule)

    @property
    def declined(self) -> bool:
        """The mailbox said that it takes no S/MIME."""
        return self.addressee.entry is not None and self.addressee.entry.capabilities.smime is False


# --- the rules ------------------------------------------------------------------------------------------------


def _mailbox_here(case: Case) -> Answer:
    return Route(Mode.MAILBOX, LMTP, "mailbox-here") if case.node.serves(case.addressee.address) else None


def _outside(case: Case) -> Answer:
    return None if case.white_list.lists(case.addressee.address.domain) else Reason.NOT_LISTED


def _encrypted_by_author(case: Case) -> Answer:
    return case.by(Mode.PEER_ENCRYPTED, "encrypted-by-author") if case.terms.encrypted else None


def _not_taken(case: Case) -> Answer:
    asked = case.terms.encrypting("always")
    return Reason.ENCRYPTION_NOT_TAKEN if asked and (case.addressee.address.is_patient or case.declined) else None


def _patient_space(case: Case) -> Answer:
    """Mon espace santé expects the archive as a plain attachment (spec/operator.md §7)."""
    return case.by(Mode.PEER_PLAIN, "patient-space-plain") if case.addressee.address.is_patient else None


def _encrypt_always(case: Case) -> Answer:
    """Without a certificate the recipient is refused or waits; while nobody can tell, he waits. Never less."""
    if not case.terms.encrypting("always"):
        return None
    usable, waits = case.terms.usable, case.terms.wanted["without_certificate"] == "wait"
    if usable.certificates or usable.unsure or waits:
        return case.by(_encrypted(case), "encrypt-always")
    return Reason.NO_CERTIFICATE


def _encrypt_when_possible(case: Case) -> Answer:
    possible = case.terms.encrypting("when-possible") and case.terms.usable.certificates and not case.declined
    return case.by(_encrypted(case), "encrypt-when-possible") if possible and not _needs_archive(case) else None


def _needs_archive(case: Case) -> bool:
    """An applicative mailbox looks for IHE_XDM.zip (spec/payload.md §1.3), unless it says that it reads S/MIME."""
    entry = case.addressee.entry
    return entry is not None and entry.kind is Kind.APP and entry.capabilities.smime is not True


def _encrypted(case: Case) -> Mode:
    """What we encrypt is signed first, whatever `sign` says: a cipher alone names no author."""
    sealed = case.terms.wanted["sign"] == "establishment"
    return Mode.PEER_SEALED_ENCRYPTED if sealed else Mode.PEER_ENCRYPTED


def _declined_signature(case: Case) -> Answer:
    return case.by(Mode.PEER_PLAIN, "signature-declined") if case.declined else None


def _sign_none(case: Case) -> Answer:
    return case.by(Mode.PEER_PLAIN, "sign-none") if case.terms.wanted["sign"] == "none" else None


def _sign_establishment(case: Case) -> Answer:
    sealed = case.terms.wanted["sign"] == "establishment"
    return case.by(Mode.PEER_SEALED, "sign-establishment") if sealed else None


def _signed(case: Case) -> Answer:
    return case.by(Mode.PEER_SIGNED, "signed-by-default")


@dataclass(frozen=True)
class Rule:
    name: str
    ask: Callable[[Case], Answer]
    keys: tuple[str, ...] = ()
    """Of policy, that it looks at."""


RULES: tuple[Rule, ...] = (
    Rule("mailbox-here", _mailbox_here),
    Rule("domain-not-listed", _outside),
    Rule("encrypted-by-author", _encrypted_by_author),
    Rule("encryption-not-taken", _not_taken, ("encrypt",)),
    Rule("patient-space-plain", _patient_space),
    Rule("encrypt-always", _encrypt_always, ("encrypt", "without_certificate", "sign")),
    Rule("encrypt-when-possible", _encrypt_when_possible, ("encrypt", "sign")),
    Rule("signature-declined", _declined_signature),
    Rule("sign-none", _sign_none, ("sign",)),
    Rule("sign-establishment", _sign_establishment, ("sign",)),
    Rule("signed-by-default", _signed, ("sign",)),
)
"""The last one always answers."""


def route(addressee: Addressee, white_list: Listed, node: Node, terms: Terms = FACTORY) -> Route | Reason:
    case = Case(addressee, white_list, node, terms)
    for rule in RULES:
        answer = rule.ask(case)
        if answer is not None:
            return answer
    return Reason.NO_ROUTE


def explain(
    addressee: Addressee, white_list: Listed, node: Node, terms: Terms = FACTORY
) -> tuple[tuple[Rule, Answer], ...]:
    """Every rule asked, in order, with its answer; the last one decided."""
    case = Case(addressee, white_list, node, terms)
    asked: list[tuple[Rule, Answer]] = []
    for rule in RULES:
        asked.append((rule, rule.ask(case)))
        if asked[-1][1] is not None:
            break
    return tuple(asked)

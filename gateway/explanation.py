"""Why an address would be served as it would: every rule asked, with the value of policy that it looked at and where
that value comes from.

Promises: asks what the gate asks (relay.gate), in the same order; a patient's address is not repeated. Does not: send
or change anything, nor look into a letter: size, signature and objections are known only with one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from directory import address
from directory.model import Address, DirectoryDown, Entry, Found
from gateway import app, rule_sentences
from gateway.config import Settings
from gateway.doors import replies
from relay import gate, routing
from relay.intake import Intake
from relay.model import Addressee, Reason, Route
from relay.policy import FACTORY_WROTE, Level, Line, Wanted

QUESTIONS: dict[str, tuple[str, str]] = {
    "mailbox-here": ("une boîte de ce nœud ?", "a mailbox of this node?"),
    "domain-not-listed": ("hors de la liste blanche ?", "outside the white list?"),
    "encrypted-by-author": ("déjà chiffrée par son auteur ?", "encrypted by its author already?"),
    "encryption-not-taken": (
        "chiffrement exigé, et jamais accepté là-bas ?",
        "encryption required, and never taken there?",
    ),
    "patient-space-plain": ("la messagerie d'un patient ?", "a patient's mailbox?"),
    "encrypt-always": ("chiffrement exigé ?", "encryption required?"),
    "encrypt-when-possible": (
        "chiffrement souhaité, et un certificat utilisable ?",
        "encryption wished, and a certificate that can be used?",
    ),
    "signature-declined": ("une boîte qui refuse les signatures ?", "a mailbox that declined signatures?"),
    "sign-none": ("sans signature ?", "without a signature?"),
    "sign-establishment": ("scellé par l'établissement ?", "sealed by the establishment?"),
    "signed-by-default": ("sinon, signé", "otherwise signed"),
}
LEVELS: dict[Level, tuple[str, str]] = {
    Level.FACTORY: ("usine", "factory"),
    Level.TENANT: ("établissement", "tenant"),
    Level.DOMAIN: ("domaine", "domain"),
    Level.MAILBOX: ("boîte", "mailbox"),
}


class NotOurs(ValueError):
    """A sender that is no mailbox of this node."""


def explain(settings: Settings, text: str, sender: str, language: str) -> Iterator[str]:
    """One line after another. Raises ValueError on a malformed address, NotOurs."""
    to, entry = address.parse(text), app.intake(settings)
    own = ours(sender, entry.node) if sender else None
    addressee, found = _addressee(entry, to, language)
    wanted = entry.book().wanted(to if entry.node.serves(to) else own, to)
    terms = gate.terms(addressee, wanted, entry.trust(), app.clock())
    yield found
    yield _whose(to if entry.node.serves(to) else own, language)
    for rule, answer in routing.explain(addressee, entry.white_list(), entry.node, terms):
        yield f"  {rule.name}: {_answer(answer, language)}  ({_because(rule, wanted, language)})"
    yield from _certificates(terms, language)
    yield from _beside(addressee, wanted, language)


@dataclass(frozen=True)
class Way:
    """How one recipient would be served, and why."""

    answer: Route | Reason
    because: str
    """Why, for whoever writes: what the rule that decided stands for, and the values of policy that it looked at, each
    with whose it is."""


def way(entry: Intake, addressee: Addressee, own: Address, language: str) -> Way:
    """Of a letter that `own` would send. Raises PolicyDown."""
    to = addressee.address
    wanted = entry.book().wanted(to if entry.node.serves(to) else own, to)
    terms = gate.terms(addressee, wanted, entry.trust(), app.clock())
    rule, answer = routing.explain(addressee, entry.white_list(), entry.node, terms)[-1]
    return Way(answer or Reason.NO_ROUTE, _plainly(rule, wanted, language))


def _plainly(rule: routing.Rule, wanted: Wanted, language: str) -> str:
    why = rule_sentences.why(rule.name, language)
    return "; ".join((why, *(rule_sentences.setting(wanted.lines[key], language) for key in rule.keys)))


def ours(text: str, node: routing.Node) -> Address:
    """A mailbox of this node. Raises NotOurs, or ValueError on a malformed address."""
    named = address.parse(text)
    if not node.serves(named):
        raise NotOurs(f"{text} is no mailbox of this node")
    return named


def _addressee(entry: Intake, where: Address, language: str) -> tuple[Addressee, str]:
    if where.is_patient:
        return Addressee(where), "patient.mssante.fr"
    answer = entry.directory.find(where)
    if isinstance(answer, Found):
        return Addressee(where, answer.entry), _described(answer.entry)
    if isinstance(answer, DirectoryDown):
        return Addressee(where), replies.sentence(Reason.DIRECTORY_DOWN, language)
    reason = Reason.RECIPIENT_CLOSED if answer.closed else Reason.UNKNOWN_RECIPIENT
    return Addressee(where), replies.sentence(reason, language)


def _described(entry: Entry) -> str:
    words = (entry.display_name, entry.kind.value, entry.specialty, entry.structure, entry.town)
    return ", ".join(word for word in words if word) + f" ({entry.provenance.source} {entry.provenance.dn})"


def _whose(own: Address | None, language: str) -> str:
    if own is None:
        return {"fr": "règles de l'établissement (sans --from)", "en": "the tenant's policy (without --from)"}[language]
    return {"fr": f"règles de {own}", "en": f"policy of {own}"}[language]


def _answer(answer: Route | Reason | None, language: str) -> str:
    if answer is None:
        return "-"
    if isinstance(answer, Route):
        return f"{answer.mode.value} → {answer.target}"
    return f"{answer.value} : {replies.sentence(answer, language)}"


def _because(rule: routing.Rule, wanted: Wanted, language: str) -> str:
    french, english = QUESTIONS[rule.name]
    values = (said(wanted.lines[key], language) for key in rule.keys)
    return "; ".join((french if language == "fr" else english, *values))


def said(line: Line, language: str) -> str:
    """A value with where it comes from."""
    return f"{line.key} = {line.value}, {origin(line, language)}"


def origin(line: Line, language: str) -> str:
    level = " ".join(filter(None, (LEVELS[line.level][language != "fr"], line.holder)))
    if line.by == FACTORY_WROTE:
        return level
    when = f" {line.at:%Y-%m-%d %H:%M} UTC" if line.at else ""
    return f"{level}, {line.by}{when}"


def _certificates(terms: routing.Terms, language: str) -> Iterator[str]:
    good, bad = {"fr": ("utilisable", "écarté"), "en": ("usable", "set aside")}[language]
    for each in terms.usable.judged:
        kind = "certificat" if language == "fr" else "certificate"
        yield f"  {kind} {each.fingerprint[:16]}: {f'{bad}, {each.fault}' if each.fault else good}"


def _beside(addressee: Addressee, wanted: Wanted, language: str) -> Iterator[str]:
    """What does not choose the mode, and counts all the same."""
    yield f"  {said(wanted.lines['max_bytes'], language)}"
    if addressee.entry and (most := addressee.entry.capabilities.max_bytes):
        told = {"fr": "au plus {} octets, dit l'annuaire", "en": "at most {} bytes, the directory says"}
        yield f"  {told[language].format(most)}"
    if addressee.address.is_patient:
        yield f"  {said(wanted.lines['patient_ins'], language)}"
    yield f"  {said(wanted.lines['receipt'], language)}"

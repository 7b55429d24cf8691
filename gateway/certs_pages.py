"""What `pli certs` shows to people: an answer, line by line, in French or English.

Promises: the first line is the answer; names in certificates are shown on one line each, without control characters.
Does not: judge (certs_answer), nor look up sentences elsewhere than in certs_words and the timeline.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from certs.envelope import Opened
from certs.model import CannotTell, Trusted, Untrusted
from gateway import timeline
from gateway.certs_answer import Answer, Signed, checks, missing, named_algorithm, word
from gateway.certs_words import ANSWERS, CHECKS, COVERS, FAULTS, HOW, LABELS, MISSING, OPENING, said

_MARKS = {"yes": "+", "no": "-", "cannot-tell": "?", "not-asked": " "}


def explained(answer: Answer, language: str) -> Iterator[str]:
    """The lines of an answer."""
    label = _labels(language)
    head = said(ANSWERS, answer.answer, language)
    yield f"{head} ({label('at')} {answer.at:%Y-%m-%d %H:%M:%S} UTC)"
    if answer.sentence[0] not in ("", "invalid"):
        yield f"  {timeline.signature(*answer.sentence, language)}"
    if answer.fault:
        yield _pair(f"  {label('because')}", said(FAULTS, answer.fault, language), language)
    for each in answer.signed:
        yield from _signed(answer, each, language)
    if answer.findings:
        yield _pair(label("findings"), ", ".join(answer.findings), language)
    for name in missing(answer):
        yield _pair(label("missing"), said(MISSING, name, language), language)


def _labels(language: str) -> Any:
    return lambda name: said(LABELS, name, language)


def _signed(answer: Answer, each: Signed, language: str) -> Iterator[str]:
    trust, proof, label = each.proof.trust, each.proof, _labels(language)
    part = f" {each.part}" if each.part else ""
    covers = COVERS.get((answer.kind.value, each.whole))
    over = f", {covers.said(language)}" if covers and covers.french else ""
    yield _pair(f"{said(HOW, each.how, language)}{part}{over}", said(ANSWERS, word(trust), language), language)
    if trust.identity is not None:
        addresses = f" <{', '.join(trust.identity.addresses)}>" if trust.identity.addresses else ""
        yield _pair(f"  {label('by')}", f"{trust.identity.subject}{addresses}", language)
    if proof.signing_time:
        yield f"  {label('signed-at')} {proof.signing_time:%Y-%m-%d %H:%M:%S} UTC"
    if proof.digest_algorithm:
        used = f"{proof.digest_algorithm}, {named_algorithm(proof.signature_algorithm)}"
        yield _pair(f"  {label('algorithms')}", used, language)
    if isinstance(trust, Trusted):
        yield from _standing_on(trust, language)
    else:
        detail = f" ({trust.detail})" if trust.detail else ""
        yield _pair(f"  {label('because')}", said(FAULTS, trust.fault.value, language) + detail, language)
    yield _pair(f"  {label('checked')}", "", language)
    for name, answered in checks(trust, each.how):
        sentence = _pair(said(CHECKS, name, language), said(ANSWERS, answered, language), language)
        yield f"    {_MARKS[answered]} {sentence} ({name})"


def _standing_on(trust: Trusted, language: str) -> Iterator[str]:
    from certs import identities

    label = _labels(language)
    for place, der in enumerate(trust.evidence.certificates):
        indent = "  " * place
        yield _pair(f"  {label('chain')}", f"{indent}{identities.identity(der).subject}", language)
    for each in trust.evidence.consulted:
        stale = f" ({label('stale')})" if each.stale else ""
        yield _pair(f"  {label('consulted')}", f"{each.kind} {each.name}{stale}", language)


def opened(result: Opened | Untrusted | CannotTell, language: str) -> Iterator[str]:
    """How an encrypted object opened, or why not."""
    if isinstance(result, Opened):
        protected = "authenticated" if result.authenticated else "not-authenticated"
        how = f"{result.algorithm}, {said(OPENING, protected, language)}"
        yield _pair(said(OPENING, "opened", language), how, language)
        return
    detail = f" ({result.detail})" if result.detail else ""
    yield _pair(said(OPENING, "not-opened", language), said(FAULTS, result.fault.value, language) + detail, language)


def _pair(name: str, value: str, language: str) -> str:
    """French sets a space before its colon."""
    return _plain(f"{name}{' :' if language == 'fr' else ':'} {value}".rstrip())


def _plain(line: str) -> str:
    """A certificate's names are a stranger's words: none of them may move the cursor or begin another line."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)

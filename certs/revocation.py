"""Whether a certificate was revoked: what CRLs and OCSP answers at hand say of it.

Promises: three answers. A list or answer counts only when somebody entitled signed it with a strong algorithm, its
scope holds the certificate and nothing in it is critical and unknown (RFC 5280 §6.3, RFC 6960 §3.2). Who is
named on any of them is revoked, even where that one has since gone stale; a certificate is good when lists that are
current, or stale within the grace, cover every reason. A delta changes what its base says and never vouches
alone. Does not: fetch anything, nor build paths: `vouch` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from cryptography import x509
from cryptography.x509 import ocsp as x509_ocsp

from certs import ocsp, scope, serials
from certs.crl import Crl, NameKey, name_key, read
from certs.model import Consulted
from certs.ocsp import Answer
from certs.serials import Serials

__all__ = [
    "NO_PATIENCE",
    "Crl",
    "Crls",
    "Patience",
    "Question",
    "Revocation",
    "Revocations",
    "Standing",
    "Vouch",
    "read",
]

Path: TypeAlias = tuple[x509.Certificate, ...]
Vouch: TypeAlias = Callable[[x509.Certificate], Path | None]
"""The path of a CRL issuer to an anchor: itself first, anchor last; None if there is none. Builds and checks the
path (RFC 5280 §6.1) and nothing more: the standing of those on it is asked here."""


class Standing(StrEnum):
    """What is known of one certificate."""

    GOOD = "good"
    REVOKED = "revoked"
    STALE = "stale"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Revocation:
    """The answer about one certificate."""

    standing: Standing
    crl: str = ""
    """Name of the list or OCSP answer that decided (Consulted.name)."""
    consulted: tuple[Consulted, ...] = ()
    detail: str = ""
    """For operators: why nobody can tell."""


@dataclass(frozen=True)
class Patience:
    """How long old word counts. A policy, not a norm: spec/operator.md §2.2 tells of one operator's four hours."""

    grace: timedelta = timedelta(0)
    """After nextUpdate a list or answer still vouches so long, marked: what is stale is a node's choice."""
    answer_age: timedelta = timedelta(days=7)
    """An OCSP answer older than this is stale, whatever its nextUpdate says: who replays one gains no more."""
    answer_alone: timedelta = timedelta(hours=1)
    """How long an OCSP answer without nextUpdate counts."""


NO_PATIENCE = Patience()


def nobody(_certificate: x509.Certificate) -> Path | None:
    """A `vouch` for which only the chain above a certificate signs its lists."""
    return None


@dataclass(frozen=True)
class Question:
    """One certificate to ask about, and all that is known meanwhile; see Revocations.ask."""

    certificate: x509.Certificate
    issuers: Sequence[x509.Certificate]
    at: datetime
    vouch: Vouch = nobody
    near: Sequence[x509.Certificate] = ()
    within: frozenset[x509.Certificate] = frozenset()
    """Those whose standing is being asked, so that nobody vouches for himself by a detour."""


class Revocations:
    """All CRLs and OCSP answers of one trust store. Built once; asking it changes nothing that a caller can see."""

    def __init__(
        self,
        crls: Iterable[Crl] = (),
        answers: Iterable[Answer] = (),
        patience: Patience = NO_PATIENCE,
        trouble: Callable[[x509.Certificate], str] = lambda _: "",
    ) -> None:
        """`trouble`: what is known of the addresses of a certificate's lists, such as since when they fail."""
        self._lists: dict[NameKey, list[Crl]] = {}
        for crl in sorted(crls, key=lambda crl: crl.this_update, reverse=True):
            self._lists.setdefault(crl.issuer, []).append(crl)
        self._answers: dict[int, list[Answer]] = {}
        for answer in answers:
            for serial in {single.serial for single in answer.singles}:
                self._answers.setdefault(serial, []).append(answer)
        self.patience, self._trouble = patience, trouble

    def __iter__(self) -> Iterator[Crl]:
        """The lists that may be used."""
        return (crl for crls in self._lists.values() for crl in crls if not crl.doubt)

    def ask(
        self,
        certificate: x509.Certificate,
        issuers: Sequence[x509.Certificate],
        at: datetime,
        vouch: Vouch = nobody,
        near: Sequence[x509.Certificate] = (),
    ) -> Revocation:
        """What is known of `certificate` at `at`.

        `issuers`: the chain above it, its issuer first, its anchor last; each of them was asked about before, from
        the anchor down. `near`: certificates at hand, among which the signer of a list may be.
        """
        return self.answer(Question(certificate, issuers, at, vouch, near))

    def answer(self, asked: Question) -> Revocation:
        answers = [self._by_lists(asked), self._by_answers(asked)]
        best = min(answers, key=lambda answer: _FIRM[answer.standing])
        if best.standing in (Standing.GOOD, Standing.REVOKED):
            return best
        details = (answer.detail for answer in answers)
        return replace(best, detail=_sentence(*details, self._trouble(asked.certificate)))

    # --- by OCSP answers --------------------------------------------------------------------------------------------

    def _by_answers(self, asked: Question) -> Revocation:
        found = Revocation(Standing.UNKNOWN)
        for answer in self._answers.get(asked.certificate.serial_number, ()):
            said = self._said(answer, asked)
            found = min(found, said, key=lambda each: _FIRM[each.standing])
        return found

    def _said(self, answer: Answer, asked: Question) -> Revocation:
        issuer = asked.issuers[0]
        single = answer.about(asked.certificate, issuer)
        if single is None or not self.entitled(answer, asked):
            return Revocation(Standing.UNKNOWN)
        name = answer.consulted(single).name
        if single.status is x509_ocsp.OCSPCertStatus.REVOKED:
            return Revocation(Standing.REVOKED, name, (answer.consulted(single),))
        if single.status is not x509_ocsp.OCSPCertStatus.GOOD:
            return Revocation(Standing.UNKNOWN, detail=f"the responder does not know it: {name}")
        until = answer_until(single, self.patience)
        if asked.at > until + self.patience.grace:
            return Revocation(Standing.STALE, name, detail=f"over since {until:%Y-%m-%dT%H:%M:%SZ}: {name}")
        return Revocation(Standing.GOOD, name, (answer.consulted(single, stale=asked.at > until),))

    def entitled(self, answer: Answer, asked: Question) -> bool:
        """The issuer's own key, or its responder's, valid when it answered and itself in good standing."""
        issuer = asked.issuers[0]
        signer = answer.signer_for(issuer)
        if signer is None or signer == issuer:
            return signer is not None
        if not ocsp.valid_at(signer, answer.produced_at) or signer in asked.within:
            return False
        return ocsp.not_to_be_checked(signer) or self._stands(signer, asked.issuers, asked)

    def _stands(self, certificate: x509.Certificate, issuers: Sequence[x509.Certificate], asked: Question) -> bool:
        within = asked.within | {asked.certificate, certificate}
        question = replace(asked, certificate=certificate, issuers=issuers, within=within)
        return self.answer(question).standing is Standing.GOOD

    # --- by lists ---------------------------------------------------------------------------------------------------

    def _by_lists(self, asked: Question) -> Revocation:
        """RFC 5280 §6.3.3: list after list until they cover all reasons or one of them names the certificate."""
        covered, consulted, stale = scope.NONE, list[Consulted](), Revocation(Standing.UNKNOWN)
        done: list[tuple[Crl, x509.Certificate]] = []
        for crl, reasons in self._speaking(asked):
            if (signer := self.signer(crl, asked)) is None or _surpassed(crl, signer, done):
                continue
            done.append((crl, signer))
            told = self._told(crl, self._delta(crl, signer), asked)
            if told.standing is Standing.REVOKED:
                return told
            if told.standing is Standing.STALE:
                stale = told
            elif not reasons <= covered:
                covered |= reasons
                consulted += told.consulted
        if covered == scope.ALL:
            return Revocation(Standing.GOOD, consulted[0].name, tuple(consulted))
        if stale.crl:
            return stale
        return self._orphaned(asked) or Revocation(Standing.UNKNOWN, detail=self._why(asked, covered))

    def _speaking(self, asked: Question) -> Iterator[tuple[Crl, scope.Reasons]]:
        """Complete lists that speak of the certificate at one of its points, newest first, and of which reasons."""
        for point in scope.points(asked.certificate):
            for crl in self._of(asked, point):
                if not crl.delta and not crl.doubt and (reasons := scope.covered(crl, asked.certificate, point)):
                    yield crl, reasons

    def _of(self, asked: Question, point: x509.DistributionPoint | None) -> Iterable[Crl]:
        stated = point.crl_issuer if point is not None else None
        names = scope.named(stated) if stated else {name_key(asked.certificate.issuer)}
        return [crl for name in names for crl in self._lists.get(name, ())]

    def _told(self, crl: Crl, delta: Crl | None, asked: Question) -> Revocation:
        """What one complete list says, together with the delta that follows it."""
        reason, word = named(crl, asked.certificate), crl
        if delta is not None:
            reason, word = changed(reason, crl, delta, asked.certificate)
        consulted = (crl.consulted(),) if delta is None else (crl.consulted(), delta.consulted())
        if reason is not None:
            return Revocation(Standing.REVOKED, word.name, consulted)
        until = list_until(crl, delta)
        if until is None or asked.at > until + self.patience.grace:
            over = f"over since {until:%Y-%m-%dT%H:%M:%SZ}" if until else "without nextUpdate"
            return Revocation(Standing.STALE, crl.name, detail=f"{over}: {crl.name}")
        late = asked.at > until
        return Revocation(Standing.GOOD, crl.name, tuple(replace(each, stale=late) for each in consulted))

    def _delta(self, crl: Crl, signer: x509.Certificate) -> Crl | None:
        """§6.3.3 (c), (h): the newest delta of the same scope, signed by the same key."""
        for delta in self._lists.get(crl.issuer, ()):
            same = delta.delta and not delta.doubt and scope.same(delta, crl) and delta.later_than(crl)
            if same and delta.signed_by(signer):
                return delta
        return None

    def _orphaned(self, asked: Question) -> Revocation | None:
        """A delta that names the certificate, where there is no base for it to follow."""
        for delta in self._of(asked, None):
            speaks = delta.delta and not delta.doubt and scope.covered(delta, asked.certificate, None)
            if speaks and named(delta, asked.certificate) not in (None, serials.REMOVE) and self.signer(delta, asked):
                return Revocation(Standing.REVOKED, delta.name, (delta.consulted(),))
        return None

    # --- who signed a list ------------------------------------------------------------------------------------------

    def signer(self, crl: Crl, asked: Question) -> x509.Certificate | None:
        """Who signed a list, if he may (§6.3.3 (f), (g)): an authority of the chain, else one whom `vouch` knows."""
        for issuer in asked.issuers:
            if name_key(issuer.subject) == crl.issuer and crl.signed_by(issuer):
                return issuer
        near = (each for each in (*asked.near, asked.certificate) if crl.may_be_of(each))
        return next((each for each in near if self._vouched(each, asked) and crl.signed_by(each)), None)

    def _vouched(self, candidate: x509.Certificate, asked: Question) -> bool:
        """Only then is the signature looked at: strangers' certificates cost no more than a path."""
        if candidate == asked.certificate:
            return names_itself(candidate)
        if candidate in asked.within:
            return False
        path = asked.vouch(candidate)
        if not path or path[-1] != asked.issuers[-1]:
            return False
        known = {*asked.issuers, asked.certificate}
        below = [place for place in range(len(path) - 1) if path[place] not in known]
        return all(self._stands(path[place], path[place + 1 :], asked) for place in reversed(below))

    def _why(self, asked: Question, covered: scope.Reasons) -> str:
        name = asked.certificate.issuer.rfc4514_string()
        if covered:
            return f"the lists of {name} do not cover every reason"
        held = self._lists.get(name_key(asked.certificate.issuer), ())
        if not held:
            return f"no list of {name}"
        doubts = [f"{crl.name}: {crl.doubt}" for crl in held if crl.doubt]
        return doubts[0] if doubts else f"no list of {name} speaks of it and is signed by a key that counts"


def _surpassed(crl: Crl, signer: x509.Certificate, done: Iterable[tuple[Crl, x509.Certificate]]) -> bool:
    """A newer list of the same scope was heard. Of the same key: some authorities whose key was renewed keep a list
    for each key, with the certificates of that key only."""
    return any(scope.same(crl, newer) and signer == by for newer, by in done)


Crls = Revocations
_FIRM = {Standing.REVOKED: 0, Standing.GOOD: 1, Standing.STALE: 2, Standing.UNKNOWN: 3}


def _sentence(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


# --- the rules ------------------------------------------------------------------------------------------------------


def named(crl: Crl, certificate: x509.Certificate) -> int | None:
    """The CRLReason under which the list names the certificate, None if it does not (§6.3.3 (i), (j))."""
    reasons = (entries.reason(certificate.serial_number) for entries in _entries_of(crl, certificate.issuer))
    return next((reason for reason in reasons if reason is not None), None)


def _entries_of(crl: Crl, issuer: x509.Name) -> Iterator[Serials]:
    """§5.3.3: in an indirect list an entry is of the list's issuer until one says of whom."""
    wanted = name_key(issuer)
    if crl.issuer == wanted:
        yield crl.serials
    yield from (entries for names, entries in crl.others if wanted in names)


def changed(reason: int | None, crl: Crl, delta: Crl, certificate: x509.Certificate) -> tuple[int | None, Crl]:
    """What a delta makes of what its complete list says, and which of both says it (§5.2.4, §5.3.1).

    A removal ends a hold and nothing else, and only where the delta follows this list; what the delta revokes is
    revoked in any case.
    """
    change = named(delta, certificate)
    if change is None:
        return reason, crl
    if change != serials.REMOVE:
        return change, delta
    lifted = follows(delta, crl) and reason in (None, serials.HOLD)
    return (None, delta) if lifted else (reason, crl)


def follows(delta: Crl, crl: Crl) -> bool:
    """§5.2.4 (c), (d): the list is the delta's base or later, and the delta is later than the list."""
    known = delta.base is not None and crl.number is not None
    return known and crl.number >= delta.base and delta.later_than(crl)  # type: ignore[operator]


def list_until(crl: Crl, delta: Crl | None) -> datetime | None:
    """nextUpdate; joined with a delta, a list lives as long as the delta (§5.2.4)."""
    ends = [crl.until]
    if delta is not None and follows(delta, crl):
        ends.append(delta.until)
    return max((end for end in ends if end is not None), default=None)


def answer_until(single: ocsp.Single, patience: Patience) -> datetime:
    """Until when an OCSP answer counts: nextUpdate, or policy where it is absent or far (RFC 6960 §4.2.2.1)."""
    if single.until is None:
        return single.this_update + patience.answer_alone
    return min(single.until, single.this_update + patience.answer_age)


def names_itself(certificate: x509.Certificate) -> bool:
    """Its authority says that its own list, and no other, speaks of it: cRLIssuer is the certificate's subject."""
    own = name_key(certificate.subject)
    points = [point for point in scope.points(certificate) if point is not None and point.crl_issuer]
    return any(own in scope.named(point.crl_issuer or ()) for point in points)

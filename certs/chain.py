"""From a certificate to an anchor: the trust store, and its judgement of one certificate for one role.

Promises: always three answers, the refusing ones with the name of their check. OpenSSL finds and checks the chain
(paths), we add our own checks (checks, policies, profiles), and a current CRL or OCSP answer for every certificate
that is not an anchor: none means CannotTell. A store is an immutable snapshot, shared freely between threads; what
it remembers changes no answer. Does not: fetch anything, follow addresses in certificates, nor look at the clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs import checks, copies, paths
from certs.identities import MAX_CERTIFICATE, UNREADABLE, identity, read
from certs.model import CannotTell, Consulted, Evidence, Fault, Identity, Trust, Trusted, Untrusted
from certs.paths import Answer, Chain, Finder, Memory
from certs.profiles import Profile
from certs.revocation import NO_PATIENCE, Crls, Patience, Question, Revocation, Standing

__all__ = ["MAX_CERTIFICATE", "MAX_EXTRA", "UNREADABLE", "TrustStore", "identity", "read"]

MAX_EXTRA = 32
"""Certificates that a stranger may bring along."""


@dataclass(frozen=True)
class _Known:
    """All of a judgement that does not depend on the moment, as long as the path holds."""

    who: Identity
    path: paths.Path
    hints: Chain
    evidence: Evidence
    """Without moment and lists."""


@dataclass(frozen=True, eq=False)
class TrustStore:
    """Anchors, known intermediates, CRLs and OCSP answers at one moment. Reload by loading another."""

    anchors: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...] = ()
    crls: Crls = field(default_factory=lambda: Crls(()))
    unsure: Callable[[Sequence[bytes]], None] = lambda _: None
    """Told the path (DER, end certificate first, without its anchor) of each certificate whose standing is unknown."""
    _known: Memory[_Known] = field(init=False, repr=False, default_factory=Memory)
    _vouched: Memory[paths.Path] = field(init=False, repr=False, default_factory=Memory)

    @staticmethod
    def load(
        folder: Path,
        cache: Path | None = None,
        patience: Patience = NO_PATIENCE,
        unsure: Callable[[Sequence[bytes]], None] = lambda _: None,
    ) -> TrustStore:
        """Reads folder/anchors/*.pem, folder/intermediates/*.pem, folder/crls/*.{pem,der,crl}, folder/ocsp/*.der.

        `cache`: what was fetched, crls/ and ocsp/ in the same shape. Raises ValueError if a file of `folder` is
        unreadable, naming it, and OSError if the folder cannot be read.
        """
        return TrustStore(
            anchors=tuple(_certificates(sorted((folder / "anchors").glob("*.pem")))),
            intermediates=tuple(_certificates(sorted((folder / "intermediates").glob("*.pem")))),
            crls=copies.load(folder, cache, patience),
            unsure=unsure,
        )

    def judge(self, leaf: bytes, extra: Sequence[bytes], profile: Profile, at: datetime) -> Trust:
        """Whether the DER certificate `leaf` may act as `profile` at `at`.

        `extra`: DER certificates that the stranger brought along; hints for the chain, never anchors.
        """
        if len(extra) > MAX_EXTRA:
            return Untrusted(Fault.TOO_LARGE, "too many certificates beside the signer's", check="size")
        if len(leaf) > MAX_CERTIFICATE:
            return Untrusted(Fault.UNREADABLE, "the certificate is too large", check="size")
        brought = [der for der in extra if len(der) <= MAX_CERTIFICATE]
        key = paths.key_of(profile, leaf, *brought)
        known = self._known.get(key)
        if known is None or not known.path.holds(at):
            found = self._look(leaf, brought, profile, at)
            if not isinstance(found, _Known):
                return found
            self._known.put(key, found, len(leaf) + sum(map(len, brought)))
            known = found
        return self._standing(known, at)

    def _look(self, leaf: bytes, extra: Sequence[bytes], profile: Profile, at: datetime) -> _Known | Answer:
        """The whole judgement but for revocation."""
        try:
            certificate = read(leaf)
            who = identity(leaf)
        except ValueError as error:
            return Untrusted(Fault.UNREADABLE, str(error), check="readable")
        hints = _readable(extra)
        path = self._finder.find(certificate, hints, at)
        if not isinstance(path, paths.Path):
            return replace(path, identity=who)
        try:
            doubt = checks.first_doubt(path.chain, profile)
        except UNREADABLE as error:
            return Untrusted(Fault.UNREADABLE, f"unreadable chain: {type(error).__name__}", who, "readable")
        return replace(doubt, identity=who) if doubt else _Known(who, path, hints, _evidence(path.chain, at))

    def _standing(self, known: _Known, at: datetime) -> Trust:
        consulted = self._revocation(known, at)
        if isinstance(consulted, CannotTell):
            self.unsure([paths.der_of(each) for each in known.path.chain[:-1]])
        if isinstance(consulted, Untrusted | CannotTell):
            return replace(consulted, identity=known.who)
        seen = tuple(each for answer in consulted for each in answer.consulted)
        names = tuple(answer.crl for answer in consulted)
        return Trusted(known.who, replace(known.evidence, at=at, crls=names, consulted=_once(seen)))

    def _revocation(self, known: _Known, at: datetime) -> tuple[Revocation, ...] | Answer:
        """What is known of each certificate under the anchor, or the first answer that is not good."""
        answers: list[Revocation] = []
        for asked in self._questions(known, at):
            answer = self.crls.answer(asked)
            if doubt := not_revoked(answer, asked.certificate):
                return doubt
            answers.append(answer)
        return tuple(answers)

    def _questions(self, known: _Known, at: datetime) -> tuple[Question, ...]:
        """From the anchor downwards: a revoked authority's word about its certificates is worth nothing."""
        chain, vouch = known.path.chain, partial(self._vouch, known, at)
        near = (*self.intermediates, *known.hints)
        places = range(len(chain) - 2, -1, -1)
        return tuple(Question(chain[place], chain[place + 1 :], at, vouch, near) for place in places)

    def questions(self, leaf: bytes, extra: Sequence[bytes], at: datetime) -> tuple[Question, ...]:
        """What there is to ask about revocation on the path of `leaf`; nothing where its chain reaches no anchor.

        Only from these certificates may addresses be followed (design §7).
        """
        try:
            certificate = read(leaf)
            who = identity(leaf)
        except ValueError:
            return ()
        hints = _readable(extra[:MAX_EXTRA])
        path = self._finder.find(certificate, hints, at)
        if not isinstance(path, paths.Path) or not _sound(path.chain):
            return ()
        return self._questions(_Known(who, path, hints, _evidence(path.chain, at)), at)

    def _vouch(self, known: _Known, at: datetime, candidate: x509.Certificate) -> Chain | None:
        """The path of a CRL issuer or OCSP responder to the anchor of this judgement (RFC 5280 §6.3.3 (f)).

        Names, time, algorithms and keys are checked; its use and its revocation are for revocation to ask.
        """
        ders = tuple(map(paths.der_of, (candidate, *known.hints)))
        key = paths.key_of("vouch", *ders)
        path = self._vouched.get(key)
        if path is None or not path.holds(at):
            found = self._finder.find(candidate, known.hints, at)
            if not isinstance(found, paths.Path) or not _sound(found.chain):
                return None
            self._vouched.put(key, found, sum(map(len, ders)))
            path = found
        return path.chain if path.chain[-1] == known.path.chain[-1] else None

    @cached_property
    def _finder(self) -> Finder:
        return Finder(self.anchors, self.intermediates)

    def anchors_pem(self) -> str:
        """The anchors, for a TLS library."""
        return "".join(each.public_bytes(Encoding.PEM).decode("ascii") for each in self.anchors)

    def crls_pem(self) -> str:
        """The CRLs that any TLS library understands."""
        plain = (each.listing for each in self.crls if each.plain)
        return "".join(each.public_bytes(Encoding.PEM).decode("ascii") for each in plain)


def not_revoked(answer: Revocation, certificate: x509.Certificate) -> Answer | None:
    """The check of revocation: only a certificate known to be good passes."""
    if answer.standing is Standing.GOOD:
        return None
    if answer.standing is Standing.REVOKED:
        return Untrusted(Fault.REVOKED, answer.crl, check="not-revoked")
    if answer.standing is Standing.STALE:
        return CannotTell(Fault.STALE_CRL, answer.detail or answer.crl, check="not-revoked")
    why = answer.detail or f"no usable CRL of {certificate.issuer.rfc4514_string()}"
    return CannotTell(Fault.REVOCATION_UNKNOWN, why, check="not-revoked")


def _sound(chain: Chain) -> bool:
    try:
        return checks.sound(chain) is None
    except UNREADABLE:
        return False


def _once(seen: Sequence[Consulted]) -> tuple[Consulted, ...]:
    """Each list or answer once, in their order."""
    return tuple(dict.fromkeys(seen))


def _evidence(chain: Chain, at: datetime) -> Evidence:
    ders = tuple(map(paths.der_of, chain))
    return Evidence(
        at=at,
        chain=tuple(hashlib.sha256(der).hexdigest() for der in ders),
        algorithms=tuple(each.signature_algorithm_oid.dotted_string for each in chain[:-1]),
        certificates=ders,
    )


def _readable(extra: Sequence[bytes]) -> Chain:
    """The stranger's hints that are certificates at all; a hint that is not one is no reason to refuse."""
    kept = []
    for der in extra:
        try:
            kept.append(_whole(read(der)))
        except UNREADABLE:
            continue
    return tuple(kept)


def _whole(certificate: x509.Certificate) -> x509.Certificate:
    """The certificate, if its extensions can be read too. Raises UNREADABLE."""
    len(certificate.extensions)
    return certificate


# --- the trust folder --------------------------------------------------------------------------------------


def _certificates(files: Iterable[Path]) -> Iterable[x509.Certificate]:
    for file in files:
        try:
            yield from map(_whole, x509.load_pem_x509_certificates(file.read_bytes()))
        except UNREADABLE as error:
            raise ValueError(f"{file.name} holds no readable certificates") from error

"""From a certificate to an anchor: the trust store, and its judgement of one certificate for one role.

Promises: always three answers, the refusing ones with the name of their check. OpenSSL finds and checks the chain
(paths), we add our own checks (checks, policies, profiles), and a current CRL or OCSP answer for every certificate
that is not an anchor: none means CannotTell. A store is an immutable snapshot, shared freely between threads; what
it remembers changes no answer. Does not: fetch anything, follow addresses in certificates, nor look at the clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs import checks, identities, ocsp, paths, revocation
from certs.identities import MAX_CERTIFICATE, UNREADABLE, identity, read
from certs.model import CannotTell, Consulted, Evidence, Fault, Identity, Trust, Trusted, Untrusted
from certs.paths import Answer, Chain, Finder, Memory
from certs.profiles import Profile
from certs.revocation import Crl, Crls, Revocation, Standing

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
    _known: Memory[_Known] = field(init=False, repr=False, default_factory=Memory)
    _vouched: Memory[paths.Path] = field(init=False, repr=False, default_factory=Memory)

    @staticmethod
    def load(folder: Path) -> TrustStore:
        """Reads folder/anchors/*.pem, folder/intermediates/*.pem, folder/crls/*.{pem,der,crl}, folder/ocsp/*.der.

        Raises ValueError if a file is unreadable, naming it, and OSError if the folder cannot be read.
        """
        return TrustStore(
            anchors=tuple(_certificates(sorted((folder / "anchors").glob("*.pem")))),
            intermediates=tuple(_certificates(sorted((folder / "intermediates").glob("*.pem")))),
            crls=Crls(_crls(folder / "crls"), _answers(folder / "ocsp")),
        )

    def judge(self, leaf: bytes, extra: Sequence[bytes], profile: Profile, at: datetime) -> Trust:
        """Whether the DER certificate `leaf` may act as `profile` at `at`.

        `extra`: DER certificates that the stranger brought along; hints for the chain, never anchors.
        """
        if len(extra) > MAX_EXTRA:
            return Untrusted(Fault.TOO_LARGE, "too many certificates beside the signer's", check="size")
        key = paths.key_of(repr(profile), leaf, *extra)
        known = self._known.get(key)
        if known is None or not known.path.holds(at):
            found = self._look(leaf, extra, profile, at)
            if not isinstance(found, _Known):
                return found
            self._known.put(key, found)
            known = found
        return self._standing(known, at)

    def _look(self, leaf: bytes, extra: Sequence[bytes], profile: Profile, at: datetime) -> _Known | Answer:
        """The whole judgement but for revocation."""
        try:
            certificate = read(leaf)
            who = identities.identity_of(certificate)
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
        if isinstance(consulted, Untrusted | CannotTell):
            return replace(consulted, identity=known.who)
        seen = tuple(each for answer in consulted for each in answer.consulted)
        names = tuple(answer.crl for answer in consulted)
        return Trusted(known.who, replace(known.evidence, at=at, crls=names, consulted=_once(seen)))

    def _revocation(self, known: _Known, at: datetime) -> tuple[Revocation, ...] | Answer:
        """What is known of each certificate under the anchor, or the first answer that is not good.

        From the anchor downwards: a revoked authority's word about its certificates is worth nothing.
        """
        chain = known.path.chain
        vouch = partial(self._vouch, known, at)
        near = (*self.intermediates, *known.hints)
        answers: list[Revocation] = []
        for place in range(len(chain) - 2, -1, -1):
            answer = self.crls.ask(chain[place], chain[place + 1 :], at, vouch, near)
            if doubt := not_revoked(answer, chain[place]):
                return doubt
            answers.append(answer)
        return tuple(answers)

    def _vouch(self, known: _Known, at: datetime, candidate: x509.Certificate) -> Chain | None:
        """The path of a CRL issuer or OCSP responder to the anchor of this judgement (RFC 5280 §6.3.3 (f)).

        Names, time, algorithms and keys are checked; its use and its revocation are for revocation to ask.
        """
        key = paths.key_of("vouch", *map(paths.der_of, (candidate, *known.hints)))
        path = self._vouched.get(key)
        if path is None or not path.holds(at):
            found = self._finder.find(candidate, known.hints, at)
            if not isinstance(found, paths.Path) or not _sound(found.chain):
                return None
            self._vouched.put(key, found)
            path = found
        return path.chain if path.chain[-1] == known.path.chain[-1] else None

    @cached_property
    def _finder(self) -> Finder:
        return Finder(self.anchors, self.intermediates)

    def anchors_pem(self) -> str:
        """The anchors, for a TLS library."""
        return "".join(each.public_bytes(Encoding.PEM).decode("ascii") for each in self.anchors)

    def crls_pem(self) -> str:
        """The CRLs that we understand, for a TLS library."""
        return "".join(each.listing.public_bytes(Encoding.PEM).decode("ascii") for each in self.crls)


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
    return Evidence(
        at=at,
        chain=tuple(identities.fingerprint(each) for each in chain),
        algorithms=tuple(each.signature_algorithm_oid.dotted_string for each in chain[:-1]),
        certificates=tuple(map(paths.der_of, chain)),
    )


def _readable(extra: Sequence[bytes]) -> Chain:
    """The stranger's hints that are certificates at all; a hint that is not one is no reason to refuse."""
    kept = []
    for der in extra:
        try:
            kept.append(read(der))
        except ValueError:
            continue
    return tuple(kept)


# --- the trust folder --------------------------------------------------------------------------------------


def _certificates(files: Iterable[Path]) -> Iterable[x509.Certificate]:
    for file in files:
        try:
            yield from x509.load_pem_x509_certificates(file.read_bytes())
        except UNREADABLE as error:
            raise ValueError(f"{file.name} holds no readable certificates") from error


_CRL_ENDINGS = frozenset({".pem", ".der", ".crl"})


def _crls(folder: Path) -> Iterable[Crl]:
    for file in sorted(folder.glob("*")):
        if file.suffix not in _CRL_ENDINGS:
            continue
        try:
            yield revocation.read(_crl_der(file.read_bytes()))
        except ValueError as error:
            raise ValueError(f"{file.name} holds no readable CRL") from error


def _crl_der(data: bytes) -> bytes:
    return x509.load_pem_x509_crl(data).public_bytes(Encoding.DER) if data.lstrip().startswith(b"-----") else data


def _answers(folder: Path) -> Iterable[ocsp.Answer]:
    for file in sorted(folder.glob("*.der")):
        try:
            yield ocsp.read(file.read_bytes())
        except ValueError as error:
            raise ValueError(f"{file.name} holds no readable OCSP answer") from error

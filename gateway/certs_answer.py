"""The answer of `pli certs verify`: each signature of a file judged, and what the whole is worth.

Promises: trusted is said only where every signature that counts is; of a letter it is what relay would say on entry.
What was checked stands in order with the name of each check, and what is missing to tell is named. Does not: hold a
rule of its own (certs and relay do), nor put anything in words (certs_words does).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography.x509 import ObjectIdentifier

from certs import cms, evidence, identities, profiles
from certs.chain import TrustStore
from certs.model import CannotTell, Fault, Identity, Proof, Trust, Trusted, Untrusted
from certs.profiles import Profile
from gateway.certs_files import Kind, Thing, Unreadable
from gateway.certs_words import CHECKS, MISSING
from relay import coverage, smime
from relay.fields import Malformed
from relay.message import Message, scan
from relay.model import SignatureState

TRUSTED, UNTRUSTED, CANNOT_TELL = "trusted", "untrusted", "cannot-tell"
EXIT = {TRUSTED: 0, UNTRUSTED: 1, CANNOT_TELL: 3}


@dataclass(frozen=True)
class Asked:
    """By what a file is judged."""

    store: TrustStore
    at: datetime
    profile: Profile = profiles.SMIME
    policy: cms.Policy = cms.STRICT
    lookup: cms.Lookup | None = None


@dataclass(frozen=True)
class Signed:
    """One signature, judged."""

    part: str
    """Of a letter, in the manner of IMAP."""
    how: str
    """clear, opaque, triple of a letter; detached, opaque of a bare object; certificate."""
    whole: bool
    """Nothing lies outside it."""
    proof: Proof


@dataclass(frozen=True)
class Answer:
    answer: str
    kind: Kind
    at: datetime
    signed: tuple[Signed, ...] = ()
    fault: str = ""
    """Of the whole, where no signature says it."""
    sentence: tuple[str, str, str] = ("", "", "")
    """Of a letter: state, signer, name (gateway.timeline.signature)."""
    findings: tuple[str, ...] = ()
    content: bytes | None = field(default=None, repr=False)
    """What an opaque signature carries, once it is trusted."""

    @property
    def exit_code(self) -> int:
        return EXIT[self.answer]


def judged(thing: Thing, content: bytes | None, asked: Asked) -> Answer:
    """Raises Unreadable where nothing in it can be judged."""
    if thing.kind is Kind.LETTER:
        _require_nothing_more(content, asked)
        return _letter(thing.data, asked)
    if thing.kind is Kind.CMS:
        return _cms(thing.data, content, asked)
    if thing.kind is Kind.CERTIFICATE:
        return _certificate(thing, asked)
    raise Unreadable(f"nothing here is signed ({thing.kind.value}): `pli certs inspect` shows what it is")


def word(trust: Trust) -> str:
    return {Trusted: TRUSTED, Untrusted: UNTRUSTED, CannotTell: CANNOT_TELL}[type(trust)]


def _of_all(proofs: Sequence[Proof]) -> str:
    """Refused if one is, open if one is, else trusted; nobody's signature is no signature."""
    words = {word(each.trust) for each in proofs}
    return next((each for each in (UNTRUSTED, CANNOT_TELL, TRUSTED) if each in words), UNTRUSTED)


# --- a bare object -------------------------------------------------------------------------------------------


def _cms(data: bytes, content: bytes | None, asked: Asked) -> Answer:
    kind = cms.kind(data)
    if kind != "signed-data":
        raise Unreadable(f"this is {kind}, not a signature: `pli certs inspect` shows it, `pli certs decrypt` opens it")
    inside = _inside(data)
    if content is None and inside is None:
        raise Unreadable("the signature is detached: say with --content FILE what it is over")
    proofs = cms.proofs(data, content, asked.store, asked.profile, asked.at, policy=asked.policy, lookup=asked.lookup)
    how = "opaque" if content is None else "detached"
    answer = _of_all(proofs)
    signed = tuple(Signed("", how, True, each) for each in proofs)
    return Answer(answer, Kind.CMS, asked.at, signed, content=inside if answer == TRUSTED else None)


def _inside(data: bytes) -> bytes | None:
    try:
        return cms.encapsulated(data)
    except ValueError as error:
        raise Unreadable(f"the signature cannot be read: {error}") from None


def _certificate(thing: Thing, asked: Asked) -> Answer:
    extra = tuple(each.data for each in thing.more if each.kind is Kind.CERTIFICATE)
    trust = asked.store.judge(thing.data, extra, asked.profile, asked.at)
    return Answer(word(trust), Kind.CERTIFICATE, asked.at, (Signed("", "certificate", True, Proof(trust)),))


# --- a letter ------------------------------------------------------------------------------------------------


def scanned(data: bytes) -> Message:
    try:
        return scan(data)
    except Malformed as error:
        raise Unreadable(f"the letter cannot be read: {error}") from None


def _require_nothing_more(content: bytes | None, asked: Asked) -> None:
    """What would be passed over in silence is refused."""
    own = asked.profile == profiles.SMIME and asked.policy == cms.STRICT
    if content is not None or asked.lookup is not None or not own:
        raise Unreadable(
            "a letter is judged as a node would: --content, --certs, --profile and --without-attributes are for "
            "signatures and certificates on their own"
        )


_STATES = {SignatureState.VALID: TRUSTED, SignatureState.CANNOT_TELL: CANNOT_TELL}


def _letter(data: bytes, asked: Asked) -> Answer:
    message = scanned(data)
    verdict = smime.judge(message, asked.store, asked.at)
    found = coverage.of(message, asked.store, asked.at)
    signed = [Signed(each.path, each.kind.value, each.whole, proof) for each in found.covered for proof in each.proofs]
    sentence = (verdict.signature.value, verdict.signer.value if verdict.signer else "", verdict.signer_name)
    answer = _STATES.get(verdict.signature, UNTRUSTED)
    fault = verdict.fault or (Fault.NO_SIGNER if verdict.signature is SignatureState.NONE else "")
    return Answer(answer, Kind.LETTER, asked.at, tuple(signed), str(fault), sentence, verdict.findings)


# --- what was checked ----------------------------------------------------------------------------------------


def checks(trust: Trust, how: str) -> Iterator[tuple[str, str]]:
    """(name of the check, 'yes', 'no', 'cannot-tell' or 'not-asked'), in the order in which they are asked."""
    order = [name for name, row in CHECKS.items() if how != "certificate" or row.of_certificates]
    if isinstance(trust, Trusted):
        yield from ((name, "yes") for name in order)
        return
    said = "no" if isinstance(trust, Untrusted) else CANNOT_TELL
    if trust.check not in order:
        yield (trust.check or trust.fault.value, said)
        return
    place = order.index(trust.check)
    yield from ((name, "yes") for name in order[:place])
    yield (trust.check, said)
    yield from ((name, "not-asked") for name in order[place + 1 :])


# --- as JSON -------------------------------------------------------------------------------------------------


def as_json(answer: Answer) -> dict[str, Any]:
    told: dict[str, Any] = {
        "answer": answer.answer,
        "at": _time(answer.at),
        "kind": answer.kind.value,
        "signatures": [_signed(each) for each in answer.signed],
        "findings": list(answer.findings),
        "missing": missing(answer),
    }
    return told | ({"fault": answer.fault} if answer.fault else {})


def missing(answer: Answer) -> list[str]:
    """Names of what would be needed to tell: keys of certs_words.MISSING."""
    trusts = [each.proof.trust for each in answer.signed]
    faults = [trust.fault.value for trust in trusts if not isinstance(trust, Trusted)]
    return [name for name in dict.fromkeys(faults) if name in MISSING]


def _signed(each: Signed) -> dict[str, Any]:
    trust, proof = each.proof.trust, each.proof
    told: dict[str, Any] = {"part": each.part, "how": each.how, "whole": each.whole, "answer": word(trust)}
    told |= {"digest": proof.digest_algorithm, "signature": named_algorithm(proof.signature_algorithm)}
    if proof.signing_time:
        told["signed_at"] = _time(proof.signing_time)
    if trust.identity:
        told["signer"] = named(trust.identity)
    if isinstance(trust, Trusted):
        chain = [identities.identity(der).subject for der in trust.evidence.certificates]
        told |= {"chain": chain, "evidence": evidence.summary(trust.evidence)}
    else:
        told |= {"fault": trust.fault.value, "check": trust.check, "detail": trust.detail}
    return told | {"checks": [{"check": name, "answer": said} for name, said in checks(trust, each.how)]}


def named_algorithm(dotted: str) -> str:
    """'rsaEncryption', 'RSASSA-PSS', 'ecdsa-with-SHA256'; its number where the library knows no name."""
    if not dotted:
        return ""
    name: str = ObjectIdentifier(dotted)._name
    return dotted if name == "Unknown OID" else name


def named(identity: Identity) -> dict[str, Any]:
    return {
        "subject": identity.subject,
        "issuer": identity.issuer,
        "serial": f"{identity.serial:x}",
        "addresses": list(identity.addresses),
        "fingerprint": identity.fingerprint,
    }


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")

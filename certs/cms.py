"""CMS signatures (RFC 5652 §5): made with a Signer, answered with a Proof for each signer.

Promises: nothing raises on what a stranger sent, and nobody is Trusted unless the digest and the signature hold over
the content as given, every signed attribute we know agrees (signers lists the checks), and the trust store vouches for
the certificate. Content is taken as it is: line endings are the caller's business. Does not: read MIME, compare
addresses, counter-signatures or time stamps; EdDSA, SHA-3 and other later algorithms are CannotTell, by name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import TypeAlias

from cryptography.hazmat.asn1 import encode_der

from certs import algorithms, asn1, attributes, ber, meter, signed, signers, strength
from certs.algorithms import Scheme
from certs.chain import TrustStore
from certs.cursor import TooMany
from certs.identities import UNREADABLE, identity
from certs.keys import Signer
from certs.model import CannotTell, Fault, Proof, Trust, Untrusted
from certs.profiles import Profile
from certs.signed import NotSigned, Signed
from certs.signers import STRICT, Case, Content, Policy, SignerName

__all__ = ["STRICT", "Policy", "SignerName", "certificates", "encapsulated", "kind", "proofs", "sign", "verify"]

Lookup: TypeAlias = Callable[[SignerName], Sequence[bytes]]
"""Certificates in DER that may be the signer's, where the message does not bring his along. They prove nothing."""


# --- read ----------------------------------------------------------------------------------------------------


def verify(
    cms: bytes,
    content: bytes,
    store: TrustStore,
    profile: Profile,
    at: datetime,
    *,
    policy: Policy = STRICT,
    lookup: Lookup | None = None,
) -> Proof:
    """Whether `cms` (a BER or DER ContentInfo) is one trusted signature over exactly `content`, at `at`."""
    found = proofs(cms, content, store, profile, at, policy=policy, lookup=lookup)
    doubt = single_signer(found)
    return Proof(doubt) if doubt else found[0]


def proofs(
    cms: bytes,
    content: bytes | memoryview | None,
    store: TrustStore,
    profile: Profile,
    at: datetime,
    *,
    policy: Policy = STRICT,
    lookup: Lookup | None = None,
) -> tuple[Proof, ...]:
    """One answer for each signer, in the order of the message; at least one.

    `content`: what is asked about; None asks about what the message carries inside.
    """
    with meter.step("verify"):
        message = _read(cms)
        if isinstance(message, Untrusted | CannotTell):
            return (Proof(message),)
        inside = None if message.inside is None else Content(message.inside)
        asked = inside if content is None else Content((content,))
        doubt = signer_there(message) or content_there(asked)
        if doubt:
            return (Proof(doubt),)
        about = _About(message, asked or Content(()), inside, store, profile, policy, at, lookup)
        return tuple(about.proof(each) for each in message.signers)


def _read(cms: bytes) -> Signed | Untrusted | CannotTell:
    try:
        message = signed.read(cms)
    except NotSigned as other:
        return CannotTell(Fault.UNSUPPORTED, str(other), check="signed-data")
    except TooMany as error:
        return Untrusted(Fault.TOO_LARGE, str(error), check="few-enough")
    except ValueError:
        size = Fault.TOO_LARGE if len(cms) > ber.MAX_BYTES else Fault.UNREADABLE
        return Untrusted(size, "not CMS", check="readable")
    return message


def signer_there(message: Signed) -> Untrusted | None:
    return None if message.signers else Untrusted(Fault.NO_SIGNER, "nobody signed", check="signer-there")


def content_there(content: Content | None) -> Untrusted | None:
    """RFC 5652 §5.2: what is inside, or what lies beside a detached signature."""
    if content is not None:
        return None
    return Untrusted(Fault.NO_CONTENT, "a signature without its content", check="content-there")


def single_signer(found: Sequence[Proof]) -> Untrusted | None:
    if len(found) == 1:
        return None
    return Untrusted(Fault.SEVERAL_SIGNERS, f"{len(found)} signers", check="single-signer")


def encapsulated(cms: bytes) -> bytes | None:
    """The content that a SignedData carries inside, or None if it is detached. Raises ValueError.

    It proves nothing: give it to `verify` as the content.
    """
    try:
        inside = signed.read(cms).inside
    except NotSigned as other:
        raise ValueError(str(other)) from other
    except ValueError as error:
        raise ValueError("not CMS") from error
    return None if inside is None else b"".join(inside)


def certificates(cms: bytes) -> tuple[bytes, ...]:
    """What a certs-only message brings (RFC 8551 §3.8), in DER. Raises ValueError on any other. Proves nothing."""
    try:
        message = signed.read(cms)
    except NotSigned as other:
        raise ValueError(str(other)) from other
    if message.signers:
        raise ValueError("a message with signers")
    return message.certificates


def kind(cms: bytes) -> str:
    """'signed-data', 'certs-only', 'enveloped-data', 'authEnveloped-data', 'compressed-data'…, or 'unreadable'."""
    return signed.kind(cms)


class _About:
    """What is asked about each signer of one message."""

    def __init__(
        self,
        message: Signed,
        content: Content,
        inside: Content | None,
        store: TrustStore,
        profile: Profile,
        policy: Policy,
        at: datetime,
        lookup: Lookup | None,
    ) -> None:
        self._message = message
        self._content, self._inside = content, inside
        self._store, self._profile, self._policy, self._at = store, profile, policy, at
        self._lookup = lookup

    def proof(self, der: bytes) -> Proof:
        try:
            case = self._case(der)
        except TooMany as error:
            return Proof(Untrusted(Fault.TOO_LARGE, str(error), check="few-enough"))
        except ValueError as error:
            return Proof(Untrusted(Fault.UNREADABLE, f"a signer: {type(error).__name__}", check="readable"))
        try:
            trust = self._trust(case)
            claimed = case.attributes.signing_time if case.attributes else None
        except UNREADABLE as error:
            detail = f"a part of the signature: {type(error).__name__}"
            trust, claimed = Untrusted(Fault.UNREADABLE, detail, check="readable"), None
        scheme = case.scheme
        return Proof(trust, claimed, algorithms.name(scheme.digest), scheme.signature, self._message.certificates)

    def _case(self, der: bytes) -> Case:
        info = asn1.decode_der(asn1.SignerInfo, der)
        stated = info.signature_algorithm
        parameters = asn1.whole(stated[1]) if len(stated) > 1 else b""
        scheme = Scheme(asn1.algorithm(info.digest_algorithm), asn1.algorithm(stated), parameters)
        listed = info.signed_attributes
        return Case(
            message=self._message,
            info=info,
            scheme=scheme,
            attributes=None if listed is None else attributes.read(listed),
            candidates=self._candidates(_name(info)),
            content=self._content,
            inside=self._inside,
            profile=self._profile,
            policy=self._policy,
            at=self._at,
        )

    def _candidates(self, name: SignerName) -> tuple[bytes, ...]:
        """Those in the message come first; who brings none is looked for elsewhere."""
        carried = tuple(der for der in self._message.certificates if name.names(der))
        if carried or self._lookup is None:
            return carried
        return tuple(der for der in self._lookup(name)[: signed.MAX_CERTIFICATES] if name.names(der))

    def _trust(self, case: Case) -> Trust:
        """RFC 5652 §5.4 and §5.6, then the trust store."""
        doubt = signers.first_doubt(case)
        if doubt is None:
            return self._store.judge(case.candidates[0], self._message.certificates, self._profile, self._at)
        if not case.candidates:
            return doubt
        return replace(doubt, identity=identity(case.candidates[0]))


def _name(info: asn1.SignerInfo) -> SignerName:
    if isinstance(info.signer, bytes):
        return SignerName(key_identifier=info.signer)
    return SignerName(asn1.whole(info.signer.issuer), info.signer.serial)


# --- written -------------------------------------------------------------------------------------------------


def sign(
    content: bytes | memoryview,
    signer: Signer,
    at: datetime,
    hash_name: str = "sha256",
    *,
    pss: bool = False,
    inside: bool = False,
) -> bytes:
    """A signature over `content`: DER ContentInfo with the signer's certificate and chain.

    `hash_name`: sha256, sha384 or sha512. `pss`: RSASSA-PSS (RFC 4056) with an RSA key. `inside`: the content travels
    in the signature (RFC 5652 §5.2), not beside it. Raises ValueError for another hash or a key that signs no CMS here,
    and what the signer raises (KeeperDown).
    """
    if hash_name not in strength.HASHES:
        raise ValueError(f"no signature is made with {hash_name}")
    with meter.step("sign"):
        presented = _presented(signer.certificate, tuple(signer.chain), hash_name, pss)
        listed = attributes.compose(hashlib.new(hash_name, content).digest(), signer.certificate, at)
        digest = hashlib.new(hash_name, ber.set_of(*listed)).digest()
        signature = signer.sign_digest(digest, hash_name, pss)
        info = ber.tlv(0x30, *presented.before, ber.tlv(0xA0, *listed), presented.algorithm, encode_der(signature))
        return _content_info(content if inside else None, presented.certificates, ber.set_of(info), hash_name)


class _Presented:
    """What is the same in all signatures of one signer."""

    def __init__(self, certificate: bytes, chain: tuple[bytes, ...], hash_name: str, pss: bool) -> None:
        read = signers.parsed(certificate)
        # RFC 5652 §5.3, version 1: the signer by issuer and serial number
        name = ber.tlv(0x30, read.issuer.public_bytes(), encode_der(read.serial_number))
        self.before = (encode_der(1), name, algorithms.digest_identifier(hash_name))
        self.algorithm = algorithms.signature_identifier(read, hash_name, pss)
        self.certificates = ber.tlv(0xA0, *sorted({certificate, *chain}))


@lru_cache(maxsize=128)
def _presented(certificate: bytes, chain: tuple[bytes, ...], hash_name: str, pss: bool) -> _Presented:
    return _Presented(certificate, chain, hash_name, pss)


def _content_info(content: bytes | memoryview | None, certificates: bytes, infos: bytes, hash_name: str) -> bytes:
    """RFC 5652 §5.1. The content is written once, between what stands before and after it."""
    version, digests = encode_der(1), ber.set_of(algorithms.digest_identifier(hash_name))
    kind = algorithms.oid(signed.DATA)
    after = certificates + infos
    if content is None:
        return b"".join(_wrapped([version, digests, ber.tlv(0x30, kind), after]))
    octets = b"\x04" + ber.length(len(content))
    explicit = b"\xa0" + ber.length(len(octets) + len(content))
    box = b"\x30" + ber.length(len(kind) + len(explicit) + len(octets) + len(content))
    return b"".join(_wrapped([version, digests, box, kind, explicit, octets, content, after]))


def _wrapped(data: Iterable[bytes | memoryview]) -> list[bytes | memoryview]:
    """In SEQUENCE, [0] and ContentInfo, without joining."""
    parts = list(data)
    for tag, before in ((0x30, b""), (0xA0, algorithms.oid(signed.SIGNED_DATA)), (0x30, b"")):
        size = sum(map(len, parts))
        parts = [*([before] if before else []), bytes([tag]) + ber.length(size), *parts]
    return parts

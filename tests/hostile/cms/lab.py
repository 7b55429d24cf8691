"""Where attacks are made: people with keys, a pen that writes CMS part by part, and how each kind of message is asked.

Promises: everything starts from a valid message of our own making; an attack is data (Attack), made by a function of
its own; an answer is the name of the check that said no with its fault, or 'valid'. Does not: assert anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, cached_property
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.asn1 import encode_der
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from cryptography.x509.oid import NameOID

from certs import algorithms, attributes, ber, cms, envelope, profiles, revocation, signed
from certs.chain import TrustStore
from certs.model import Proof, Trusted
from certs.openers import LocalOpener
from certs.revocation import Crls
from certs.throwaway import Issued
from relay import message, smime
from relay.model import SignatureState
from tests.fuzz.world import CONTENT, FROM, NOW, World, ec_key

Answer: TypeAlias = tuple[str, str]
"""Check and fault; ('valid', '') where nobody objects."""
NULL = b"\x05\x00"
SHA1, MD5, SHA3 = "1.3.14.3.2.26", "1.2.840.113549.2.5", "2.16.840.1.101.3.4.2.8"
SHA256, SHA384, SHA512 = (f"2.16.840.1.101.3.4.2.{last}" for last in ("1", "2", "3"))
RSA, MGF1, PSS, SHA512_RSA = (f"1.2.840.113549.1.1.{last}" for last in ("1", "8", "10", "13"))
ECDSA = "1.2.840.10045.4.3.2"
DAY = timedelta(days=1)
USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


def identifier(oid: str, *parameters: bytes) -> bytes:
    return ber.tlv(0x30, algorithms.oid(oid), *parameters)


def attribute(kind: str, *values: bytes) -> bytes:
    return ber.tlv(0x30, algorithms.oid(kind), ber.set_of(*values))


class Lab(World):
    """The fuzzer's people, and whoever an attack needs beside them."""

    @cached_property
    def store(self) -> TrustStore:
        lists = [self._listing(each) for each in (self.root, self.authority, self.bounded, self.ruled, self.lone)]
        middle = (self.authority, self.bounded, self.ruled, self.lone, self.listless)
        found = [each for each in map(revocation.read, lists) if each]
        return TrustStore((self.root.certificate,), tuple(each.certificate for each in middle), Crls(found))

    def fresh(self) -> TrustStore:
        """One that remembers no path: what was let through with a check off must not be remembered."""
        return TrustStore(self.store.anchors, self.store.intermediates, self.store.crls)

    def _listing(self, issuer: Issued) -> bytes:
        builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, NOW, NOW + 7 * DAY)
        if issuer is self.authority:
            entry = x509.RevokedCertificateBuilder(self.revoked.certificate.serial_number, NOW).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)

    @cached_property
    def revoked(self) -> Issued:
        return self.issue("REVOKED")

    @cached_property
    def bounded(self) -> Issued:
        """An authority for another domain only."""
        permitted = [x509.RFC822Name("other.example")]
        return self.issue("BOUNDED", extra=((x509.NameConstraints(permitted, None), True),), authority=True)

    @cached_property
    def ruled(self) -> Issued:
        """An authority under which every certificate must state a policy that leads to its own."""
        rule = x509.PolicyConstraints(require_explicit_policy=0, inhibit_policy_mapping=None)
        return self.issue("RULED", extra=((rule, True),), authority=True)

    @cached_property
    def lone(self) -> Issued:
        """An authority that may have no other below it."""
        return self.issue("LONE", authority=True, length=0)

    @cached_property
    def listless(self) -> Issued:
        """An authority whose list nobody has."""
        return self.issue("LISTLESS", authority=True)

    @cache  # noqa: B019 - one lab for all tests
    def issue(
        self,
        name: str,
        *,
        by: Issued | None = None,
        key: object = None,
        extra: tuple[tuple[x509.ExtensionType, bool], ...] = (),
        authority: bool = False,
        length: int | None = None,
        begins: datetime = NOW - 30 * DAY,
        ends: datetime = NOW + 30 * DAY,
        uses: frozenset[str] = frozenset({"digital_signature"}),
        eku: x509.ObjectIdentifier = Eku.EMAIL_PROTECTION,
        address: str = FROM,
        serial: int = 0,
    ) -> Issued:
        """A certificate under the authority (an authority: under the root); `key` may be public, or make one."""
        issuer = by or (self.root if authority else self.authority)
        own = key() if callable(key) else key or ec_key(f"attack {name}")
        public = own.public_key() if hasattr(own, "public_key") else own
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        number = serial or int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1
        builder = x509.CertificateBuilder(issuer.certificate.subject, subject, public, number, begins, ends)  # type: ignore[arg-type]
        rules = {"key_cert_sign", "crl_sign"} if authority else uses
        stated: list[tuple[x509.ExtensionType, bool]] = [
            (x509.BasicConstraints(ca=authority, path_length=length), True),
            (x509.KeyUsage(**{each: each in rules for each in USAGES}), True),
            (x509.SubjectKeyIdentifier.from_public_key(public), False),  # type: ignore[arg-type]
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), False),
        ]
        if not authority:
            stated.append((x509.ExtendedKeyUsage([eku]), False))
        if not authority and address:
            stated.append((x509.SubjectAlternativeName([x509.RFC822Name._init_without_validation(address)]), False))
        for extension, critical in (*stated, *extra):
            builder = builder.add_extension(extension, critical)
        return Issued(builder.sign(issuer.key, hashes.SHA256()), own)  # type: ignore[arg-type]

    def altered(self, who: Issued, old: bytes, new: bytes) -> bytes:
        """His certificate with some octets of the same number replaced, signed again by the authority."""
        inner = who.certificate.tbs_certificate_bytes
        if inner.count(old) != 1 or len(old) != len(new):
            raise ValueError("not there once, or of another size")
        return self.certified(inner.replace(old, new))

    def certified(self, inner: bytes) -> bytes:
        """A certificate with this inner part, signed by the authority."""
        value = self.authority.key.sign(inner, ec.ECDSA(hashes.SHA256()))  # type: ignore[call-arg, arg-type]
        return ber.tlv(0x30, inner, identifier(ECDSA), ber.tlv(0x03, b"\x00", value))

    @cached_property
    def openers(self) -> tuple[LocalOpener, ...]:
        return self.reader, self.rsa_reader


@cache
def lab() -> Lab:
    return Lab()


# --- the pen --------------------------------------------------------------------------------------------------

Change: TypeAlias = Callable[[list[bytes]], list[bytes]]


@dataclass(frozen=True, kw_only=True)
class Written:
    """A signature by the rightful key, in which each part may be another one."""

    who: Issued = field(default_factory=lambda: lab().author)
    at: datetime = NOW
    over: bytes = CONTENT
    digest: bytes = identifier(SHA256)
    listed: Sequence[bytes] = (identifier(SHA256),)
    algorithm: bytes = b""
    version: int = 1
    signer: bytes = b""
    change: Change | None = list
    sent: Change = sorted
    """The order in which the signed attributes travel; signed are they as a DER SET OF."""
    content_type: str = attributes.DATA
    inside: bytes | None = None
    certificates: Sequence[bytes] | None = None
    value: Callable[[bytes], bytes] = bytes
    pss: bool = False
    times: int = 1
    unsigned: bytes = b""

    def message(self) -> bytes:
        inside = b"" if self.inside is None else ber.tlv(0xA0, encode_der(self.inside))
        carried = (self.who.der,) if self.certificates is None else self.certificates
        data = ber.tlv(
            0x30, encode_der(1), ber.set_of(*self.listed),
            ber.tlv(0x30, algorithms.oid(self.content_type), inside),
            ber.tlv(0xA0, *carried), ber.tlv(0x31, *[self._info()] * self.times),
        )  # fmt: skip
        return ber.tlv(0x30, algorithms.oid(signed.SIGNED_DATA), ber.tlv(0xA0, data))

    def _info(self) -> bytes:
        listed = None
        if self.change is not None:
            composed = attributes.compose(hashlib.sha256(self.over).digest(), self.who.der, self.at)
            listed = self.change(list(composed))
        signed_bytes = self.over if listed is None else ber.set_of(*listed)
        named = self.who.certificate
        return ber.tlv(
            0x30, encode_der(self.version),
            self.signer or ber.tlv(0x30, named.issuer.public_bytes(), encode_der(named.serial_number)),
            self.digest, b"" if listed is None else ber.tlv(0xA0, *self.sent(listed)),
            self.algorithm or algorithms.signature_identifier(named, "sha256", self.pss),
            encode_der(self.value(self._signed(signed_bytes))),
            ber.tlv(0xA1, self.unsigned) if self.unsigned else b"",
        )  # fmt: skip

    def _signed(self, data: bytes) -> bytes:
        key = self.who.key
        if isinstance(key, rsa.RSAPrivateKey):
            how = algorithms.pss_padding("sha256") if self.pss else padding.PKCS1v15()
            return key.sign(data, how, hashes.SHA256())
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(data, ec.ECDSA(hashes.SHA256()))
        return bytes(64)


def without(kind: str) -> Change:
    return lambda found: [each for each in found if algorithms.oid(kind) not in each[:16]]


def having(kind: str, *values: bytes) -> Change:
    """The attribute with these values in the place of the one that is there."""
    return lambda found: [*without(kind)(found), attribute(kind, *values)]


def again(kind: str) -> Change:
    return lambda found: [*found, *(each for each in found if algorithms.oid(kind) in each[:16])]


# --- asked ----------------------------------------------------------------------------------------------------


def ask_signed(made: bytes, content: bytes | None = CONTENT, policy: cms.Policy = cms.STRICT) -> Answer:
    """About the first signer."""
    return _said(cms.proofs(made, content, lab().fresh(), profiles.SMIME, NOW, policy=policy)[0])


def ask_single(made: bytes) -> Answer:
    """As one signature."""
    return _said(cms.verify(made, CONTENT, lab().fresh(), profiles.SMIME, NOW))


def _said(proof: Proof) -> Answer:
    trust = proof.trust
    return ("valid", "") if isinstance(trust, Trusted) else (trust.check, trust.fault.value)


def ask_encrypted(made: bytes) -> Answer:
    answer = envelope.decrypt(made, lab().openers)
    return ("valid", "") if isinstance(answer, envelope.Opened) else (answer.check, answer.fault.value)


def ask_letter(made: bytes, wanted: str = "") -> Answer:
    """What is said of a letter: the first name that tells why it is not valid, or `wanted` if that is among them."""
    verdict = smime.judge(message.scan(made), lab().fresh(), NOW)
    if verdict.signature is SignatureState.VALID:
        return "valid", ""
    names = [str(each) for each in (verdict.fault, *verdict.findings, *_checks(verdict.evidence)) if each]
    return wanted if wanted in names else (names or [""])[0], verdict.signature.value


def _checks(evidence: Sequence[dict[str, object]]) -> list[str]:
    return [str(each["check"]) for each in evidence if each.get("check")]


@dataclass(frozen=True)
class Attack:
    """One way to deceive, derived from a valid message."""

    name: str
    how: Callable[[], bytes]
    check: str
    """The name under which it is refused."""
    fault: str
    ask: Callable[[bytes], Answer] = ask_signed
    guard: str = ""
    """Which check of GUARDS holds it back, where the name alone does not tell."""

    def answer(self) -> Answer:
        made = self.how()
        return ask_letter(made, self.check) if self.ask is ask_letter else self.ask(made)

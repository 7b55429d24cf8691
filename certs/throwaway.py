"""A public-key infrastructure to throw away: for the demo and tests, with the shapes of IGC-Santé.

Promises: names, profiles and lifetimes like those of IGC-Santé's Élémentaire Organisations, all under
authorities whose names start with "TEST PLI", so that nothing made here is taken for the real thing. Does
not: stand on the serving path (an import contract says so), nor keep its authorities' keys anywhere but in
memory.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict, Unpack

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AuthorityInformationAccessOID as Access
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from cryptography.x509.oid import NameOID, ObjectIdentifier

from certs import ber

if TYPE_CHECKING:
    from certs.keys import LocalSigner

Key: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

THREE_YEARS = timedelta(days=3 * 365)
_BACKDATE = timedelta(hours=1)
_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
SIGNS = frozenset({"digital_signature"})
SIGNS_FOR_GOOD = frozenset({"digital_signature", "content_commitment"})
TAKES_KEYS = frozenset({"key_encipherment"})
AGREES = frozenset({"key_agreement"})
_RULES = frozenset({"key_cert_sign", "crl_sign"})
_CURVES = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}


@dataclass(frozen=True)
class Issued:
    """A certificate with its private key and its issuers (DER, nearest first, without the root)."""

    certificate: x509.Certificate
    key: Key = field(repr=False)
    chain: tuple[bytes, ...] = ()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def key_pem(self) -> bytes:
        """PKCS #8, not encrypted."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Writes `name`.pem (certificate, then chain) and `name`.key, mode 0600; answers their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        certificates, key = folder / f"{name}.pem", folder / f"{name}.key"
        write_private(certificates, self.certificate.public_bytes(Encoding.PEM) + _pem(self.chain))
        write_private(key, self.key_pem)
        return certificates, key

    def signer(self) -> LocalSigner:
        """The same as a signer that holds its own key."""
        from certs.keys import LocalSigner

        return LocalSigner(certificate=self.der, chain=self.chain, key=self.key)


class Window(TypedDict, total=False):
    """When a certificate is valid; else from an hour before the infrastructure's `now`, for three years."""

    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a certificate looks like, and each way in which a test may spoil it."""

    usage: frozenset[str] = SIGNS
    eku: tuple[ObjectIdentifier, ...] = ()
    names: tuple[x509.GeneralName, ...] = ()
    key: str | Key = "rsa"
    """rsa, p256, p384 or p521; or a key that exists: RSA keys are dear."""
    bits: int = 2048
    not_before: datetime | None = None
    not_after: datetime | None = None
    digest: hashes.SHA256 | hashes.SHA384 | hashes.SHA512 = field(default_factory=hashes.SHA256)
    signed: Literal["plain", "pss", "sha1"] = "plain"
    """How the authority signs: its key's usual way, RSA-PSS (RFC 4055), or the SHA-1 that the library refuses."""
    urls: str = ""
    """Base of the addresses of CRL, OCSP responder and issuer that it names; none without."""
    no_check: bool = False
    """id-pkix-ocsp-nocheck (RFC 6960 §4.2.2.2.1)."""


@dataclass(eq=False)
class Pki:
    """A root and the authority under it that issues everything."""

    root: Issued
    authority: Issued
    now: datetime
    name: str
    revoked: list[Issued] = field(default_factory=list)
    crl_number: int = 0

    @staticmethod
    def create(now: datetime, name: str = "PLI DEMO", kind: str = "rsa") -> Pki:
        """Root and issuing authority, valid from an hour before `now`, in memory. Costs two keys of `kind`."""
        root_name = _authority_name(name, "TEST PLI AC RACINE IGC-SANTE ELEMENTAIRE")
        authority_name = _authority_name(name, "TEST PLI AC IGC-SANTE ELEMENTAIRE ORGANISATIONS")
        root_key = _key(kind, 2048)
        key = _key(kind, 2048)
        root = Issued(_authority(root_name, root_key, root_name, root_key, now, path_length=1), root_key)
        certificate = _authority(authority_name, key, root_name, root_key, now, path_length=0)
        authority = Issued(certificate, key, (certificate.public_bytes(Encoding.DER),))
        return Pki(root, authority, now, name)

    def tls_server(
        self,
        cn: str,
        organisation: str,
        unit: str,
        department: str = "Paris (75)",
        dns: Sequence[str] = (),
        ips: Sequence[str] = ("127.0.0.1",),
        **window: Unpack[Window],
    ) -> Issued:
        """An operator's host: it serves and it calls, so both TLS uses. `window`: not_before, not_after."""
        names = (*map(x509.DNSName, dns or (cn,)), *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips))
        shape = Shape(eku=(Eku.SERVER_AUTH, Eku.CLIENT_AUTH), names=names, **window)
        return self.issue(subject(cn, organisation, unit, department), shape)

    def auth_client(
        self, cn: str, organisation: str, unit: str, department: str = "Paris (75)", **window: Unpack[Window]
    ) -> Issued:
        """ORG AUTH_CLI: an organisation as a TLS client."""
        return self.issue(subject(cn, organisation, unit, department), Shape(eku=(Eku.CLIENT_AUTH,), **window))

    def smime(
        self, address: str, cn: str, organisation: str, unit: str, key: str = "rsa", **window: Unpack[Window]
    ) -> Issued:
        """A mailbox's signing certificate: rfc822Name is `address`. `key`: rsa, p256, p384 or p521."""
        names = (x509.RFC822Name(address),)
        shape = Shape(usage=SIGNS_FOR_GOOD, eku=(Eku.EMAIL_PROTECTION,), names=names, key=key, **window)
        return self.issue(subject(cn, organisation, unit), shape)

    def seal(self, domain: str, organisation: str, unit: str, **window: Unpack[Window]) -> Issued:
        """ORG SIGN: the establishment's seal over a mail domain."""
        # RFC 3183 §3.1: a domain signature's certificate names domain-signing-authority@ the domain.
        return self.smime(f"domain-signing-authority@{domain}", domain, organisation, unit, **window)

    def white_list_signer(self, **window: Unpack[Window]) -> Issued:
        """Who signs the white list of the trust space."""
        return self.smime(
            "alb@test.pli.invalid", "alb.test.pli.invalid", f"{self.name} ESPACE", "300000000000000", **window
        )

    def encryption(
        self, address: str, cn: str, organisation: str, unit: str, key: str | Key = "rsa", **window: Unpack[Window]
    ) -> Issued:
        """A mailbox's encryption certificate: keyEncipherment with RSA, keyAgreement with EC (RFC 8551 §4.4.2)."""
        usage = TAKES_KEYS if key == "rsa" or isinstance(key, rsa.RSAPrivateKey) else AGREES
        names = (x509.RFC822Name(address),)
        shape = Shape(usage=usage, eku=(Eku.EMAIL_PROTECTION,), names=names, key=key, **window)
        return self.issue(subject(cn, organisation, unit), shape)

    def ocsp_responder(self, key: str | Key = "p256", **window: Unpack[Window]) -> Issued:
        """Who answers for the issuing authority (RFC 6960 §4.2.2.2)."""
        shape = Shape(eku=(Eku.OCSP_SIGNING,), no_check=True, key=key, **window)
        return self.issue(subject("ocsp.test.pli.invalid", f"{self.name} OCSP", "300000000000001"), shape)

    def issue(self, subject: x509.Name, shape: Shape) -> Issued:
        """Any end certificate under the issuing authority."""
        key = _key(shape.key, shape.bits) if isinstance(shape.key, str) else shape.key
        begins = shape.not_before or self.now - _BACKDATE
        builder = _builder(
            subject,
            self.authority.certificate.subject,
            key,
            begins,
            shape.not_after or self.now + THREE_YEARS,
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(shape.usage), critical=True)
        if shape.eku:
            builder = builder.add_extension(x509.ExtendedKeyUsage(shape.eku), critical=False)
        if shape.names:
            builder = builder.add_extension(x509.SubjectAlternativeName(shape.names), critical=False)
        if shape.no_check:
            builder = builder.add_extension(x509.OCSPNoCheck(), critical=False)
        if shape.urls:
            builder = _with_urls(builder, shape.urls)
        builder = _with_issuer_key(builder, self.authority.key)
        return Issued(_signed(builder, self.authority, shape), key, self.authority.chain)

    def revoke(self, issued: Issued) -> None:
        """The next CRLs name it."""
        self.revoked.append(issued)

    def crls(self, now: datetime, lives: timedelta = timedelta(days=7)) -> tuple[bytes, ...]:
        """The root's and the issuing authority's CRL, DER, issued at `now`."""
        self.crl_number += 1
        return tuple(self._crl(issuer, now, lives) for issuer in (self.root, self.authority))

    def _crl(self, issuer: Issued, now: datetime, lives: timedelta) -> bytes:
        builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, now, now + lives)
        builder = builder.add_extension(x509.CRLNumber(self.crl_number), critical=False)
        for issued in self.revoked:
            if issued.certificate.issuer == issuer.certificate.subject:
                builder = builder.add_revoked_certificate(_entry(issued, now))
        return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def write_trust(self, folder: Path, now: datetime) -> None:
        """Writes what TrustStore.load reads, with fresh CRLs; run it again after a revocation."""
        write_public(folder / "anchors" / "root.pem", self.root.certificate.public_bytes(Encoding.PEM))
        write_public(folder / "intermediates" / "authority.pem", _pem(self.authority.chain))
        for name, der in zip(("root", "authority"), self.crls(now), strict=True):
            write_public(folder / "crls" / f"{name}.crl", der)


def with_sha1(tbs: bytes, issuer: Issued) -> bytes:
    """A certificate or CRL from its inner part (DER), made for SHA-256 with RSA, signed with SHA-1.

    By own DER, since the library refuses to. Raises ValueError for an issuer whose key is not RSA.
    """
    if not isinstance(issuer.key, rsa.RSAPrivateKey):
        raise ValueError("SHA-1 is signed with an RSA key here")
    tbs = tbs.replace(_SHA256_RSA, _SHA1_RSA)
    signature = issuer.key.sign(tbs, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303
    return ber.tlv(0x30, tbs, ber.tlv(0x30, _SHA1_RSA, b"\x05\x00"), ber.tlv(0x03, b"\x00", signature))


# RFC 8017 A.2.4: sha256WithRSAEncryption, sha1WithRSAEncryption; of one length, so that they can be exchanged in place
_SHA256_RSA, _SHA1_RSA = (bytes.fromhex(f"06092a864886f70d0101{last}") for last in ("0b", "05"))


def _signed(builder: x509.CertificateBuilder, authority: Issued, shape: Shape) -> x509.Certificate:
    if shape.signed == "pss":
        pss = padding.PSS(padding.MGF1(shape.digest), padding.PSS.DIGEST_LENGTH)
        return builder.sign(authority.key, shape.digest, rsa_padding=pss)
    made = builder.sign(authority.key, shape.digest)
    if shape.signed == "sha1":
        return x509.load_der_x509_certificate(with_sha1(made.tbs_certificate_bytes, authority))
    return made


def _with_urls(builder: x509.CertificateBuilder, base: str) -> x509.CertificateBuilder:
    """RFC 5280 §4.2.1.13, §4.2.2.1."""
    lists = x509.DistributionPoint([x509.UniformResourceIdentifier(f"{base}/authority.crl")], None, None, None)
    said = [(Access.OCSP, f"{base}/ocsp"), (Access.CA_ISSUERS, f"{base}/authority.cer")]
    access = [x509.AccessDescription(method, x509.UniformResourceIdentifier(url)) for method, url in said]
    builder = builder.add_extension(x509.CRLDistributionPoints([lists]), critical=False)
    return builder.add_extension(x509.AuthorityInformationAccess(access), critical=False)


def _entry(issued: Issued, now: datetime) -> x509.RevokedCertificate:
    serial = issued.certificate.serial_number
    return x509.RevokedCertificateBuilder(serial, now).build()


def _authority_name(organisation: str, cn: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "FR"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "TEST PLI IGC-SANTE"),
            x509.NameAttribute(NameOID.COMMON_NAME, cn),
        ]
    )


def subject(cn: str, organisation: str, unit: str, department: str = "Paris (75)") -> x509.Name:
    """C, ST, O, OU (national structure identifier), CN: the order of IGC-Santé's end certificates."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "FR"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, department),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, cn),
        ]
    )


def _key(kind: str, bits: int) -> Key:
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=bits)
    return ec.generate_private_key(_CURVES[kind])


def _usage(names: frozenset[str]) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in names for name in _USAGES})


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), begins, ends)
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _with_issuer_key(builder: x509.CertificateBuilder, key: Key) -> x509.CertificateBuilder:
    return builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)


def _authority(
    subject: x509.Name, key: Key, issuer: x509.Name, issuer_key: Key, now: datetime, *, path_length: int
) -> x509.Certificate:
    builder = _builder(subject, issuer, key, now - _BACKDATE, now + 3 * THREE_YEARS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    builder = builder.add_extension(_usage(_RULES), critical=True)
    return _with_issuer_key(builder, issuer_key).sign(issuer_key, hashes.SHA256())


def write_all(folder: Path, now: datetime, urls: str = "") -> None:
    """A whole infrastructure with every way in which a certificate can be wrong: certs.specimens writes it."""
    from certs import specimens

    specimens.write(folder, now, urls)


def _pem(ders: Sequence[bytes]) -> bytes:
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in ders)


def write_public(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_private(path: Path, data: bytes) -> None:
    """The file is private from its first byte on, also when it replaces a laxer one."""
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)

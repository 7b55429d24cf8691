"""A throw-away infrastructure that is the same in every run: its keys are derived, so that what was kept stays valid.

Promises: whoever starts the fuzzer anew, or replays a kept input, has the same keys, hence the same answers; no key
is written anywhere. Does not: protect anything; whoever reads this file has the keys.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from cryptography.x509.oid import NameOID

from certs import revocation
from certs.chain import TrustStore
from certs.openers import LocalOpener
from certs.revocation import Crls
from certs.throwaway import Issued, Key

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
_YEAR = timedelta(days=365)
FROM = "jeanne.martin@hopital-a.mssante.fr"
CONTENT = b"Content-Type: text/plain\r\n\r\nBonjour\r\n"
"""The only content that anybody in this world ever signed by itself."""
OTHER = b"Content-Type: text/plain\r\n\r\nAu revoir\r\n"
SECRET = b"Content-Type: text/plain\r\n\r\nEntre nous\r\n"
"""The only content that was ever encrypted with authentication."""
LETTER = (
    f"From: <{FROM}>\r\nTo: <paul@b.mssante.fr>\r\nSubject: fuzz\r\nDate: Wed, 25 Nov 2026 09:30:00 +0000\r\n"
    "Message-ID: <1@hopital-a.mssante.fr>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    "--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nBonjour\r\n"
    "--b\r\nContent-Type: application/zip; name*=utf-8''IHE%5FXDM.zip\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==\r\n--b--\r\n"
).encode()
"""The only letter that was ever signed or, under a signature, encrypted."""
ENTITY = LETTER[LETTER.index(b"Content-Type") :]
"""What its signature is over: 7-bit already."""
_FIELDS = f"From: <{FROM}>\r\nSubject: =?utf-8?q?fuz?= =?iso-8859-1?b?6Q==?=\r\nTo: <paul@b.mssante.fr>\r\n"
PROTECTED = f'Content-Type: text/plain; hp="clear"\r\n{_FIELDS}\r\nBonjour\r\n'.encode()
HIDDEN = (
    f'Content-Type: text/plain; hp="cipher"\r\nHP-Outer: From: <{FROM}>\r\nHP-Outer: Subject: [...]\r\n'
    f"HP-Outer: To: <paul@b.mssante.fr>\r\n{_FIELDS}\r\nBonjour\r\n"
).encode()
WRAPPED = b"Content-Type: message/rfc822\r\n\r\n" + LETTER
ENTITIES = frozenset({ENTITY, PROTECTED, HIDDEN, WRAPPED})
"""All that is ever signed in a letter: three with its header inside too (RFC 9788, RFC 8551 §3.1)."""
_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


def stream(label: str, size: int) -> bytes:
    return hashlib.shake_256(b"pli fuzz " + label.encode()).digest(size)


def ec_key(label: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(stream(label, 31), "big"), ec.SECP256R1())


def rsa_key(label: str) -> rsa.RSAPrivateKey:
    """RSA 2048."""
    return rsa_from(label, 1024)


def rsa_from(label: str, bits: int) -> rsa.RSAPrivateKey:
    """From two primes of so many bits that follow derived numbers."""
    p, q = (_prime(int.from_bytes(stream(f"{label} {each}", bits // 8), "big"), bits) for each in "pq")
    d = pow(65537, -1, (p - 1) * (q - 1))
    parts = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, *parts, rsa.RSAPublicNumbers(65537, p * q)).private_key()


_SMALL = [each for each in range(3, 2000, 2) if all(each % other for other in range(3, int(each**0.5) + 1, 2))]


def _prime(begin: int, bits: int) -> int:
    """The first number from here that passes Fermat to a few bases, of full size, and fits 65537."""
    candidate = begin | (3 << (bits - 2)) | 1
    while not _likely(candidate):
        candidate += 2
    return candidate


def _likely(number: int) -> bool:
    if any(number % each == 0 for each in _SMALL) or number % 65537 == 1:
        return False
    return all(pow(base, number - 1, number) == 1 for base in (2, 3, 5, 7))


class World:
    """A root, an authority, people who sign and people who read, and the store that trusts them."""

    def __init__(self) -> None:
        self.root = self._issued("TEST PLI FUZZ RACINE", ec_key("root"), None, authority=True)
        self.authority = self._issued("TEST PLI FUZZ AUTORITE", ec_key("authority"), self.root, authority=True)
        self.author = self._issued("JEANNE MARTIN", ec_key("author"), self.authority, address=FROM)
        self.colleague = self._issued("PAUL DURAND", ec_key("colleague"), self.authority, address="paul@b.mssante.fr")

    @cached_property
    def rsa_author(self) -> Issued:
        return self._issued("JEANNE MARTIN", rsa_key("author"), self.authority, address=FROM)

    @cached_property
    def reader(self) -> LocalOpener:
        """Opens by key agreement."""
        return self._opener(self.colleague)

    @cached_property
    def rsa_reader(self) -> LocalOpener:
        """Opens by key transport."""
        return self._opener(self.rsa_author)

    @cached_property
    def store(self) -> TrustStore:
        lists = [revocation.read(self._crl(each)) for each in (self.root, self.authority)]
        return TrustStore((self.root.certificate,), (self.authority.certificate,), Crls([x for x in lists if x]))

    def _opener(self, who: Issued) -> LocalOpener:
        return LocalOpener(who.der, who.key)

    def _issued(
        self, name: str, key: Key, issuer: Issued | None, *, authority: bool = False, address: str = ""
    ) -> Issued:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        by, signing = (issuer.certificate.subject, issuer.key) if issuer else (subject, key)
        serial = int.from_bytes(stream(f"serial {name} {type(key).__name__}", 8), "big") >> 1
        builder = x509.CertificateBuilder(by, subject, key.public_key(), serial, NOW - _YEAR, NOW + _YEAR)
        uses = {"key_cert_sign", "crl_sign"} if authority else {"digital_signature"}
        if not authority:
            uses |= {"key_encipherment"} if isinstance(key, rsa.RSAPrivateKey) else {"key_agreement"}
            builder = builder.add_extension(x509.ExtendedKeyUsage([Eku.EMAIL_PROTECTION]), critical=False)
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.RFC822Name(address)]), critical=False)
        for extension, critical in (
            (x509.BasicConstraints(ca=authority, path_length=None), True),
            (x509.KeyUsage(**{each: each in uses for each in _USAGES}), True),
            (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), False),
        ):
            builder = builder.add_extension(extension, critical)
        return Issued(builder.sign(signing, hashes.SHA256()), key)

    def _crl(self, issuer: Issued) -> bytes:
        builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, NOW, NOW + _YEAR)
        return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


@cache
def world() -> World:
    return World()

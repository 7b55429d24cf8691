"""An infrastructure in which every kind of certificate can be made, and the extensions that cases put in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from cryptography.x509.oid import NameOID, ObjectIdentifier

from certs import ber, profiles, revocation
from certs.chain import TrustStore
from certs.model import Fault, Trust, Trusted
from certs.profiles import Profile
from certs.revocation import Crls
from certs.throwaway import Issued, Pki

DAY = timedelta(days=1)
SAN = ObjectIdentifier("2.5.29.17")
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
MAIL = x509.ExtendedKeyUsage([Eku.EMAIL_PROTECTION])
Downgrade = Callable[[bytes, Issued], bytes]


@dataclass(frozen=True)
class Kit:
    """An infrastructure in which every kind of certificate can be made, and what a case needs to be judged."""

    pki: Pki
    now: datetime
    with_sha1: Downgrade
    key: ec.EllipticCurvePrivateKey

    def authority(self, *extensions: x509.ExtensionType) -> Issued:
        """An authority right under the root, with these critical extensions."""
        root = self.pki.root
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority {x509.random_serial_number()}")])
        basic = x509.BasicConstraints(ca=True, path_length=None)
        made = self._signed(root, name, self.key, (basic, *extensions), critical=True)
        return Issued(made, self.key, (made.public_bytes(Encoding.DER),))

    def leaf(
        self,
        by: Issued,
        *extensions: x509.ExtensionType,
        subject: x509.Name = NAME,
        key: Any = None,
        critical: bool = False,
    ) -> bytes:
        made = self._signed(by, subject, key or self.key, extensions, critical=critical)
        return made.public_bytes(Encoding.DER)

    def _signed(
        self, by: Issued, name: x509.Name, key: Any, extensions: tuple[x509.ExtensionType, ...], *, critical: bool
    ) -> x509.Certificate:
        begins, ends = self.now - DAY, self.now + DAY
        serial = x509.random_serial_number()
        builder = x509.CertificateBuilder(by.certificate.subject, name, key.public_key(), serial, begins, ends)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(by.key, hashes.SHA256())

    def judge(
        self,
        leaf: bytes,
        by: Issued,
        profile: Profile = profiles.SMIME,
        revoked: bool = False,
        days: int = 0,
        extra: tuple[bytes, ...] = (),
    ) -> Trust:
        """In a store of its own, with fresh lists of the root and of `by`."""
        serial = x509.load_der_x509_certificate(leaf).serial_number
        lists = [self._crl(self.pki.root), self._crl(by, *([serial] if revoked else []))]
        anchors = (self.pki.root.certificate,)
        store = TrustStore(anchors, (by.certificate,), Crls(map(revocation.read, lists)))
        return store.judge(leaf, extra, profile, self.now + days * DAY)

    def _crl(self, issuer: Issued, *serials: int) -> bytes:
        builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, self.now, self.now + 9 * DAY)
        for serial in serials:
            builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, self.now).build())
        return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def fault(trust: Trust) -> Fault:
    assert not isinstance(trust, Trusted)
    return trust.fault


_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def usage(name: str) -> x509.KeyUsage:
    """A key usage of this one use."""
    return x509.KeyUsage(**{each: each == name for each in _USAGES})


def stated(*dotted: str) -> x509.CertificatePolicies:
    return x509.CertificatePolicies([x509.PolicyInformation(ObjectIdentifier(each), None) for each in dotted])


def raw_names(*names: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(SAN, ber.tlv(0x30, *names))


ADDRESS, HOST, URI = 0x81, 0x82, 0x86


def people(**attributes: str) -> x509.Name:
    oids = {"o": NameOID.ORGANIZATION_NAME, "cn": NameOID.COMMON_NAME, "email": NameOID.EMAIL_ADDRESS}
    return x509.Name([x509.NameAttribute(oids[name], value) for name, value in attributes.items()])


def san(name: x509.GeneralName) -> tuple[x509.ExtensionType, ...]:
    return (x509.SubjectAlternativeName([name]),)

"""Attacks on the certificate behind a sound signature: whose it is, what it may do, who vouches for it. Data only."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku

from certs import ber
from certs.model import Fault
from certs.throwaway import Issued
from tests.fuzz.world import NOW, ec_key
from tests.hostile.cms.lab import DAY, Attack, Written, identifier, lab

UNKNOWN, USAGE, NAME = Fault.UNKNOWN_ISSUER.value, Fault.WRONG_USAGE.value, Fault.WRONG_NAME.value


def of(name: str, check: str, fault: str, *, by: str = "", beside: Sequence[str] = (), **how: object) -> Attack:
    """Signed by the holder of a certificate issued like this. `by`: an authority of the lab."""

    def message() -> bytes:
        issuer = getattr(lab(), by) if by else None
        who = lab().issue(f"CERTIFICATE {name}", by=issuer, **how)
        others = [getattr(lab(), each).der for each in (*beside, *((by,) if by else ()))]
        return Written(who=who, certificates=(who.der, *others)).message()

    return Attack(name, message, check, fault)


def _stranger() -> bytes:
    """A root of his own, which he brings along."""
    root = _self_signed("TEST PLI FUZZ RACINE")
    who = lab().issue("STRANGER", by=root)
    return Written(who=who, certificates=(who.der, root.der)).message()


def _self_signed(name: str) -> Issued:
    key = ec_key(f"self {name}")
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 7, NOW - DAY, NOW + DAY)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    return Issued(builder.sign(key, hashes.SHA256()), key)


def _below(name: str, by: str) -> bytes:
    """Signed by somebody whose issuer is below `by`."""
    middle = lab().issue(f"MIDDLE {name}", by=getattr(lab(), by), authority=True)
    who = lab().issue(f"LEAF {name}", by=middle)
    return Written(who=who, certificates=(who.der, middle.der)).message()


def _by_an_end() -> bytes:
    """The author, who is no authority, issues a certificate."""
    who = lab().issue("ISSUED BY AN END", by=lab().author)
    return Written(who=who, certificates=(who.der, lab().author.der)).message()


def _by_sha1() -> bytes:
    who = lab().author
    inner = who.certificate.tbs_certificate_bytes.replace(_SHA256, _SHA1)
    key = lab().authority.key
    value = key.sign(_sized(inner), ec.ECDSA(hashes.SHA1()))  # type: ignore[call-arg, arg-type]  # noqa: S303
    der = ber.tlv(0x30, _sized(inner), _SHA1, ber.tlv(0x03, b"\0", value))
    return Written(who=Issued(x509.load_der_x509_certificate(der), who.key)).message()


def _spoilt() -> bytes:
    who = lab().author
    spoilt = who.der[:-1] + bytes([who.der[-1] ^ 1])
    return Written(who=Issued(x509.load_der_x509_certificate(spoilt), who.key)).message()


_SHA256, _SHA1 = identifier("1.2.840.10045.4.3.2"), identifier("1.2.840.10045.4.1")


def _sized(inner: bytes) -> bytes:
    """A SEQUENCE whose inside was changed in size, with its length put right."""
    start = 4 if inner[1] == 0x82 else 3 if inner[1] == 0x81 else 2
    return ber.tlv(0x30, inner[start:])


ATTACKS = (
    of("an expired certificate", "validity", Fault.EXPIRED.value, ends=NOW - DAY),
    of("a certificate of tomorrow", "validity", Fault.NOT_YET_VALID.value, begins=NOW + DAY),
    Attack("a revoked certificate", lambda: Written(who=lab().revoked).message(), "not-revoked", Fault.REVOKED.value),
    of("an authority whose list nobody has", "not-revoked", Fault.REVOCATION_UNKNOWN.value, by="listless"),
    Attack("a root brought along", _stranger, "issuer", UNKNOWN),
    of("a name outside the authority's constraint", "name-constraints", Fault.NAME_CONSTRAINT.value, by="bounded"),
    of("a certificate without the policy that is required", "policy-path", Fault.POLICY.value, by="ruled"),
    Attack("an authority where none may be", lambda: _below("length", "lone"), "path-length", Fault.CHAIN.value),
    Attack("issued by one who is no authority", _by_an_end, "basic-constraints", Fault.CHAIN.value),
    of("a certificate for servers", "extended-usage", USAGE, eku=Eku.SERVER_AUTH),
    of("a certificate for encryption", "key-usage", USAGE, uses=frozenset({"key_agreement"})),
    Attack("an authority that signs letters",
           lambda: Written(who=lab().authority).message(), "key-usage", USAGE),
    of("a critical extension of nobody", "critical-extensions", Fault.UNSUPPORTED.value,
       extra=((x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True),)),
    of("an address with a NUL", "end-names", NAME, address="jeanne.martin@hopital-a.mssante.fr\0.evil.example"),
    of("an address with white space", "end-names", NAME, address=" jeanne.martin@hopital-a.mssante.fr"),
    of("a quoted address", "end-names", NAME, address='"a@b"@hopital-a.mssante.fr'),
    Attack("a certificate signed with SHA-1", _by_sha1, "strong-hashes", Fault.WEAK_ALGORITHM.value),
    Attack("a certificate whose signature was changed", lambda: _spoilt(), "signature", Fault.BAD_SIGNATURE.value),
)  # fmt: skip

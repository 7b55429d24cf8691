"""The checks on one signer: each refuses by its name what no other check refuses, and is missed when it is off."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.asn1 import encode_der
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku

from certs import algorithms, attributes, ber, cms, contents, profiles, signed, signers
from certs.chain import TrustStore
from certs.model import CannotTell, Fault, Proof, Trusted, Untrusted
from certs.throwaway import Issued, Pki, Shape
from tests.certs.forgery import (
    COMPRESSED,
    CONTENT,
    COUNTERSIGNATURE,
    MD5,
    NULL,
    OTHER,
    PSS,
    RSA,
    SHA1,
    SHA3,
    SHA256,
    SHA512,
    SHA512_RSA,
    TIME_STAMP,
    Forgery,
    Lab,
    attribute,
    ess,
    identifier,
    protection,
    twice,
    with_value,
)


@pytest.fixture(scope="session")
def lab(pki: Pki, doctor: Issued, store: TrustStore, moment: datetime) -> Lab:
    return Lab(pki, doctor, store, moment)


@dataclass(frozen=True)
class Row:
    """One way to spoil a signature, and the check which says no to it."""

    check: str
    fault: Fault
    spoil: Callable[[Lab], Forgery]
    detail: str = ""
    then: str = "valid"
    """What is answered once the check is off: 'valid', or the check that says no in its place."""


def of(check: str, fault: Fault, detail: str = "", then: str = "valid", **changes: object) -> Row:
    return Row(check, fault, lambda lab: lab.forge(**changes), detail, then)


def of_certificate(check: str, fault: Fault, detail: str, then: str, make: Callable[[Lab], bytes]) -> Row:
    def spoil(lab: Lab) -> Forgery:
        bound = with_value(attributes.SIGNING_CERTIFICATE_V2)
        return lab.forge(certificates=(make(lab),), change=bound)

    return Row(check, fault, spoil, detail, then)


BAD, WEAK = Fault.BAD_ATTRIBUTES, Fault.WEAK_ALGORITHM
_MODULUS = (1 << 8199) | 1

ROWS = {
    "two signing times": of("attributes-once", BAD, change=twice),
    "two contentType values": of(
        "attributes-once", BAD,
        change=with_value(attributes.CONTENT_TYPE, algorithms.oid(COMPRESSED), algorithms.oid(attributes.DATA)),
    ),
    "SHA-1": of("known-algorithms", WEAK, "sha1", "listed-digest", digest=identifier(SHA1)),
    "MD5": of("known-algorithms", WEAK, "md5", "listed-digest", digest=identifier(MD5)),
    "a digest that is not listed": of("listed-digest", BAD, listed=identifier(SHA512)),
    "no digest listed": of("listed-digest", BAD, listed=b""),
    "version 3 with an issuer": of("version-fits", BAD, version=3),
    "compressed data": of(
        "content-type-allowed", Fault.UNSUPPORTED, "compressed-data", content_type=COMPRESSED,
        change=with_value(attributes.CONTENT_TYPE, algorithms.oid(COMPRESSED)),
    ),
    "no attributes": of("attributes-there", BAD, change=None),
    "no certificate": of("certificate-there", Fault.NO_CERTIFICATE, then="none", certificates=()),
    "two certificates of one name": Row(
        "certificate-single", Fault.AMBIGUOUS,
        lambda lab: lab.forge(certificates=(lab.doctor.der, lab.certified(ec_key().public_key()))),
    ),
    "brainpool": of_certificate(
        "strong-key", Fault.UNSUPPORTED, "brainpoolP256r1", "signature-holds",
        lambda lab: lab.certified(ec.generate_private_key(ec.BrainpoolP256R1()).public_key()),
    ),
    "a huge RSA key": of_certificate(
        "strong-key", Fault.TOO_LARGE, "RSA 8200", "signature-holds",
        lambda lab: lab.certified(rsa.RSAPublicNumbers(65537, _MODULUS).public_key()),
    ),
    "a huge RSA exponent": of_certificate(
        "strong-key", Fault.TOO_LARGE, "RSA exponent", "signature-holds",
        lambda lab: lab.certified(rsa.RSAPublicNumbers((1 << 2000) + 1, _MODULUS >> 4096 | 1).public_key()),
    ),
    "a key of an unknown kind": of_certificate(
        "strong-key", Fault.UNSUPPORTED, "key 1.2.840.113549.1.1.9", "readable",
        lambda lab: lab.altered(identifier(RSA, NULL), identifier("1.2.840.113549.1.1.9", NULL)),
    ),
    "a key for PSS only": of_certificate(
        "key-permits", BAD, "the key is for RSASSA-PSS only", "valid",
        lambda lab: lab.altered(identifier(RSA, NULL), identifier(PSS, b"\x30\x00")),
    ),
    "two hashes": of("hashes-agree", BAD, algorithm=identifier(SHA512_RSA, NULL)),
    "PSS with another trailer": of(
        "pss-parameters", BAD, "PSS with another trailer", "signature-holds",
        algorithm=algorithms._pss_identifier("sha256").replace(b"\xa2\x03\x02\x01\x20", b"\xa3\x03\x02\x01\x02"),
    ),
    "no contentType": of("content-type-agrees", BAD, change=with_value(attributes.CONTENT_TYPE)),
    "another contentType": of(
        "content-type-agrees", BAD, change=with_value(attributes.CONTENT_TYPE, algorithms.oid(COMPRESSED))
    ),
    "another content inside": of("inside-agrees", Fault.DIGEST_MISMATCH, inside=OTHER),
    "another digest": of(
        "digest-agrees", Fault.DIGEST_MISMATCH,
        change=with_value(attributes.MESSAGE_DIGEST, encode_der(hashlib.sha256(OTHER).digest())),
    ),
    "signingCertificateV2 of another": of(
        "certificate-v2-agrees", BAD,
        change=lambda found: [*with_value(attributes.SIGNING_CERTIFICATE_V2)(found), ess(2, bytes(32))],
    ),
    "signingCertificateV2 with another serial": Row(
        "certificate-v2-agrees", BAD,
        lambda lab: lab.forge(change=lambda found: [
            *with_value(attributes.SIGNING_CERTIFICATE_V2)(found),
            ess(2, hashlib.sha256(lab.doctor.der).digest(), lab.doctor.certificate.serial_number + 1),
        ]),
    ),
    "signingCertificate against V2": of(
        "certificate-v1-agrees", BAD, change=lambda found: [*found, ess(1, bytes(20))]
    ),
    "another digest protected": of(
        "protection-agrees", BAD,
        change=with_value(attributes.ALGORITHM_PROTECTION, protection(SHA512, b"\xa1" + identifier(RSA, NULL)[1:])),
    ),
    "another signature protected": of(
        "protection-agrees", BAD,
        change=with_value(attributes.ALGORITHM_PROTECTION, protection(SHA256, b"\xa1" + identifier(PSS)[1:])),
    ),
    "a MAC protected": of(
        "protection-agrees", BAD,
        change=with_value(attributes.ALGORITHM_PROTECTION, protection(SHA256, b"", b"\xa2" + identifier(RSA)[1:])),
    ),
    "a time to come": Row(
        "time-plausible", BAD, lambda lab: lab.forge(at=lab.now + signers.SKEW + timedelta(seconds=1))
    ),
    "a flipped signature": of(
        "signature-holds", Fault.BAD_SIGNATURE, signature=lambda value: value[:-1] + bytes([value[-1] ^ 1])
    ),
}  # fmt: skip


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def said_no(proof: Proof) -> Untrusted | CannotTell:
    assert not isinstance(proof.trust, Trusted)
    return proof.trust


@pytest.mark.parametrize("name", ROWS)
def test_each_check_says_no_by_its_name(lab: Lab, name: str) -> None:
    """One thing is spoilt, and the check that is for it answers; unspoilt the same signature is trusted."""
    row = ROWS[name]
    assert lab.ask(lab.forge()).valid
    refused = said_no(lab.ask(row.spoil(lab)))
    assert (refused.check, refused.fault) == (row.check, row.fault)
    assert row.detail in ("", refused.detail)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.then != "none"])
def test_without_the_check_it_would_pass(lab: Lab, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each check is the one that refuses: with it off the answer is another."""
    row = ROWS[name]
    monkeypatch.setattr(signers, row.check.replace("-", "_"), lambda _: None)
    proof = lab.ask(row.spoil(lab))
    assert ("valid" if proof.valid else said_no(proof).check) == row.then


def test_every_check_has_a_row() -> None:
    """No check of a signer is without its refused twin."""
    asked = {name.replace("_", "-") for name in signers.first_doubt.__code__.co_names if name in vars(signers)}
    assert asked == {row.check for row in ROWS.values()}


def test_what_agrees_is_no_contradiction(lab: Lab) -> None:
    """Both signingCertificate attributes, the serial number and the protected algorithms may be there, and right."""
    who = lab.doctor
    old, serial = hashlib.sha1(who.der, usedforsecurity=False).digest(), who.certificate.serial_number
    told = protection(SHA256, b"\xa1" + identifier(RSA)[1:])

    def change(found: list[bytes]) -> list[bytes]:
        bare = with_value(attributes.SIGNING_CERTIFICATE_V2)(found)
        named = [ess(1, old, serial), ess(2, hashlib.sha256(who.der).digest(), serial)]
        return with_value(attributes.ALGORITHM_PROTECTION, told)([*bare, *named])

    assert lab.ask(lab.forge(change=change)).valid


def test_a_key_identifier_names_the_signer(lab: Lab) -> None:
    """RFC 5652 §5.3: version 3 with a key identifier; version 1 with one contradicts itself."""
    extension = lab.doctor.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    named = ber.tlv(0x80, extension.value.digest)
    assert lab.ask(lab.forge(version=3, signer=named)).valid
    assert said_no(lab.ask(lab.forge(version=1, signer=named))).check == "version-fits"
    assert said_no(lab.ask(lab.forge(version=3, signer=ber.tlv(0x80, b"x" * 20)))).check == "certificate-there"


def test_what_we_say_that_we_open_is_what_we_open() -> None:
    """RFC 8551 §2.5.2: the signed capabilities are ciphers of ours, the one that we like best first."""
    composed = attributes.compose(bytes(32), b"", datetime(2026, 1, 1, tzinfo=UTC))
    (told,) = [each for each in composed if algorithms.oid(attributes.SMIME_CAPABILITIES) in each[:16]]
    value = next(ber.members(ber.content([*ber.members(ber.content(told))][1])))
    offered = [ber.content(each) for each in ber.members(ber.content(value))]
    ours = {algorithms.oid(each.oid) for each in contents.CIPHERS.values()}
    assert offered[0] == algorithms.oid("2.16.840.1.101.3.4.1.46")
    assert len(offered) == len(set(offered)) > 2
    assert set(offered) <= ours


def test_unsigned_attributes_are_believed_by_nobody(lab: Lab) -> None:
    """A countersignature and a time stamp beside a signature change no answer, whether they are sound or junk."""
    inner = ber.tlv(0x30, encode_der(1))
    for spoilt in ((), (attribute(COUNTERSIGNATURE, inner), attribute(TIME_STAMP, NULL)), (NULL,)):
        assert lab.ask(lab.forge(unsigned=spoilt)) == lab.ask(lab.forge())
        refused = lab.forge(unsigned=spoilt, change=with_value(attributes.CONTENT_TYPE))
        assert said_no(lab.ask(refused)).check == "content-type-agrees"


def test_an_algorithm_is_an_identifier_perhaps_with_parameters(lab: Lab) -> None:
    """RFC 3370 §3.2: absent and NULL parameters of RSA are read; a third value beside them is no algorithm."""
    for parameters, valid in (((), True), ((NULL,), True), ((NULL, NULL), False)):
        assert lab.ask(lab.forge(algorithm=identifier(RSA, *parameters))).valid is valid
    refused = said_no(lab.ask(lab.forge(digest=identifier(SHA256, NULL, NULL))))
    assert (refused.fault, refused.check) == (Fault.UNREADABLE, "readable")


LATER = [
    (identifier("1.3.101.112"), "ed25519"),
    (identifier("1.3.101.113"), "ed448"),
    (identifier("2.16.840.1.101.3.4.3.2"), "dsa-with-sha256"),
    (identifier("2.16.840.1.101.3.4.3.18"), "ml-dsa-65"),
    (identifier("2.16.840.1.101.3.4.3.14"), "rsa-with-sha3-256"),
    (identifier("1.2.3.4"), "algorithm 1.2.3.4"),
]


@pytest.mark.parametrize(("algorithm", "name"), LATER)
def test_later_algorithms_are_named(lab: Lab, algorithm: bytes, name: str) -> None:
    """What a later version reads is CannotTell, by its name where it has one."""
    trust = lab.ask(lab.forge(algorithm=algorithm)).trust
    assert isinstance(trust, CannotTell)
    assert (trust.fault, trust.detail, trust.check) == (Fault.UNSUPPORTED, name, "known-algorithms")
    digest = lab.ask(lab.forge(digest=identifier(SHA3))).trust
    assert isinstance(digest, CannotTell)
    assert digest.detail == "sha3-256"


ODD: dict[str, Callable[[int, int], bytes]] = {
    "r and s swapped": lambda r, s: utils.encode_dss_signature(s, r),
    "s negated": lambda r, s: ber.tlv(0x30, encode_der(r), encode_der(-s)),
    "a longer form of r": lambda r, s: ber.tlv(0x30, b"\x02\x22\x00" + r.to_bytes(33, "big"), encode_der(s)),
    "a third number": lambda r, s: ber.tlv(0x30, encode_der(r), encode_der(s), encode_der(0)),
    "something after it": lambda r, s: utils.encode_dss_signature(r, s) + b"\x00",
    "zeros": lambda _r, _s: utils.encode_dss_signature(0, 0),
    "r and s without DER": lambda r, s: r.to_bytes(32, "big") + s.to_bytes(32, "big"),
    "nothing": lambda _r, _s: b"",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_ecdsa_encodings_do_not_hold(lab: Lab, colleague: Issued, name: str) -> None:
    """RFC 3279 §2.2.3 in DER and nothing else: the same numbers written otherwise are no signature."""

    def written(value: bytes) -> bytes:
        return bytes(ODD[name](*utils.decode_dss_signature(value)))

    assert lab.ask(lab.forge(who=colleague)).valid
    assert said_no(lab.ask(lab.forge(who=colleague, signature=written))).check == "signature-holds"


@pytest.fixture(scope="session")
def colleague(pki: Pki) -> Issued:
    return pki.smime("paul.durand@hopital-a.mssante.fr", "PAUL DURAND", "HOPITAL A", "1750000001", key="p256")


@pytest.mark.parametrize(
    ("hash_name", "mask", "salt", "check"),
    [
        ("sha256", "sha256", 32, "valid"),
        ("sha256", "sha256", 19, "pss-parameters"),
        ("sha256", "sha256", 33, "signature-holds"),
        ("sha256", "sha512", 32, "pss-parameters"),
        ("sha512", "sha512", 64, "pss-parameters"),
    ],
)
def test_pss_parameters_are_those_of_the_signature(lab: Lab, hash_name: str, mask: str, salt: int, check: str) -> None:
    """RFC 4056 §3: the stated hash, mask and salt are those which signed, and strong."""
    oids = {"sha256": SHA256, "sha512": SHA512}
    masked = identifier("1.2.840.113549.1.1.8", identifier(oids[mask]))
    stated = (ber.tlv(0xA0, identifier(oids[hash_name])), ber.tlv(0xA1, masked), ber.tlv(0xA2, encode_der(salt)))
    forgery = lab.forge(algorithm=identifier(PSS, ber.tlv(0x30, *stated)), signature=Resigned(lab))
    proof = lab.ask(forgery)
    assert ("valid" if proof.valid else said_no(proof).check) == check


class Resigned:
    """Puts a PSS signature over the same attributes in the place of the one that was made."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def __call__(self, _: bytes) -> bytes:
        lab = self._lab
        listed = attributes.compose(hashlib.sha256(CONTENT).digest(), lab.doctor.der, lab.now)
        digest = hashlib.sha256(ber.set_of(*listed)).digest()
        return lab.doctor.signer().sign_digest(digest, "sha256", pss=True)


# --- budgets ---


def test_a_crowd_of_signers_is_not_read(lab: Lab) -> None:
    """Sixteen are answered one by one, a seventeenth makes the message too large."""

    def asked(times: int) -> Sequence[Proof]:
        message = lab.forge(times=times).message()
        return cms.proofs(message, CONTENT, lab.store, profiles.SMIME, lab.now)

    assert [each.valid for each in asked(signed.MAX_SIGNERS)] == [True] * signed.MAX_SIGNERS
    (refused,) = asked(signed.MAX_SIGNERS + 1)
    assert (said_no(refused).fault, said_no(refused).check) == (Fault.TOO_LARGE, "few-enough")


@pytest.mark.parametrize("many", ["attributes", "values"])
def test_a_crowd_of_attributes_is_not_read(lab: Lab, many: str) -> None:
    """A dozen foreign ones do no harm; more than anybody needs are not looked at."""

    def crowd(count: int) -> Callable[[list[bytes]], list[bytes]]:
        if many == "values":
            return lambda found: [*found, attribute("1.2.3.4", *map(encode_der, range(count)))]
        return lambda found: [*found, *(attribute(f"1.2.3.{number}", NULL) for number in range(count))]

    assert lab.ask(lab.forge(change=crowd(12))).valid
    refused = said_no(lab.ask(lab.forge(change=crowd(attributes.MAX_ATTRIBUTES + 1))))
    assert (refused.fault, refused.check) == (Fault.TOO_LARGE, "few-enough")


def test_what_is_looked_up_is_bounded(lab: Lab) -> None:
    """Of a look-up's answer as many are asked as a message may bring."""
    message = lab.forge(certificates=()).message()

    def asked(place: int) -> Proof:
        found = [*[b"\x30\x00"] * place, lab.doctor.der]
        (proof,) = cms.proofs(message, CONTENT, lab.store, profiles.SMIME, lab.now, lookup=lambda _: found)
        return proof

    assert asked(signed.MAX_CERTIFICATES - 1).valid
    assert said_no(asked(signed.MAX_CERTIFICATES)).check == "certificate-there"


def test_a_weak_rsa_key_is_refused_here(lab: Lab) -> None:
    """RSA 1024 is Untrusted before its signature is looked at."""
    weak = lab.pki.issue(lab.doctor.certificate.subject, Shape(bits=1024, eku=(Eku.EMAIL_PROTECTION,)))
    refused = said_no(lab.ask(lab.forge(who=weak)))
    assert (refused.fault, refused.check, refused.detail) == (Fault.WEAK_KEY, "strong-key", "RSA 1024")

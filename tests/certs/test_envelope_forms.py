"""Encrypted letters as others write them: every form that is read, what comes later by its name, and the budgets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from certs import ber, envelope
from certs.envelope import CANNOT_OPEN, Opened
from certs.model import CannotTell, Fault, Untrusted
from certs.openers import HASHES, Padding

LETTER = b"Bonjour, cher confrere\r\n" * 20
ENVELOPED, AUTH_ENVELOPED = "1.2.840.113549.1.7.3", "1.2.840.113549.1.9.16.1.23"
SIGNED_DATA = "1.2.840.113549.1.7.2"
Correspondents = Mapping[str, Any]
Write = Callable[[Any, Any], bytes]


def opened(cms: bytes, *people: Any) -> bytes | Untrusted | CannotTell:
    answer = envelope.decrypt(cms, [person.opener for person in people])
    return answer.content if isinstance(answer, Opened) else answer


# --- key agreement -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "hash_"),
    [
        ("1.3.133.16.840.63.0.2", hashes.SHA1()),  # noqa: S303
        ("1.3.133.16.840.63.0.3", hashes.SHA1()),  # noqa: S303
        ("1.3.132.1.11.0", hashes.SHA224()),
        ("1.3.132.1.11.1", hashes.SHA256()),
        ("1.3.132.1.11.2", hashes.SHA384()),
        ("1.3.132.1.11.3", hashes.SHA512()),
        ("1.3.132.1.14.0", hashes.SHA224()),
        ("1.3.132.1.14.1", hashes.SHA256()),
        ("1.3.132.1.14.2", hashes.SHA384()),
        ("1.3.132.1.14.3", hashes.SHA512()),
    ],
)
@pytest.mark.parametrize("wrap", ["5", "25", "45", "8", "28", "48"])
def test_every_derivation_with_every_wrap(
    correspondents: Correspondents, pen: Any, scheme: str, hash_: Any, wrap: str
) -> None:
    """The table of RFC 5753 §7; another derivation than the one that is said does not open."""
    person = correspondents["p256"]
    assert opened(pen.gcm([pen.kari(person, scheme=scheme, hash_=hash_, wrap=wrap)], LETTER), person) == LETTER
    other = hashes.SHA512_256()
    assert opened(pen.gcm([pen.kari(person, scheme=scheme, hash_=other, wrap=wrap)], LETTER), person) == CANNOT_OPEN


@pytest.mark.parametrize("kind", ["p256", "p384", "p521"])
def test_a_compressed_point(correspondents: Correspondents, pen: Any, kind: str) -> None:
    """SEC 1 §2.3.3; one with a sign that does not exist has the uniform answer."""
    person = correspondents[kind]
    assert opened(pen.gcm([pen.kari(person, compressed=True)], LETTER), person) == LETTER
    size = {"p256": 32, "p384": 48, "p521": 66}[kind]
    for point in (b"\x05" + bytes(size), b"\x02" + b"\xff" * size, b"\x00", b"\x04" + bytes(2 * size), b""):
        assert opened(pen.gcm([pen.kari(person, point=point or b"\x04")], LETTER), person) == CANNOT_OPEN


def test_a_point_of_another_curve(correspondents: Correspondents, pen: Any) -> None:
    """It is on no curve of ours."""
    other = x509.load_der_x509_certificate(correspondents["p384"].certificate).public_key()
    point = envelope.addressees.agreement._encoded(other)
    assert opened(pen.gcm([pen.kari(correspondents["p256"], point=point)], LETTER), correspondents["p256"]) == (
        CANNOT_OPEN
    )


def test_user_keying_material_counts(correspondents: Correspondents, pen: Any) -> None:
    """RFC 5753 §7.2: it goes into the derivation; another one does not open."""
    person = correspondents["p256"]
    assert opened(pen.gcm([pen.kari(person, ukm=b"salt")], LETTER), person) == LETTER
    assert opened(pen.gcm([pen.kari(person, ukm=b"salt", said_ukm=b"Salt")], LETTER), person) == CANNOT_OPEN


@pytest.mark.parametrize(
    "extra", [b"", b"\x05\x00", bytes.fromhex("06082a8648ce3d030107")], ids=["no", "NULL", "P-256"]
)
def test_the_curve_may_be_said(correspondents: Correspondents, pen: Any, extra: bytes) -> None:
    """RFC 5753 §3.1.1: absent, NULL and the curve's number are all in use."""
    person = correspondents["p256"]
    assert opened(pen.gcm([pen.kari(person, extra=extra)], LETTER), person) == LETTER


@pytest.mark.parametrize("date", [b"", b"\x18\x0f20261125093000Z"], ids=["bare", "dated"])
def test_a_recipient_key_identifier(correspondents: Correspondents, pen: Any, date: bytes) -> None:
    """RFC 5652 §6.2.2: [0] with the identifier, and perhaps a date; another identifier is somebody else."""
    person = correspondents["p256"]
    identifier = envelope.addressees.holder(person.certificate).key_identifier
    rid = ber.tlv(0xA0, ber.tlv(0x04, identifier), date)
    assert opened(pen.gcm([pen.kari(person, rid=rid)], LETTER), person) == LETTER
    answer = opened(pen.gcm([pen.kari(person, rid=ber.tlv(0xA0, ber.tlv(0x04, bytes(20)), date))], LETTER), person)
    assert isinstance(answer, Untrusted)
    assert answer.fault is Fault.NOT_FOR_US


# --- key transport -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [b"", b"Pli", bytes(1024)])
@pytest.mark.parametrize("mgf_hash", HASHES)
@pytest.mark.parametrize("hash_name", HASHES)
def test_every_oaep(correspondents: Correspondents, pen: Any, hash_name: str, mgf_hash: str, label: bytes) -> None:
    """RFC 4055 §4.1: each hash with each mask and label."""
    person = correspondents["rsa"]
    padding = Padding("oaep", hash_name, mgf_hash, label)
    encrypted = person.opener.key.public_key().encrypt(pen.KEY, padding.primitive())
    info = pen.ktri(pen.name(person), encrypted, envelope.addressees.transport.identifier(padding))
    assert opened(pen.gcm([info], LETTER), person) == LETTER


@pytest.mark.parametrize("parameters", [b"\x30\x00", b""], ids=["empty", "absent"])
def test_defaults_of_oaep(correspondents: Correspondents, pen: Any, parameters: bytes) -> None:
    """What is not said is SHA-1 with MGF1 of SHA-1 and no label: openssl writes that if nobody says otherwise."""
    person = correspondents["rsa"]
    encrypted = person.opener.key.public_key().encrypt(pen.KEY, Padding("oaep", "sha1", "sha1").primitive())
    algorithm = pen.seq(pen.oid("1.2.840.113549.1.1.7"), parameters)
    assert opened(pen.gcm([pen.ktri(pen.name(person), encrypted, algorithm)], LETTER), person) == LETTER


def _oaep(pen: Any, *fields: bytes) -> bytes:
    return bytes(pen.seq(pen.oid("1.2.840.113549.1.1.7"), pen.seq(*fields)))


NULL = b"\x05\x00"
ABSURD_OAEP: dict[str, Callable[[Any], bytes]] = {
    "label over budget": lambda pen: envelope.addressees.transport.identifier(Padding("oaep", label=bytes(1025))),
    "a field twice": lambda pen: _oaep(pen, *[ber.tlv(0xA0, pen.seq(pen.oid("2.16.840.1.101.3.4.2.1"), NULL))] * 2),
    "a field of no number": lambda pen: _oaep(pen, ber.tlv(0xA5, pen.seq(pen.oid("2.16.840.1.101.3.4.2.1"), NULL))),
    "NULL": lambda pen: pen.seq(pen.oid("1.2.840.113549.1.1.7"), NULL),
    "nothing": lambda pen: pen.seq(),
}


@pytest.mark.parametrize("case", ABSURD_OAEP)
def test_parameters_that_are_none_of_oaep(correspondents: Correspondents, pen: Any, case: str) -> None:
    """Anybody can see that: unreadable."""
    person = correspondents["rsa"]
    answer = opened(pen.gcm([pen.ktri(pen.name(person), bytes(256), ABSURD_OAEP[case](pen))], LETTER), person)
    assert isinstance(answer, Untrusted)
    assert (answer.fault, answer.check) == (Fault.UNREADABLE, "readable")


# --- tags and attributes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tag", "said"), [(12, None), (12, 12), (13, 13), (14, 14), (15, 15), (16, 16)])
def test_each_size_of_tag(correspondents: Correspondents, pen: Any, tag: int, said: int | None) -> None:
    """RFC 5084 §3.2: 12 to 16 bytes, 12 where nothing is said; a tag of that size that is wrong does not open."""
    person = correspondents["p256"]
    assert opened(pen.gcm([pen.kari(person)], LETTER, tag=tag, said=said), person) == LETTER
    assert opened(pen.gcm([pen.kari(person)], LETTER, mac=bytes(tag), said=said), person) == CANNOT_OPEN


@pytest.mark.parametrize("size", [8, 12, 16, 64])
def test_each_size_of_nonce(correspondents: Correspondents, pen: Any, size: int) -> None:
    """RFC 5084 §3.2 recommends 12 bytes and allows others."""
    person = correspondents["p256"]
    assert opened(pen.gcm([pen.kari(person)], LETTER, nonce=os.urandom(size)), person) == LETTER


def _attribute(pen: Any, kind: str, value: bytes) -> bytes:
    return bytes(pen.seq(pen.oid(kind), ber.set_of(value)))


def test_authenticated_attributes_are_under_the_tag(correspondents: Correspondents, pen: Any) -> None:
    """RFC 5083 §2.2: as the DER of a SET OF, in whatever order they travel; a changed one does not open."""
    person = correspondents["p256"]
    one, other = _attribute(pen, "1.2.3.4", b"\x04\x02bb"), _attribute(pen, "1.2.3.3", b"\x04\x02aa")
    cms = pen.gcm([pen.kari(person)], LETTER, attributes=[one, other])
    assert cms.index(one) < cms.index(other)
    assert opened(cms, person) == LETTER
    assert opened(cms.replace(b"\x04\x02bb", b"\x04\x02bc"), person) == CANNOT_OPEN
    assert opened(cms.replace(ber.tlv(0xA1, one, other), b""), person) != LETTER


def test_content_type_under_the_tag(correspondents: Correspondents, pen: Any) -> None:
    """RFC 5083 §2.1: it agrees with what is said in clear, once, or the letter is refused."""
    person = correspondents["p256"]
    data, signed = (_attribute(pen, "1.2.840.113549.1.9.3", pen.oid(kind)) for kind in (envelope.DATA, SIGNED_DATA))
    good = pen.gcm([pen.kari(person)], LETTER, inner=SIGNED_DATA, attributes=[signed])
    assert opened(good, person) == LETTER
    assert opened(pen.gcm([pen.kari(person)], LETTER, attributes=[data]), person) == LETTER
    for attributes in ([data], [signed, signed], [signed, data]):
        answer = opened(pen.gcm([pen.kari(person)], LETTER, inner=SIGNED_DATA, attributes=attributes), person)
        assert isinstance(answer, Untrusted)
        assert (answer.fault, answer.check) == (Fault.BAD_ATTRIBUTES, "attribute-misfit")


def test_unauthenticated_attributes_are_ignored(correspondents: Correspondents, pen: Any) -> None:
    """Anybody on the way may have added them."""
    person = correspondents["p256"]
    said = _attribute(pen, "1.2.840.113549.1.9.3", pen.oid(SIGNED_DATA))
    assert opened(pen.gcm([pen.kari(person)], LETTER, after=ber.tlv(0xA2, said)), person) == LETTER
    assert opened(pen.cbc([pen.kari(person)], bytes(15) + b"\x01", after=ber.tlv(0xA1, said)), person) == bytes(15)


# --- later ---------------------------------------------------------------------------------------------------


def _cipher(number: str) -> Write:
    return lambda pen, who: pen.envelope(ENVELOPED, [pen.kari(who)], pen.seq(pen.oid(number)), bytes(16))


def _static(pen: Any, who: Any) -> bytes:
    """The sender's key is one with a certificate, which is named."""
    version, _, *rest = ber.members(ber.content(pen.kari(who)))
    return ber.tlv(0xA1, version, ber.tlv(0xA0, pen.name(who)), *rest)


LATER: dict[str, Write] = {
    "aes-256-ccm": _cipher("2.16.840.1.101.3.4.1.47"),
    "ChaCha20-Poly1305": _cipher("1.2.840.113549.1.9.16.3.18"),
    "des-ede3-cbc": _cipher("1.2.840.113549.3.7"),
    "rc2-cbc": _cipher("1.2.840.113549.3.2"),
    "cek-hkdf-sha256": _cipher("1.2.840.113549.1.9.16.3.31"),
    "algorithm 1.2.3.4": _cipher("1.2.3.4"),
    "X25519": lambda pen, who: pen.gcm([pen.kari(who, kind="1.3.101.110")], LETTER),
    "X448": lambda pen, who: pen.gcm([pen.kari(who, kind="1.3.101.111")], LETTER),
    "brainpoolP256r1": lambda pen, who: pen.gcm([pen.kari(who, extra=pen.oid("1.3.36.3.3.2.8.1.1.7"))], LETTER),
    "dhSinglePass-stdDH-hkdf-sha256-scheme": lambda pen, who: pen.gcm(
        [pen.kari(who, scheme="1.2.840.113549.1.9.16.3.19")], LETTER
    ),
    "mqvSinglePass-sha256kdf-scheme": lambda pen, who: pen.gcm([pen.kari(who, scheme="1.3.132.1.15.1")], LETTER),
    "static-static key agreement": lambda pen, who: pen.gcm([_static(pen, who)], LETTER),
    "kekri": lambda pen, who: pen.gcm([ber.tlv(0xA2, b"\x02\x01\x04")], LETTER),
    "pwri": lambda pen, who: pen.gcm([ber.tlv(0xA3, b"\x02\x01\x00")], LETTER),
    "ori": lambda pen, who: pen.gcm([ber.tlv(0xA4, pen.oid("1.2.840.113549.1.9.16.13.3"))], LETTER),
    "compressed-data": lambda pen, who: pen.seq(
        pen.oid("1.2.840.113549.1.9.16.1.9"), ber.tlv(0xA0, pen.seq(b"\x02\x01\x00"))
    ),
    "signed-data": lambda pen, who: pen.seq(pen.oid(SIGNED_DATA), ber.tlv(0xA0, pen.seq(b"\x02\x01\x01"))),
    "content type 1.2.3.4": lambda pen, who: pen.seq(pen.oid("1.2.3.4"), ber.tlv(0xA0, b"\x05\x00")),
}


@pytest.mark.parametrize("name", LATER)
def test_what_comes_later_is_named(correspondents: Correspondents, pen: Any, name: str) -> None:
    """CannotTell with the name of what is missing; a letter that we do read, to the same person, opens."""
    person = correspondents["p256"]
    answer = opened(LATER[name](pen, person), person)
    assert answer == CannotTell(Fault.UNSUPPORTED, name, check="supported")
    assert opened(pen.gcm([pen.kari(person)], LETTER), person) == LETTER


def test_what_comes_later_beside_what_we_read(correspondents: Correspondents, pen: Any) -> None:
    """A password for others, or a scheme of tomorrow for us, does not keep a letter shut."""
    person = correspondents["p256"]
    infos = [ber.tlv(0xA3, b"\x02\x01\x00"), pen.kari(person, kind="1.3.101.110"), pen.kari(person)]
    assert opened(pen.gcm(infos, LETTER), person) == LETTER


def test_a_brainpool_key_of_ours(correspondent: Any, pen: Any) -> None:
    """Named, though the letter does not say the curve."""
    person = correspondent("brainpool", ec.generate_private_key(ec.BrainpoolP256R1()))
    answer = opened(pen.gcm([pen.kari(person)], LETTER), person)
    assert answer == CannotTell(Fault.UNSUPPORTED, "brainpoolP256r1", check="supported")

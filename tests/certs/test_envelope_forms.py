"""Encrypted letters as others write them: every form that is read, what comes later by its name, and the budgets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.asn1 import encode_der
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from certs import asn1, ber, cursor, envelope, enveloped
from certs.envelope import CANNOT_OPEN, Opened, Recipe
from certs.model import CannotTell, Fault, Untrusted
from certs.openers import HASHES, Padding

LETTER = b"Bonjour, cher confrere\r\n" * 20
ENVELOPED, AUTH_ENVELOPED = "1.2.840.113549.1.7.3", "1.2.840.113549.1.9.16.1.23"
SIGNED_DATA = "1.2.840.113549.1.7.2"
Correspondents = Mapping[str, Any]
Write = Callable[[Any, Any], bytes]


def _content(cms: bytes, *people: Any) -> bytes | Untrusted | CannotTell:
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
    assert _content(pen.gcm([pen.kari(person, scheme=scheme, hash_=hash_, wrap=wrap)], LETTER), person) == LETTER
    other = hashes.SHA512_256()
    assert _content(pen.gcm([pen.kari(person, scheme=scheme, hash_=other, wrap=wrap)], LETTER), person) == CANNOT_OPEN


@pytest.mark.parametrize("kind", ["p256", "p384", "p521"])
def test_a_compressed_point(correspondents: Correspondents, pen: Any, kind: str) -> None:
    """SEC 1 §2.3.3; one with a sign that does not exist has the uniform answer."""
    person = correspondents[kind]
    assert _content(pen.gcm([pen.kari(person, compressed=True)], LETTER), person) == LETTER
    size = {"p256": 32, "p384": 48, "p521": 66}[kind]
    for point in (b"\x05" + bytes(size), b"\x02" + b"\xff" * size, b"\x00", b"\x04" + bytes(2 * size), b""):
        assert _content(pen.gcm([pen.kari(person, point=point or b"\x04")], LETTER), person) == CANNOT_OPEN


def test_a_point_of_another_curve(correspondents: Correspondents, pen: Any) -> None:
    """It is on no curve of ours."""
    other = x509.load_der_x509_certificate(correspondents["p384"].certificate).public_key()
    point = envelope.addressees.agreement._encoded(other)
    assert _content(pen.gcm([pen.kari(correspondents["p256"], point=point)], LETTER), correspondents["p256"]) == (
        CANNOT_OPEN
    )


def test_user_keying_material_counts(correspondents: Correspondents, pen: Any) -> None:
    """RFC 5753 §7.2: it goes into the derivation; another one does not open."""
    person = correspondents["p256"]
    assert _content(pen.gcm([pen.kari(person, ukm=b"salt")], LETTER), person) == LETTER
    assert _content(pen.gcm([pen.kari(person, ukm=b"salt", said_ukm=b"Salt")], LETTER), person) == CANNOT_OPEN


@pytest.mark.parametrize(
    "extra", [b"", b"\x05\x00", bytes.fromhex("06082a8648ce3d030107")], ids=["no", "NULL", "P-256"]
)
def test_the_curve_may_be_said(correspondents: Correspondents, pen: Any, extra: bytes) -> None:
    """RFC 5753 §3.1.1: absent, NULL and the curve's number are all in use."""
    person = correspondents["p256"]
    assert _content(pen.gcm([pen.kari(person, extra=extra)], LETTER), person) == LETTER


@pytest.mark.parametrize("date", [b"", b"\x18\x0f20261125093000Z"], ids=["bare", "dated"])
def test_a_recipient_key_identifier(correspondents: Correspondents, pen: Any, date: bytes) -> None:
    """RFC 5652 §6.2.2: [0] with the identifier, and perhaps a date; another identifier is somebody else."""
    person = correspondents["p256"]
    identifier = envelope.addressees.holder(person.certificate).key_identifier
    rid = ber.tlv(0xA0, ber.tlv(0x04, identifier), date)
    assert _content(pen.gcm([pen.kari(person, rid=rid)], LETTER), person) == LETTER
    answer = _content(pen.gcm([pen.kari(person, rid=ber.tlv(0xA0, ber.tlv(0x04, bytes(20)), date))], LETTER), person)
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
    assert _content(pen.gcm([info], LETTER), person) == LETTER


@pytest.mark.parametrize("parameters", [b"\x30\x00", b""], ids=["empty", "absent"])
def test_defaults_of_oaep(correspondents: Correspondents, pen: Any, parameters: bytes) -> None:
    """What is not said is SHA-1 with MGF1 of SHA-1 and no label: openssl writes that if nobody says otherwise."""
    person = correspondents["rsa"]
    encrypted = person.opener.key.public_key().encrypt(pen.KEY, Padding("oaep", "sha1", "sha1").primitive())
    algorithm = pen.seq(pen.oid("1.2.840.113549.1.1.7"), parameters)
    assert _content(pen.gcm([pen.ktri(pen.name(person), encrypted, algorithm)], LETTER), person) == LETTER


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
    answer = _content(pen.gcm([pen.ktri(pen.name(person), bytes(256), ABSURD_OAEP[case](pen))], LETTER), person)
    assert isinstance(answer, Untrusted)
    assert (answer.fault, answer.check) == (Fault.UNREADABLE, "readable")


# --- tags and attributes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tag", "said"), [(12, None), (12, 12), (13, 13), (14, 14), (15, 15), (16, 16)])
def test_each_size_of_tag(correspondents: Correspondents, pen: Any, tag: int, said: int | None) -> None:
    """RFC 5084 §3.2: 12 to 16 bytes, 12 where nothing is said; a tag of that size that is wrong does not open."""
    person = correspondents["p256"]
    assert _content(pen.gcm([pen.kari(person)], LETTER, tag=tag, said=said), person) == LETTER
    assert _content(pen.gcm([pen.kari(person)], LETTER, mac=bytes(tag), said=said), person) == CANNOT_OPEN


@pytest.mark.parametrize("size", [8, 12, 16, 64])
def test_each_size_of_nonce(correspondents: Correspondents, pen: Any, size: int) -> None:
    """RFC 5084 §3.2 recommends 12 bytes and allows others."""
    person = correspondents["p256"]
    assert _content(pen.gcm([pen.kari(person)], LETTER, nonce=os.urandom(size)), person) == LETTER


def _attribute(pen: Any, kind: str, value: bytes) -> bytes:
    return bytes(pen.seq(pen.oid(kind), ber.set_of(value)))


def test_authenticated_attributes_are_under_the_tag(correspondents: Correspondents, pen: Any) -> None:
    """RFC 5083 §2.2: as the DER of a SET OF, in whatever order they travel; a changed one does not open."""
    person = correspondents["p256"]
    one, other = _attribute(pen, "1.2.3.4", b"\x04\x02bb"), _attribute(pen, "1.2.3.3", b"\x04\x02aa")
    cms = pen.gcm([pen.kari(person)], LETTER, attributes=[one, other])
    assert cms.index(one) < cms.index(other)
    assert _content(cms, person) == LETTER
    assert _content(cms.replace(b"\x04\x02bb", b"\x04\x02bc"), person) == CANNOT_OPEN
    assert _content(cms.replace(ber.tlv(0xA1, one, other), b""), person) != LETTER


def test_content_type_under_the_tag(correspondents: Correspondents, pen: Any) -> None:
    """RFC 5083 §2.1: it agrees with what is said in clear, once, or the letter is refused."""
    person = correspondents["p256"]
    data, signed = (_attribute(pen, "1.2.840.113549.1.9.3", pen.oid(kind)) for kind in (envelope.DATA, SIGNED_DATA))
    good = pen.gcm([pen.kari(person)], LETTER, inner=SIGNED_DATA, attributes=[signed])
    assert _content(good, person) == LETTER
    assert _content(pen.gcm([pen.kari(person)], LETTER, attributes=[data]), person) == LETTER
    for attributes in ([data], [signed, signed], [signed, data]):
        answer = _content(pen.gcm([pen.kari(person)], LETTER, inner=SIGNED_DATA, attributes=attributes), person)
        assert isinstance(answer, Untrusted)
        assert (answer.fault, answer.check) == (Fault.BAD_ATTRIBUTES, "attribute-misfit")


def test_unauthenticated_attributes_are_ignored(correspondents: Correspondents, pen: Any) -> None:
    """Anybody on the way may have added them."""
    person = correspondents["p256"]
    said = _attribute(pen, "1.2.840.113549.1.9.3", pen.oid(SIGNED_DATA))
    assert _content(pen.gcm([pen.kari(person)], LETTER, after=ber.tlv(0xA2, said)), person) == LETTER
    assert _content(pen.cbc([pen.kari(person)], bytes(15) + b"\x01", after=ber.tlv(0xA1, said)), person) == bytes(15)


# --- BER -----------------------------------------------------------------------------------------------------


def _loosely(der: bytes, piece: int = 0) -> bytes:
    """The same in BER: every constructed value indefinite; with a piece size, the content in pieces of that size."""
    tag, inside = der[0], ber.content(der)
    if tag == 0x80 and piece:
        parts = (ber.tlv(0x04, inside[at : at + piece]) for at in range(0, len(inside), piece))
        return b"\xa0\x80" + b"".join(parts) + b"\x00\x00"
    if not tag & 0x20:
        return bytes([tag, 0x84]) + len(inside).to_bytes(4, "big") + inside
    return bytes([tag, 0x80]) + b"".join(_loosely(each, piece) for each in ber.members(inside)) + b"\x00\x00"


@pytest.mark.parametrize("content", ["aes-256-gcm", "aes-256-cbc"])
@pytest.mark.parametrize("kind", ["rsa", "p384"])
@pytest.mark.parametrize("piece", [1, 7, 16, 100, 4096])
def test_ber_of_streaming_programs(correspondents: Correspondents, kind: str, content: str, piece: int) -> None:
    """Indefinite and long lengths, the content in pieces that fit no block; cut short it is unreadable."""
    person = correspondents[kind]
    loose = _loosely(envelope.encrypt(LETTER, [person.certificate], Recipe(content)), piece)
    assert _content(loose, person) == LETTER
    for cut in (1, 2, 3, len(loose) // 2, len(loose) - 3):
        answer = _content(loose[:-cut], person)
        assert isinstance(answer, Untrusted)
        assert answer.fault is Fault.UNREADABLE


def test_pieces_within_pieces_up_to_a_depth(correspondents: Correspondents, pen: Any) -> None:
    """X.690 §8.7 allows it; a hundred deep is nobody's letter."""
    person = correspondents["p256"]
    cms = envelope.encrypt(LETTER, [person.certificate])
    for depth, expected in ((3, LETTER), (100, None)):
        nested = ber.tlv(0x04, b"".join(envelope.enveloped.read(cms).pieces))
        for _ in range(depth):
            nested = ber.tlv(0x24, nested)
        looser = _with_content(cms, ber.tlv(0xA0, nested))
        answer = _content(looser, person)
        assert answer == expected if expected else isinstance(answer, Untrusted)


def _with_content(cms: bytes, field: bytes) -> bytes:
    """The encrypted content is `field`; every header around it is indefinite."""
    loose = _loosely(cms)
    inside = b"".join(envelope.enveloped.read(cms).pieces)
    written = b"\x80\x84" + len(inside).to_bytes(4, "big") + inside
    assert loose.count(written) == 1
    return loose.replace(written, field)


@pytest.mark.parametrize("content", ["aes-256-gcm", "aes-256-cbc"])
@pytest.mark.parametrize("inner", [envelope.DATA, SIGNED_DATA])
def test_both_readers_see_one_letter(correspondents: Correspondents, content: str, inner: str) -> None:
    """What is DER is read at once, and the same as in one pass; what is not, the quick reader refuses."""
    people = [each.certificate for each in correspondents.values()]
    cms = envelope.encrypt(LETTER, people, Recipe(content), inner=inner)
    assert (
        _seen(enveloped.der(cms)) == _seen(enveloped.indefinite(cms)) == _seen(enveloped.indefinite(_loosely(cms, 7)))
    )
    for refused in (_loosely(cms), cms + b"\0", cms[:-1], b"\x31" + cms[1:]):
        with pytest.raises(ValueError, match=r".*"):
            enveloped.der(refused)


def test_ber_within_der_is_read_in_one_pass(correspondents: Correspondents) -> None:
    """Only the recipients are written loosely, at the same size: the quick reader leaves it to the other."""
    person = correspondents["rsa"]
    cms = envelope.encrypt(LETTER, [person.certificate])
    (info,) = enveloped.der(cms).recipients
    loose = _loosely(info)
    inner = list(ber.members(ber.content(ber.content(list(ber.members(ber.content(cms)))[1]))))
    body = ber.tlv(0x30, inner[0], ber.tlv(0x31, loose), *inner[2:])
    rewritten = ber.tlv(0x30, encode_der(x509.ObjectIdentifier(AUTH_ENVELOPED)), ber.tlv(0xA0, body))
    with pytest.raises(ValueError, match="BER within DER"):
        enveloped.der(rewritten)
    assert _content(rewritten, person) == LETTER


def _seen(read: enveloped.Envelope) -> tuple[object, ...]:
    algorithm = [asn1.whole(each) for each in read.algorithm]
    return algorithm, b"".join(read.pieces), *(getattr(read, each) for each in _PLAIN)


_PLAIN = ("authenticated", "recipients", "content_type", "attributes", "mac", "size")


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
    answer = _content(LATER[name](pen, person), person)
    assert answer == CannotTell(Fault.UNSUPPORTED, name, check="supported")
    assert _content(pen.gcm([pen.kari(person)], LETTER), person) == LETTER


def test_what_comes_later_beside_what_we_read(correspondents: Correspondents, pen: Any) -> None:
    """A password for others, or a scheme of tomorrow for us, does not keep a letter shut."""
    person = correspondents["p256"]
    infos = [ber.tlv(0xA3, b"\x02\x01\x00"), pen.kari(person, kind="1.3.101.110"), pen.kari(person)]
    assert _content(pen.gcm(infos, LETTER), person) == LETTER


def test_a_brainpool_key_of_ours(correspondent: Any, pen: Any) -> None:
    """Named, though the letter does not say the curve."""
    person = correspondent("brainpool", ec.generate_private_key(ec.BrainpoolP256R1()))
    answer = _content(pen.gcm([pen.kari(person)], LETTER), person)
    assert answer == CannotTell(Fault.UNSUPPORTED, "brainpoolP256r1", check="supported")


# --- budgets and surprises -----------------------------------------------------------------------------------


def test_a_thousand_recipients_and_no_more(correspondents: Correspondents, pen: Any) -> None:
    """The last of a thousand opens it; one more is too large, also inside one key agreement."""
    person, other = correspondents["p256"], correspondents["rsa"]
    strangers = [pen.ktri(pen.name(other), bytes(256))] * 999
    assert _content(pen.gcm([*strangers, pen.kari(person)], LETTER), person) == LETTER
    answer = _content(pen.gcm([*strangers, *strangers[:1], pen.kari(person)], LETTER), person)
    assert answer == Untrusted(Fault.TOO_LARGE, "too many recipients", check="budget")


def test_bytes_pieces_and_parts_have_budgets(correspondents: Correspondents, pen: Any) -> None:
    """Over 64 MiB, over 100,000 pieces, a part of over a megabyte, an encrypted key of over 2,048 bytes."""
    person = correspondents["p256"]
    assert _content(bytes(ber.MAX_BYTES + 1), person) == Untrusted(
        Fault.TOO_LARGE, "the letter is too large", check="budget"
    )
    cms = envelope.encrypt(bytes(ber.MAX_VALUES + 1), [person.certificate])
    rid = pen.name(person)
    for attempt in (
        _loosely(cms, 1),
        pen.gcm([pen.ktri(rid, bytes(256))], LETTER, attributes=[ber.tlv(0x30, bytes(cursor.MAX_PART))]),
        pen.gcm([pen.ktri(rid, bytes(2049))], LETTER),
    ):
        answer = _content(attempt, person)
        assert isinstance(answer, Untrusted)
        assert answer.fault is Fault.UNREADABLE
    assert _content(_loosely(cms, 2), person) == bytes(ber.MAX_VALUES + 1)


@pytest.mark.parametrize("inspect", [envelope.recipients, envelope.algorithm])
@pytest.mark.parametrize("garbage", [b"", b"0", b"0\x80", b"0\x80\x00\x00", b"Received: from x\r\n"])
def test_what_is_no_letter_is_not_inspected(inspect: Callable[[bytes], object], garbage: bytes) -> None:
    """ValueError, as for other content types."""
    with pytest.raises(ValueError, match=r".+"):
        inspect(garbage)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=300))
@example(data=b"0\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03\xa0\x80\x30\x80\x02\x01\x00\x31\x00")
def test_any_bytes_have_an_answer(correspondents: Correspondents, data: bytes) -> None:
    """No surprise comes out of bytes."""
    openers = [each.opener for each in correspondents.values()]
    assert isinstance(envelope.decrypt(data, openers), Untrusted | CannotTell)


@settings(max_examples=600, deadline=None)
@given(data=st.data())
def test_any_change_has_an_answer(correspondents: Correspondents, data: st.DataObject) -> None:
    """A good letter with bytes changed, cut out or put in, in DER and in BER: an answer, and never another content."""
    person = correspondents[data.draw(st.sampled_from(sorted(correspondents)))]
    cms = envelope.encrypt(LETTER, [person.certificate])
    cms = _loosely(cms, 100) if data.draw(st.booleans()) else cms
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(cms) - 1))
        gone = data.draw(st.integers(0, 4))
        cms = cms[:at] + data.draw(st.binary(max_size=4)) + cms[at + gone :]
    answer = _content(cms, person)
    assert answer == LETTER or isinstance(answer, Untrusted | CannotTell)
    with suppress(ValueError):
        envelope.recipients(cms)

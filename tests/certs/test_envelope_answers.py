"""One answer about everything that depends on a key or a padding, and the checks behind the others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding

from certs import addressees, agreement, contents, envelope, enveloped
from certs.envelope import CANNOT_OPEN, Opened, Recipe
from certs.keys import KeeperDown, KeeperRefused
from certs.model import Fault, Untrusted
from certs.openers import CannotOpen, LocalOpener, Padding

LETTER = b"Bonjour, cher confrere\r\n"
Correspondents = Mapping[str, Any]


def _flipped(data: bytes, part: bytes, at: int = 0) -> bytes:
    """One bit of `part` in `data` is another."""
    position = data.index(bytes(part)) + at
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


PARTS: dict[str, Callable[[bytes], bytes]] = {
    "encrypted key": lambda cms: addressees.entries(enveloped.read(cms).recipients)[0].encrypted_key,
    "content": lambda cms: b"".join(enveloped.read(cms).pieces),
    "tag": lambda cms: enveloped.read(cms).mac,
    "nonce": lambda cms: enveloped.parameters(enveloped.read(cms).algorithm, enveloped.GcmParameters).nonce,
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "p521"])
def test_one_bit_anywhere_and_it_does_not_open(correspondents: Correspondents, kind: str, part: str) -> None:
    """Under GCM: transported key, content, tag, nonce; unchanged it opens."""
    person = correspondents[kind]
    cms = envelope.encrypt(LETTER, [person.certificate])
    assert isinstance(envelope.decrypt(cms, [person.opener]), Opened)
    value = PARTS[part](cms)
    for at in {0, len(value) // 2, len(value) - 1}:
        assert envelope.decrypt(_flipped(cms, value, at), [person.opener]) == CANNOT_OPEN


@pytest.mark.parametrize("kind", ["p256", "p384", "p521"])
def test_one_bit_of_the_senders_point(correspondents: Correspondents, kind: str) -> None:
    """It is off the curve then, and the answer is the same."""
    person = correspondents[kind]
    cms = envelope.encrypt(LETTER, [person.certificate])
    info = addressees.entries(enveloped.read(cms).recipients)[0].info
    assert isinstance(info, enveloped.KeyAgreeRecipientInfo)
    assert envelope.decrypt(_flipped(cms, bytes(info.originator.data)[-20:]), [person.opener]) == CANNOT_OPEN


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_no_byte_can_be_changed_to_another_content(correspondents: Correspondents, kind: str) -> None:
    """Every byte of a letter under GCM, one after the other: the same content, or none."""
    person = correspondents[kind]
    cms = envelope.encrypt(LETTER, [person.certificate])
    for at in range(len(cms)):
        changed = cms[:at] + bytes([cms[at] ^ 0x04]) + cms[at + 1 :]
        answer = envelope.decrypt(changed, [person.opener])
        assert not isinstance(answer, Opened) or answer.content == LETTER


# --- Bleichenbacher, Manger ----------------------------------------------------------------------------------


def _malformed(key: bytes, size: int) -> Iterator[bytes]:
    """Fifty blocks that are no PKCS #1 v1.5 of a key of 32 bytes, or of another key."""
    filler = bytes(1 + byte % 255 for byte in os.urandom(size))
    yield b"\x00\x02" + filler[: size - 35] + b"\x00" + bytes(32)  # well formed, another key
    yield b"\x00\x02" + filler[: size - 19] + b"\x00" + key[:16]  # well formed, too short a key
    yield b"\x00\x02" + filler[: size - 36] + b"\x00" + key + b"\x00"  # well formed, too long a key
    yield b"\x00\x02" + filler[: size - 3] + b"\x00"  # well formed, no key
    yield b"\x00\x01" + filler[: size - 35] + b"\x00" + key  # a signature's padding
    yield b"\x01\x02" + filler[: size - 35] + b"\x00" + key
    yield b"\x00\x00" + filler[: size - 35] + b"\x00" + key
    yield b"\x00\x02" + filler[: size - 2]  # nothing ends the padding
    for early in range(8):  # RFC 8017 §7.2.2: at least eight bytes of padding
        yield b"\x00\x02" + filler[:early] + b"\x00" + filler[: size - 3 - early]
    for first in range(3, 37):
        yield bytes([0, first]) + filler[: size - 35] + b"\x00" + key


@dataclass(frozen=True)
class Watched:
    """A real opener, and how often it is asked."""

    inner: LocalOpener
    asked: list[str] = field(default_factory=list)

    @property
    def certificate(self) -> bytes:
        return self.inner.certificate

    def transport(self, ciphertext: bytes, padding: Padding, size: int) -> bytes:
        self.asked.append("transport")
        return self.inner.transport(ciphertext, padding, size)

    def agree(self, point: bytes) -> bytes:
        self.asked.append("agree")
        return self.inner.agree(point)


def test_a_million_messages_learn_nothing(correspondents: Correspondents, pen: Any, monkeypatch: Any) -> None:
    """Bleichenbacher: fifty paddings, one answer, and for each the same work: one key, one pass over the content."""
    person = correspondents["rsa"]
    public = person.opener.key.public_key()
    numbers = public.public_numbers()
    passes: list[bytes] = []
    opened = contents.opened
    monkeypatch.setattr(contents, "opened", lambda *asked: (passes.append(asked[2]), opened(*asked))[1])
    blocks = list(_malformed(pen.KEY, public.key_size // 8))
    assert len(blocks) == 50
    watched = Watched(person.opener)
    answers = []
    for block in blocks:
        encrypted = pow(int.from_bytes(block, "big") % numbers.n, numbers.e, numbers.n).to_bytes(len(block), "big")
        answers.append(envelope.decrypt(pen.gcm([pen.ktri(pen.name(person), encrypted)], LETTER), [watched]))
    assert answers == [CANNOT_OPEN] * 50
    assert watched.asked == ["transport"] * 50
    assert len(passes) == 50
    assert {len(key) for key in passes} == {32}
    good = pen.gcm([pen.ktri(pen.name(person), public.encrypt(pen.KEY, padding.PKCS1v15()))], LETTER)
    assert isinstance(envelope.decrypt(good, [watched]), Opened)


@pytest.mark.parametrize("block", [b"", b"\x00", b"\xff" * 255, b"\xff" * 256, b"\x00" * 256, b"\x01" * 257])
def test_a_transport_of_no_size_has_the_same_answer(correspondents: Correspondents, pen: Any, block: bytes) -> None:
    """Manger: too long, too short, above the modulus; under OAEP and under PKCS #1 v1.5."""
    person = correspondents["rsa"]
    for algorithm in (None, pen.seq(pen.oid("1.2.840.113549.1.1.7"), pen.seq())):
        cms = pen.gcm([pen.ktri(pen.name(person), block, algorithm)], LETTER)
        assert envelope.decrypt(cms, [person.opener]) == CANNOT_OPEN


@pytest.mark.parametrize(
    "wrong",
    [
        Padding("oaep", "sha1"),
        Padding("oaep", "sha256", "sha1"),
        Padding("oaep", "sha256", "sha256", b"label"),
        Padding("pkcs1v15"),
    ],
)
def test_another_padding_than_said(correspondents: Correspondents, pen: Any, wrong: Padding) -> None:
    """OAEP with another hash, mask or label than the letter says does not open; with the same it does."""
    person = correspondents["rsa"]
    public = person.opener.key.public_key()
    said = envelope.addressees.transport.identifier(Padding("oaep"))
    for used, expected in ((wrong, CANNOT_OPEN), (Padding("oaep"), None)):
        encrypted = public.encrypt(pen.KEY, used.primitive())
        answer = envelope.decrypt(pen.gcm([pen.ktri(pen.name(person), encrypted, said)], LETTER), [person.opener])
        assert answer == expected if expected else isinstance(answer, Opened)


@pytest.mark.parametrize("size", [0, 8, 16, 24, 31, 33, 64])
def test_a_key_of_another_size(correspondents: Correspondents, pen: Any, size: int) -> None:
    """A good padding or wrap around a key that the cipher does not take: the same answer."""
    person = correspondents["rsa"]
    encrypted = person.opener.key.public_key().encrypt(bytes(size), Padding("oaep").primitive())
    said = envelope.addressees.transport.identifier(Padding("oaep"))
    cms = pen.gcm([pen.ktri(pen.name(person), encrypted, said)], LETTER)
    assert envelope.decrypt(cms, [person.opener]) == CANNOT_OPEN
    if size in (16, 24, 64):
        cms = pen.gcm([pen.kari(correspondents["p256"], bytes(size))], LETTER)
        assert envelope.decrypt(cms, [correspondents["p256"].opener]) == CANNOT_OPEN


@pytest.mark.parametrize("last", [0, 17, 255])
def test_a_bad_padding_of_the_content(correspondents: Correspondents, pen: Any, last: int) -> None:
    """Vaudenay: under CBC a bad padding, a good one that is another key's, and a changed key have one answer."""
    person = correspondents["p256"]
    block = bytes(15)
    assert isinstance(envelope.decrypt(pen.cbc([pen.kari(person)], block + b"\x01"), [person.opener]), Opened)
    assert envelope.decrypt(pen.cbc([pen.kari(person)], block + bytes([last])), [person.opener]) == CANNOT_OPEN
    other = pen.kari(person, bytes(32)[:24] + pen.KEY[:8])
    answer = envelope.decrypt(pen.cbc([other], b"".join((block, b"\x01")) * 2), [person.opener])
    assert answer == CANNOT_OPEN or (isinstance(answer, Opened) and answer.content != block)


@pytest.mark.parametrize("kind", ["rsa", "p256"])
def test_a_name_of_ours_with_a_key_of_another_kind(correspondents: Correspondents, pen: Any, kind: str) -> None:
    """RSA key transport that names an EC certificate, key agreement that names an RSA one."""
    rsa_, p256 = correspondents["rsa"], correspondents["p256"]
    info = pen.kari(p256, rid=pen.name(rsa_)) if kind == "rsa" else pen.ktri(pen.name(p256), bytes(256))
    assert envelope.decrypt(pen.gcm([info], LETTER), [correspondents[kind].opener]) == CANNOT_OPEN


def test_the_answer_says_nothing_but_no() -> None:
    """Neither the answer nor an opener's error knows which step failed."""
    assert (CANNOT_OPEN.fault, CANNOT_OPEN.check) == (Fault.CANNOT_OPEN, "cannot-open")
    assert str(CannotOpen()) == "it does not open with this key"


@pytest.mark.parametrize("lost", [KeeperDown("x"), KeeperRefused("x")])
def test_a_keeper_that_cannot_be_asked_is_no_answer(correspondents: Correspondents, lost: Exception) -> None:
    """It is raised: the letter may open later, and CANNOT_OPEN would be untrue."""

    class Lost(LocalOpener):
        def transport(self, ciphertext: bytes, padding: Padding, size: int) -> bytes:
            raise lost

        def agree(self, point: bytes) -> bytes:
            raise lost

    for kind in ("rsa", "p256"):
        person = correspondents[kind]
        cms = envelope.encrypt(LETTER, [person.certificate])
        with pytest.raises(type(lost)):
            envelope.decrypt(cms, [Lost(person.certificate, person.opener.key)])


def test_a_letter_buys_little_work(correspondents: Correspondents, pen: Any) -> None:
    """It may name a certificate a thousand times: eight openings, then the answer."""
    watched = Watched(correspondents["rsa"].opener)
    infos = [pen.ktri(pen.name(correspondents["rsa"]), os.urandom(256)) for _ in range(500)]
    assert envelope.decrypt(pen.gcm(infos, LETTER), [watched]) == CANNOT_OPEN
    assert len(watched.asked) == envelope.MAX_TRIES == 8


def test_an_opener_offered_twice_is_asked_once(correspondents: Correspondents, pen: Any) -> None:
    """A key may stand behind several addresses of one letter."""
    watched = Watched(correspondents["rsa"].opener)
    cms = pen.gcm([pen.ktri(pen.name(correspondents["rsa"]), os.urandom(256))], LETTER)
    assert envelope.decrypt(cms, [watched, watched]) == CANNOT_OPEN
    assert watched.asked == ["transport"]


# --- each check off, and what it stops goes through ----------------------------------------------------------


def test_without_the_tag_a_changed_letter_would_open(correspondents: Correspondents, monkeypatch: Any) -> None:
    """tag_holds is what stops it."""
    person = correspondents["rsa"]
    cms = envelope.encrypt(LETTER, [person.certificate])
    changed = _flipped(cms, PARTS["content"](cms))
    assert envelope.decrypt(changed, [person.opener]) == CANNOT_OPEN
    monkeypatch.setattr(contents, "tag_holds", lambda context: True)
    answer = envelope.decrypt(changed, [person.opener])
    assert isinstance(answer, Opened)
    assert answer.content != LETTER


def test_without_the_padding_check_noise_would_open(correspondents: Correspondents, pen: Any, monkeypatch: Any) -> None:
    """padding_size is what stops it."""
    person = correspondents["p256"]
    cms = pen.cbc([pen.kari(person)], bytes(16))
    assert envelope.decrypt(cms, [person.opener]) == CANNOT_OPEN
    monkeypatch.setattr(contents, "padding_size", lambda last: 1)
    assert isinstance(envelope.decrypt(cms, [person.opener]), Opened)


def _gcm_without_its_envelope(pen: Any, person: Any) -> bytes:
    algorithm = pen.seq(pen.oid(f"{pen.AES}.46"), pen.seq(b"\x04\x0c" + bytes(12)))
    return pen.envelope("1.2.840.113549.1.7.3", [pen.kari(person)], algorithm, LETTER)


def _cbc_in_the_wrong_envelope(pen: Any, person: Any) -> bytes:
    algorithm = pen.seq(pen.oid(f"{pen.AES}.42"), b"\x04\x10" + bytes(16))
    return pen.envelope("1.2.840.113549.1.9.16.1.23", [pen.kari(person)], algorithm, bytes(32), b"\x04\x10" + bytes(16))


MISFITS: dict[str, tuple[str, Fault, Callable[[Any, Any], bytes]]] = {
    "GCM without a tag": ("mode-misfit", Fault.BAD_ATTRIBUTES, _gcm_without_its_envelope),
    "CBC that claims a tag": ("mode-misfit", Fault.BAD_ATTRIBUTES, _cbc_in_the_wrong_envelope),
    "tag of 11": ("size-misfit", Fault.UNREADABLE, lambda pen, who: pen.gcm([pen.kari(who)], LETTER, tag=11, said=11)),
    "tag of 4": ("size-misfit", Fault.UNREADABLE, lambda pen, who: pen.gcm([pen.kari(who)], LETTER, tag=4, said=4)),
    "tag cut": ("size-misfit", Fault.UNREADABLE, lambda pen, who: pen.gcm([pen.kari(who)], LETTER, tag=12)),
    "tag empty": ("size-misfit", Fault.UNREADABLE, lambda pen, who: pen.gcm([pen.kari(who)], LETTER, mac=b"")),
    "iv of 8": ("size-misfit", Fault.UNREADABLE, lambda pen, who: pen.cbc([pen.kari(who)], bytes(16), iv=bytes(8))),
    "no block": ("size-misfit", Fault.UNREADABLE, lambda pen, who: pen.cbc([pen.kari(who)], b"")),
    "signed data, not said under the tag": (
        "attribute-misfit",
        Fault.BAD_ATTRIBUTES,
        lambda pen, who: pen.gcm([pen.kari(who)], LETTER, inner="1.2.840.113549.1.7.2"),
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_what_anybody_can_see_is_refused_without_a_key(correspondents: Correspondents, pen: Any, case: str) -> None:
    """Each by its own check, and no opener is asked."""
    check, fault, write = MISFITS[case]
    watched = Watched(correspondents["p256"].opener)
    answer = envelope.decrypt(write(pen, correspondents["p256"]), [watched])
    assert isinstance(answer, Untrusted)
    assert (answer.fault, answer.check) == (fault, check)
    assert watched.asked == []


@pytest.mark.parametrize(
    "case", ["tag of 11", "tag of 4", "signed data, not said under the tag", "CBC that claims a tag"]
)
def test_each_misfit_is_stopped_by_its_check_alone(
    correspondents: Correspondents, pen: Any, case: str, monkeypatch: Any
) -> None:
    """With the check off, the letter gets as far as a key."""
    check, _, write = MISFITS[case]
    monkeypatch.setattr(contents, check.replace("-", "_"), lambda envelope, cipher=None: None)
    watched = Watched(correspondents["p256"].opener)
    envelope.decrypt(write(pen, correspondents["p256"]), [watched])
    assert watched.asked == ["agree"]


def test_without_the_usage_check_a_signing_certificate_would_do(correspondent: Any, monkeypatch: Any) -> None:
    """usage_refusal is what stops it."""
    person = correspondent("signs", "p256", frozenset({"digital_signature"}))
    with pytest.raises(ValueError, match="keyAgreement"):
        envelope.encrypt(LETTER, [person.certificate])
    monkeypatch.setattr(addressees, "usage_refusal", lambda certificate: "")
    assert envelope.encrypt(LETTER, [person.certificate])


def test_an_opener_checks_the_point_itself(correspondents: Correspondents) -> None:
    """Invalid curve: a keeper is asked with points of strangers, so the opener does not trust who asks."""
    opener = correspondents["p256"].opener
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    good = agreement._encoded(public)
    assert len(opener.agree(good)) == 32
    for bad in (b"", b"\x00", good[:-1], good[:-1] + bytes([good[-1] ^ 1]), b"\x04" + bytes(64)):
        with pytest.raises(CannotOpen):
            opener.agree(bad)


@pytest.mark.parametrize("scheme", [("raw", "sha256", "sha256"), ("oaep", "md5", "sha256"), ("oaep", "sha256", "md5")])
def test_a_padding_that_nobody_reads(scheme: tuple[str, str, str]) -> None:
    """It cannot even be named, also not over the keeper's wire."""
    with pytest.raises(ValueError, match="no such padding"):
        Padding(*scheme)  # type: ignore[arg-type]


def test_cbc_is_said_to_prove_nothing(correspondents: Correspondents) -> None:
    """EFAIL: a changed block opens under CBC, so the answer says that nothing is authenticated."""
    person = correspondents["p256"]
    cms = envelope.encrypt(LETTER * 4, [person.certificate], Recipe("aes-256-cbc"))
    changed = _flipped(cms, PARTS["content"](cms))
    answer = envelope.decrypt(changed, [person.opener])
    assert isinstance(answer, Opened)
    assert not answer.authenticated
    assert answer.content != LETTER * 4

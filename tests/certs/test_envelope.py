"""Letters encrypted and opened by ourselves: each cell of what we write, whom we refuse to write to, who opens."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import load_der_private_key

from certs import ber, contents, envelope, enveloped
from certs.envelope import Opened, Recipe
from certs.model import CannotTell, Fault, Untrusted
from certs.openers import LocalOpener
from certs.strength import DER
from certs.throwaway import Issued

LETTER = b"Content-Type: text/plain\r\n\r\nBonjour\r\n" * 100
SIGNED_DATA = "1.2.840.113549.1.7.2"
Correspondents = Mapping[str, Any]
Correspondent = Callable[..., Any]


def test_a_letter_is_authenticated_unless_the_recipe_says_otherwise(correspondents: Correspondents) -> None:
    """The factory recipe writes AES-256-GCM in AuthEnvelopedData, and OAEP with SHA-256."""
    cms = envelope.encrypt(LETTER, [correspondents["rsa"].certificate])
    assert envelope.algorithm(cms) == "aes-256-gcm"
    assert [each.algorithm for each in envelope.recipients(cms)] == ["rsa-oaep"]
    opened = envelope.decrypt(cms, [correspondents["rsa"].opener])
    assert isinstance(opened, Opened)
    assert (opened.content, opened.authenticated, opened.algorithm) == (LETTER, True, "aes-256-gcm")


@pytest.mark.parametrize("content", contents.CIPHERS)
@pytest.mark.parametrize("by_key_identifier", [False, True], ids=["issuer", "skid"])
def test_every_recipient_opens_it(correspondents: Correspondents, content: str, by_key_identifier: bool) -> None:
    """RSA, P-256, P-384 and P-521 together, under each cipher, by either name."""
    recipe = Recipe(content, by_key_identifier=by_key_identifier)
    cms = envelope.encrypt(LETTER, [each.certificate for each in correspondents.values()], recipe)
    for each in correspondents.values():
        opened = envelope.decrypt(cms, [each.opener])
        assert isinstance(opened, Opened)
        assert (opened.content, opened.algorithm) == (LETTER, content)
        assert opened.authenticated == content.endswith("gcm")


@pytest.mark.parametrize("hash_name", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("transport", ["oaep", "pkcs1v15"])
def test_every_transport_opens(correspondents: Correspondents, transport: Any, hash_name: str) -> None:
    """OAEP with each hash that we write, and PKCS #1 v1.5 where the recipe says so."""
    cms = envelope.encrypt(
        LETTER, [correspondents["rsa"].certificate], Recipe(transport=transport, hash_name=hash_name)
    )
    opened = envelope.decrypt(cms, [correspondents["rsa"].opener])
    assert isinstance(opened, Opened)
    assert opened.content == LETTER
    assert envelope.recipients(cms)[0].algorithm == f"rsa-{transport}"


@pytest.mark.parametrize(
    ("curve", "kdf_hash", "cofactor"),
    list(product(["p256", "p384", "p521"], ["", "sha256", "sha384", "sha512"], [False, True])),
)
def test_every_agreement_opens(correspondents: Correspondents, curve: str, kdf_hash: str, cofactor: bool) -> None:
    """Each curve with each derivation, by the standard and by the cofactor scheme."""
    recipe = Recipe(kdf_hash=kdf_hash, cofactor=cofactor)
    cms = envelope.encrypt(LETTER, [correspondents[curve].certificate], recipe)
    opened = envelope.decrypt(cms, [correspondents[curve].opener])
    assert isinstance(opened, Opened)
    assert opened.content == LETTER
    expected = kdf_hash or {"p256": "sha256", "p384": "sha384", "p521": "sha512"}[curve]
    assert envelope.recipients(cms)[0].algorithm == f"ecdh-{expected}kdf, aes256-wrap"


@pytest.mark.parametrize("content", ["aes-256-gcm", "aes-256-cbc"])
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 127, 128, 65535, 65536, 200_000])
def test_every_size_comes_back(correspondents: Correspondents, content: str, size: int) -> None:
    """Around blocks, lengths of lengths, and nothing at all."""
    letter = bytes(index % 251 for index in range(size))
    cms = envelope.encrypt(letter, [correspondents["p256"].certificate], Recipe(content))
    opened = envelope.decrypt(cms, [correspondents["p256"].opener])
    assert isinstance(opened, Opened)
    assert opened.content == letter


def test_another_content_type_is_said_under_the_tag(correspondents: Correspondents) -> None:
    """What is not data is named by an authenticated attribute (RFC 5083 §2.1), and the answer says it."""
    cms = envelope.encrypt(b"0\x00", [correspondents["p256"].certificate], inner=SIGNED_DATA)
    opened = envelope.decrypt(cms, [correspondents["p256"].opener])
    assert isinstance(opened, Opened)
    assert opened.content_type == SIGNED_DATA


@pytest.mark.parametrize("content", ["aes-256-gcm", "aes-256-cbc"])
def test_what_we_write_is_der(correspondents: Correspondents, content: str) -> None:
    """Sets sorted, lengths shortest: what a reader makes of it is byte for byte the same."""
    cms = envelope.encrypt(LETTER, [each.certificate for each in correspondents.values()], Recipe(content))
    assert ber.normalise(cms) == cms
    infos = enveloped.read(cms).recipients
    assert list(infos) == sorted(infos)


def test_each_letter_has_its_own_key(correspondents: Correspondents) -> None:
    """Twice the same letter to the same people has nothing secret in common."""
    certificate = correspondents["rsa"].certificate
    first, second = (contents.Sealing.fresh(contents.CIPHERS["aes-256-gcm"]) for _ in range(2))
    assert first.key != second.key
    assert first.nonce != second.nonce
    one, other = (envelope.encrypt(LETTER, [certificate])[-len(LETTER) :] for _ in range(2))
    assert one != other


def test_a_certificate_twice_counts_once(correspondents: Correspondents) -> None:
    """One RecipientInfo for each certificate, and another for another certificate."""
    rsa_, p256 = correspondents["rsa"].certificate, correspondents["p256"].certificate
    assert len(envelope.recipients(envelope.encrypt(LETTER, [rsa_, rsa_, p256, rsa_]))) == 2


def test_two_hundred_recipients_and_no_more(correspondent: Correspondent) -> None:
    """All of two hundred open it; with one more it is refused."""
    key = ec.generate_private_key(ec.SECP256R1())
    people = [correspondent(f"person {number}", key).opener for number in range(201)]
    cms = envelope.encrypt(LETTER, [each.certificate for each in people[:200]])
    opened = [envelope.decrypt(cms, [people[index]]) for index in (0, 77, 199)]
    assert all(isinstance(each, Opened) and each.content == LETTER for each in opened)
    assert len({each.recipient for each in opened if isinstance(each, Opened)}) == 3
    with pytest.raises(ValueError, match="201 recipients are too many"):
        envelope.encrypt(LETTER, [each.certificate for each in people])


def test_nobody_is_refused() -> None:
    """A letter that nobody could open is not made."""
    with pytest.raises(ValueError, match="nobody"):
        envelope.encrypt(LETTER, [])


# --- who is written to ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "usage"),
    [
        ("rsa", frozenset({"key_encipherment"})),
        ("p256", frozenset({"key_agreement"})),
        ("rsa", frozenset({"key_encipherment", "digital_signature"})),
    ],
)
def test_a_usage_that_permits(correspondent: Correspondent, kind: str, usage: frozenset[str]) -> None:
    """keyEncipherment for RSA, keyAgreement for EC."""
    person = correspondent("permits", kind, usage)
    assert isinstance(envelope.decrypt(envelope.encrypt(LETTER, [person.certificate]), [person.opener]), Opened)


@pytest.mark.parametrize(
    ("kind", "usage", "missing"),
    [
        ("rsa", frozenset({"digital_signature"}), "keyEncipherment"),
        ("p256", frozenset({"digital_signature"}), "keyAgreement"),
        ("rsa", frozenset({"key_agreement"}), "keyEncipherment"),
        ("p256", frozenset({"key_encipherment"}), "keyAgreement"),
    ],
)
def test_a_usage_that_forbids(correspondent: Correspondent, kind: str, usage: frozenset[str], missing: str) -> None:
    """A certificate for signatures is not encrypted to, nor one of the other family's use."""
    with pytest.raises(ValueError, match=missing):
        envelope.encrypt(LETTER, [correspondent("forbids", kind, usage).certificate])


def test_a_signing_certificate_of_the_trust_space_is_not_encrypted_to(doctor: Issued) -> None:
    """The mailbox certificates of the throw-away infrastructure sign; they say so."""
    with pytest.raises(ValueError, match="keyEncipherment"):
        envelope.encrypt(LETTER, [doctor.der])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: rsa.generate_private_key(65537, 1024), "RSA 1024"),  # noqa: S505
        (lambda: ec.generate_private_key(ec.SECP224R1()), "secp224r1"),
        (lambda: ec.generate_private_key(ec.BrainpoolP256R1()), "brainpoolP256r1"),
        (ed25519.Ed25519PrivateKey.generate, "Ed25519"),
        (x25519.X25519PrivateKey.generate, "X25519"),
    ],
)
def test_a_weak_or_unknown_key_is_not_encrypted_to(correspondent: Correspondent, make: Any, reason: str) -> None:
    """The reason names the key; one such among good ones refuses the letter."""
    weak = correspondent("weak", make())
    good = correspondent("good", "p256")
    with pytest.raises(ValueError, match=reason):
        envelope.encrypt(LETTER, [good.certificate, weak.certificate])


def test_a_reason_names_the_certificate_and_no_person(correspondent: Correspondent) -> None:
    """By the beginning of its fingerprint: names of people do not belong into errors."""
    person = correspondent("Jeanne Martin", "rsa", frozenset({"digital_signature"}))
    with pytest.raises(ValueError, match=r"certificate [0-9a-f]{16}: ") as refused:
        envelope.encrypt(LETTER, [person.certificate])
    assert "Martin" not in str(refused.value)


@pytest.mark.parametrize("garbage", [b"", b"x", b"0\x03\x02\x01\x00", b"0" * 70_000])
def test_garbage_is_no_certificate(garbage: bytes) -> None:
    """What cannot be read is refused as such."""
    with pytest.raises(ValueError, match="unreadable"):
        envelope.encrypt(LETTER, [garbage])


def test_a_key_identifier_must_be_there_to_be_named(correspondent: Correspondent) -> None:
    """A certificate without the extension is named by issuer and serial number only."""
    person = correspondent("unidentified", "p256", identified=False)
    assert envelope.encrypt(LETTER, [person.certificate])
    with pytest.raises(ValueError, match="without a subject key identifier"):
        envelope.encrypt(LETTER, [person.certificate], Recipe(by_key_identifier=True))


@pytest.mark.parametrize(
    "recipe",
    [
        {"content": "des-ede3-cbc"},
        {"content": "aes-256-ccm"},
        {"transport": "raw"},
        {"hash_name": "sha1"},
        {"hash_name": "sha224"},
        {"kdf_hash": "sha1"},
    ],
)
def test_a_recipe_that_we_do_not_write(recipe: dict[str, Any]) -> None:
    """Weak or unknown ways do not make a recipe."""
    with pytest.raises(ValueError, match="nothing is encrypted with"):
        Recipe(**recipe)


# --- apart ---------------------------------------------------------------------------------------------------


def test_a_hidden_recipient_stands_in_no_others_letter(correspondents: Correspondents) -> None:
    """Each Bcc gets an encryption of its own; what the others read names only them."""
    seen, first, second = (correspondents[kind] for kind in ("rsa", "p256", "p384"))
    for_seen, hidden = envelope.apart(LETTER, [seen.certificate], [first.certificate, second.certificate])
    letters = (for_seen, *hidden)
    people = (seen, first, second)
    for letter, person in product(letters, people):
        answer = envelope.decrypt(letter, [person.opener])
        if letters.index(letter) == people.index(person):
            assert isinstance(answer, Opened)
            assert answer.content == LETTER
        else:
            assert isinstance(answer, Untrusted)
            assert answer.fault is Fault.NOT_FOR_US
    assert [len(envelope.recipients(letter)) for letter in letters] == [1, 1, 1]


def test_only_hidden_recipients(correspondents: Correspondents) -> None:
    """A letter that is all Bcc has nothing for the others."""
    for_seen, hidden = envelope.apart(LETTER, [], [correspondents["rsa"].certificate])
    assert for_seen == b""
    assert len(hidden) == 1


def test_one_bad_hidden_recipient_refuses_all(correspondents: Correspondents) -> None:
    """Before anything is encrypted: half a letter is not sent."""
    with pytest.raises(ValueError, match="unreadable"):
        envelope.apart(LETTER, [correspondents["rsa"].certificate], [b"no certificate"])


# --- who opens -----------------------------------------------------------------------------------------------


def test_a_stranger_is_told_that_it_is_not_for_him(correspondents: Correspondents) -> None:
    """Anybody can see whom a letter names, so this may be said."""
    cms = envelope.encrypt(LETTER, [correspondents["rsa"].certificate])
    for openers in ([], [correspondents["p256"].opener]):
        answer = envelope.decrypt(cms, openers)
        assert isinstance(answer, Untrusted)
        assert (answer.fault, answer.check) == (Fault.NOT_FOR_US, "not-for-us")


def test_the_right_opener_is_found_among_several(correspondents: Correspondents) -> None:
    """Current and expired keys are all offered; the one that is named opens."""
    openers = [each.opener for each in correspondents.values()]
    for kind in correspondents:
        opened = envelope.decrypt(envelope.encrypt(LETTER, [correspondents[kind].certificate]), openers)
        assert isinstance(opened, Opened)
        assert opened.recipient == hashlib.sha256(correspondents[kind].certificate).hexdigest()


def test_a_broken_recipient_beside_a_good_one_does_not_close_the_letter(correspondents: Correspondents) -> None:
    """Somebody who holds two of the keys opens with the second where the first does not."""
    cms = bytearray(envelope.encrypt(LETTER, [correspondents["rsa"].certificate, correspondents["p256"].certificate]))
    broken = bytes(cms).index(envelope.addressees.holder(correspondents["rsa"].certificate).issuer)
    cms[broken + 120] ^= 1  # in the transported key
    answer = envelope.decrypt(bytes(cms), [correspondents["rsa"].opener, correspondents["p256"].opener])
    assert isinstance(answer, Opened)
    assert answer.content == LETTER


def test_recipients_are_shown_as_written(correspondents: Correspondents) -> None:
    """For inspection: kind, name and algorithm of each, without a key."""
    person = correspondents["rsa"]
    certificate = x509.load_der_x509_certificate(person.certificate)
    by_issuer = envelope.recipients(envelope.encrypt(LETTER, [person.certificate]))[0]
    assert (by_issuer.kind, by_issuer.issuer, by_issuer.serial, by_issuer.key_identifier) == (
        "ktri", "CN=rsa", certificate.serial_number, b"",
    )  # fmt: skip
    recipe = Recipe(by_key_identifier=True)
    by_key = envelope.recipients(envelope.encrypt(LETTER, [correspondents["p256"].certificate], recipe))[0]
    assert (by_key.kind, by_key.issuer, len(by_key.key_identifier)) == ("kari", "", 20)


@pytest.mark.parametrize("content", ["aes-256-gcm", "aes-256-cbc"])
def test_a_large_letter_is_in_memory_twice_and_no_more(correspondents: Correspondents, content: str) -> None:
    """25 MB in and 25 MB out: the peak of the process over both directions, letter and result included."""
    letter = bytes(1024) * (25 * 1024)
    person = correspondents["rsa"]
    cms = envelope.encrypt(b"", [person.certificate], Recipe(content))  # what is loaded once is loaded now
    envelope.decrypt(cms, [person.opener])
    assert _grown(lambda: envelope.encrypt(letter, [person.certificate], Recipe(content))) < 1.04 * len(letter)
    cms = envelope.encrypt(letter, [person.certificate], Recipe(content))
    assert _grown(lambda: envelope.decrypt(cms, [person.opener])) < 1.04 * len(letter)


def _grown(work: Callable[[], object]) -> int:
    """Bytes by which the process grew at its peak."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = _peak()
    work()
    return _peak() - before


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


# --- samples of others ---------------------------------------------------------------------------------------


def _lamps(corpus: Path, name: str) -> LocalOpener:
    folder = corpus / "cms" / "certs-and-keys"
    certificate = x509.load_pem_x509_certificate((folder / f"lamps-{name}.encrypt.crt").read_bytes())
    key = load_der_private_key((folder / f"lamps-{name}.decrypt.p8.der").read_bytes(), None)
    return LocalOpener(certificate.public_bytes(DER), key)


@pytest.mark.corpus
@pytest.mark.parametrize("name", ["encryptedForBobRSAOaep", "encryptedForBobAndDana"])
def test_samples_open(corpus: Path, name: str) -> None:
    """The samples of the LAMPS working group that are written with what we read."""
    cms = (corpus / "cms" / "binary-files" / f"{name}.p7m").read_bytes()
    opened = envelope.decrypt(cms, [_lamps(corpus, "bob")])
    assert isinstance(opened, Opened)
    assert opened.content == b"This is some sample content."
    assert not opened.authenticated


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "who", "later"),
    [
        ("encryptedForBobAndDana", "dana", "X25519"),
        ("authEnvelopedForDanaX25519HKDF", "dana", "X25519"),
        ("authEnvelopedForBobChaCha20Poly1305", "bob", "ChaCha20-Poly1305"),
        ("encryptedKekri", "bob", "kekri"),
        ("signedByAliceRSA", "bob", "signed-data"),
    ],
)
def test_samples_of_what_comes_later_are_named(corpus: Path, name: str, who: str, later: str) -> None:
    """Recognised, named, no crash."""
    cms = (corpus / "cms" / "binary-files" / f"{name}.p7m").read_bytes()
    answer = envelope.decrypt(cms, [_lamps(corpus, who)])
    assert answer == CannotTell(Fault.UNSUPPORTED, later, check="supported")

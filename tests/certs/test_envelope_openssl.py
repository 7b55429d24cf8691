"""Encryption against the openssl command, both ways: each algorithm that both of us know, a cell each.

openssl 3.0 writes no CCM, no wrap with padding, no user keying material by command and no authenticated attributes:
those cells are written by hand, in test_envelope_forms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from certs import envelope
from certs.envelope import Opened, Recipe
from certs.model import CannotTell, Fault, Untrusted

LETTER = bytes(range(256)) * 40
Correspondents = Mapping[str, Any]
Openssl = Callable[..., Any]
CONTENTS = [f"aes-{size}-{mode}" for size, mode in product((128, 192, 256), ("gcm", "cbc"))]
MDS = ["sha1", "sha224", "sha256", "sha384", "sha512"]


@pytest.fixture
def letter(tmp_path: Path) -> Path:
    """The letter in clear, as a file."""
    (tmp_path / "letter").write_bytes(LETTER)
    return tmp_path / "letter"


@pytest.fixture
def written(openssl: Openssl, letter: Path) -> Callable[..., bytes]:
    """What openssl encrypts: `options` before the recipients, keyopts after each."""

    def run(person: Any, *keyopts: str, options: tuple[str, ...] = ("-aes-256-gcm",)) -> bytes:
        out = letter.with_name("letter.p7m")
        chosen = [each for keyopt in keyopts for each in ("-keyopt", keyopt)]
        arguments = ("-in", letter, "-out", out, *options, "-recip", person.pem, *chosen)
        openssl("cms", "-encrypt", "-binary", "-outform", "DER", *arguments)
        return out.read_bytes()

    return run


@pytest.fixture
def decrypted(openssl: Openssl, letter: Path) -> Callable[[bytes, Any], bytes]:
    """What openssl makes of ours, with the key of a recipient."""

    def run(cms: bytes, person: Any) -> bytes:
        file = letter.with_name("ours.p7m")
        file.write_bytes(cms)
        done = openssl(
            "cms", "-decrypt", "-binary", "-inform", "DER", "-in", file, "-recip", person.pem, "-inkey", person.key
        )
        return bytes(done.stdout)

    return run


def _opened(cms: bytes, person: Any) -> bytes | Untrusted | CannotTell:
    answer = envelope.decrypt(cms, [person.opener])
    return answer.content if isinstance(answer, Opened) else answer


@pytest.mark.parametrize("stream", [False, True], ids=["der", "streamed"])
@pytest.mark.parametrize("content", CONTENTS)
def test_openssl_writes_a_content_that_we_read(
    correspondents: Correspondents, written: Callable[..., bytes], content: str, stream: bool
) -> None:
    """Each cipher, in DER and in the BER of a stream, to RSA and to EC; another person is told it is not for him."""
    for kind, other in (("rsa", "p256"), ("p256", "rsa")):
        options = (f"-{content}", *(("-stream",) if stream else ()))
        cms = written(correspondents[kind], options=options)
        assert (cms[:2] == b"\x30\x80") == stream
        assert _opened(cms, correspondents[kind]) == LETTER
        assert envelope.algorithm(cms) == content
        answer = _opened(cms, correspondents[other])
        assert isinstance(answer, Untrusted)
        assert answer.fault is Fault.NOT_FOR_US


@pytest.mark.parametrize("label", ["", "506c69"])
@pytest.mark.parametrize(("md", "mgf"), list(product(MDS, MDS)))
def test_openssl_writes_an_oaep_that_we_read(
    correspondents: Correspondents, written: Callable[..., bytes], md: str, mgf: str, label: str
) -> None:
    """Each hash with each mask, with a label and without."""
    keyopts = ["rsa_padding_mode:oaep", f"rsa_oaep_md:{md}", f"rsa_mgf1_md:{mgf}"]
    cms = written(correspondents["rsa"], *keyopts, *([f"rsa_oaep_label:{label}"] if label else []))
    assert envelope.recipients(cms)[0].algorithm == "rsa-oaep"
    assert _opened(cms, correspondents["rsa"]) == LETTER


@pytest.mark.parametrize("wrap", ["", "-aes128-wrap", "-aes192-wrap", "-aes256-wrap"])
@pytest.mark.parametrize(("md", "cofactor"), list(product(MDS, (0, 1))))
def test_openssl_writes_an_agreement_that_we_read(
    correspondents: Correspondents, written: Callable[..., bytes], md: str, cofactor: int, wrap: str
) -> None:
    """Each derivation by both schemes, with each key wrap."""
    options = ("-aes-256-gcm", *((wrap,) if wrap else ()))
    cms = written(correspondents["p256"], f"ecdh_kdf_md:{md}", f"ecdh_cofactor_mode:{cofactor}", options=options)
    assert envelope.recipients(cms)[0].algorithm.startswith(f"ecdh-{md}kdf, ")
    assert _opened(cms, correspondents["p256"]) == LETTER


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384", "p521"])
@pytest.mark.parametrize("by_key", [False, True], ids=["issuer", "keyid"])
def test_openssl_names_a_recipient_that_we_find(
    correspondents: Correspondents, written: Callable[..., bytes], kind: str, by_key: bool
) -> None:
    """By issuer and serial number, and by key identifier."""
    cms = written(correspondents[kind], options=("-aes-128-gcm", *(("-keyid",) if by_key else ())))
    assert bool(envelope.recipients(cms)[0].key_identifier) == by_key
    assert _opened(cms, correspondents[kind]) == LETTER


@pytest.mark.parametrize(
    ("options", "later"),
    [
        (("-des3",), "des-ede3-cbc"),
        (("-camellia256",), "camellia-256-cbc"),
        (("-aes-256-cbc", "-des3-wrap"), "3des-wrap"),
        (("-aes-256-cbc", "-pwri_password", "x"), ""),
    ],
)
def test_openssl_writes_what_comes_later(
    correspondents: Correspondents, written: Callable[..., bytes], options: tuple[str, ...], later: str
) -> None:
    """Named; a password beside a certificate does not matter."""
    answer = _opened(written(correspondents["p256"], options=options), correspondents["p256"])
    assert answer == (CannotTell(Fault.UNSUPPORTED, later, check="supported") if later else LETTER)


# --- ours, read by openssl -----------------------------------------------------------------------------------


@pytest.mark.parametrize("by_key_identifier", [False, True], ids=["issuer", "skid"])
@pytest.mark.parametrize("content", CONTENTS)
def test_openssl_reads_our_contents(
    correspondents: Correspondents, decrypted: Callable[[bytes, Any], bytes], content: str, by_key_identifier: bool
) -> None:
    """Each cipher to all kinds of keys in one letter."""
    people = list(correspondents.values())
    recipe = Recipe(content, by_key_identifier=by_key_identifier)
    cms = envelope.encrypt(LETTER, [each.certificate for each in people], recipe)
    for person in people:
        assert decrypted(cms, person) == LETTER


@pytest.mark.parametrize("transport", ["oaep", "pkcs1v15"])
@pytest.mark.parametrize("hash_name", ["sha256", "sha384", "sha512"])
def test_openssl_reads_our_transport(
    correspondents: Correspondents, decrypted: Callable[[bytes, Any], bytes], transport: Any, hash_name: str
) -> None:
    """OAEP with each hash that we write, and PKCS #1 v1.5."""
    recipe = Recipe(transport=transport, hash_name=hash_name)
    cms = envelope.encrypt(LETTER, [correspondents["rsa"].certificate], recipe)
    assert decrypted(cms, correspondents["rsa"]) == LETTER


@pytest.mark.parametrize(
    ("kind", "kdf_hash", "cofactor", "content"),
    list(
        product(["p256", "p384", "p521"], ["sha256", "sha384", "sha512"], [False, True], ["aes-128-gcm", "aes-256-cbc"])
    ),
)
def test_openssl_reads_our_agreement(
    correspondents: Correspondents,
    decrypted: Callable[[bytes, Any], bytes],
    kind: str,
    kdf_hash: str,
    cofactor: bool,
    content: str,
) -> None:
    """Each curve, derivation, scheme, and the wrap that goes with the content."""
    recipe = Recipe(content, kdf_hash=kdf_hash, cofactor=cofactor)
    cms = envelope.encrypt(LETTER, [correspondents[kind].certificate], recipe)
    assert decrypted(cms, correspondents[kind]) == LETTER


def test_openssl_refuses_what_we_refuse(correspondents: Correspondents, openssl: Openssl, letter: Path) -> None:
    """A changed tag: neither opens it."""
    person = correspondents["rsa"]
    cms = envelope.encrypt(LETTER, [person.certificate])
    file = letter.with_name("changed.p7m")
    file.write_bytes(cms[:-1] + bytes([cms[-1] ^ 1]))
    done = openssl(
        "cms", "-decrypt", "-inform", "DER", "-in", file, "-recip", person.pem, "-inkey", person.key, check=False
    )
    assert done.returncode != 0
    assert _opened(file.read_bytes(), person) == envelope.CANNOT_OPEN

"""Private keys in files: each form opens, and each way in which a file is unusable is one sentence that names it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from certs import keyfiles
from certs.keys import load_signer, signer_of
from certs.throwaway import Issued, Pki

MOMENT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
SECRET = b"un mot de passe"


@pytest.fixture(scope="module")
def authority() -> Pki:
    return Pki.create(MOMENT)


@pytest.fixture(scope="module", params=["rsa", "p256"])
def issued(request: pytest.FixtureRequest, authority: Pki) -> Issued:
    return authority.smime("a@lilas.mssante.example", "A", "LILAS", "1750000001", key=request.param)


def in_bag(issued: Issued) -> bytes:
    """A PKCS #12 with the chain."""
    chain = [x509.load_der_x509_certificate(each) for each in issued.chain]
    said = BestAvailableEncryption(SECRET)
    return pkcs12.serialize_key_and_certificates(b"x", issued.key, issued.certificate, chain, said)


def write(folder: Path, issued: Issued, encoding: Encoding, form: PrivateFormat, secret: bytes | None) -> Path:
    chain, key = issued.write(folder, "a")
    said = BestAvailableEncryption(secret) if secret else NoEncryption()
    key.write_bytes(issued.key.private_bytes(encoding, form, said))
    return chain


def tell(folder: Path, secret: bytes = SECRET, mode: int = 0o600) -> None:
    (folder / "a.pass").write_bytes(secret + b"\n")
    (folder / "a.pass").chmod(mode)


@pytest.mark.parametrize("secret", [None, SECRET], ids=["plain", "encrypted"])
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_a_key_opens_in_each_form(
    tmp_path: Path, issued: Issued, encoding: Encoding, form: PrivateFormat, secret: bytes | None
) -> None:
    """PKCS #8 and the older forms, PEM and DER, plain or with the passphrase that lies beside it."""
    if secret and (encoding, form) == (Encoding.DER, PrivateFormat.TraditionalOpenSSL):
        assert "BEGIN" in write(tmp_path, issued, Encoding.PEM, form, secret).with_suffix(".key").read_text()
    else:
        write(tmp_path, issued, encoding, form, secret)
    if secret:
        tell(tmp_path)
    signer = load_signer(tmp_path / "a.pem", tmp_path / "a.key")
    assert (signer.certificate, signer.chain) == (issued.der, issued.chain)


def test_a_pkcs12_opens(tmp_path: Path, issued: Issued) -> None:
    """Key, certificate and chain from one file, whose passphrase lies beside it."""
    (tmp_path / "a.p12").write_bytes(in_bag(issued))
    tell(tmp_path)
    ((name, pair),) = keyfiles.pairs(tmp_path)
    assert (name, pair.der, pair.chain) == ("a", issued.der, issued.chain)
    assert signer_of(pair, name).sign_digest(bytes(32), "sha256")


def encrypted_alone(folder: Path, issued: Issued) -> None:
    write(folder, issued, Encoding.PEM, PrivateFormat.PKCS8, SECRET)


def encrypted_der_alone(folder: Path, issued: Issued) -> None:
    write(folder, issued, Encoding.DER, PrivateFormat.PKCS8, SECRET)


def another_passphrase(folder: Path, issued: Issued) -> None:
    encrypted_alone(folder, issued)
    tell(folder, b"un autre")


def open_passphrase(folder: Path, issued: Issued) -> None:
    encrypted_alone(folder, issued)
    tell(folder, mode=0o640)


def empty_passphrase(folder: Path, issued: Issued) -> None:
    encrypted_alone(folder, issued)
    tell(folder, b"")


def needless_passphrase(folder: Path, issued: Issued) -> None:
    issued.write(folder, "a")
    tell(folder)


def rubbish_key(folder: Path, issued: Issued) -> None:
    issued.write(folder, "a")[1].write_bytes(b"rubbish")


def rubbish_chain(folder: Path, issued: Issued) -> None:
    issued.write(folder, "a")[0].write_bytes(b"rubbish")


def much_too_large(folder: Path, issued: Issued) -> None:
    issued.write(folder, "a")[1].write_bytes(bytes(300_000))


def bag_alone(folder: Path, issued: Issued) -> None:
    (folder / "a.p12").write_bytes(in_bag(issued))


def bag_with_another_passphrase(folder: Path, issued: Issued) -> None:
    bag_alone(folder, issued)
    tell(folder, b"un autre")


def bag_of_rubbish(folder: Path, issued: Issued) -> None:
    (folder / "a.p12").write_bytes(b"\x30\x03\x02\x01\x03")


def bag_without_key(folder: Path, issued: Issued) -> None:
    bag = pkcs12.serialize_key_and_certificates(b"x", None, issued.certificate, None, BestAvailableEncryption(SECRET))
    (folder / "a.p12").write_bytes(bag)
    tell(folder)


def both_forms(folder: Path, issued: Issued) -> None:
    issued.write(folder, "a")
    bag_alone(folder, issued)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (encrypted_alone, r"a\.key is encrypted: put its passphrase into a\.pass"),
        (encrypted_der_alone, r"a\.key is encrypted: put its passphrase into a\.pass"),
        (another_passphrase, r"a\.key holds no readable private key, or a\.pass is not its passphrase"),
        (open_passphrase, r"a\.pass is open to others: chmod 600 a\.pass"),
        (empty_passphrase, r"a\.pass is empty"),
        (needless_passphrase, r"a\.key is not encrypted: take a\.pass away"),
        (rubbish_key, r"a\.key holds no readable private key"),
        (rubbish_chain, r"a\.pem holds no readable certificates"),
        (much_too_large, r"a\.key is larger than"),
        (bag_alone, r"a\.p12 does not open without a passphrase: put it into a\.pass"),
        (bag_with_another_passphrase, r"a\.p12 does not open with the passphrase in a\.pass"),
        (bag_of_rubbish, r"a\.p12 does not open"),
        (bag_without_key, r"a\.p12 holds no private key with its certificate"),
        (both_forms, r"a\.p12 and a\.pem have one name"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, issued: Issued, spoil: Callable[[Path, Issued], None], said: str
) -> None:
    """One sentence that names the file and what to do, and repeats no passphrase."""
    spoil(tmp_path, issued)
    with pytest.raises(ValueError, match=said) as caught:
        keyfiles.pairs(tmp_path)
    assert "\n" not in str(caught.value)
    assert SECRET.decode() not in str(caught.value)


def test_a_key_of_an_unsigning_kind_signs_nothing(tmp_path: Path) -> None:
    """An Ed25519 pair is read, and refused as a signer by name; an RSA or EC one is taken."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "A")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, MOMENT, MOMENT + timedelta(days=9))
    (tmp_path / "a.pem").write_bytes(builder.sign(key, None).public_bytes(Encoding.PEM))
    (tmp_path / "a.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ValueError, match=r"a\.key holds a key that is neither RSA nor EC"):
        load_signer(tmp_path / "a.pem", tmp_path / "a.key")

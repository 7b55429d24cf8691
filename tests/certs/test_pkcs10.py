"""Requests for certificates, as openssl reads them; and what is refused before anything is written."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certs.pkcs10 import KINDS, KeyKind, Wanted, write

WANTED = Wanted(
    common_name="mss.lilas.example",
    organisation="LABORATOIRE DES LILAS",
    unit="1750000001",
    department="Paris (75)",
    addresses=("domain-signing-authority@lilas.mssante.example",),
    hosts=("mss.lilas.example",),
)
SECRET = b"un mot de passe"


def openssl(*arguments: str | Path) -> str:
    done = subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One request of each kind of key; the P-384 key is encrypted."""
    folder = tmp_path_factory.mktemp("requests")
    for kind in KINDS:
        write(WANTED, kind, folder / f"{kind}.csr", folder / f"{kind}.key", SECRET if kind == "p384" else None)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_openssl_verifies_each_request(made: Path, kind: KeyKind) -> None:
    """`openssl req -verify` takes the request of each kind of key, with the subject's parts in their order."""
    said = openssl("req", "-in", made / f"{kind}.csr", "-noout", "-verify", "-subject", "-nameopt", "RFC2253", "-text")
    assert "verify OK" in said
    assert "subject=CN=mss.lilas.example,OU=1750000001,O=LABORATOIRE DES LILAS,ST=Paris (75),C=FR" in said
    assert "email:domain-signing-authority@lilas.mssante.example, DNS:mss.lilas.example" in said
    size = {"p256": "256", "p384": "384"}.get(kind, kind.removeprefix("rsa"))
    assert f"({size} bit)" in said


@pytest.mark.parametrize("kind", KINDS)
def test_the_key_is_the_request_s_and_private(made: Path, kind: KeyKind) -> None:
    """The key file has mode 0600 and holds the request's key."""
    file, secret = made / f"{kind}.key", SECRET if kind == "p384" else None
    assert file.stat().st_mode & 0o777 == 0o600
    request = x509.load_pem_x509_csr((made / f"{kind}.csr").read_bytes())
    key: Any = load_pem_private_key(file.read_bytes(), secret)
    assert key.public_key() == request.public_key()


def test_an_encrypted_key_needs_its_passphrase(made: Path) -> None:
    """With a passphrase the key is encrypted PKCS #8: no passphrase or another opens nothing, the right one does."""
    data = (made / "p384.key").read_bytes()
    assert data.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    with pytest.raises(TypeError):
        load_pem_private_key(data, None)
    with pytest.raises(ValueError, match=r"[Ii]ncorrect|[Dd]ecrypt|padding|key"):
        load_pem_private_key(data, b"un autre")
    assert load_pem_private_key(data, SECRET)


@pytest.mark.parametrize("there", ["a.csr", "a.key"])
def test_nothing_is_replaced(tmp_path: Path, there: str) -> None:
    """A file that is there stays, byte for byte, and its name is said."""
    (tmp_path / there).write_bytes(b"held")
    with pytest.raises(FileExistsError, match=there):
        write(WANTED, "p256", tmp_path / "a.csr", tmp_path / "a.key")
    assert (tmp_path / there).read_bytes() == b"held"
    assert [each.name for each in tmp_path.iterdir()] == [there]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A dangling link where the key belongs does not take it elsewhere."""
    (tmp_path / "a.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        write(WANTED, "p256", tmp_path / "a.csr", tmp_path / "a.key")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"common_name": ""},
        {"common_name": "x" * 65},
        {"organisation": "a\nb"},
        {"unit": " "},
        {"department": "x" * 129},
        {"country": "fr"},
        {"country": "FRA"},
        {"addresses": ("no-address",)},
        {"addresses": ("é@lilas.example",)},
        {"addresses": ("a b@lilas.example",)},
        {"addresses": ("@lilas.example",)},
        {"hosts": ("lilas..example",)},
        {"hosts": ("-lilas.example",)},
        {"hosts": ("a/b",)},
    ],
    ids=str,
)
def test_a_name_that_no_certificate_carries_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    """Said before a key is made: nothing is written; the same without that fault is."""
    (fault,) = change.values()
    said = fault if isinstance(fault, str) else fault[0]
    with pytest.raises(ValueError, match="'") as caught:
        write(replace(WANTED, **change), "p256", tmp_path / "a.csr", tmp_path / "a.key")
    assert said.rpartition("@")[2] in str(caught.value)
    assert not list(tmp_path.iterdir())
    write(WANTED, "p256", tmp_path / "a.csr", tmp_path / "a.key")


def test_other_keys_and_empty_passphrases_are_refused(tmp_path: Path) -> None:
    """RSA of another size is no choice, an empty passphrase no protection; nothing is written."""
    kind: Any = "rsa1024"
    with pytest.raises(ValueError, match="rsa1024"):
        write(WANTED, kind, tmp_path / "a.csr", tmp_path / "a.key")
    with pytest.raises(ValueError, match="passphrase"):
        write(WANTED, "p256", tmp_path / "a.csr", tmp_path / "a.key", b"")
    assert not list(tmp_path.iterdir())


def test_accents_stay(tmp_path: Path) -> None:
    """An organisation's accents are UTF-8 in the subject."""
    write(replace(WANTED, organisation="HÔPITAL SAINT-RENÉ"), "p256", tmp_path / "a.csr", tmp_path / "a.key")
    request = x509.load_pem_x509_csr((tmp_path / "a.csr").read_bytes())
    assert "HÔPITAL SAINT-RENÉ" in request.subject.rfc4514_string()

"""A keeper's folder, what lies in it, and a keeper that answers in a thread."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs.keys import (
    KeeperClient,
)
from certs.throwaway import Issued, Pki
from gateway.keeper import Keeper

DOMAIN = "lilas.mssante.example"
DOCTOR = f"marie.martin@{DOMAIN}"
LETTER = "01letter"
DIGEST = hashlib.sha256(b"letter").digest()
MOMENT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)


def write_body_key(file: Path) -> bytes:
    """Writes a new body key; answers its public half."""
    key = X25519PrivateKey.generate()
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key.public_key().public_bytes_raw()


@dataclass(frozen=True)
class Vault:
    """A keeper's folder, and what lies in it."""

    folder: Path
    doctor: Issued
    seal: Issued
    body: bytes
    journal: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        return self.folder / "keeper.sock"

    def keeper(self, uids: frozenset[int] = frozenset({os.geteuid()})) -> Keeper:
        return Keeper(
            self.folder, self.socket, uids, lambda event, facts: self.journal.append((event, facts)), lambda: MOMENT
        )


@pytest.fixture(scope="module")
def authority() -> Pki:
    return Pki.create(MOMENT)


@pytest.fixture(scope="module")
def doctor(authority: Pki) -> Issued:
    return authority.smime(DOCTOR, "MARIE MARTIN", "LILAS", "1750000001", key="p256")


@pytest.fixture(scope="module")
def seal(authority: Pki) -> Issued:
    return authority.seal(DOMAIN, "LILAS", "1750000001")


@pytest.fixture
def vault(tmp_path: Path, doctor: Issued, seal: Issued) -> Vault:
    doctor.write(tmp_path / "mailbox", "martin")
    seal.write(tmp_path / "seal", "lilas")
    return Vault(tmp_path, doctor, seal, write_body_key(tmp_path / "body.key"))


@contextmanager
def serving(keeper: Keeper, path: Path) -> Iterator[KeeperClient]:
    """The keeper answers in a thread; a client of it."""
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(target=keeper.serve, args=(stop, ready.set))
    thread.start()
    assert ready.wait(10)
    client = KeeperClient(path)
    try:
        yield client
    finally:
        client.close()
        stop.set()
        thread.join()


@pytest.fixture
def client(vault: Vault) -> Iterator[KeeperClient]:
    with serving(vault.keeper(), vault.socket) as client:
        yield client


@contextmanager
def connected(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        yield connection

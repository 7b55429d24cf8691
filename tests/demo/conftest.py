"""What tests of the demo's servers share: a folder for them, keys, and the two servers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from certs.throwaway import Pki
from directory.region import SUFFIX
from directory.slapd import Passwords
from gateway.accounts import Accounts
from gateway.demo.servers import Dovecot, Slapd, free_port, new_folder

CLAIRE = "claire.moreau@lilas.example"
PAUL = "paul.bernard@lilas.example"


@pytest.fixture
def servers_folder() -> Iterator[Path]:
    """A folder that private servers can enter, whoever runs the tests; it goes at the end."""
    folder = new_folder("pli-test-")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def slapd(servers_folder: Path) -> Iterator[Slapd]:
    """A private slapd, neither loaded nor started."""
    server = Slapd(servers_folder / "slapd", free_port(), SUFFIX, Passwords.random())
    yield server
    server.stop()


@pytest.fixture(scope="session")
def host_keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Certificate and key of 127.0.0.1, and the root that vouches for them."""
    now = datetime.now(UTC)
    pki = Pki.create(now)
    folder = tmp_path_factory.mktemp("host")
    pki.write_trust(folder / "trust", now)
    certificate, key = pki.tls_server("mss.lilas.example", "LILAS", "1930000017").write(folder, "host")
    return certificate, key, folder / "trust" / "anchors" / "root.pem"


@pytest.fixture
def dovecot(servers_folder: Path, host_keys: tuple[Path, Path, Path]) -> Iterator[Dovecot]:
    """A private Dovecot with two accounts, not started."""
    accounts = servers_folder / "accounts"
    for address in (CLAIRE, PAUL):
        Accounts(accounts).add(address, "un mot de passe")
    certificate, key, _ = host_keys
    server = Dovecot(servers_folder / "dovecot", free_port(), free_port(), accounts, certificate, key)
    yield server
    server.stop()

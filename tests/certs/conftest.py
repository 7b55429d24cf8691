"""A throw-away infrastructure for the tests of certs, and the openssl command as an oracle."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from certs import ber
from certs.chain import TrustStore
from certs.throwaway import Issued, Pki

Openssl = Callable[..., subprocess.CompletedProcess[bytes]]
Downgrade = Callable[[bytes, Issued], bytes]
SHA256_RSA, SHA1_RSA = (bytes.fromhex(f"06092a864886f70d0101{last}") for last in ("0b", "05"))


SUMMARY: list[str] = []


@pytest.fixture(scope="session")
def summary() -> list[str]:
    """Lines that a test wants shown at the end of the run."""
    return SUMMARY


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in SUMMARY:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def moment() -> datetime:
    """The `now` of every infrastructure here; the same as the fixture `now`, but lasting a session."""
    return datetime(2026, 11, 25, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="session")
def pki(moment: datetime) -> Pki:
    """One infrastructure for all tests which revoke nothing."""
    return Pki.create(moment)


@pytest.fixture(scope="session")
def trust_folder(pki: Pki, moment: datetime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What TrustStore.load reads."""
    folder = tmp_path_factory.mktemp("trust")
    pki.write_trust(folder, moment)
    return folder


@pytest.fixture(scope="session")
def store(trust_folder: Path) -> TrustStore:
    """A store which trusts `pki`, with fresh CRLs."""
    return TrustStore.load(trust_folder)


@pytest.fixture(scope="session")
def doctor(pki: Pki) -> Issued:
    """A mailbox's certificate, RSA 2048."""
    return pki.smime("jeanne.martin@hopital-a.mssante.fr", "JEANNE MARTIN", "HOPITAL A", "1750000001")


@pytest.fixture(scope="session")
def host(pki: Pki) -> Issued:
    """A peer's host certificate."""
    return pki.tls_server("mss.hopital-a.example", "HOPITAL A", "1750000001")


@pytest.fixture
def openssl() -> Openssl:
    """Runs the openssl command; an error status is an error of the test unless check=False is passed."""

    def run(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["openssl", *map(str, arguments)], check=check, capture_output=True)

    return run


@pytest.fixture(scope="session")
def with_sha1() -> Downgrade:
    """Signs the inner part of a certificate or CRL again, with SHA-1, which the library itself refuses."""

    def downgrade(signed: bytes, issuer: Issued) -> bytes:
        tbs = signed.replace(SHA256_RSA, SHA1_RSA)
        assert isinstance(issuer.key, rsa.RSAPrivateKey)
        signature = issuer.key.sign(tbs, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303
        return ber.tlv(0x30, tbs, ber.tlv(0x30, SHA1_RSA, b"\x05\x00"), ber.tlv(0x03, b"\x00", signature))

    return downgrade

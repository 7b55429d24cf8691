"""A throw-away infrastructure for the tests of certs, and the openssl command as an oracle."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs import ber
from certs.chain import TrustStore
from certs.openers import LocalOpener
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


@dataclass(frozen=True)
class Correspondent:
    """Somebody to whom letters are encrypted, self-signed, and his files for other programs."""

    opener: LocalOpener
    pem: Path
    key: Path

    @property
    def certificate(self) -> bytes:
        """DER."""
        return self.opener.certificate


CURVES = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}


@pytest.fixture(scope="session")
def correspondent(moment: datetime, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Correspondent]:
    """Makes one: key 'rsa', 'p256', 'p384', 'p521' or any key of the library, with the usages that he permits."""
    folder = tmp_path_factory.mktemp("correspondents")

    def make(name: str, key: object, usage: frozenset[str] | None = None, *, identified: bool = True) -> Correspondent:
        if key == "rsa":
            key = rsa.generate_private_key(65537, 2048)
        elif isinstance(key, str):
            key = ec.generate_private_key(CURVES[key])
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        serial, public = x509.random_serial_number(), key.public_key()
        builder = x509.CertificateBuilder(subject, subject, public, serial, moment, moment)
        if identified:
            builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        if usage is not None:
            builder = builder.add_extension(x509.KeyUsage(**{each: each in usage for each in USAGES}), critical=True)
        signing = (
            key
            if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
            else ec.generate_private_key(CURVES["p256"])
        )
        certificate = builder.sign(signing, hashes.SHA256())
        pem, key_file = folder / f"{name}.pem", folder / f"{name}.key"
        pem.write_bytes(certificate.public_bytes(Encoding.PEM))
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return Correspondent(LocalOpener(certificate.public_bytes(Encoding.DER), key), pem, key_file)

    return make


USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


@pytest.fixture(scope="session")
def correspondents(correspondent: Callable[..., Correspondent]) -> Mapping[str, Correspondent]:
    """One for each kind of key that we encrypt to."""
    return {kind: correspondent(kind, kind) for kind in ("rsa", *CURVES)}

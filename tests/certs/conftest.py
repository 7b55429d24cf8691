"""A throw-away infrastructure for the tests of certs, and the openssl command as an oracle."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs import throwaway
from certs.chain import TrustStore
from certs.openers import LocalOpener
from certs.throwaway import Issued, Pki
from tests.certs.kit import Kit
from tests.certs.pen import Correspondent, Pen

Openssl = Callable[..., subprocess.CompletedProcess[bytes]]
Downgrade = Callable[[bytes, Issued], bytes]


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
def signer(pki: Pki) -> Issued:
    """The certificate of whoever signs the white list."""
    return pki.white_list_signer()


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

    return throwaway.with_sha1


@pytest.fixture(scope="session")
def kit(pki: Pki, moment: datetime, with_sha1: Downgrade) -> Kit:
    """Where every kind of certificate can be made."""
    return Kit(pki, moment, with_sha1, ec.generate_private_key(ec.SECP256R1()))


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


class Office:
    """A root and an authority on P-256, made in milliseconds, which issue whatever a test wants to be odd."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.root = self.issue("TEST PLI RACINE", authority=True)
        self.authority = self.issue("TEST PLI AUTORITE", issuer=self.root, authority=True)

    def issue(
        self,
        name: str,
        *extensions: tuple[x509.ExtensionType, bool],
        issuer: Issued | None = None,
        authority: bool = False,
        usage: frozenset[str] | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> Issued:
        """A certificate by `issuer` (itself without one), valid for a year around `at`."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        by, signing = (issuer.certificate.subject, issuer.key) if issuer else (subject, key)
        half = timedelta(days=182)
        builder = x509.CertificateBuilder(
            by, subject, key.public_key(), x509.random_serial_number(), self.at - half, self.at + half
        )
        uses = usage or ({"key_cert_sign", "crl_sign"} if authority else {"digital_signature"})
        for extension, critical in (
            (x509.BasicConstraints(ca=authority, path_length=None), True),
            (x509.KeyUsage(**{each: each in uses for each in USAGES}), True),
            (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), False),
            *extensions,
        ):
            builder = builder.add_extension(extension, critical)
        return Issued(builder.sign(signing, hashes.SHA256()), key)

    def leaf(self, *extensions: tuple[x509.ExtensionType, bool], name: str = "mss.hopital-a.example") -> Issued:
        return self.issue(name, *extensions, issuer=self.authority)

    def listing(
        self,
        *revoked: Issued | x509.RevokedCertificate,
        issuer: Issued | None = None,
        at: datetime | None = None,
        lives: timedelta = timedelta(days=1),
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> bytes:
        """A CRL, by the authority unless another `issuer` is given."""
        issuer, at = issuer or self.authority, at or self.at
        builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, at, at + lives)
        for each in revoked:
            if isinstance(each, Issued):
                each = x509.RevokedCertificateBuilder(each.certificate.serial_number, at).build()
            builder = builder.add_revoked_certificate(each)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def folder(self, folder: Path, *crls: bytes) -> Path:
        """A trust folder: the root, the authority, the root's list and these."""
        for name, data in {
            "anchors/root.pem": self.root.certificate.public_bytes(Encoding.PEM),
            "intermediates/authority.pem": self.authority.certificate.public_bytes(Encoding.PEM),
            "crls/root.crl": self.listing(issuer=self.root),
            **{f"crls/{number}.crl": crl for number, crl in enumerate(crls)},
        }.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return folder


@pytest.fixture(scope="session")
def office(moment: datetime) -> Office:
    """At the moment of all other infrastructures here."""
    return Office(moment)


@pytest.fixture
def office_at() -> Callable[[datetime], Office]:
    """One of another moment, for programs that look at the real clock."""
    return Office


@pytest.fixture(scope="session")
def pen() -> Pen:
    """Writes encrypted letters by hand."""
    return Pen()


# --- a web server that does whatever a test likes ----------------------------------------------------------


class Server:
    """A web server on loopback whose every answer is written by a test, byte by byte."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.scripts: dict[str, Callable[[socket.socket, bytes], None]] = {}
        self.requests: list[bytes] = []
        self.gone = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while not self.gone.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                request += _more(connection)
            head, _, body = request.partition(b"\r\n\r\n")
            length = int(next((line[15:] for line in head.splitlines() if line.startswith(b"Content-Length:")), b"0"))
            while len(body) < length:
                body += _more(connection)
            request = head + b"\r\n\r\n" + body
            self.requests.append(request)
            self.scripts[request.split()[1].decode()](connection, request)

    def url(self, path: str) -> str:
        return f"http://crl.example:{self.port}{path}"

    def say(self, path: str, body: bytes, status: str = "200 OK", *headers: str) -> None:
        """What `path` answers from now on."""
        head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]).encode()
        self.scripts[path] = lambda connection, _: connection.sendall(head + body)

    @property
    def asked(self) -> list[str]:
        """Paths asked for, in their order."""
        return [request.split()[1].decode() for request in self.requests]

    def close(self) -> None:
        self.gone.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
        self.listener.close()


def _more(connection: socket.socket) -> bytes:
    """Who has gone says nothing more: without this a thread would ask for ever."""
    data = connection.recv(4096)
    if not data:
        raise ConnectionResetError
    return data


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()

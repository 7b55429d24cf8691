"""TLS as it is configured: what a node's settings make of its roles, and how its collectors call other operators."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from certs import tls
from certs.throwaway import Pki
from gateway import app, collectors, config
from gateway.config import CollectSection
from gateway.demo import stage
from gateway.imap import Lost


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stage") / "demo"
    return stage.build(folder, datetime.now(UTC)).seats["lilas"].config


def with_tls(good: Path, folder: Path, line: str) -> Path:
    path = folder / "pli.toml"
    path.write_text(good.read_text().replace("[tls]\n", f"[tls]\n{line}\n", 1))
    return path


def test_without_a_word_the_texts_count(good: Path) -> None:
    """TLS 1.2 or later, and for it the four suites of operators' texts."""
    role = app.tls_role(config.load(good), tls.PEER_IN)
    assert role == tls.PEER_IN
    names = [each["name"] for each in tls.context(role, None).get_ciphers() if each["protocol"] == "TLSv1.2"]
    assert ":".join(names) == tls.CIPHERS_1_2


def test_a_node_may_ask_for_more(good: Path, tmp_path: Path) -> None:
    """tls.minimum and tls.ciphers are those of every role between operators and for mail clients."""
    line = 'minimum = "1.3"\nciphers = "ECDHE-RSA-AES256-GCM-SHA384"'
    settings = config.load(with_tls(good, tmp_path, line))
    for role in (tls.PEER_IN, tls.PEER_OUT, tls.CLIENT_IN):
        made = tls.context(app.tls_role(settings, role), None)
        assert made.minimum_version is ssl.TLSVersion.TLSv1_3
        suites = [each["name"] for each in made.get_ciphers() if each["protocol"] == "TLSv1.2"]
        assert suites == ["ECDHE-RSA-AES256-GCM-SHA384"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('minimum = "1.1"', "tls.minimum"),
        ('ciphers = "NO-SUCH-SUITE"', "no suite of it is known here"),
        ('ciphers = "aNULL:@SECLEVEL=0"', "protects nothing"),
        ('ciphers = ""', "tls.ciphers"),
    ],
)
def test_what_would_weaken_it_cannot_be_written(good: Path, tmp_path: Path, line: str, words: str) -> None:
    """An older version, unknown suites and those that protect nothing stop the start, in words."""
    with pytest.raises(config.ConfigError, match=words):
        config.load(with_tls(good, tmp_path, line))


# --- towards the IMAP servers of other operators -------------------------------------------------------------------


@contextmanager
def imap(context: ssl.SSLContext, shown: list[bytes | None] | None = None) -> Iterator[int]:
    """A server over TLS that greets and, at the first word, hangs up. `shown`: the certificate of each session."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    plain, _ = listening.accept()
                    plain.settimeout(10)
                    with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as session:
                        if shown is not None:
                            shown.append(session.getpeercert(True))
                        session.sendall(b"* OK here\r\n")
                        session.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki.create(datetime.now(UTC))


@pytest.fixture
def place(pki: Pki, tmp_path: Path) -> Path:
    pki.write_trust(tmp_path / "trust", datetime.now(UTC))
    (tmp_path / "password").write_text("un mot de passe")
    (tmp_path / "root.pem").write_bytes(pki.root.certificate.public_bytes(Encoding.PEM))
    return tmp_path


def said(place: Path, port: int, host: str = "127.0.0.1", **more: Any) -> str:
    """How a collector's connection failed: this server never lets anybody in."""
    section = CollectSection(host=host, port=port, user="a", to="a@b.example", password_file=place / "password", **more)
    trust = tls.TrustStore.load(place / "trust")
    with pytest.raises(Lost) as lost:
        asyncio.run(collectors._opens(section, lambda: trust)())  # type: ignore[arg-type]
    return str(lost.value)


def server(pki: Pki, place: Path, ips: tuple[str, ...] = ("127.0.0.1",), **window: datetime) -> ssl.SSLContext:
    issued = pki.tls_server("imap.autre.example", "AUTRE", "1750000009", ips=ips, **window)
    return tls.service_side(*issued.write(place / "server", "host"))


def test_a_collector_needs_no_certificate_of_its_own(pki: Pki, place: Path) -> None:
    """It speaks to a server that is vouched for by our anchors, or by the authorities that are named instead."""
    shown: list[bytes | None] = []
    with imap(server(pki, place), shown) as port:
        assert said(place, port) == "the connection ended"
        assert said(place, port, authorities=place / "root.pem") == "the connection ended"
    assert shown == [None, None], "two sessions, and nothing shown in them"


def test_a_collector_shows_its_certificate_where_it_has_one(pki: Pki, place: Path) -> None:
    """A server that insists on one gets it, read anew for each connection; without it there is no session."""
    host = pki.tls_server("imap.autre.example", "AUTRE", "1750000009").write(place / "server", "host")
    strict = tls.context(tls.HOST_IN, host, tls.TrustStore.load(place / "trust"))
    first, second = (pki.auth_client("LILAS", "LILAS", "1750000001") for _ in range(2))
    shown: list[bytes | None] = []
    with imap(strict, shown) as port:
        for issued in (first, second):
            certificate, key = issued.write(place, "ours")
            said(place, port, certificate=certificate, key=key)
        said(place, port)
    assert shown == [first.der, second.der]


def test_a_server_that_is_not_vouched_for_gets_no_password(pki: Pki, place: Path) -> None:
    """Another root, another name, and a certificate that is over are refused before anything is said."""
    other = Pki.create(datetime.now(UTC), "AUTRE", "p256")
    over = datetime.now(UTC) - timedelta(minutes=5)
    for context, word in (
        (server(other, place), "unable to get local issuer"),
        (server(pki, place, ips=("192.0.2.1",)), "IP address mismatch"),
        (server(pki, place, not_after=over), "expired"),
    ):
        with imap(context) as port:
            assert word in said(place, port)


def test_a_server_without_tls_gets_no_password(place: Path) -> None:
    """In clear nothing is said, and the reason has its name."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            plain, _ = listening.accept()
            with plain:
                plain.sendall(b"* OK in clear\r\n" * 40)
                heard.append(plain.recv(9999))

        heard: list[bytes] = []
        thread = threading.Thread(target=serve)
        thread.start()
        assert said(place, listening.getsockname()[1]) == "the TLS handshake: not-tls"
        thread.join()
    assert heard[0].startswith(b"\x16"), "a ClientHello, and no LOGIN"

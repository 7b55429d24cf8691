"""The refresher: from a peer of whom nobody can tell, left by a door, to an answer, by a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from certs import profiles
from certs.chain import TrustStore
from certs.model import CannotTell, Trusted
from gateway import app, config, refresher, roster
from gateway.config import ConfigError, Settings
from gateway.demo import stage

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Authority:
    """A root on P-256 that issues peers and its list."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "TEST PLI RACINE")])
        self.certificate = self.issue(self.name, self.key, x509.BasicConstraints(ca=True, path_length=None))

    def issue(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder(
            self.name, name, key.public_key(), x509.random_serial_number(), NOW - DAY, NOW + 30 * DAY
        )
        for each in extensions:
            builder = builder.add_extension(each, critical=isinstance(each, x509.BasicConstraints))
        return builder.sign(self.key, hashes.SHA256())

    def peer(self, url: str) -> bytes:
        """DER of a peer whose list is at `url`."""
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mss.parc.example")])
        at = x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
        found = self.issue(name, ec.generate_private_key(ec.SECP256R1()), x509.CRLDistributionPoints([at]))
        return found.public_bytes(Encoding.DER)

    def listing(self, issued: datetime = NOW - HOUR, until: datetime = NOW + DAY) -> bytes:
        builder = x509.CertificateRevocationListBuilder(self.name, issued, until)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def web(authority: Authority) -> Iterator[int]:
    """The port of a web server on loopback that has the authority's list."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = authority.listing()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def written(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node's configuration; its trust folder trusts the authority too."""
    seat = stage.build(tmp_path_factory.mktemp("stage") / "demo", NOW).seats["lilas"]
    anchors = config.load(seat.config).trust.folder / "anchors"
    (anchors / "test.pem").write_bytes(authority.certificate.public_bytes(Encoding.PEM))
    return seat.config


@pytest.fixture
def settings(written: Path, web: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """Of a node that may fetch from the web server, with a run folder and a cache of its own."""
    monkeypatch.setenv("PLI_TRUST__FETCH_FROM", f'["127.0.0.1:{web}"]')
    monkeypatch.setenv("PLI_TRUST__CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PLI_PATHS__RUN", str(tmp_path / "run"))
    monkeypatch.setenv("PLI_LOG__FILE", str(tmp_path / "pli.log"))
    (tmp_path / "run").mkdir()
    return config.load(written)


def until(seen: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not seen():
        assert time.monotonic() < end, "not seen within 30 s"
        time.sleep(0.05)


def test_a_process_of_its_own_finds_out(
    settings: Settings, written: Path, authority: Authority, web: int, tmp_path: Path
) -> None:
    """A door that cannot tell leaves the certificate; the refresher fetches its list; then the door can tell."""
    peer = authority.peer(f"http://127.0.0.1:{web}/a.crl")
    doors_store = app.trust(settings)

    def judged() -> object:
        return doors_store().judge(peer, (), profiles.TLS_PEER, app.clock())

    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "--config", str(written), "serve", "--only", "refresher"], env=os.environ
    )
    try:
        until((settings.paths.run / "refresher.pid").exists)
        assert isinstance(judged(), CannotTell)
        assert len(list((settings.paths.run / "seen").iterdir())) == 1
        until(lambda: isinstance(judged(), Trusted))
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    log = (tmp_path / "pli.log").read_text()
    assert "revocation-fetched" in log
    assert "mss.parc.example" not in log


def test_without_the_operators_word_loopback_is_not_reached(
    settings: Settings, written: Path, authority: Authority, web: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twin: the same node without trust.fetch_from refuses the address, and says so where somebody asks."""
    monkeypatch.setenv("PLI_TRUST__FETCH_FROM", "[]")
    settings = config.load(written)
    peer = authority.peer(f"http://127.0.0.1:{web}/a.crl")
    store = app.trust(settings)
    store().judge(peer, (), profiles.TLS_PEER, app.clock())
    refresher.Refresher(settings).round(app.clock())
    trust = store().judge(peer, (), profiles.TLS_PEER, app.clock())
    assert isinstance(trust, CannotTell)
    assert "not-allowed" in trust.detail


def test_a_node_that_must_not_fetch_has_no_refresher(settings: Settings, written: Path) -> None:
    """trust.fetch = false: no such process, and nothing is left for it."""
    assert "refresher" in roster.names(settings)
    off = settings.model_copy(update={"trust": settings.trust.model_copy(update={"fetch": False})})
    assert "refresher" not in roster.names(off)


@pytest.mark.parametrize("place", ["mirror", "mirror:", ":80", "mirror:http", "mirror:0", "mirror:70000"])
def test_an_allowed_place_is_a_host_and_a_port(written: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """Anything else is a sentence at the start."""
    monkeypatch.setenv("PLI_TRUST__FETCH_FROM", f'["{place}"]')
    with pytest.raises(ConfigError, match="host:port"):
        config.load(written)


def test_a_list_that_ends_here_is_an_alarm(settings: Settings, authority: Authority, tmp_path: Path) -> None:
    """Put into the trust folder by hand or fetched: the newest list of its scope that soon is over; not the older."""
    folder = tmp_path / "trust"
    (folder / "crls").mkdir(parents=True)
    older, newest = (NOW - 2 * HOUR, NOW - HOUR), (NOW - HOUR, NOW + 6 * HOUR)
    for number, (issued, end) in enumerate((older, newest)):
        (folder / "crls" / f"{number}.crl").write_bytes(authority.listing(issued, end))
    store = TrustStore.load(folder)
    assert [crl.until for crl in refresher.ending(store, NOW)] == [NOW + 6 * HOUR]
    assert list(refresher.ending(store, NOW - DAY)) == []

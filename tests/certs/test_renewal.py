"""A context that follows its files, with real sessions: those that stand, and those that begin."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from structlog.testing import capture_logs

from certs import tls
from certs.chain import TrustStore
from certs.throwaway import Issued, Pki
from certs.tls import CLIENT_IN, PEER_IN, PEER_OUT, Contexts, PeerShown, renewed, shown_by


@dataclass(frozen=True)
class Place:
    """A host's files, and two certificates that may lie in them."""

    folder: Path
    pki: Pki
    first: Issued
    second: Issued

    @property
    def files(self) -> tuple[Path, Path]:
        return self.folder / "host.pem", self.folder / "host.key"

    def put(self, issued: Issued) -> None:
        issued.write(self.folder, "host")

    def trust(self) -> TrustStore:
        return TrustStore.load(self.folder / "trust")


@pytest.fixture(scope="module")
def made() -> tuple[Pki, Issued, Issued]:
    pki = Pki.create(datetime.now(UTC))
    first, second = (pki.tls_server("mss.lilas.example", "LILAS", "1750000001") for _ in range(2))
    return pki, first, second


@pytest.fixture
def place(made: tuple[Pki, Issued, Issued], tmp_path: Path) -> Place:
    found = Place(tmp_path, *made)
    found.pki.write_trust(tmp_path / "trust", datetime.now(UTC))
    found.put(found.first)
    return found


def session(serving: ssl.SSLContext, calling: ssl.SSLContext) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    """(server's, client's) end of a new session."""
    ours, theirs = socket.socketpair()
    made: list[ssl.SSLSocket] = []
    thread = threading.Thread(target=lambda: made.append(serving.wrap_socket(ours, server_side=True)))
    thread.start()
    client = calling.wrap_socket(theirs)
    thread.join()
    return made[0], client


@contextmanager
def speaking(serving: ssl.SSLContext, calling: ssl.SSLContext) -> Iterator[tuple[ssl.SSLSocket, ssl.SSLSocket]]:
    server, client = session(serving, calling)
    with server, client:
        yield server, client


def shown(contexts: Contexts, place: Place) -> str:
    """The fingerprint that a new caller sees."""
    with speaking(contexts(), tls.client_side(*place.files, place.trust())) as (_, client):
        found = shown_by(client)
        assert found is not None
        return found.fingerprint


def fingerprint(issued: Issued) -> str:
    return tls.identity(issued.der).fingerprint


def test_a_renewed_certificate_counts_from_the_next_session_on(place: Place) -> None:
    """A session from before the renewal goes on; one begun after it shows the new certificate."""
    contexts = renewed(PEER_IN, place.files, place.trust)
    calling = tls.client_side(*place.files, place.trust())
    with speaking(contexts(), calling) as (server, client):
        place.put(place.second)
        assert shown(contexts, place) == fingerprint(place.second)
        client.sendall(b"MAIL")
        assert server.recv(4) == b"MAIL"
        server.sendall(b"250")
        assert client.recv(3) == b"250"
        old = shown_by(client)
        assert old is not None
        assert old.fingerprint == fingerprint(place.first)


def test_files_that_did_not_change_are_not_read_again(place: Place) -> None:
    """The same context serves session after session."""
    contexts = renewed(CLIENT_IN, place.files)
    assert contexts() is contexts()


@pytest.mark.parametrize("name", ["host.pem", "host.key"])
@pytest.mark.parametrize("damage", ["rubbish", "gone", "another's"])
def test_a_broken_renewal_leaves_the_old_in_use(place: Place, name: str, damage: str) -> None:
    """Rubbish, a missing file, or a key that is not the certificate's: the old one is shown, and one line says why."""
    contexts = renewed(CLIENT_IN, place.files)
    before, file = contexts(), place.folder / name
    if damage == "rubbish":
        file.write_text("rubbish")
    elif damage == "gone":
        file.unlink()
    else:
        place.second.write(place.folder / "other", "host")
        shutil.copy(place.folder / "other" / name, file)
    with capture_logs() as lines:
        assert contexts() is before
        assert contexts() is before
    told = [line for line in lines if line["event"] == "alarm-tls-not-renewed"]
    assert len(told) == 1
    assert told[0]["role"] == "client-in"
    assert "\n" not in told[0]["why"]
    assert "rubbish" not in told[0]["why"]


def test_a_certificate_waits_for_its_key(place: Place) -> None:
    """Two files are never replaced in one moment: the second one completes the renewal."""
    contexts = renewed(CLIENT_IN, place.files)
    place.second.write(place.folder / "new", "host")
    os.replace(place.folder / "new" / "host.pem", place.files[0])
    with capture_logs() as lines:
        contexts()
        os.replace(place.folder / "new" / "host.key", place.files[1])
        assert shown(contexts, place) == fingerprint(place.second)
    assert [line["event"] for line in lines] == ["alarm-tls-not-renewed", "tls-renewed"]


def test_anchors_are_read_again(place: Place) -> None:
    """A caller whose anchor was added meanwhile gets in; before it he did not."""
    other = Pki.create(datetime.now(UTC), "PLI AUTRE", "p256")
    stranger = other.tls_server("mss.autre.example", "AUTRE", "1750000009")
    calling = tls.client_side(*stranger.write(place.folder / "stranger", "host"), place.trust())
    held = [place.trust()]
    contexts = renewed(PEER_IN, place.files, lambda: held[0])
    with pytest.raises(ssl.SSLCertVerificationError):
        alone(contexts(), calling)
    shutil.copy(place.folder / "trust" / "anchors" / "root.pem", place.folder / "kept.pem")
    other.write_trust(place.folder / "other", datetime.now(UTC))
    shutil.copy(place.folder / "other/anchors/root.pem", place.folder / "trust/anchors/other.pem")
    shutil.copy(place.folder / "other/intermediates/authority.pem", place.folder / "trust/intermediates/other.pem")
    held[0] = place.trust()
    with speaking(contexts(), calling) as (server, _):
        found = shown_by(server)
        assert found is not None
        assert found.subject.startswith("CN=mss.autre.example")


def alone(serving: ssl.SSLContext, calling: ssl.SSLContext) -> None:
    """A handshake of which the server's side fails: raises its error."""
    ours, theirs = socket.socketpair()

    def call() -> None:
        try:
            calling.wrap_socket(theirs).recv(1)
        except OSError:
            theirs.close()  # what the client sees is not asked for here

    thread = threading.Thread(target=call)
    thread.start()
    try:
        serving.wrap_socket(ours, server_side=True).close()
    finally:
        ours.close()
        thread.join()


def test_a_start_with_unusable_files_is_an_error(place: Place) -> None:
    """There is no old context to go on with, so the start fails; so does one with an encrypted key, asking nobody."""
    sealed = place.first.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    place.files[1].write_bytes(sealed)
    with pytest.raises(ValueError, match="without a passphrase"):
        renewed(CLIENT_IN, place.files)
    place.files[1].unlink()
    with pytest.raises(FileNotFoundError):
        renewed(CLIENT_IN, place.files)


def test_what_this_python_cannot_set_is_said(place: Place) -> None:
    """Suites of TLS 1.3 and several groups are refused where the library has no call for them, and else obeyed."""
    for role in (replace(CLIENT_IN, suites="TLS_AES_256_GCM_SHA384"), replace(CLIENT_IN, groups=("X25519", "P-256"))):
        call = "set_ciphersuites" if role.suites else "set_groups"
        if hasattr(ssl.SSLContext, call):
            assert tls.context(role, place.files)
        else:
            with pytest.raises(ValueError, match=call):
                tls.context(role, place.files)


# --- what the other side showed ------------------------------------------------------------------------------------


def test_what_the_other_side_showed_is_a_value(place: Place) -> None:
    """Fingerprint, subject, bytes, version and suite of this very session; its printed form holds no bytes."""
    serving, calling = (tls.context(role, place.files, place.trust()) for role in (PEER_IN, PEER_OUT))
    calling.maximum_version = ssl.TLSVersion.TLSv1_2
    with speaking(serving, calling) as (server, client):
        seen, other = shown_by(server), shown_by(client)
    assert (
        seen
        == other
        == PeerShown(
            der=place.first.der,
            fingerprint=fingerprint(place.first),
            subject=tls.identity(place.first.der).subject,
            version="TLSv1.2",
            cipher="ECDHE-RSA-AES256-GCM-SHA384",
        )
    )
    assert seen is not None
    assert seen.words == "TLSv1.2 ECDHE-RSA-AES256-GCM-SHA384"
    assert "der=" not in repr(seen)


def test_who_shows_nothing_is_none(place: Place) -> None:
    """Without a session, or without a certificate in it, there is no value."""
    bare = tls.context(PEER_OUT, None, place.trust())
    with speaking(tls.context(PEER_IN, place.files, place.trust()), bare) as (server, _):
        assert shown_by(server) is None
    assert shown_by(None) is None

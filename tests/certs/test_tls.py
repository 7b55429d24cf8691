"""Real handshakes on loopback: who gets a session, who does not, and when each side learns it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs.chain import TrustStore, identity
from certs.model import Fault, Trusted, Untrusted
from certs.profiles import TLS_PEER
from certs.throwaway import Issued, Pki
from certs.tls import client_side, peer_certificate, peer_side, service_side


@dataclass(frozen=True)
class World:
    """One trust space on disk. TLS libraries judge by the machine's own clock, so it is valid today."""

    pki: Pki
    folder: Path
    trust: TrustStore

    @staticmethod
    def create(folder: Path, name: str) -> World:
        now = datetime.now(UTC)
        pki = Pki.create(now, name)
        pki.write_trust(folder / "trust", now)
        return World(pki, folder, TrustStore.load(folder / "trust"))

    def shown(self, name: str, issued: Issued) -> tuple[Path, Path]:
        return issued.write(self.folder, name)

    def host(self, name: str, **window: datetime) -> tuple[Path, Path]:
        return self.shown(name, self.pki.tls_server(name, "PLI", "1750000001", dns=(name,), **window))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.create(tmp_path_factory.mktemp("ours"), "PLI DEMO")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Another trust space: a stranger's."""
    return World.create(tmp_path_factory.mktemp("theirs"), "AUTRE")


@pytest.fixture(scope="module")
def server(ours: World) -> tuple[Path, Path]:
    return ours.host("mx.lilas.example")


@pytest.fixture(scope="module")
def client(ours: World) -> tuple[Path, Path]:
    return ours.host("mx.parc.example")


@dataclass
class Meeting:
    """What each side saw of one handshake."""

    server_saw: bytes | None = None
    server_error: Exception | None = None
    client_saw: bytes | None = None
    version: str | None = None
    cipher: str = ""
    read: bytes = b""
    client_error: Exception | None = None
    """Raised by the handshake itself."""
    late_error: Exception | None = None
    """Raised by the client's first read, after a handshake that it believed to be done."""
    session: ssl.SSLSession | None = None
    resumed: bool = False


def meet(
    serving: ssl.SSLContext,
    calling: ssl.SSLContext,
    name: str | None = None,
    resume: ssl.SSLSession | None = None,
) -> Meeting:
    """One handshake over a real connection, after which the server sends a word.

    `resume`: an earlier session.
    """
    meeting = Meeting()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, serving, meeting))
        thread.start()
        with socket.create_connection(listener.getsockname(), timeout=10) as plain:
            _call(plain, calling, name, resume, meeting)
        thread.join()
    return meeting


def _serve(listener: socket.socket, context: ssl.SSLContext, meeting: Meeting) -> None:
    plain, _ = listener.accept()
    plain.settimeout(10)
    with plain:
        try:
            with context.wrap_socket(plain, server_side=True) as session:
                meeting.server_saw = peer_certificate(session)
                session.sendall(b"220")
                session.recv(1)
        except OSError as error:
            meeting.server_error = error


def _call(
    plain: socket.socket,
    context: ssl.SSLContext,
    name: str | None,
    resume: ssl.SSLSession | None,
    meeting: Meeting,
) -> None:
    try:
        session = context.wrap_socket(plain, server_hostname=name, session=resume)
    except OSError as error:
        meeting.client_error = error
        return
    with session:
        meeting.version, meeting.cipher = session.version(), (session.cipher() or ("",))[0]
        meeting.client_saw = peer_certificate(session)
        try:
            meeting.read = session.recv(3)
            meeting.session, meeting.resumed = session.session, bool(session.session_reused)
        except OSError as error:
            meeting.late_error = error


def der(file: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(
        file.read_text().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
    )


# --- between operators -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_two_operators_see_each_other_s_certificate(
    ours: World, server: tuple[Path, Path], client: tuple[Path, Path], version: ssl.TLSVersion
) -> None:
    """With TLS 1.2 and 1.3 each side holds the other's end certificate, and the store believes it."""
    calling = client_side(*client, ours.trust)
    calling.minimum_version = calling.maximum_version = version
    seen = meet(peer_side(*server, ours.trust), calling)
    assert seen.read == b"220"
    assert seen.version == version.name.replace("_", ".")
    assert seen.client_saw == der(server[0])
    assert seen.server_saw == der(client[0])
    assert isinstance(ours.trust.judge(seen.server_saw, (), TLS_PEER, datetime.now(UTC)), Trusted)


def test_a_peer_that_sends_its_end_certificate_only_is_believed(
    ours: World, server: tuple[Path, Path], client: tuple[Path, Path], tmp_path: Path
) -> None:
    """The issuing authority is known to us, so a peer need not send it."""
    alone = tmp_path / "alone.pem"
    alone.write_text(ssl.DER_cert_to_PEM_cert(der(server[0])))
    seen = meet(peer_side(alone, server[1], ours.trust), client_side(*client, ours.trust))
    assert seen.read == b"220"


def test_without_a_client_certificate_the_door_may_speak(ours: World, server: tuple[Path, Path]) -> None:
    """A peer without a certificate gets a session, so that it can be told why it is refused; we see None."""
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname = False
    bare.load_verify_locations(cadata=ours.trust.anchors_pem())
    seen = meet(peer_side(*server, ours.trust), bare)
    assert seen.read == b"220"
    assert seen.server_saw is None


def test_a_server_of_another_authority_is_refused(ours: World, theirs: World, client: tuple[Path, Path]) -> None:
    """We call nobody whose chain does not reach our anchors: the handshake ends, nothing was said."""
    stranger = theirs.host("mx.lilas.example")
    seen = meet(peer_side(*stranger, ours.trust), client_side(*client, ours.trust))
    assert isinstance(seen.client_error, ssl.SSLCertVerificationError)
    assert seen.read == b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_of_another_authority_is_refused(
    ours: World, theirs: World, server: tuple[Path, Path], version: ssl.TLSVersion
) -> None:
    """A stranger's client certificate gets no session; in TLS 1.3 the client learns it only when it reads."""
    stranger = theirs.host("mx.parc.example")
    calling = client_side(*stranger, ours.trust)
    calling.minimum_version = calling.maximum_version = version
    seen = meet(peer_side(*server, ours.trust), calling)
    assert isinstance(seen.server_error, ssl.SSLCertVerificationError)
    assert seen.server_saw is None
    assert seen.read == b""
    if version is ssl.TLSVersion.TLSv1_2:
        assert seen.client_error is not None
    else:
        assert seen.client_error is None
        assert seen.late_error is not None


@pytest.mark.parametrize("window", ["expired", "not-yet"])
def test_a_certificate_out_of_its_time_is_refused(
    ours: World, server: tuple[Path, Path], client: tuple[Path, Path], window: str
) -> None:
    """An expired certificate, or one of tomorrow, is refused in both directions."""
    day, now = timedelta(days=1), datetime.now(UTC)
    begins = now - 2 * day if window == "expired" else now + day
    late = ours.host(f"{window}.example", not_before=begins, not_after=begins + day)
    assert isinstance(
        meet(peer_side(*late, ours.trust), client_side(*client, ours.trust)).client_error,
        ssl.SSLCertVerificationError,
    )
    assert isinstance(
        meet(peer_side(*server, ours.trust), client_side(*late, ours.trust)).server_error,
        ssl.SSLCertVerificationError,
    )


def test_a_revoked_certificate_is_left_to_the_judge(tmp_path: Path, client: tuple[Path, Path]) -> None:
    """Revocation is not the context's business: the session stands, and the store says revoked."""
    world = World.create(tmp_path, "REVOQUE")
    issued = world.pki.tls_server("mx.lilas.example", "PLI", "1750000001")
    world.pki.revoke(issued)
    world.pki.write_trust(tmp_path / "trust", datetime.now(UTC))
    trust = TrustStore.load(tmp_path / "trust")
    shown = world.shown("mx", issued)
    seen = meet(peer_side(*shown, trust), client_side(*shown, trust))
    assert seen.client_saw is not None
    answer = trust.judge(seen.client_saw, (), TLS_PEER, datetime.now(UTC))
    assert isinstance(answer, Untrusted)
    assert answer.fault is Fault.REVOKED


def test_the_host_name_counts_where_asked(ours: World, server: tuple[Path, Path], client: tuple[Path, Path]) -> None:
    """With check_hostname the right name gets a session and the wrong one none;

    without it names do not count.
    """
    serving = peer_side(*server, ours.trust)
    strict, lenient = client_side(*client, ours.trust, check_hostname=True), client_side(*client, ours.trust)
    assert meet(serving, strict, "mx.lilas.example").read == b"220"
    refused = meet(serving, strict, "mx.parc.example").client_error
    assert isinstance(refused, ssl.SSLCertVerificationError)
    assert "mx.parc.example" in str(refused)
    assert meet(serving, lenient, "mx.parc.example").read == b"220"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_that_is_asked_for_again_shows_its_certificate(
    ours: World, server: tuple[Path, Path], client: tuple[Path, Path], version: ssl.TLSVersion
) -> None:
    """The door of peers resumes nothing:

    a peer that offers an earlier session shows its certificate again.
    """
    serving, calling = peer_side(*server, ours.trust), client_side(*client, ours.trust)
    calling.minimum_version = calling.maximum_version = version
    first = meet(serving, calling)
    again = meet(serving, calling, resume=first.session)
    assert again.read == b"220"
    assert not again.resumed
    assert first.server_saw == again.server_saw == der(client[0])


# --- versions and suites -----------------------------------------------------------------------------------


Limit = Callable[[ssl.SSLContext], None]


def old_version(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")


def foreign_suite(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES256-GCM-SHA384:DHE-RSA-AES256-GCM-SHA384")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("limit", [old_version, foreign_suite])
def test_an_old_version_or_another_suite_gets_no_session(
    ours: World, server: tuple[Path, Path], client: tuple[Path, Path], limit: Limit
) -> None:
    """TLS 1.1, and a 1.2 suite outside the operators' four, are refused by every door."""
    for serving in (peer_side(*server, ours.trust), service_side(*server)):
        calling = client_side(*client, ours.trust)
        limit(calling)
        seen = meet(serving, calling)
        assert isinstance(seen.client_error, ssl.SSLError)
        assert isinstance(seen.server_error, ssl.SSLError)


@pytest.mark.parametrize(
    "suite",
    [
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES256-SHA384",
        "ECDHE-RSA-AES128-SHA256",
    ],
)
def test_each_operator_suite_gets_a_session(
    ours: World, server: tuple[Path, Path], client: tuple[Path, Path], suite: str
) -> None:
    """Each of the four suites of TLS 1.2 that the texts name is served."""
    calling = client_side(*client, ours.trust)
    calling.maximum_version = ssl.TLSVersion.TLSv1_2
    calling.set_ciphers(suite)
    assert meet(peer_side(*server, ours.trust), calling).cipher == suite


# --- for mail clients --------------------------------------------------------------------------------------


def test_a_mail_client_needs_no_certificate(ours: World, server: tuple[Path, Path]) -> None:
    """The doors of clients ask for none, and see none even where one could be shown."""
    showing = client_side(*server, ours.trust)
    seen = meet(service_side(*server), showing)
    assert seen.read == b"220"
    assert seen.server_saw is None
    assert identity(seen.client_saw or b"").common_name == "mx.lilas.example"


def test_before_a_session_nobody_showed_anything() -> None:
    """Without a session there is no certificate."""
    assert peer_certificate(None) is None


def test_unusable_files_are_an_error(ours: World, server: tuple[Path, Path], client: tuple[Path, Path]) -> None:
    """A missing file, or another certificate's key, is an error when the context is made, not at the first
    peer.
    """
    with pytest.raises(FileNotFoundError):
        service_side(ours.folder / "absent.pem", server[1])
    with pytest.raises(ssl.SSLError):
        service_side(server[0], client[1])

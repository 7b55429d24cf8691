"""Each way in which a handshake fails, failed for real on loopback: what either side calls it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs import specimens, tls
from certs.chain import TrustStore
from certs.handshakes import CERTIFICATE, REASONS
from certs.specimens import HOST, Collection
from certs.tls import CIPHERS_1_2, HOST_IN, HOST_OUT, PEER_IN, PEER_OUT, Role, case

LAX = f"{CIPHERS_1_2}:@SECLEVEL=0"
OLD, NEW = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@dataclass(frozen=True)
class World:
    """Specimens in files. TLS libraries judge by the machine's own clock, so they are of today."""

    made: Collection
    folder: Path
    trust: TrustStore

    def files(self, name: str) -> tuple[Path, Path]:
        return self.folder / f"host-{name}.pem", self.folder / f"host-{name}.key"

    def context(self, role: Role, name: str | None = "good", trust: TrustStore | None = None) -> ssl.SSLContext:
        """With a specimen that this library would not show at its usual level."""
        return tls.context(replace(role, ciphers=LAX), self.files(name) if name else None, trust or self.trust)

    def strict(self, role: Role, trust: TrustStore | None = None) -> ssl.SSLContext:
        return tls.context(role, self.files("good"), trust or self.trust)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder, now = tmp_path_factory.mktemp("handshakes"), datetime.now(UTC)
    made = specimens.write(folder, now)
    return World(made, folder / "certificates", TrustStore.load(folder / "trust"))


Speaks = Callable[[socket.socket], None]


def meet(serving: Speaks, calling: Speaks) -> tuple[str, str]:
    """What each side calls its failure; empty where it had none."""
    ours, theirs = socket.socketpair()
    called: dict[str, str] = {}

    def run(side: str, speaks: Speaks, plain: socket.socket) -> None:
        plain.settimeout(10)
        try:
            speaks(plain)
        except OSError as error:
            called[side] = case(error)
        finally:
            with contextlib.suppress(OSError):
                plain.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=run, args=("server", serving, ours))
    thread.start()
    run("client", calling, theirs)
    thread.join()
    ours.close()
    theirs.close()
    return called.get("server", ""), called.get("client", "")


def serves(context: ssl.SSLContext) -> Speaks:
    def speak(plain: socket.socket) -> None:
        session = context.wrap_socket(plain.dup(), server_side=True)
        session.sendall(b"220")
        session.close()

    return speak


def calls(context: ssl.SSLContext, name: str | None = None) -> Speaks:
    """With the first read, at which TLS 1.3 tells a client that it is refused."""

    def speak(plain: socket.socket) -> None:
        session = context.wrap_socket(plain.dup(), server_hostname=name)
        if session.recv(3) != b"220":
            raise EOFError
        session.close()

    return speak


def at(version: ssl.TLSVersion, context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = context.maximum_version = version
    return context


def test_a_good_handshake_has_no_case(world: World) -> None:
    """Where nothing fails nothing is called anything: the twin of all that follows."""
    serving, calling = world.strict(PEER_IN), world.strict(HOST_OUT)
    assert meet(serves(serving), calls(calling, HOST)) == ("", "")


THEIRS = {
    "expired": ("expired", "refused-expired"),
    "not-yet-valid": ("not-yet-valid", "refused-bad-certificate"),
    "wrong-root": ("unknown-issuer", "refused-unknown-issuer"),
    "wrong-usage": ("wrong-usage", "refused-bad-certificate"),
    "rsa1024": ("weak-key", "refused-bad-certificate"),
    "sha1": ("weak-algorithm", "refused-bad-certificate"),
}


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize("version", [OLD, NEW])
def test_a_client_s_certificate_that_fails(world: World, name: str, version: ssl.TLSVersion) -> None:
    """The server names what is wrong with the certificate, the client that and why it was refused."""
    serving, calling = at(version, world.strict(PEER_IN)), world.context(PEER_OUT, name)
    assert meet(serves(serving), calls(calling)) == THEIRS[name]


@pytest.mark.parametrize("name", THEIRS)
def test_a_server_s_certificate_that_fails(world: World, name: str) -> None:
    """The other way round: the client names it, the server that it was refused."""
    serving, calling = world.context(PEER_IN, name), world.strict(PEER_OUT)
    ours, theirs = THEIRS[name]
    assert meet(serves(serving), calls(calling)) == (theirs, ours)


def test_a_server_of_another_name(world: World) -> None:
    """Where names count, another host's certificate is 'wrong-name', for a host name and for an address."""
    for name in ("mss.parc.test.pli.invalid", "127.0.0.1"):
        told = meet(serves(world.strict(PEER_IN)), calls(world.strict(HOST_OUT), name))
        assert told == ("refused-bad-certificate", "wrong-name")


def test_a_revoked_server(world: World) -> None:
    """Where lists count in the handshake, a revoked server is 'revoked' and learns it."""
    told = meet(serves(world.context(PEER_IN, "revoked")), calls(world.strict(HOST_OUT), HOST))
    assert told == ("refused-revoked", "revoked")


def test_a_server_whose_list_is_over(world: World, tmp_path: Path) -> None:
    """With a list that is over nobody can tell: 'revocation-unknown', and not 'revoked'."""
    world.made.pki.write_trust(tmp_path, datetime.now(UTC) - timedelta(days=9))
    told = meet(serves(world.strict(PEER_IN)), calls(world.strict(HOST_OUT, TrustStore.load(tmp_path)), HOST))
    assert told[1] == "revocation-unknown"


@pytest.mark.parametrize(("version", "word"), [(NEW, "refused-no-certificate"), (OLD, "refused-handshake")])
def test_a_client_without_certificate(world: World, version: ssl.TLSVersion, word: str) -> None:
    """Where one is compulsory, none is 'no-certificate'."""
    serving, calling = at(version, world.strict(HOST_IN)), world.context(PEER_OUT, None)
    assert meet(serves(serving), calls(calling)) == ("no-certificate", word)


def test_no_suite_in_common(world: World) -> None:
    """A client with other suites only gets 'no-shared-cipher'."""
    calling = tls.context(replace(PEER_OUT, ciphers="AES256-GCM-SHA384"), world.files("good"), world.trust)
    serving = at(OLD, world.strict(PEER_IN))
    assert meet(serves(serving), calls(at(OLD, calling))) == ("no-shared-cipher", "refused-handshake")


def test_no_group_in_common(world: World) -> None:
    """Groups are data: with one each, and not the same, no key can be agreed on."""
    serving = tls.context(replace(PEER_IN, groups=("secp384r1",)), world.files("good"), world.trust)
    calling = tls.context(replace(PEER_OUT, groups=("prime256v1",)), world.files("good"), world.trust)
    assert meet(serves(serving), calls(calling)) == ("no-shared-cipher", "refused-handshake")
    same = tls.context(replace(PEER_OUT, groups=("secp384r1",)), world.files("good"), world.trust)
    assert meet(serves(serving), calls(same)) == ("", "")


def test_no_version_in_common(world: World) -> None:
    """A server that wants TLS 1.3 and a client of 1.2 call it 'version' both."""
    serving = tls.context(replace(PEER_IN, minimum=NEW), world.files("good"), world.trust)
    assert meet(serves(serving), calls(at(OLD, world.strict(PEER_OUT)))) == ("version", "version")


def test_what_is_not_tls(world: World) -> None:
    """Somebody who goes on in clear is 'not-tls', whichever side he is on."""

    def in_clear(plain: socket.socket) -> None:
        plain.sendall(b"EHLO client.example\r\n" * 40)
        plain.recv(100)

    assert meet(serves(world.strict(PEER_IN)), in_clear)[0] == "not-tls"
    assert meet(in_clear, calls(world.strict(PEER_OUT)))[1] == "not-tls"


def test_somebody_who_leaves(world: World) -> None:
    """An end, politely or not, in the middle of a handshake is 'closed'."""

    def leaves(plain: socket.socket) -> None:
        plain.recv(10)

    assert meet(serves(world.strict(PEER_IN)), lambda plain: None)[0] == "closed"
    assert meet(leaves, calls(world.strict(PEER_OUT)))[1] == "closed"
    assert case(ConnectionResetError()) == "closed"


def test_somebody_who_is_silent(world: World) -> None:
    """Silence until our patience ends is 'timeout'."""
    heard = threading.Event()

    def silent(plain: socket.socket) -> None:
        heard.wait(10)

    def patient(plain: socket.socket) -> None:
        plain.settimeout(0.05)
        try:
            world.strict(PEER_IN).wrap_socket(plain, server_side=True)
        finally:
            heard.set()

    assert meet(patient, silent)[0] == "timeout"


def test_what_nobody_knows_has_a_name_too() -> None:
    """A code of OpenSSL that is not in the tables, an alert without a name, and what is no handshake at all."""
    verification = ssl.SSLCertVerificationError()
    verification.verify_code = 999
    assert case(verification) == "untrusted"
    for reason, name in (("TLSV1_ALERT_NEW", "refused"), ("SOMETHING", "broken"), ("", "broken")):
        error = ssl.SSLError()
        error.reason = reason
        assert case(error) == name
    assert case(ValueError()) == case(None) == "unknown"


def test_names_can_be_logged() -> None:
    """Every name is a short word of letters and hyphens: nothing that a stranger wrote gets into a line."""
    for name in (*CERTIFICATE.values(), *REASONS.values()):
        assert name.replace("-", "").isalpha()
        assert name == name.lower()

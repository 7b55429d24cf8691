"""TLS at the doors, over real connections: a renewed certificate, and what the log says of a handshake that failed."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from certs import tls
from certs.tls import CLIENT_IN, PEER_IN
from relay.model import Door

OpenDoors = Callable[..., Any]


def presented(door: Any) -> bytes:
    """The certificate that a new client sees."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    plain = begun(door)
    with context.wrap_socket(plain) as session:
        return session.getpeercert(True) or b""


def begun(door: Any) -> socket.socket:
    """A connection after which the handshake must follow."""
    plain = socket.create_connection(("127.0.0.1", door.port), timeout=20)
    lines = plain.makefile("rb")
    lines.readline()
    plain.sendall(b"EHLO client.example\r\n")
    while not lines.readline().startswith(b"250 "):
        continue
    plain.sendall(b"STARTTLS\r\n")
    assert lines.readline().startswith(b"220")
    return plain


@pytest.mark.parametrize("kind", [Door.PEER, Door.SUBMISSION])
def test_a_renewed_certificate_drops_no_connection(
    open_door: OpenDoors, trust_space: Any, tmp_path: Path, kind: Door
) -> None:
    """A session from before the renewal goes on and takes a letter; the next one shows the new certificate."""
    pki = trust_space.pki
    first, second = (pki.tls_server("mss.lilas.example", "LILAS", "1750000001") for _ in range(2))
    files = first.write(tmp_path / "tls", "host")
    role = PEER_IN if kind is Door.PEER else CLIENT_IN
    trust = trust_space.trust()
    door = open_door(kind, contexts=tls.renewed(role, files, lambda: trust))
    client = door.secure(trust_space.peer) if kind is Door.PEER else door.logged_in()
    second.write(tmp_path / "tls", "host")
    assert presented(door) == second.der
    sender = "bert@parc.example" if kind is Door.PEER else "anna@lilas.mssante.example"
    assert client.say(f"MAIL FROM:<{sender}>").startswith("250")
    assert client.say("RSET").startswith("250")
    files[1].write_text("rubbish")
    with capture_logs() as lines:
        assert presented(door) == second.der, "what cannot be used is not used"
    assert [line["role"] for line in lines if line["event"] == "alarm-tls-not-renewed"] == [role.name]
    assert client.say("NOOP").startswith("250")


def failed(lines: list[MutableMapping[str, Any]]) -> list[str]:
    """Cases in the log, once there is one."""
    until = time.monotonic() + 20
    while not (found := [line["case"] for line in lines if line["event"] == "tls-failed"]):
        assert time.monotonic() < until, lines
        time.sleep(0.02)
    return found


def with_stranger(plain: socket.socket, space: Any) -> None:
    """TLS 1.3 tells a client only at its first read that it is refused."""
    session = tls.client_side(*space.stranger, space.trust()).wrap_socket(plain)
    with contextlib.suppress(OSError):  # what the client sees is tested elsewhere
        session.recv(1)


def with_expired(plain: socket.socket, space: Any) -> None:
    window = {"not_before": datetime(2020, 1, 1, tzinfo=UTC), "not_after": datetime(2021, 1, 1, tzinfo=UTC)}
    late = space.pki.tls_server("mss.parc.example", "PARC", "1750000002", **window)
    session = tls.client_side(*late.write(space.folder, "late"), space.trust()).wrap_socket(plain)
    with contextlib.suppress(OSError):  # what the client sees is tested elsewhere
        session.recv(1)


def with_old_version(plain: socket.socket, space: Any) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with contextlib.suppress(OSError):  # what the client sees is tested elsewhere
        context.wrap_socket(plain)


def with_other_suites(plain: socket.socket, space: Any) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES256-GCM-SHA384")
    with contextlib.suppress(OSError):  # what the client sees is tested elsewhere
        context.wrap_socket(plain)


def in_clear(plain: socket.socket, space: Any) -> None:
    plain.sendall(b"EHLO again.example\r\n" * 20)


def gone(plain: socket.socket, space: Any) -> None:
    plain.sendall(b"\x16\x03\x01")


CASES = {
    "unknown-issuer": with_stranger,
    "expired": with_expired,
    "version": with_old_version,
    "no-shared-cipher": with_other_suites,
    "not-tls": in_clear,
    "closed": gone,
}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("case", CASES)
def test_a_failed_handshake_is_one_line(open_door: OpenDoors, trust_space: Any, case: str) -> None:
    """Each way of failing is one line with its case's name, and the door goes on."""
    door = open_door(Door.PEER)
    with capture_logs() as lines:
        plain = begun(door)
        CASES[case](plain, trust_space)
        plain.close()
        assert failed(lines) == [case]
        assert door.secure(trust_space.peer).say("NOOP").startswith("250")
    assert failed(lines) == [case], "and the good one said nothing"
    assert all(line["door"] == "peer" for line in lines if line["event"] == "tls-failed")


def test_a_silent_handshake_is_one_line_and_keeps_no_place(open_door: OpenDoors) -> None:
    """Who says nothing after STARTTLS is 'timeout' in the log, and his place is free for the next one."""
    door = open_door(Door.SUBMISSION, command_s=0.5, sessions=1)
    with capture_logs() as lines:
        plain = begun(door)
        assert failed(lines) == ["timeout"]
        assert door.secure().say("NOOP").startswith("250")
        plain.close()

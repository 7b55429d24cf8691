"""Handshakes with a peer: each that fails is one line with its case."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from certs import tls
from certs.chain import TrustStore
from certs.throwaway import Pki
from relay.model import (
    Done,
    Later,
    Reason,
)
from tests.relay.peers import Mail, Scripted, World, courier, job, one, silent, until_it_ends


def expired(world: World, today: datetime, pki: Pki, folder: Path) -> Scripted:
    window = {"not_before": today - timedelta(days=9), "not_after": today - timedelta(days=1)}
    late = pki.tls_server("mss.theirs.example", "THEIRS", "1750000001", **window)  # type: ignore[arg-type]
    return Scripted(tls.service_side(*late.write(folder, "late")))


def of_another_root(world: World, today: datetime, pki: Pki, folder: Path) -> Scripted:
    other = Pki.create(today, "ELSEWHERE", "p256").tls_server("mss.theirs.example", "THEIRS", "1750000001")
    return Scripted(tls.service_side(*other.write(folder, "other")))


def refusing(world: World, today: datetime, pki: Pki, folder: Path) -> Scripted:
    Pki.create(today, "ELSEWHERE", "p256").write_trust(folder / "trust", today)
    context = tls.context(tls.HOST_IN, world.theirs, TrustStore.load(folder / "trust"))

    def refuse(connection: socket.socket) -> None:
        with contextlib.suppress(ssl.SSLError):
            context.wrap_socket(connection.dup(), server_side=True)
        until_it_ends(connection)  # else what it sent meanwhile would be answered by a reset that overtakes the alert

    return Scripted(context, instead=refuse)


def too_old(world: World, today: datetime, pki: Pki, folder: Path) -> Scripted:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*world.theirs)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    return Scripted(context)


def in_clear(world: World, today: datetime, pki: Pki, folder: Path) -> Scripted:
    def talk(connection: socket.socket) -> None:
        connection.sendall(b"250 hello\r\n" * 9)
        until_it_ends(connection)

    return Scripted(tls.service_side(*world.theirs), instead=talk)


def leaving(world: World, today: datetime, pki: Pki, folder: Path) -> Scripted:
    return Scripted(tls.service_side(*world.theirs), instead=lambda connection: connection.recv(9999))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("peer", "case", "reason"),
    [
        (expired, "expired", Reason.PEER_UNTRUSTED),
        (of_another_root, "unknown-issuer", Reason.PEER_UNTRUSTED),
        (refusing, "refused-unknown-issuer", Reason.PEER_REFUSED_TLS),
        (too_old, "version", Reason.PEER_REFUSED_TLS),
        (in_clear, "not-tls", Reason.PEER_REFUSED_TLS),
        (leaving, "closed", Reason.PEER_REFUSED_TLS),
        (silent, "timeout", Reason.PEER_UNREACHABLE),
    ],
)
def test_a_failed_handshake_is_one_line_with_its_case(
    world: World,
    today: datetime,
    pki: Pki,
    tmp_path: Path,
    make_mail: Mail,
    peer: Callable[..., Scripted],
    case: str,
    reason: Reason,
) -> None:
    """Each way of failing has its name in the log, once; the letter waits, and nothing of it was told."""
    server = peer(world, today, pki, tmp_path)
    sending = replace(courier(world, server.listen()), command_s=0.5 if case == "timeout" else 5.0)
    with capture_logs() as lines:
        outcome = one(sending.deliver(job(world, make_mail())))
    assert isinstance(outcome, Later)
    assert outcome.reason == reason
    assert [line["case"] for line in lines if "case" in line] == [case]
    assert not any(words.startswith("MAIL") for words in server.said)


def test_a_handshake_that_succeeds_has_no_case(
    world: World, scripted: Callable[..., Scripted], make_mail: Mail
) -> None:
    """The twin: a letter goes out, and no line speaks of a handshake."""
    with capture_logs() as lines:
        outcome = one(courier(world, scripted().listen()).deliver(job(world, make_mail())))
    assert isinstance(outcome, Done)
    assert [line for line in lines if "case" in line] == []


def test_a_renewed_certificate_is_shown_in_the_next_session(
    world: World, pki: Pki, tmp_path: Path, scripted: Callable[..., Scripted], make_mail: Mail
) -> None:
    """Without a restart: the session after the renewal shows the new certificate."""
    first, second = (pki.tls_server("mss.ours.example", "OURS", "1750000001") for _ in range(2))
    files = first.write(tmp_path, "ours")
    contexts, seen = tls.renewed(tls.PEER_OUT, files, lambda: world.trust), []
    for issued in (first, second):
        issued.write(tmp_path, "ours")
        peer = scripted()
        outcome = one(replace(courier(world, peer.listen()), context=contexts).deliver(job(world, make_mail())))
        assert isinstance(outcome, Done)
        seen += peer.shown
    assert seen == [first.der, second.der]

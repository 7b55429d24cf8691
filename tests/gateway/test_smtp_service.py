"""The peers' door, the log, and how doors open and close."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from certs.chain import TrustStore
from gateway.doors.smtp import PortTaken, PortUnusable, ensure_free, serve
from relay.model import Door
from relay.peering import Unsure

Open = Callable[..., Any]

ANNA = "anna@lilas.example"
BERT = "bert@parc.example"
PASSWORD = "correct horse"
INS = "279035121518989"
LETTER = b"From: anna@lilas.example\r\nSubject: essai\r\n\r\nBonjour.\r\n"


# --- the door of peers ----------------------------------------------------------------------------------


def test_a_peer_is_known_by_its_certificate(open_door: Open) -> None:
    """The subject presented in the session reaches the intake, for each transaction."""
    door = open_door(Door.PEER)
    client = door.secure(door.space.peer)
    for _ in range(2):
        client.envelope(BERT, ANNA)
        assert client.data(LETTER + b".\r\n").startswith("250 ")
    proofs = [kept.proof for kept, _, _ in door.intake.letters]
    assert [proof.peer.split(",")[:2] for proof in proofs] == [["CN=mss.parc.example", "OU=1750000002"]] * 2
    assert all(proof.peer_fingerprint and not proof.account for proof in proofs)


def test_a_peer_without_certificate_is_refused_in_words(open_door: Open) -> None:
    """Twin: TLS alone is not enough; nothing is asked of the intake."""
    door = open_door(Door.PEER)
    client = door.secure()
    assert client.say(f"MAIL FROM:<{BERT}>").startswith("550-5.7.1 Presentez le certificat")
    assert door.intake.senders == []


def test_a_revoked_peer_is_refused_in_words(open_door: Open) -> None:
    """Twin: a certificate on its issuer's CRL; the cause is said."""
    door = open_door(Door.PEER)
    told = door.secure(door.space.revoked).say(f"MAIL FROM:<{BERT}>")
    assert told.startswith("550-5.7.1 Votre certificat")
    assert told.endswith("550 5.7.1 Motif, cause: revoked")


def test_a_stranger_to_the_trust_space_gets_no_session(open_door: Open) -> None:
    """Twin: another PKI's certificate of the same name does not survive the handshake."""
    door = open_door(Door.PEER)
    with pytest.raises((OSError, AssertionError)):
        door.secure(door.space.stranger)
    assert door.intake.senders == []


@pytest.mark.parametrize(
    ("unsure", "answer", "mark"),
    [(Unsure.REFUSE, "554-5.7.5", None), (Unsure.ACCEPT_MARKED, "250 2.1.0", "revocation-unknown")],
)
def test_a_peer_whose_revocation_is_unknown_is_met_as_policy_says(
    open_door: Open, trust_space: Any, unsure: Unsure, answer: str, mark: str | None
) -> None:
    """Refused for good, or taken with a mark that goes with the letter; the revoked one is refused all the same."""
    trusted = trust_space.trust()
    door = open_door(Door.PEER, trust=TrustStore(trusted.anchors, trusted.intermediates), unsure=unsure)
    client = door.secure(trust_space.peer)
    assert client.say(f"MAIL FROM:<{BERT}>").startswith(answer)
    assert [proof.doubt for _, proof in door.intake.senders] == [mark] * (mark is not None)


def test_a_revoked_peer_is_refused_under_any_policy(open_door: Open, trust_space: Any) -> None:
    """Twin: "accept with a mark" is for those of whom nobody can tell, not for those of whom somebody can."""
    door = open_door(Door.PEER, unsure=Unsure.ACCEPT_MARKED)
    assert door.secure(trust_space.revoked).say(f"MAIL FROM:<{BERT}>").startswith("550-5.7.1")


def test_a_peer_whose_revocation_is_unknown_waits(open_door: Open, trust_space: Any, tmp_path: Path) -> None:
    """CannotTell is neither yes nor no: 451, with the cause, until a CRL is there again."""
    shutil.copytree(trust_space.folder, tmp_path / "trust")
    shutil.rmtree(tmp_path / "trust/crls")
    (tmp_path / "trust/crls").mkdir()
    door = open_door(Door.PEER, trust=TrustStore.load(tmp_path / "trust"))
    told = door.secure(trust_space.peer).say(f"MAIL FROM:<{BERT}>")
    assert told.startswith("451-4.7.5 ")
    assert told.endswith("cause: revocation-unknown")


def test_peers_have_no_login(open_door: Open) -> None:
    """The two doors are two doors."""
    door = open_door(Door.PEER)
    client = door.secure(door.space.peer)
    assert "AUTH" not in client.say("EHLO x.example")
    assert client.log_in(ANNA, PASSWORD).startswith("502-5.5.1 ")


# --- the log --------------------------------------------------------------------------------------------


def test_one_line_per_letter_and_no_patient_in_it(open_door: Open) -> None:
    """Sender and counts, outcome and reason; a patient's address only as a pseudonym, what was typed never."""
    door = open_door()
    with structlog.testing.capture_logs() as lines:
        client = door.secure()
        client.log_in("typed-my-password@x", "hunter2")
        client.log_in(ANNA, PASSWORD)
        client.envelope(f"{INS}@patient.mssante.fr", f"{INS}@patient.mssante.fr")
        client.say("RCPT TO:<>")
        client.data(LETTER + b".\r\n")
        client.envelope()
        client.data(LETTER + b"x\ny\r\n.\r\n")
        client.say("QUIT")
    letters = [line for line in lines if line["event"] == "letter"]
    assert [(line["outcome"], line["reason"]) for line in letters] == [
        ("accepted", ""),
        ("refused", "message.bare-line-end"),
    ]
    assert (letters[0]["recipients"], letters[0]["recipients_refused"]) == (1, 1)
    assert letters[0]["letter"] == door.intake.letters[0][0].id
    assert letters[0]["sender"].startswith("p:")
    assert not any(secret in str(lines) for secret in (INS, "hunter2", "typed-my-password", "Bonjour"))


def test_a_surprise_is_logged_by_its_type_only(open_door: Open) -> None:
    """An exception's text may hold anything: it stays out of log and reply."""
    door = open_door()
    door.intake.letter_refusal = ValueError(INS)
    with structlog.testing.capture_logs() as lines:
        client = door.logged_in()
        client.envelope()
        assert INS not in client.data(LETTER + b".\r\n")
    assert [line["type"] for line in lines if line["event"] == "door-surprise"] == ["ValueError"]
    assert INS not in str(lines)


# --- opening and closing --------------------------------------------------------------------------------


def test_a_full_house_is_said(open_door: Open) -> None:
    """One session more than allowed is asked to come back."""
    door = open_door(sessions=1)
    first = door.logged_in()
    assert door.client().greeting.startswith("421-4.3.2 Trop de sessions")
    assert first.say("NOOP").startswith("250 ")


def test_a_stop_lets_a_transaction_end(open_door: Open) -> None:
    """Who is idle leaves at once; who is sending may finish, and is then shown out."""
    door = open_door()
    idle, busy = door.secure(), door.logged_in()
    busy.envelope()
    assert busy.say("DATA").startswith("354 ")
    door.stop()
    assert idle.hear().startswith("421-4.3.2 Le service")
    busy.send(LETTER + b".\r\n")
    assert busy.hear().startswith("250 2.6.0 ")
    assert busy.hear().startswith("421-4.3.2 ")
    door.join()
    assert len(door.intake.letters) == 1


def test_a_stop_does_not_wait_for_ever(open_door: Open) -> None:
    """Twin: who does not finish in the time given is cut, and nothing of its letter stays."""
    door = open_door(stop_s=0.3)
    client = door.logged_in()
    client.envelope()
    client.say("DATA")
    client.send(LETTER)
    door.stop()
    door.join()
    assert (door.intake.letters, door.stored()) == ([], [])


def test_a_taken_port_is_named(open_door: Open) -> None:
    """A clear answer before anything is served; an address that is not ours has another."""
    door = open_door()
    with pytest.raises(PortTaken, match=rf"127\.0\.0\.1:{door.port}: the port is taken"):
        ensure_free("127.0.0.1", door.port)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken) as caught:
            asyncio.run(serve([replace(door.spec, port=port)], asyncio.Event()))
        assert (caught.value.host, caught.value.port) == ("127.0.0.1", port)
    with pytest.raises(PortUnusable, match=r"192\.0\.2\.1"):
        ensure_free("192.0.2.1", 25)

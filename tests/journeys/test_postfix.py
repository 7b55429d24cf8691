"""Postfix as another operator, in both directions: a relay that is not ours takes our letters, and we take its."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select

from directory.address import parse
from gateway import config as configuration
from gateway.demo import clients
from gateway.demo.cast import PASSWORD, RADIOLOGIST, SURGEON
from gateway.demo.looks import message_id
from gateway.demo.postfix import Postfix, Way, generator
from gateway.demo.processes import free_port
from relay.store import engine
from relay.store.tables import letters

pytestmark = pytest.mark.journey

NORD = "hopital-nord.mssante.example"
NURSE = f"service@{NORD}"
FROM, TO = str(RADIOLOGIST.address), str(SURGEON.address)


@pytest.fixture(scope="module")
def postfix(world: Any, make_postfix: Callable[..., Postfix]) -> Iterator[Postfix]:
    """The third operator's host, running; two more ways out, with a certificate that nobody listed and without TLS."""
    stage = world.company.stage
    issued = stage.pki.tls_server(f"other.{NORD}", "HOPITAL NORD", "1750000044")
    stranger = issued.write(stage.folder / "nord-tls", "other")
    ways = (
        Way("stranger", free_port(), world.parc.ports.peers, stranger),
        Way("clear", free_port(), world.parc.ports.peers),
    )
    host = make_postfix(ways=ways)
    host.start()
    yield host
    host.stop()


@pytest.fixture(scope="module")
def colleague(world: Any) -> str:
    """A person's mailbox of theirs that stands in the directory and declines no signature."""
    entries = world.company.stage.ldif.split("\n\n")
    found = (re.search(rf"^mail: (\S+@{re.escape(NORD)})\n", each, re.M) for each in entries if "no-smime" not in each)
    return next(each[1] for each in found if each)


def hand_in(port: int, *more: str) -> None:
    """Letters from NURSE to the surgeon, by Postfix's own generator of load."""
    clients.run(*generator(), "-f", NURSE, "-t", TO, "-M", f"mss.{NORD}", *more, f"inet:127.0.0.1:{port}")


def bounced(world: Any, postfix: Postfix, way: str) -> str:
    """What Postfix tells the sender of a letter that it hands over this way, and that is refused."""
    before = postfix.letters()  # whose names do not say which came first within a second
    hand_in(next(each.port for each in postfix.ways if each.name == way))
    found: list[bytes] = world.until(
        lambda: [each for each in postfix.letters() if each not in before], "a report in Postfix's mailbox"
    )
    return found[0].decode("utf-8", "replace")


# --- from Postfix ---------------------------------------------------------------------------------------------


def test_letters_from_postfix_are_taken(world: Any, postfix: Postfix) -> None:
    """With its listed certificate, over TLS that both sides verified: each letter arrives once, byte for byte its text;
    the journal names the peer by its certificate."""
    mail = world.plain(NURSE, TO, "Sortie", "Bonjour,\r\n.une ligne pointée\r\n")
    path = world.paper("sortie.eml", mail)
    said = clients.run(
        "swaks", "--server", "127.0.0.1", "--port", str(postfix.inside), "--from", NURSE, "--to", TO,
        "--data", f"@{path}", "--hide-all",
    )  # fmt: skip
    assert said == b""
    delivered = world.received(world.parc, SURGEON.address, message_id(mail))
    assert b"une ligne point" in delivered
    assert f"by mss.{NORD} (Postfix)".encode() in delivered
    accepted = world.trail(world.parc, "--message-id", message_id(mail))["steps"][0]
    assert accepted["facts"]["peer"] == _fingerprint(postfix)
    assert "TLSv1.3" in accepted["facts"]["tls"]


def test_a_burst_from_postfix_is_taken_whole(world: Any, postfix: Postfix) -> None:
    """Twelve letters over several sessions at once, each 20,000 octets: twelve are accepted, none twice."""
    before = _from_nord(world)
    hand_in(postfix.inside, "-m", "12", "-s", "4", "-l", "20000")
    world.until(lambda: _from_nord(world) >= before + 12, "twelve letters")
    world.until(lambda: _queue(postfix) == "", "an empty queue at Postfix")
    assert _from_nord(world) == before + 12


def test_postfix_with_a_certificate_that_is_not_listed_is_refused(world: Any, postfix: Postfix) -> None:
    """The twin: valid, of the same authority, of the same house, and not the one in the white list."""
    before = _from_nord(world)
    said = bounced(world, postfix, "stranger")
    assert "550-5.7.1" in said
    assert "not the one that the white list gives for this domain" in " ".join(said.split())
    assert _from_nord(world) == before


def test_postfix_without_tls_is_refused(world: Any, postfix: Postfix) -> None:
    """The other twin: in clear nothing is taken."""
    before = _from_nord(world)
    assert "530-5.7.0" in bounced(world, postfix, "clear")
    assert _from_nord(world) == before


# --- to Postfix -----------------------------------------------------------------------------------------------


def test_postfix_takes_our_letters_and_reports(world: Any, postfix: Postfix, colleague: str) -> None:
    """Signed on the way, with the certificate that Postfix asked for; it takes over the report that the sender asked
    for, and its success report comes back through our peers' door."""
    mail = world.plain(FROM, colleague, "Avis", "Bonjour")
    with world.submission(world.lilas, FROM) as client:
        assert client.sendmail(FROM, [colleague], mail, ["RET=HDRS", "ENVID=avis-1"], ["NOTIFY=SUCCESS,FAILURE"]) == {}
    letter = str(world.trail(world.lilas, "--message-id", message_id(mail))["letter"])
    assert world.settled(world.lilas, letter) == {"peer-signed": ("done", "receipt-by-peer")}
    kept = world.until(lambda: _named(postfix.letters(), message_id(mail)), "the letter in Postfix's mailbox")
    signature = clients.verify_signature(world.paper("avis.eml", _as_sent(kept)), world.ca, _papers(world))
    assert "Claire MOREAU" in signature.signer
    report = world.until(lambda: _report(world), "Postfix's report")
    assert b"Original-Envelope-Id: avis-1" in report
    assert b"Action: delivered" in report


def _named(letters: list[bytes], message_id: str) -> bytes | None:
    """The one of this Message-ID: a report about an earlier letter may come in between."""
    wanted = b"message-id: " + message_id.encode().lower()
    heads = ((letter, letter.replace(b"\r\n", b"\n").partition(b"\n\n")[0]) for letter in letters)
    return next((letter for letter, head in heads if wanted in head.lower()), None)


def test_postfix_refuses_a_certificate_that_it_does_not_know(world: Any, postfix: Postfix, colleague: str) -> None:
    """The twin: where its list does not name us the letter is refused for good, and nothing of it lies there."""
    before = postfix.letters()
    postfix.stop()
    closed = replace(postfix, takes=())
    closed.start()
    try:
        letter = world.submit(world.plain(FROM, colleague), parse(colleague))
        states = world.settled(world.lilas, letter)
    finally:
        closed.stop()
        postfix.start()
    assert states == {"peer-signed": ("failed", "peer.refused")}
    assert postfix.letters() == before


# --- looking --------------------------------------------------------------------------------------------------


def _fingerprint(postfix: Postfix) -> str:
    said = clients.run("openssl", "x509", "-in", str(postfix.pair[0]), "-noout", "-fingerprint", "-sha256")
    return said.decode().strip().partition("=")[2].replace(":", "").lower()


def _from_nord(world: Any) -> int:
    """Letters of NURSE that Parc has taken into custody."""
    reader = engine.reader_engine(configuration.load(world.parc.config).database_url)
    with reader.connect() as conn:
        counted = conn.scalar(select(func.count()).where(letters.c.sender == NURSE))
    reader.dispose()
    return int(counted or 0)


def _queue(postfix: Postfix) -> str:
    """What still waits at Postfix, by name."""
    folders = [postfix.folder / "queue" / name for name in ("incoming", "active", "deferred")]
    return " ".join(path.name for folder in folders for path in folder.rglob("*") if path.is_file())


def _as_sent(kept: bytes) -> bytes:
    """A Maildir has bare line ends."""
    return kept.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _papers(world: Any) -> Any:
    return world.company.stage.folder / "papers"


def _report(world: Any) -> bytes:
    """The report that names the sender's own envelope identifier, in the radiologist's mailbox."""
    seat, who = world.lilas, clients.Login(FROM, PASSWORD)
    said = clients.run(
        "curl", "-sS", "--ssl-reqd", "--cacert", str(world.ca), "-u", f"{who.user}:{who.password}",
        "-X", 'UID SEARCH BODY "avis-1"', f"imap://127.0.0.1:{seat.ports.imap}/INBOX",
    )  # fmt: skip
    found = re.search(rb"SEARCH (\d+)", said)
    return clients.mailbox_read(seat.ports.imap, who, int(found[1]), world.ca) if found else b""

"""The courier to other operators, against real TLS peers on loopback: whom it believes, what it signs and passes on."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs import tls
from certs.chain import TrustStore
from certs.keys import KeeperClient, KeeperDown
from certs.throwaway import Pki
from gateway.keeper import Keeper
from relay import smime
from relay.message import scan
from relay.model import (
    Done,
    Later,
    Mode,
    Never,
    Outcome,
    Reason,
    SignatureState,
    Signer,
)
from relay.peering import Unsure
from tests.relay.peers import (
    DOMAIN,
    FROM,
    Keeps,
    Keys,
    Mail,
    Scripted,
    Serve,
    World,
    Written,
    attempt,
    courier,
    job,
    one,
    real_peer,
)


def test_a_letter_is_signed_and_passed_on_in_one_transaction(world: World, serve: Serve, make_mail: Mail) -> None:
    """Both recipients in one letter, our trace on top, the signature valid for the mailbox, an event that
    says so."""
    keeps, written = Keeps(), Written()
    sender = courier(world, real_peer(world, serve, keeps), written=written)
    raw = make_mail("été\n.\n..\n", X_Pli_Signature="valid")
    answer = sender.deliver(job(world, raw, Mode.PEER_SIGNED, "paul", "anne"))
    assert answer == {name: Done("250 2.0.0 kept as 42") for name in ("paul", "anne")}
    assert keeps.recipients == [f"paul@{DOMAIN}", f"anne@{DOMAIN}"]
    (letter,) = keeps.letters
    assert letter.startswith(b"Received: by mss.ours.example")
    assert b"X-Pli-" not in letter
    assert smime.judge(scan(letter), world.trust, world.now).signature is SignatureState.VALID
    assert [event.name for event in written.events] == ["signed"]


def test_a_plain_route_and_a_signed_letter_pass_byte_for_byte(world: World, serve: Serve, make_mail: Mail) -> None:
    """What arrived signed is never signed again; a plain route signs nothing."""
    keeps = Keeps()
    sender = courier(world, real_peer(world, serve, keeps))
    raw = make_mail()
    signed = smime.sign(raw, world.mailbox.signer(), world.now)
    sender.deliver(job(world, raw, Mode.PEER_PLAIN))
    sender.deliver(job(world, signed, Mode.PEER_SIGNED))
    trace = b"Received: by mss.ours.example (Pli) id 01abc\r\n"
    assert keeps.letters == [trace + raw, trace + signed]


def test_another_operators_certificate_gets_nothing(
    world: World, scripted: Callable[..., Scripted], make_mail: Mail
) -> None:
    """cert-no-match-audit (spec/operator.md §2.6): decided on the certificate of this session, before any
    address."""
    peer = scripted(who=world.stranger)
    outcome, alarmed = attempt(world, peer, make_mail())
    assert isinstance(outcome, Later)
    assert outcome.reason == Reason.PEER_NOT_LISTED
    assert alarmed == [Reason.PEER_NOT_LISTED]
    assert not any(words.startswith("MAIL") for words in peer.said)


def test_a_revoked_certificate_gets_nothing(world: World, scripted: Callable[..., Scripted], make_mail: Mail) -> None:
    """cert-revoque-audit: listed, chained, and revoked."""
    outcome, alarmed = attempt(world, scripted(who=world.revoked), make_mail())
    assert outcome == Later(Reason.PEER_UNTRUSTED, "revoked")
    assert alarmed == [Reason.PEER_UNTRUSTED]


@pytest.mark.parametrize(
    ("unsure", "answer", "told"),
    [
        (Unsure.DEFER, Later(Reason.PEER_CANNOT_TELL, "revocation-unknown"), False),
        (Unsure.REFUSE, Never(Reason.PEER_CANNOT_TELL, "revocation-unknown"), False),
        (Unsure.ACCEPT_MARKED, None, True),
    ],
)
def test_a_peer_whose_revocation_is_unknown_is_met_as_policy_says(
    world: World,
    scripted: Callable[..., Scripted],
    make_mail: Mail,
    unsure: Unsure,
    answer: Outcome | None,
    told: bool,
) -> None:
    """Letters wait for it, come back, or go to it with a mark in the journal; then the white list still counts."""
    blind = TrustStore(world.trust.anchors, world.trust.intermediates)
    written = Written()
    for who, listed in ((world.theirs, True), (world.stranger, False)):
        peer = scripted(who=who)
        sending = replace(courier(world, peer.listen(), written=written), trust=lambda: blind, unsure=unsure)
        outcome = one(sending.deliver(job(world, make_mail())))
        assert any(words.startswith("MAIL") for words in peer.said) is (told and listed)
        if answer is not None:
            assert outcome == answer
    marks = [event for event in written.events if event.name == "peer-unsure"]
    assert [dict(event.facts)["doubt"] for event in marks] == ["revocation-unknown"] * told


def test_a_certificate_of_another_hierarchy_gets_nothing(
    world: World, today: datetime, tmp_path: Path, make_mail: Mail
) -> None:
    """cert-non-igc-audit: same names, another root."""
    other = Pki.create(today, "ELSEWHERE")
    files = other.tls_server("mss.theirs.example", "THEIRS", "1750000001").write(tmp_path, "other")
    outcome, alarmed = attempt(world, Scripted(tls.service_side(*files)), make_mail())
    assert isinstance(outcome, Later)
    assert outcome.reason == Reason.PEER_UNTRUSTED
    assert alarmed == [Reason.PEER_UNTRUSTED]


def test_a_peer_without_starttls_gets_nothing(world: World, scripted: Callable[..., Scripted], make_mail: Mail) -> None:
    """sans-tls-audit: nothing is ever sent in clear."""
    peer = scripted(starttls=False)
    outcome, alarmed = attempt(world, peer, make_mail())
    assert outcome == Later(Reason.TLS_REQUIRED, "STARTTLS is not offered")
    assert alarmed == [Reason.TLS_REQUIRED]
    assert not any(words.startswith("MAIL") for words in peer.said)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_peer_that_refuses_our_certificate_in_the_handshake_is_later_and_an_alarm(
    world: World, today: datetime, tmp_path: Path, make_mail: Mail, version: ssl.TLSVersion
) -> None:
    """TLS 1.2 shows it in the handshake, 1.3 at the first read after it; certificates are renewed, letters wait."""
    Pki.create(today, "ELSEWHERE").write_trust(tmp_path / "trust", today)
    context = tls.peer_side(*world.theirs, TrustStore.load(tmp_path / "trust"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = version
    peer = Scripted(context)
    outcome, alarmed = attempt(world, peer, make_mail())
    assert isinstance(outcome, Later)
    assert outcome.reason == Reason.PEER_REFUSED_TLS
    assert alarmed == [Reason.PEER_REFUSED_TLS]
    assert not any(words.startswith("MAIL") for words in peer.said)


@pytest.mark.parametrize("words", ["550 5.7.1 your certificate is not listed", "530 5.7.0 show a certificate"])
def test_a_peer_that_refuses_our_certificate_in_words_is_later_and_an_alarm(
    world: World, scripted: Callable[..., Scripted], make_mail: Mail, words: str
) -> None:
    """At MAIL it speaks about us, not about the letter."""
    outcome, alarmed = attempt(world, scripted(replies={"MAIL": words}), make_mail())
    assert outcome == Later(Reason.PEER_REFUSED_TLS, words)
    assert alarmed == [Reason.PEER_REFUSED_TLS]


def test_what_is_said_before_the_handshake_is_dropped(
    world: World, scripted: Callable[..., Scripted], make_mail: Mail
) -> None:
    """CVE-2021-38371: replies injected in clear behind the answer to STARTTLS are never read."""
    outcome, _ = attempt(world, scripted(injected=b"250-DSN\r\n250 injected\r\n"), make_mail())
    assert not isinstance(outcome, Done) or outcome == Done("250 2.0.0 taken")
    assert "injected" not in repr(outcome)


def test_without_a_key_the_letter_waits_and_a_notice_goes_unsigned(world: World, serve: Serve, make_mail: Mail) -> None:
    """A letter never loses its signature in silence; a notice has to be told, signed or not."""
    keeps = Keeps()
    port = real_peer(world, serve, keeps)
    raw = make_mail()
    assert one(courier(world, port, Keys()).deliver(job(world, raw))) == Later(Reason.NO_KEY)
    assert one(courier(world, port, Keys(down=True)).deliver(job(world, raw))) == Later(Reason.KEEPER_DOWN)
    assert keeps.letters == []
    assert isinstance(one(courier(world, port, Keys()).deliver(job(world, raw, sender=""))), Done)
    assert keeps.letters[0].endswith(raw)


def test_a_bare_line_end_never_leaves(world: World, serve: Serve, make_mail: Mail) -> None:
    """SMTP smuggling: nothing that two servers could end differently."""
    keeps = Keeps()
    raw = make_mail() + b"x\n.\r\nMAIL FROM:<evil@x.example>\r\n"
    sender = courier(world, real_peer(world, serve, keeps))
    assert one(sender.deliver(job(world, raw, Mode.PEER_PLAIN))) == Never(Reason.BARE_LINE_END)
    assert keeps.letters == []


def answers(client: KeeperClient) -> bool:
    try:
        client.ping()
    except KeeperDown:
        return False
    return True


@pytest.fixture
def keeper(world: World, pki: Pki, tmp_path: Path) -> Iterator[KeeperClient]:
    """A real keeper that holds one mailbox's key and the establishment's seal."""
    world.mailbox.write(tmp_path / "mailbox", "marie")
    pki.seal("lilas.mssante.example", "IMAGERIE DES LILAS", "1750000001").write(tmp_path / "seal", "lilas")
    key = X25519PrivateKey.generate()
    (tmp_path / "body.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    released: list[str] = []
    serving = Keeper(tmp_path, tmp_path / "k.sock", frozenset({os.getuid()}), lambda name, facts: released.append(name))
    stop = threading.Event()
    thread = threading.Thread(target=serving.serve, args=(stop,), daemon=True)
    thread.start()
    client = KeeperClient(tmp_path / "k.sock")
    while not answers(client):
        thread.join(0.01)
    yield client
    client.close()
    stop.set()
    thread.join(10)


def test_a_mailbox_signs_and_one_without_a_key_is_sealed_by_its_establishment(
    world: World, serve: Serve, keeper: KeeperClient, make_mail: Mail
) -> None:
    """Through a real keeper: the mailbox's own certificate where there is one, else the seal of its
    domain."""
    keeps = Keeps()
    sender = replace(courier(world, real_peer(world, serve, keeps)), keeper=keeper)
    for author in (FROM, "scanner@lilas.mssante.example"):
        assert isinstance(one(sender.deliver(job(world, make_mail(From=author)))), Done)
    verdicts = [smime.judge(scan(each), world.trust, world.now) for each in keeps.letters]
    assert [each.signer for each in verdicts] == [Signer.MAILBOX, Signer.ESTABLISHMENT]
    assert [each.signer_name for each in verdicts] == ["Marie MARTIN", "IMAGERIE DES LILAS"]
    foreign = one(sender.deliver(job(world, make_mail(From="x@elsewhere.example"))))
    assert foreign == Later(Reason.NO_KEY)

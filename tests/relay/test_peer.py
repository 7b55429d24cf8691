"""The courier to other operators, against real TLS peers on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from structlog.testing import capture_logs

from certs import chain, tls
from certs.chain import TrustStore
from certs.keys import KeeperClient, KeeperDown
from certs.keys import Signer as KeySigner
from certs.throwaway import Issued, Pki
from gateway.keeper import Keeper
from relay import smime
from relay.couriers.peer import BY_PEER, PeerCourier
from relay.message import scan
from relay.model import (
    Asked,
    BodyRef,
    Done,
    Door,
    DoorProof,
    Event,
    Job,
    Later,
    Letter,
    Mode,
    Never,
    Outcome,
    Reason,
    Recipient,
    Route,
    SignatureState,
    Signer,
    State,
    Verdict,
)
from relay.partners import Listed, WhiteList
from relay.peering import Unsure

FROM = "marie.martin@lilas.mssante.example"
DOMAIN = "parc.mssante.example"
Mail = Callable[..., bytes]
Serve = Callable[[Callable[[], asyncio.Protocol]], int]


@dataclass(frozen=True)
class World:
    """Two operators: ours calls, theirs answers; and a third one, listed for its own domain only."""

    ours: tuple[Path, Path]
    theirs: tuple[Path, Path]
    stranger: tuple[Path, Path]
    revoked: tuple[Path, Path]
    mailbox: Issued
    trust: TrustStore
    white_list: WhiteList
    now: datetime


@pytest.fixture(scope="module")
def world(pki: Pki, today: datetime, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("peers")
    names = ("ours", "theirs", "stranger", "revoked")
    issued = {name: pki.tls_server(f"mss.{name}.example", name.upper(), "1750000001") for name in names}
    pki.revoke(issued["revoked"])
    pki.write_trust(folder / "trust", today)
    listed = [Listed(DOMAIN, chain.identity(issued[name].der).subject) for name in ("theirs", "revoked")]
    listed.append(Listed("stranger.mssante.example", chain.identity(issued["stranger"].der).subject))
    return World(
        **{name: issued[name].write(folder, name) for name in names},
        mailbox=pki.smime(FROM, "Marie MARTIN", "LILAS", "1750000001"),
        trust=TrustStore.load(folder / "trust"),
        white_list=WhiteList.of(listed, today),
        now=today,
    )


class Keys:
    """The keeper's answers, with the keys at hand."""

    def __init__(self, *issued: Issued, down: bool = False) -> None:
        self.signers = {name: each.signer() for each in issued for name in chain.identity(each.der).addresses}
        self.down = down

    def signer_for(self, address: str, letter_id: str) -> KeySigner | None:
        if self.down:
            raise KeeperDown("not there")
        return self.signers.get(address) or self.seal_for(address.rpartition("@")[2], letter_id)

    def seal_for(self, domain: str, letter_id: str = "") -> KeySigner | None:
        return self.signers.get(f"domain-signing-authority@{domain}")


@dataclass
class Written:
    events: list[Event] = field(default_factory=list)

    def add(self, tenant: str, events: Sequence[Event]) -> None:
        self.events += events


def courier(world: World, port: int, keys: Keys | None = None, written: Written | None = None) -> PeerCourier:
    return PeerCourier(
        hostname="mss.ours.example",
        where=lambda domain: [("127.0.0.1", port)],
        context=lambda: tls.client_side(*world.ours, world.trust),
        trust=lambda: world.trust,
        white_list=lambda: world.white_list,
        keeper=keys or Keys(world.mailbox),
        journal=written or Written(),
        clock=lambda: world.now,
        command_s=5.0,
    )


def job(world: World, raw: bytes, mode: Mode = Mode.PEER_SIGNED, *locals_: str, sender: str = FROM) -> Job:
    letter = Letter(
        id="01abc",
        tenant="lilas",
        door=Door.SUBMISSION,
        sender=sender,
        message_id="<1@x>",
        body=BodyRef("n", len(raw), "d"),
        received_at=world.now,
        trace="Received: by mss.ours.example (Pli) id 01abc\r\n",
        verdict=Verdict(),
        proof=DoorProof(),
        envid="env-1",
    )
    route = Route(mode, DOMAIN, "test")
    rows = [
        Recipient(local, letter.id, "lilas", f"{local}@{DOMAIN}", route, State.RUNNING)
        for local in locals_ or ("paul",)
    ]
    return Job(letter, tuple(rows), lambda: raw, 1)


class Keeps:
    """The handler of a real aiosmtpd peer."""

    def __init__(self) -> None:
        self.letters: list[bytes] = []
        self.recipients: list[str] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.original_content, bytes)
        self.letters.append(envelope.original_content)
        self.recipients += envelope.rcpt_tos
        return "250 2.0.0 kept as 42"


def real_peer(world: World, serve: Serve, keeps: Keeps) -> int:
    context = tls.peer_side(*world.theirs, world.trust)
    return serve(lambda: SMTP(keeps, tls_context=context, require_starttls=True))


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


# --- a peer that is told what to answer ---------------------------------------------------------------------


@dataclass
class Scripted:
    """A foreign server: real sockets and TLS, answers by command, and ways to misbehave."""

    context: ssl.SSLContext
    extensions: tuple[str, ...] = ("8BITMIME", "SIZE 1000000")
    replies: dict[str, str] = field(default_factory=dict)
    starttls: bool = True
    injected: bytes = b""
    hang_up_in_data: bool = False
    said: list[str] = field(default_factory=list)
    shown: list[bytes | None] = field(default_factory=list)
    """The certificate of each session."""
    instead: Callable[[socket.socket], object] | None = None
    """What is done in place of a handshake."""

    def listen(self) -> int:
        listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, args=(listening,), daemon=True).start()
        return int(listening.getsockname()[1])

    def _serve(self, listening: socket.socket) -> None:
        connection, _ = listening.accept()
        listening.close()
        with contextlib.suppress(OSError):
            connection.sendall(b"220 scripted\r\n")
            self._talk(connection)
        connection.close()

    def _talk(self, connection: socket.socket) -> None:
        reader = connection.makefile("rb")
        while line := reader.readline():
            words = line.decode().strip()
            self.said.append(words)
            verb = words.split(" ")[0].upper()
            if verb == "STARTTLS":
                connection.sendall(b"220 go on\r\n" + self.injected)
                if self.instead is not None:
                    self.instead(connection)
                    return
                session = self.context.wrap_socket(connection, server_side=True)
                self.shown.append(session.getpeercert(True))
                self._talk(session)
                return
            if verb == "DATA" and self.hang_up_in_data:
                connection.sendall(b"354 go on\r\n")
                reader.readline()
                return
            connection.sendall((self._reply(verb, words) + "\r\n").encode())
            if verb == "DATA":
                while reader.readline() not in (b".\r\n", b""):
                    pass
                connection.sendall((self.replies.get(".", "250 2.0.0 taken") + "\r\n").encode())

    def _reply(self, verb: str, words: str) -> str:
        for start, answer in self.replies.items():
            if words.upper().startswith(start.upper()):
                return answer
        if verb == "EHLO":
            offered = (*self.extensions, *(("STARTTLS",) if self.starttls else ()))
            return "250-scripted\r\n" + "".join(f"250-{each}\r\n" for each in offered) + "250 OK"
        return "354 go on" if verb == "DATA" else "250 2.1.0 fine"


@pytest.fixture
def scripted(world: World) -> Callable[..., Scripted]:
    def make(**options: object) -> Scripted:
        who = options.pop("who", world.theirs)
        assert isinstance(who, tuple)
        return Scripted(tls.peer_side(*who, world.trust), **options)  # type: ignore[arg-type]

    return make


def one(outcomes: dict[str, Outcome]) -> Outcome:
    (outcome,) = outcomes.values()
    return outcome


def attempt(world: World, peer: Scripted, raw: bytes) -> tuple[Outcome, list[str]]:
    with capture_logs() as logs:
        outcome = one(courier(world, peer.listen()).deliver(job(world, raw)))
    return outcome, [entry["reason"] for entry in logs if entry["event"] == "alarm-peer"]


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


@pytest.mark.parametrize("why", [Later(Reason.DNS_DOWN, "x"), Never(Reason.DOMAIN_NO_MAIL), Never(Reason.DOMAIN_LOOPS)])
def test_a_domain_without_hosts_is_answered_for_every_recipient(
    world: World, make_mail: Mail, why: Later | Never
) -> None:
    """What the look-up says is the outcome, and nobody is called."""
    nowhere = replace(courier(world, 1), where=lambda domain: why)
    assert nowhere.deliver(job(world, make_mail(), Mode.PEER_SIGNED, "paul", "anne")) == {"paul": why, "anne": why}
    assert nowhere.look(DOMAIN) == why


@pytest.mark.parametrize("words", ["550 5.7.1 your certificate is not listed", "530 5.7.0 show a certificate"])
def test_a_peer_that_refuses_our_certificate_in_words_is_later_and_an_alarm(
    world: World, scripted: Callable[..., Scripted], make_mail: Mail, words: str
) -> None:
    """At MAIL it speaks about us, not about the letter."""
    outcome, alarmed = attempt(world, scripted(replies={"MAIL": words}), make_mail())
    assert outcome == Later(Reason.PEER_REFUSED_TLS, words)
    assert alarmed == [Reason.PEER_REFUSED_TLS]


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ({"MAIL": "552 5.3.4 too big"}, Never(Reason.PEER_REFUSED, "552 5.3.4 too big")),
        ({"MAIL": "451 4.3.0 busy"}, Later(Reason.PEER_DELAYED, "451 4.3.0 busy")),
        ({"RCPT": "550 5.7.1 by policy"}, Never(Reason.PEER_REFUSED, "550 5.7.1 by policy")),
        ({"DATA": "451 4.3.0 busy"}, Later(Reason.PEER_DELAYED, "451 4.3.0 busy")),
        ({"DATA": "250 what"}, Later(Reason.PEER_DELAYED, "250 what")),
        ({".": "554 5.6.0 no"}, Never(Reason.PEER_REFUSED, "554 5.6.0 no")),
        ({".": "452 4.3.1 full"}, Later(Reason.PEER_DELAYED, "452 4.3.1 full")),
        ({".": "421 4.3.2 closing"}, Later(Reason.PEER_DELAYED, "421 4.3.2 closing")),
    ],
)
def test_a_reply_decides_by_its_class(
    world: World,
    scripted: Callable[..., Scripted],
    make_mail: Mail,
    replies: dict[str, str],
    expected: Outcome,
) -> None:
    """5xx is Never, anything else that is not a success is Later, at every step, without an alarm."""
    assert attempt(world, scripted(replies=replies), make_mail()) == (expected, [])


def test_mixed_replies_are_each_their_recipients(
    world: World, scripted: Callable[..., Scripted], make_mail: Mail
) -> None:
    """250, 550 and 451 in one transaction."""
    replies = {f"RCPT TO:<no@{DOMAIN}": "550 5.1.1 unknown", f"RCPT TO:<wait@{DOMAIN}": "451 4.2.1 later"}
    peer = scripted(replies=replies)
    task = job(world, make_mail(), Mode.PEER_SIGNED, "paul", "no", "wait")
    assert courier(world, peer.listen()).deliver(task) == {
        "paul": Done("250 2.0.0 taken"),
        "no": Never(Reason.PEER_REFUSED, "550 5.1.1 unknown"),
        "wait": Later(Reason.PEER_DELAYED, "451 4.2.1 later"),
    }


def test_a_connection_lost_in_data_is_later_except_for_whom_it_is_decided(
    world: World, scripted: Callable[..., Scripted], make_mail: Mail
) -> None:
    """A drop after 354 leaves the outcome unknown; a recipient refused before stays refused."""
    peer = scripted(hang_up_in_data=True, replies={f"RCPT TO:<no@{DOMAIN}": "550 5.1.1 unknown"})
    task = job(world, make_mail(), Mode.PEER_SIGNED, "paul", "no")
    answer = courier(world, peer.listen()).deliver(task)
    assert isinstance(answer["paul"], Later)
    assert answer["paul"].reason == Reason.PEER_UNREACHABLE
    assert answer["no"] == Never(Reason.PEER_REFUSED, "550 5.1.1 unknown")


def test_a_peer_that_stalls_is_cut_off(world: World, scripted: Callable[..., Scripted], make_mail: Mail) -> None:
    """However a server trickles, a delivery ends; the letter waits."""
    silent = socket.create_server(("127.0.0.1", 0))
    sender = replace(courier(world, silent.getsockname()[1]), total_s=0.2)
    outcome = one(sender.deliver(job(world, make_mail())))
    assert isinstance(outcome, Later)
    silent.close()


def test_nobody_there_is_later_and_the_next_host_is_tried(world: World, serve: Serve, make_mail: Mail) -> None:
    """Hosts are asked in order until one takes the letter; without any it waits, unsigned."""
    closed = socket.create_server(("127.0.0.1", 0))
    dead = closed.getsockname()[1]
    closed.close()
    alive = real_peer(world, serve, Keeps())
    written = Written()
    sender = courier(world, dead, written=written)
    assert one(sender.deliver(job(world, make_mail()))) == Later(Reason.PEER_UNREACHABLE, "ConnectionRefusedError")
    assert written.events == [], "no key is used for a letter that nobody is there to take"
    both = replace(sender, where=lambda domain: [("127.0.0.1", dead), ("127.0.0.1", alive)])
    assert isinstance(one(both.deliver(job(world, make_mail()))), Done)
    nowhere = replace(sender, where=lambda domain: [])
    assert one(nowhere.deliver(job(world, make_mail()))) == Later(Reason.PEER_UNREACHABLE, "no host is known")


def test_what_is_said_before_the_handshake_is_dropped(
    world: World, scripted: Callable[..., Scripted], make_mail: Mail
) -> None:
    """CVE-2021-38371: replies injected in clear behind the answer to STARTTLS are never read."""
    outcome, _ = attempt(world, scripted(injected=b"250-DSN\r\n250 injected\r\n"), make_mail())
    assert not isinstance(outcome, Done) or outcome == Done("250 2.0.0 taken")
    assert "injected" not in repr(outcome)


def test_eight_bit_needs_a_peer_that_takes_it(world: World, scripted: Callable[..., Scripted], make_mail: Mail) -> None:
    """A letter that we may not convert is Never towards a peer without 8BITMIME; one that we sign is made
    7-bit."""
    raw = make_mail("été\n")
    without = scripted(extensions=())
    assert one(courier(world, without.listen()).deliver(job(world, raw, Mode.PEER_PLAIN))) == Never(Reason.PEER_NO_8BIT)
    assert attempt(world, scripted(extensions=()), raw)[0] == Done("250 2.0.0 taken")
    with_it = scripted()
    courier(world, with_it.listen()).deliver(job(world, raw, Mode.PEER_PLAIN))
    assert any(words.startswith("MAIL") and "BODY=8BITMIME" in words for words in with_it.said)


def test_tls_is_asked_of_each_further_hop_only_where_it_is_promised(
    world: World, scripted: Callable[..., Scripted], make_mail: Mail
) -> None:
    """RFC 8689: a letter with REQUIRETLS goes to a peer that promises it, with the word; to none that does not. Its
    twin without that wish goes to both, without the word."""
    wished = job(world, make_mail())
    wished = replace(wished, letter=replace(wished.letter, require_tls=True))
    for extensions, task, taken in (
        (("REQUIRETLS",), wished, True),
        ((), wished, False),
        (("REQUIRETLS",), job(world, make_mail()), True),
    ):
        peer = scripted(extensions=extensions)
        outcome = one(courier(world, peer.listen()).deliver(task))
        assert outcome == (Done("250 2.0.0 taken") if taken else Never(Reason.PEER_NO_REQUIRETLS))
        mails = [words for words in peer.said if words.startswith("MAIL")]
        assert [words.endswith("REQUIRETLS") for words in mails] == ([task is wished] if taken else [])


def test_a_letter_larger_than_the_peer_takes_is_never(
    world: World, scripted: Callable[..., Scripted], make_mail: Mail
) -> None:
    """RFC 1870: known before a byte is sent."""
    outcome, _ = attempt(world, scripted(extensions=("SIZE 100",)), make_mail())
    assert outcome == Never(Reason.TOO_LARGE, "the peer takes 100 bytes")


def test_what_the_sender_asked_goes_along(world: World, scripted: Callable[..., Scripted], make_mail: Mail) -> None:
    """RFC 3461: NOTIFY, ORCPT and ENVID for a peer that keeps them, who then owes the report; else not a
    word."""
    task = job(world, make_mail())
    asked = Asked(frozenset({"SUCCESS", "FAILURE"}), "rfc822;paul@x.example")
    task = replace(task, recipients=(replace(task.recipients[0], asked=asked),))
    keeps, ignores = scripted(extensions=("DSN",)), scripted(extensions=())
    assert one(courier(world, keeps.listen()).deliver(task)) == Done("250 2.0.0 taken", BY_PEER)
    assert f"RCPT TO:<paul@{DOMAIN}> NOTIFY=FAILURE,SUCCESS ORCPT=rfc822;paul@x.example" in keeps.said
    assert any("RET=HDRS ENVID=env-1" in words for words in keeps.said)
    assert one(courier(world, ignores.listen()).deliver(task)) == Done("250 2.0.0 taken")
    assert f"RCPT TO:<paul@{DOMAIN}>" in ignores.said


def test_a_patients_address_in_a_reply_is_not_kept(
    world: World, scripted: Callable[..., Scripted], make_mail: Mail
) -> None:
    """Replies are kept and shown: addresses and long numbers are taken out first."""
    words = "550 5.1.1 <279035121518989@patient.mssante.fr> 279035121518989 unknown"
    outcome, _ = attempt(world, scripted(replies={"RCPT": words}), make_mail())
    assert outcome == Never(Reason.PEER_REFUSED, "550 5.1.1 <…> … unknown")


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


# --- handshakes ----------------------------------------------------------------------------------------------------


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


def until_it_ends(connection: socket.socket) -> None:
    while connection.recv(9999):
        pass


def in_clear(world: World, today: datetime, pki: Pki, folder: Path) -> Scripted:
    def talk(connection: socket.socket) -> None:
        connection.sendall(b"250 hello\r\n" * 9)
        until_it_ends(connection)

    return Scripted(tls.service_side(*world.theirs), instead=talk)


def leaving(world: World, today: datetime, pki: Pki, folder: Path) -> Scripted:
    return Scripted(tls.service_side(*world.theirs), instead=lambda connection: connection.recv(9999))


def silent(world: World, today: datetime, pki: Pki, folder: Path) -> Scripted:
    return Scripted(tls.service_side(*world.theirs), instead=until_it_ends)


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

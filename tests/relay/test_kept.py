"""Connections that outlive a letter, against real TLS peers on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from certs import chain, tls
from certs.chain import TrustStore
from certs.throwaway import Pki
from relay.couriers.kept import Bounds, Kept, Over
from relay.couriers.peer import PeerCourier, original
from relay.model import (
    BodyRef,
    Done,
    Door,
    DoorProof,
    Event,
    Job,
    Later,
    Letter,
    Mode,
    Outcome,
    Reason,
    Recipient,
    Route,
    State,
    Verdict,
)
from relay.partners import Listed, WhiteList

DOMAIN, OTHER = "parc.mssante.example", "bois.mssante.example"
Serve = Callable[[Callable[[], asyncio.Protocol]], int]


class Silent:
    def add(self, tenant: str, events: Sequence[Event]) -> None: ...


@dataclass
class Server:
    """The other operator: counts its connections and what it took, and misbehaves when told to."""

    at: int = 0
    sessions: list[SMTP] = field(default_factory=list)
    letters: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    instead: Callable[[SMTP], str] | None = None
    """What the next DATA is answered, with the letter taken."""
    mail: list[str] = field(default_factory=list)
    """Answers to the next MAIL commands."""

    async def handle_RSET(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.commands.append("RSET")
        return "250 2.0.0 forgotten"

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.mail:
            return self.mail.pop(0)
        envelope.mail_from = address
        return "250 2.1.0 go on"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.letters.append(envelope.rcpt_tos[0])
        answer, self.instead = self.instead, None
        return answer(server) if answer else "250 2.0.0 kept"

    def hang_up(self) -> None:
        for each in self.sessions:
            assert each.transport
            each.loop.call_soon_threadsafe(each.transport.close)


@dataclass
class World:
    """Who calls whom, and what the caller believes at the moment."""

    server: Server
    courier: PeerCourier
    trust: TrustStore
    white_list: WhiteList
    believed: dict[str, object]

    def send(self, name: str, domain: str = DOMAIN) -> Outcome:
        letter = Letter(
            id="01abc",
            tenant="lilas",
            door=Door.SUBMISSION,
            sender="marie.martin@lilas.mssante.example",
            message_id="<1@x>",
            body=BodyRef("n", 3, "d"),
            received_at=datetime.fromisoformat("2026-11-25T10:00:00+00:00"),
            trace="Received: x\r\n",
            verdict=Verdict(),
            proof=DoorProof(),
        )
        route = Route(Mode.PEER_PLAIN, domain, "test")
        row = Recipient(name, letter.id, "lilas", f"{name}@{domain}", route, State.RUNNING)
        return self.courier.deliver(Job(letter, (row,), lambda: b"Subject: x\r\n\r\nx\r\n", 1))[name]


Files = tuple[Path, dict[str, tuple[Path, Path]], str]
"""The folder of trust before and after, certificates and keys, and the peer's subject."""


@pytest.fixture(scope="module")
def files(pki: Pki, today: datetime, tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("kept")
    ours, theirs = (pki.tls_server(f"mss.{name}.example", name.upper(), "1750000009") for name in ("k1", "k2"))
    pki.write_trust(folder / "before", today)
    pki.revoke(theirs)
    pki.write_trust(folder / "after", today)
    pairs = {"ours": ours.write(folder, "ours"), "theirs": theirs.write(folder, "theirs")}
    return folder, pairs, chain.identity(theirs.der).subject


@pytest.fixture
def world(files: Files, today: datetime, serve: Serve) -> World:
    folder, pairs, subject = files
    trust = TrustStore.load(folder / "before")
    white_list = WhiteList.of([Listed(DOMAIN, subject), Listed(OTHER, subject)], today)
    believed: dict[str, object] = {
        "trust": trust, "list": white_list, "context": tls.client_side(*pairs["ours"], trust),
    }  # fmt: skip
    server, theirs = Server(), tls.peer_side(*pairs["theirs"], trust)

    def session() -> SMTP:
        made = SMTP(server, tls_context=theirs, require_starttls=True)
        server.sessions.append(made)
        return made

    server.at = serve(session)
    courier = PeerCourier(
        hostname="mss.ours.example",
        where=lambda domain: [("127.0.0.1", server.at)],  # type: ignore[list-item]  # a Host without an address
        context=lambda: believed["context"],  # type: ignore[arg-type, return-value]
        trust=lambda: believed["trust"],  # type: ignore[arg-type, return-value]
        white_list=lambda: believed["list"],  # type: ignore[arg-type, return-value]
        keeper=None,  # type: ignore[arg-type]  # nothing is signed here
        journal=Silent(),
        clock=lambda: today,
        command_s=5.0,
    )
    return World(server, courier, trust, white_list, believed)


def test_many_letters_share_one_connection(world: World) -> None:
    """Ten letters, one handshake; each is its own transaction, asked for by RSET."""
    assert [world.send(f"r{n}") for n in range(10)] == [Done("250 2.0.0 kept")] * 10
    assert (len(world.server.sessions), len(world.server.letters)) == (1, 10)
    assert world.server.commands == ["RSET"] * 9


def test_two_domains_of_one_host_share_it_too(world: World) -> None:
    """The place counts, the white list is asked for each domain."""
    world.send("a")
    assert isinstance(world.send("b", OTHER), Done)
    assert len(world.server.sessions) == 1


def test_a_domain_that_the_host_may_not_speak_for_gets_nothing_over_it(world: World) -> None:
    """The refused twin: a connection that was good for one domain is not good for another."""
    world.send("a")
    assert world.send("b", "autre.mssante.example") == Later(Reason.PEER_NOT_LISTED, _subject(world))
    assert world.server.letters == [f"a@{DOMAIN}"]


def _subject(world: World) -> str:
    return next(each for each in [world.courier.look(DOMAIN)] if isinstance(each, tuple))[0].shown.subject  # type: ignore[union-attr]


def test_a_white_list_that_changed_counts_at_once(world: World, today: datetime) -> None:
    """Taken off the list between two letters, the peer gets no second one, though its connection stands."""
    world.send("a")
    world.believed["list"] = WhiteList.of([Listed(OTHER, _subject(world))], today)
    answer = world.send("b")
    assert isinstance(answer, Later)
    assert answer.reason == Reason.PEER_NOT_LISTED
    assert world.server.letters == [f"a@{DOMAIN}"]


def test_a_revocation_counts_at_once(world: World, files: Files) -> None:
    """Revoked between two letters, the peer gets no second one; the context being the old one."""
    world.send("a")
    world.believed["trust"] = TrustStore.load(files[0] / "after")
    assert world.send("b") == Later(Reason.PEER_UNTRUSTED, "revoked")
    assert world.server.letters == [f"a@{DOMAIN}"]


def test_a_renewed_certificate_of_ours_begins_a_new_connection(world: World, files: Files) -> None:
    """What was opened with another context is not used any more."""
    world.send("a")
    world.believed["context"] = tls.client_side(*files[1]["ours"], world.trust)
    assert isinstance(world.send("b"), Done)
    assert len(world.server.sessions) == 2


def test_a_peer_that_hung_up_meanwhile_costs_nothing(world: World) -> None:
    """The dead connection is found out by RSET: the letter goes once, over a new one."""
    world.send("a")
    world.server.hang_up()
    assert isinstance(world.send("b"), Done)
    assert world.server.letters == [f"a@{DOMAIN}", f"b@{DOMAIN}"]


def test_a_peer_that_has_had_enough_is_called_again(world: World) -> None:
    """421 to the second MAIL ends that connection, not the letter (RFC 5321 §3.8)."""
    world.send("a")
    world.server.mail = ["421 4.7.0 too many letters in this session"]
    assert isinstance(world.send("b"), Done)
    assert (len(world.server.sessions), world.server.letters) == (2, [f"a@{DOMAIN}", f"b@{DOMAIN}"])


def test_a_first_connection_that_has_had_enough_is_later(world: World) -> None:
    """The refused twin: without a kept one nothing is tried twice at once."""
    world.server.mail = ["421 4.3.2 going down"]
    answer = world.send("a")
    assert answer == Later(Reason.PEER_DELAYED, "421 4.3.2 going down")
    assert isinstance(answer, Later)
    assert answer.whole
    assert len(world.server.sessions) == 1


def test_what_broke_after_the_dot_is_not_sent_again_by_itself(world: World) -> None:
    """The peer may have the letter: Later, over no other connection now."""

    def die(server: SMTP) -> str:
        assert isinstance(server.transport, asyncio.Transport)
        server.transport.abort()
        return "250 never heard"

    world.send("a")
    world.server.instead = die
    answer = world.send("b")
    assert isinstance(answer, Later)
    assert answer.reason == Reason.PEER_UNREACHABLE
    assert world.server.letters == [f"a@{DOMAIN}", f"b@{DOMAIN}"]
    assert len(world.courier.kept) == 0


def test_a_refused_letter_leaves_the_connection_good(world: World) -> None:
    """5xx is about one letter; the next one goes over the same connection."""
    world.server.mail = ["550 5.1.8 not from you"]
    world.send("a")
    assert isinstance(world.send("b"), Done)
    assert len(world.server.sessions) == 1


@pytest.mark.parametrize(
    ("bounds", "seconds"),
    [(Bounds(idle_s=20.0), 21.0), (Bounds(age_s=30.0, idle_s=100.0), 31.0), (Bounds(letters=1), 0.0)],
)
def test_bounds_of_time_and_letters(world: World, bounds: Bounds, seconds: float) -> None:
    """Idle too long, too old, or worn out: the next letter begins a new connection."""
    at = [0.0]
    world.courier = replace(world.courier, kept=Kept(bounds, lambda: at[0]))
    world.send("a")
    at[0] = seconds
    world.send("b")
    assert len(world.server.sessions) == 2


def test_not_yet_over_its_bounds(world: World) -> None:
    """The accepted twin: just inside them the connection is used."""
    at = [0.0]
    world.courier = replace(world.courier, kept=Kept(Bounds(idle_s=20.0), lambda: at[0]))
    world.send("a")
    at[0] = 19.0
    world.send("b")
    assert len(world.server.sessions) == 1


@pytest.mark.parametrize(
    ("address", "orcpt"),
    [
        ("paul@parc.mssante.example", "rfc822;paul@parc.mssante.example"),
        ("a+b=c@parc.mssante.example", "rfc822;a+2Bb+3Dc@parc.mssante.example"),
        ("zoé@parc.mssante.example", ""),
    ],
)
def test_the_original_recipient_is_written_as_xtext(address: str, orcpt: str) -> None:
    """RFC 3461 §4: what a report will name as we wrote it; nothing where the form would be another."""
    assert original(address) == orcpt


class _Idle:
    """As much of a session as waiting needs."""

    over, told, sock = False, False, object()

    def __init__(self) -> None:
        self.left = False

    def leave(self) -> None:
        self.left = True


CASES = [(Bounds(per_place=2), 1), (Bounds(per_place=9, most=1), 2), (Bounds(), 0)]


@pytest.mark.parametrize(("bounds", "left"), CASES)
def test_bounds_of_number(bounds: Bounds, left: int) -> None:
    """Of three that were in use at once, more than may wait for one place, or in all: the first to come back leave."""
    kept, sessions = Kept(bounds, lambda: 0.0), [_Idle() for _ in range(3)]

    def use(number: int) -> str:
        if number < 0:
            return ""
        over = Over[str](lambda session: None, lambda session: True, lambda session: use(number - 1), str, 60.0)
        return kept.use("place", None, lambda: sessions[number], over)  # type: ignore[arg-type, return-value]

    use(2)
    assert [each.left for each in sessions] == [True] * left + [False] * (3 - left)
    kept.close()
    assert all(each.left for each in sessions)

"""Encrypting on the way to a peer: to whom, in which groups, and never anything less."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from certs import envelope, tls
from certs.chain import TrustStore
from certs.envelope import Opened
from certs.keys import Signer
from certs.openers import LocalOpener
from certs.throwaway import Issued, Pki, Shape
from directory.address import parse
from directory.model import Address, DirectoryDown, Entry, Found, Kind, Listing, Lookup, NotFound
from relay import smime
from relay.couriers.closing import Closing, Group, apart
from relay.couriers.peer import PEER_MODES, PeerCourier
from relay.message import scan
from relay.model import (
    BodyRef,
    Door,
    DoorProof,
    Event,
    Job,
    Later,
    Letter,
    Mode,
    Never,
    Reason,
    Recipient,
    Route,
    State,
    Verdict,
)
from relay.partners import WhiteList

Mail = Callable[..., bytes]
PARC = "parc.mssante.example"
PAUL, LEA, NO = (parse(f"{name}@{PARC}") for name in ("paul.durand", "lea.noir", "sans.cle"))


@dataclass
class Notes:
    events: list[Event] = field(default_factory=list)

    def add(self, tenant: str, events: Sequence[Event]) -> None:
        self.events += events


@dataclass
class People:
    """A directory by heart."""

    certificates: dict[str, tuple[bytes, ...]]
    down: bool = False

    def find(self, address: Address) -> Lookup:
        if self.down:
            return DirectoryDown("not there")
        held = self.certificates.get(address.key)
        return NotFound() if held is None else Found(Entry(address, Kind.PER, "X", certificates=held))

    def search(self, text: str, limit: int = 100) -> Listing | DirectoryDown:
        return Listing(())


@pytest.fixture(scope="module")
def lea(pki: Pki) -> Issued:
    shape = Shape(usage=frozenset({"key_agreement"}), names=(x509.RFC822Name(str(LEA)),), key="p256")
    return pki.issue(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Léa NOIR")]), shape)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def closing(reader: Issued, lea: Issued, trust: TrustStore, today: datetime, notes: Notes) -> Closing:
    people = People({PAUL.key: (reader.der,), LEA.key: (lea.der,), NO.key: ()})
    return Closing(people, lambda: trust, notes, lambda: today)


def job(raw: bytes, at: datetime, *to: Address, mode: Mode = Mode.PEER_ENCRYPTED) -> Job:
    letter = Letter(
        id="01abc",
        tenant="lilas",
        door=Door.SUBMISSION,
        sender="marie.martin@lilas.mssante.example",
        message_id="<1@x>",
        body=BodyRef("n", len(raw), "d"),
        received_at=at,
        trace="",
        verdict=Verdict(),
        proof=DoorProof(),
    )
    rows = tuple(
        Recipient(each.local, letter.id, "lilas", str(each), Route(mode, PARC, "test"), State.RUNNING) for each in to
    )
    return Job(letter, rows, lambda: raw, 1)


def members(groups: Sequence[Group]) -> list[list[str]]:
    return [[each.id for each in group.job.recipients] for group in groups]


def opened(raw: bytes, issued: Issued) -> bytes | None:
    answer = envelope.decrypt(scan(raw).root.decode(), [LocalOpener(issued.der, issued.key)])
    return answer.content if isinstance(answer, Opened) else None


def test_who_is_named_shares_a_letter_and_each_bcc_has_his_own(
    closing: Closing, reader: Issued, lea: Issued, today: datetime, make_mail: Mail
) -> None:
    """Design §7: Paul stands in To, Léa nowhere; Paul's letter names one recipient and Léa cannot open it."""
    raw = make_mail(To=str(PAUL), Subject="XDM/1.0/DDM+CR", X_MSS_INS="O")
    waiting, groups = closing.sort(job(raw, today, PAUL, LEA))
    assert waiting == {}
    assert members(groups) == [["paul.durand"], ["lea.noir"]]
    his, hers = (closing.close(group, raw) for group in groups)
    assert isinstance(his, bytes)
    assert isinstance(hers, bytes)
    assert opened(his, reader) == opened(hers, lea) is not None
    assert opened(his, lea) is None is opened(hers, reader)
    for made in (his, hers):
        message = scan(made)
        assert (message.values("Subject"), message.values("X-MSS-INS")) == (["XDM/1.0/DDM+CR"], ["O"])
        assert b"voici le compte rendu" not in made


def test_both_named_share_one_letter(
    closing: Closing, reader: Issued, lea: Issued, today: datetime, make_mail: Mail, notes: Notes
) -> None:
    """To and Cc alike: one encryption that each of them opens; the journal says to which certificates."""
    raw = make_mail(To=str(PAUL), Cc=f"Léa <{LEA}>")
    _, groups = closing.sort(job(raw, today, PAUL, LEA))
    assert members(groups) == [["paul.durand", "lea.noir"]]
    made = closing.close(groups[0], raw)
    assert isinstance(made, bytes)
    assert opened(made, reader) == opened(made, lea) is not None
    assert [(event.name, event.recipient_id) for event in notes.events] == [
        ("encrypted", "paul.durand"),
        ("encrypted", "lea.noir"),
    ]
    assert dict(notes.events[0].facts)["certificates"].count(",") == 1


def test_a_field_that_cannot_be_read_names_nobody(today: datetime, make_mail: Mail) -> None:
    """Then each gets a letter of his own, which hides too much rather than too little."""
    rows = job(b"", today, PAUL, LEA).recipients
    raw = make_mail(To=f"{PAUL}, {LEA}")
    broken = raw.replace(f"{PAUL}, {LEA}".encode(), f"{PAUL}, {LEA}, <<>".encode())
    assert [[each.id for each in group] for group in apart(scan(raw), rows)] == [["paul.durand", "lea.noir"]]
    assert [[each.id for each in group] for group in apart(scan(broken), rows)] == [["paul.durand"], ["lea.noir"]]


def test_who_has_no_usable_certificate_waits_and_the_others_get_theirs(
    closing: Closing, today: datetime, make_mail: Mail
) -> None:
    """Nothing less than encryption: he waits by name, she is served; an unknown one waits too."""
    gone = parse(f"parti@{PARC}")
    waiting, groups = closing.sort(job(make_mail(To=str(PAUL)), today, PAUL, NO, gone))
    assert {key: answer.reason for key, answer in waiting.items() if isinstance(answer, Later)} == {
        "sans.cle": Reason.NO_CERTIFICATE,
        "parti": Reason.NO_CERTIFICATE,
    }
    assert members(groups) == [["paul.durand"]]


def test_a_directory_that_is_down_makes_all_wait(trust: TrustStore, today: datetime, make_mail: Mail) -> None:
    """It said nothing about anybody's certificates."""
    closing = Closing(People({}, down=True), lambda: trust, Notes(), lambda: today)
    waiting, groups = closing.sort(job(make_mail(), today, PAUL))
    assert (waiting, groups) == ({"paul.durand": Later(Reason.DIRECTORY_DOWN)}, ())


def test_what_its_author_encrypted_is_one_letter_and_untouched(
    closing: Closing, reader: Issued, today: datetime, make_mail: Mail
) -> None:
    """Nobody is asked for a certificate, whoever has none."""
    closed = smime.encrypt(make_mail(), [reader.der])
    waiting, groups = closing.sort(job(closed, today, PAUL, NO))
    assert waiting == {}
    assert [(group.certificates, len(group.job.recipients)) for group in groups] == [((), 2)]


def test_a_letter_that_cannot_be_read_is_never(closing: Closing, today: datetime) -> None:
    """It entered under an earlier version."""
    waiting, groups = closing.sort(job(b"no header\0at all", today, PAUL))
    assert groups == ()
    assert isinstance(waiting["paul.durand"], Never)


class NoKeys:
    def signer_for(self, address: str, letter_id: str) -> Signer | None:
        raise AssertionError("nothing is signed where nothing can be sent")

    def seal_for(self, domain: str, letter_id: str = "") -> Signer | None:
        return self.signer_for(domain, letter_id)


@pytest.mark.parametrize("mode", [each for each in PEER_MODES if "encrypted" in each.value])
def test_an_encrypted_route_calls_no_peer_without_a_certificate(
    mode: Mode, closing: Closing, trust: TrustStore, today: datetime, make_mail: Mail
) -> None:
    """No host is even asked for: with certificates missing, or with nothing wired that could encrypt."""

    def nowhere(domain: str) -> Later:
        raise AssertionError(f"asked for {domain}")

    for by in (closing, None):
        courier = PeerCourier(
            hostname="mss.ours.example",
            where=nowhere,
            context=lambda: tls.client_side(*2 * (trust,), trust),  # type: ignore[arg-type]  # never called
            trust=lambda: trust,
            white_list=lambda: WhiteList.of([], today),
            keeper=NoKeys(),
            journal=Notes(),
            clock=lambda: today,
            closing=by,
        )
        answer = courier.deliver(job(make_mail(), today, NO, mode=mode))["sans.cle"]
        assert isinstance(answer, Later)
        assert answer.reason == Reason.NO_CERTIFICATE

"""The gate after DATA: per recipient a route, or a named reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from certs.chain import TrustStore
from certs.throwaway import Issued
from directory.address import parse
from directory.model import Capabilities, Entry, Kind
from relay import smime
from relay.gate import Gate, Served, size_on_the_way
from relay.message import scan
from relay.model import Addressee, Asked, Door, DoorProof, Envelope, Mode, Reason, Route
from relay.partners import Listed, WhiteList
from relay.policy import Book, Level, Line
from relay.routing import Node

Mail = Callable[..., bytes]
NODE = Node("lilas", frozenset({"lilas.mssante.example"}), "mss.lilas.example")
MARIE = parse("marie.martin@lilas.mssante.example")
PAUL = parse("paul.durand@parc.mssante.example")
PATIENT = Addressee(parse("279035121518989@patient.mssante.fr"))
Ask = Callable[..., Served]


@pytest.fixture
def ask(trust: TrustStore, today: datetime, make_mail: Mail) -> Ask:
    """What the gate says of one letter for one recipient, under these values of policy."""
    names = ("parc.mssante.example", "patient.mssante.fr", "lilas.mssante.example")
    white_list = WhiteList.of([Listed(name, f"CN=mss.{name},O=X,C=FR") for name in names], today)

    def served(to: Addressee, raw: bytes = b"", *lines: Line, door: Door = Door.SUBMISSION, **gate: object) -> Served:
        envelope = Envelope("01abc", "lilas", door, MARIE, (to,), DoorProof(), today)
        made = Gate(envelope, scan(raw or make_mail()), white_list, NODE, trust, Book(lines))
        return replace(made, **gate).serve(to)  # type: ignore[arg-type]

    return served


def paul(*certificates: bytes, most: int | None = None) -> Addressee:
    capabilities = Capabilities(max_bytes=most)
    return Addressee(PAUL, Entry(PAUL, Kind.PER, "X", capabilities=capabilities, certificates=certificates))


def tenant(key: str, value: str) -> Line:
    return Line(Level.TENANT, "", key, value)


def modes(*served: Served) -> list[object]:
    return [each.chosen.mode if isinstance(each.chosen, Route) else each.chosen for each in served]


def test_the_authors_mailbox_says_how_its_letters_go(ask: Ask, reader: Issued) -> None:
    """Its own value counts, not another mailbox's; a letter that comes in asks the mailbox that gets it."""
    own = Line(Level.MAILBOX, MARIE.key, "sign", "establishment")
    others = Line(Level.MAILBOX, "anne.petit@lilas.mssante.example", "sign", "none")
    assert modes(ask(paul(), b"", own, others)) == [Mode.PEER_SEALED]
    small = Line(Level.MAILBOX, MARIE.key, "max_bytes", "10")
    ours = Addressee(MARIE)
    assert modes(ask(ours, b"", small, door=Door.PEER)) == [Reason.TOO_LARGE_FOR_ROUTE]
    assert modes(ask(ours, b"", others, door=Door.PEER)) == [Mode.MAILBOX]


def test_a_certificate_is_judged_before_it_is_used(ask: Ask, reader: Issued, trust: TrustStore) -> None:
    """The good one encrypts; one for signing does not, and where encryption is required the recipient is refused."""
    always = tenant("encrypt", "always")
    good, none = paul(reader.der), paul()
    assert modes(ask(good), ask(none)) == [Mode.PEER_ENCRYPTED, Mode.PEER_SIGNED]
    assert modes(ask(good, b"", always), ask(none, b"", always)) == [Mode.PEER_ENCRYPTED, Reason.NO_CERTIFICATE]


def test_what_its_author_encrypted_is_known(ask: Ask, reader: Issued, make_mail: Mail) -> None:
    """Required encryption is there already; a letter that is only signed is not taken for it."""
    always = tenant("encrypt", "always")
    closed = smime.encrypt(make_mail(), [reader.der])
    (served,) = [ask(paul(), closed, always)]
    assert served.chosen == Route(Mode.PEER_ENCRYPTED, PAUL.domain, "encrypted-by-author")
    assert modes(ask(paul(), make_mail(), always)) == [Reason.NO_CERTIFICATE]


def test_twenty_five_megabytes_towards_a_patient(ask: Ask, make_mail: Mail) -> None:
    """spec/payload.md §1.6: encoded size; one byte more is refused by name, and goes elsewhere all the same."""
    raw = make_mail()
    exact = raw + b"x" * (25_000_000 - len(raw) - 2) + b"\r\n"
    assert len(exact) == 25_000_000
    assert modes(ask(PATIENT, exact), ask(PATIENT, exact[:-2] + b"x\r\n")) == [
        Mode.PEER_PLAIN,
        Reason.TOO_LARGE_FOR_ROUTE,
    ]
    assert modes(ask(paul(), exact + b"x\r\n")) == [Mode.PEER_SIGNED]


def test_a_limit_of_ones_own_and_what_a_mailbox_says_of_itself(ask: Ask, make_mail: Mail) -> None:
    """The smaller one counts."""
    raw = make_mail() + b"x" * 50_000 + b"\r\n"
    towards = tenant("towards.parc.mssante.example.max_bytes", "60000")
    refused, taken = Reason.TOO_LARGE_FOR_ROUTE, Mode.PEER_SIGNED
    assert modes(ask(paul(), raw, towards), ask(paul(), raw)) == [refused, taken]
    assert modes(ask(paul(most=60_000), raw), ask(paul(most=90_000), raw)) == [refused, taken]


def test_the_size_is_that_on_the_way(ask: Ask, reader: Issued, make_mail: Mail) -> None:
    """Encrypting makes it longer by a third: what fits signed goes signed where encryption is only wished, and is
    refused where it is required; the estimate never is short."""
    raw = make_mail("x" * 200_000)
    towards = tenant("towards.parc.mssante.example.max_bytes", str(len(raw) + 20_000))
    always = tenant("towards.parc.mssante.example.encrypt", "always")
    asked = [ask(paul(reader.der), raw, *lines) for lines in ((), (towards,), (towards, always), (always,))]
    refused = Reason.TOO_LARGE_FOR_ROUTE
    assert modes(*asked) == [Mode.PEER_ENCRYPTED, Mode.PEER_SIGNED, refused, Mode.PEER_ENCRYPTED]
    assert len(smime.encrypt(raw, [reader.der])) <= size_on_the_way(len(raw), Mode.PEER_ENCRYPTED, signed=False)


def test_an_objection_of_the_patient_is_heard(ask: Ask) -> None:
    """Whoever holds objections is asked for each recipient; a notice is about no patient."""

    def opposed(message: object, addressee: Addressee) -> bool:
        return addressee.address == PAUL

    assert modes(ask(paul(), opposed=opposed), ask(PATIENT, opposed=opposed)) == [Reason.OPPOSED, Mode.PEER_PLAIN]
    assert modes(ask(paul(), opposed=opposed, door=Door.NOTICE)) == [Mode.PEER_SIGNED]


def test_a_report_is_asked_for_where_policy_says_so(ask: Ask) -> None:
    """As if the sender had (RFC 3461 §4.1); not where he asked for none, nor for what comes in."""
    always = tenant("receipt", "always")
    silent = replace(paul(), asked=Asked(frozenset({"NEVER"})))
    assert ask(paul(), b"", always).asked.notify == {"SUCCESS", "FAILURE", "DELAY"}
    assert ask(paul()).asked.notify == frozenset()
    assert ask(silent, b"", always).asked.notify == {"NEVER"}
    assert ask(Addressee(MARIE), b"", always, door=Door.PEER).asked.notify == frozenset()

"""International letters (RFC 6531 to 6533): whom they reach, what a report says of them, and who reads them how."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from directory.address import BadAddress, parse
from relay import international, reports
from relay.couriers import utf8
from relay.message import scan
from relay.model import (
    Asked,
    BodyRef,
    Door,
    DoorProof,
    Envelope,
    Job,
    Letter,
    Mode,
    Never,
    Reason,
    Recipient,
    Route,
    State,
    Verdict,
)
from relay.notices import failure
from relay.routing import Node
from relay.store.rows import letter_of, letter_row
from relay.trace import received

HELENE, BERT, RENEE = "hélène@lilas.example", "bert@parc.example", "renée@parc.example"
NODE = Node("lilas", frozenset({"lilas.example"}), "mss.lilas.example")
PLAIN = b"From: anna@lilas.example\r\nSubject: essai\r\n\r\nOp\xc3\xa9r\xc3\xa9.\r\n"
INTERNATIONAL = "From: Hélène <hélène@lilas.example>\r\nTo: renée@hôpital.example\r\n\r\nBonjour.\r\n".encode()


class Peer:
    """What a session says of the other side, as relay.couriers.session.Session does."""

    command_encoding = "ascii"

    def __init__(self, *offers: str) -> None:
        self.offers = offers

    def has_extn(self, name: str) -> bool:
        return name in self.offers


def letter(now: datetime, sender: str = HELENE, *, said: bool = True) -> Letter:
    body = BodyRef("n", 1, "d")
    return Letter("0" * 26, "lilas", Door.SUBMISSION, sender, "<1@x>", body, now, "", Verdict(), DoorProof(), utf8=said)


def row(to: str, state: State = State.QUEUED) -> Recipient:
    route = Route(Mode.PEER_PLAIN, "parc.example", "test")
    reason = Reason.PEER_NO_SMTPUTF8 if state is State.FAILED else ""
    asked = Asked(orcpt=r"utf-8;ren\x{E9}e@parc.example")
    return Recipient(to, "0" * 26, "lilas", to, route, state, reason=reason, asked=asked)


def envelope(now: datetime, door: Door = Door.SUBMISSION, *, said: bool = True) -> Envelope:
    proof = DoorProof(client="192.0.2.1", helo="poste.example", tls="TLSv1.3 X")
    return Envelope("0" * 26, "lilas", door, parse(HELENE), (), proof, now, utf8=said)


# --- out to a peer --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "said", "data", "stranded"),
    [
        (HELENE, True, PLAIN, {BERT, RENEE}),
        ("anna@lilas.example", True, INTERNATIONAL, {BERT, RENEE}),
        ("anna@lilas.example", True, PLAIN, {RENEE}),
        ("anna@lilas.example", False, INTERNATIONAL, {RENEE}),
        ("anna@xn--hpital-ixa.example", True, PLAIN, {RENEE}),
    ],
)
def test_a_peer_without_smtputf8(now: datetime, sender: str, said: bool, data: bytes, stranded: set[str]) -> None:
    """Never with that reason for whom sender, header or address needs it; the others go on. A domain in A-labels alone
    needs nothing, nor does a header of an old client that announced nothing."""
    job = Job(letter(now, sender, said=said), (row(BERT), row(RENEE)), lambda: data, 1)
    left, outcomes = utf8.sort(Peer("8bitmime"), job, data)  # type: ignore[arg-type]
    assert outcomes == {each: Never(Reason.PEER_NO_SMTPUTF8) for each in stranded}
    assert {each.id for each in left.recipients} == {BERT, RENEE} - stranded


def test_a_peer_with_smtputf8_is_told(now: datetime) -> None:
    """The twin: everybody goes, with the word where it is needed and only there."""
    peer = Peer("smtputf8")
    job = Job(letter(now), (row(BERT), row(RENEE)), lambda: PLAIN, 1)
    assert utf8.sort(peer, job, PLAIN) == (job, {})  # type: ignore[arg-type]
    assert utf8.options(peer, job.letter, [BERT], PLAIN) == ["SMTPUTF8"]  # type: ignore[arg-type]
    plain = letter(now, "anna@lilas.example")
    assert utf8.options(peer, plain, [BERT, RENEE], PLAIN) == ["SMTPUTF8"]  # type: ignore[arg-type]
    assert utf8.options(peer, plain, [BERT], PLAIN) == []  # type: ignore[arg-type]
    assert peer.command_encoding == "utf-8"


# --- in custody -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [True, False])
def test_custody_remembers_that_it_was_announced(now: datetime, said: bool) -> None:
    """In the letter's row."""
    kept = letter(now, said=said)
    assert letter_of(letter_row(kept)).utf8 is said


@pytest.mark.parametrize(("door", "word"), [(Door.PEER, "UTF8SMTPS"), (Door.SUBMISSION, "UTF8SMTPSA")])
def test_the_trace_says_how_it_came(now: datetime, door: Door, word: str) -> None:
    """RFC 6531 §3.7.3, and its twin that did not announce it; all of it ASCII."""
    assert f"with {word} id" in received(envelope(now, door), "mss.lilas.example")
    plain = received(envelope(now, door, said=False), "mss.lilas.example")
    assert f"with E{word.removeprefix('UTF8')} id" in plain


def test_a_letter_without_mail_is_international_by_its_header(now: datetime) -> None:
    """A collected one, a command's, a notice: nobody could announce it."""
    for door in (Door.COLLECTED, Door.COMMAND, Door.NOTICE):
        assert international.is_international(envelope(now, door, said=False), scan(INTERNATIONAL))
        assert not international.is_international(envelope(now, door, said=False), scan(PLAIN))
    assert not international.is_international(envelope(now, said=False), scan(INTERNATIONAL))


@pytest.mark.parametrize(("said", "good"), [(True, True), (False, False)])
def test_an_international_author_announces_himself(now: datetime, said: bool, good: bool) -> None:
    """RFC 6531 §3.6: not announced at a door, an international address in From or Sender is refused."""
    assert international.announced(envelope(now, said=said), [parse(HELENE)]) is good
    assert international.announced(envelope(now, said=said), [parse("anna@lilas.example")])
    assert international.announced(envelope(now, Door.COLLECTED, said=said), [parse(HELENE)])


# --- read -----------------------------------------------------------------------------------------------------


def test_an_address_in_a_header_is_utf_8_or_none() -> None:
    """RFC 6532: the same letters in Latin-1 are no address, while a name in Latin-1 beside an ASCII address is one."""
    assert scan(INTERNATIONAL).authors == (parse(HELENE),)
    assert scan("From: Hélène <anna@lilas.example>\r\n\r\n".encode("latin-1")).authors == (parse("anna@lilas.example"),)
    for spoilt in ("From: hélène@lilas.example\r\n\r\n", "From: Anna <anna@hôpital.example>\r\n\r\n"):
        with pytest.raises(BadAddress):
            _ = scan(spoilt.encode("latin-1")).authors
        assert scan(spoilt.encode()).authors


# --- told -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "kind", "final"),
    [
        (HELENE, "message/global-delivery-status", "utf-8; renée@parc.example"),
        ("anna@lilas.example", "message/delivery-status", r"utf-8; ren\x{E9}e@parc.example"),
    ],
)
def test_a_report_about_an_international_recipient(
    now: datetime, make_mail: Callable[..., bytes], sender: str, kind: str, final: str
) -> None:
    """RFC 6533: a global report to an international sender, ASCII fields to any other; read back, both name her."""
    raw = INTERNATIONAL if sender == HELENE else make_mail()
    later = now + timedelta(minutes=1)
    notice = failure(letter(now, sender), (row(RENEE, State.FAILED),), lambda: raw, NODE, lambda: later)
    assert notice is not None
    report = scan(notice)
    _, machine, returned = report.children(report.root)
    assert machine.type == kind
    assert report.root.params["report-type"] == kind.removeprefix("message/")
    assert f"Final-Recipient: {final}\r\n".encode() in machine.body
    assert rb"Original-Recipient: utf-8;ren\x{E9}e@parc.example" in machine.body
    assert machine.body.isascii() is (sender != HELENE)
    assert returned.type == ("message/global-headers" if sender == HELENE else "text/rfc822-headers")
    assert reports.reported(report) == (parse(RENEE),)
    assert (f"From: Hélène <{HELENE}>".encode() in returned.body) is (sender == HELENE)


def test_a_report_of_a_type_that_is_none_names_nobody(now: datetime, make_mail: Callable[..., bytes]) -> None:
    """The twin: an address of the type utf-8 in another form."""
    notice = failure(letter(now), (row(RENEE, State.FAILED),), lambda: make_mail(), NODE, lambda: now)
    assert notice is not None
    spoilt = notice.replace("renée@parc".encode(), b"ren\\x{e9}e@parc").replace(b"ren\\x{E9}e@parc", b"ren+E9e@parc")
    assert reports.reported(scan(spoilt)) == ()

"""Which courier serves a recipient, by which rule, and on which terms."""

from __future__ import annotations

from datetime import datetime

import pytest

from directory.address import parse
from directory.model import Capabilities, Entry, Kind
from relay.certificates import NONE, Judged, Usable
from relay.model import Addressee, Mode, Reason, Route
from relay.partners import Listed, WhiteList
from relay.policy import Book, Level, Line
from relay.routing import RULES, Node, Terms, explain, route

NODE = Node("lilas", frozenset({"lilas.mssante.example"}), "mss.lilas.example")
PEER = "parc.mssante.example"
PATIENT = "279035121518989@patient.mssante.fr"
GOOD = Usable((b"der",), (Judged("ab"),))
REVOKED = Usable((), (Judged("ab", "revoked"),))
UNSURE = Usable((), (Judged("ab", "revocation-unknown", unsure=True),))


@pytest.fixture
def white_list(now: datetime) -> WhiteList:
    names = (PEER, "patient.mssante.fr", "lilas.mssante.example")
    return WhiteList.of([Listed(name, f"CN=mss.{name},O=X,C=FR") for name in names], now)


def to(address: str, smime: bool | None = None, kind: Kind = Kind.PER) -> Addressee:
    entry = Entry(parse(address), kind, "X", capabilities=Capabilities(smime=smime))
    return Addressee(entry.address, entry)


def terms(usable: Usable = NONE, *, encrypted: bool = False, notice: bool = False, **values: str) -> Terms:
    lines = [Line(Level.TENANT, "", key, value) for key, value in values.items()]
    return Terms(Book(lines).wanted(None, None), usable, encrypted, notice)


@pytest.mark.parametrize(
    ("addressee", "expected"),
    [
        (to("anne@lilas.mssante.example"), Route(Mode.MAILBOX, "lmtp", "mailbox-here")),
        (to(f"paul@{PEER}"), Route(Mode.PEER_SIGNED, PEER, "signed-by-default")),
        (to(f"paul@{PEER}", smime=True), Route(Mode.PEER_SIGNED, PEER, "signed-by-default")),
        (Addressee(parse(f"paul@{PEER}")), Route(Mode.PEER_SIGNED, PEER, "signed-by-default")),
        (to(f"paul@{PEER}", smime=False), Route(Mode.PEER_PLAIN, PEER, "signature-declined")),
        (Addressee(parse(PATIENT)), Route(Mode.PEER_PLAIN, "patient.mssante.fr", "patient-space-plain")),
        (to("paul@elsewhere.example"), Reason.NOT_LISTED),
        (to("paul@sub.parc.mssante.example"), Reason.NOT_LISTED),
    ],
)
def test_the_first_rule_that_answers_decides(
    addressee: Addressee, expected: Route | Reason, white_list: WhiteList
) -> None:
    """Ours to the mailbox, listed ones signed, plain where it was asked for, nobody else at all."""
    assert route(addressee, white_list, NODE) == expected


PAUL = to(f"paul@{PEER}")
DECLINED = to(f"paul@{PEER}", smime=False)


@pytest.mark.parametrize(
    ("addressee", "on", "expected"),
    [
        (PAUL, terms(sign="establishment"), Mode.PEER_SEALED),
        (PAUL, terms(sign="none"), Mode.PEER_PLAIN),
        (DECLINED, terms(sign="establishment"), Mode.PEER_PLAIN),
        (PAUL, terms(GOOD), Mode.PEER_ENCRYPTED),
        (PAUL, terms(GOOD, encrypt="never"), Mode.PEER_SIGNED),
        (PAUL, terms(REVOKED), Mode.PEER_SIGNED),
        (PAUL, terms(UNSURE), Mode.PEER_SIGNED),
        (DECLINED, terms(GOOD), Mode.PEER_PLAIN),
        (PAUL, terms(GOOD, encrypt="always"), Mode.PEER_ENCRYPTED),
        (PAUL, terms(GOOD, encrypt="always", sign="establishment"), Mode.PEER_SEALED_ENCRYPTED),
        (PAUL, terms(GOOD, sign="none"), Mode.PEER_ENCRYPTED),
        (PAUL, terms(GOOD, encrypt="never", notice=True), Mode.PEER_SIGNED),
    ],
)
def test_policy_chooses_the_mode(addressee: Addressee, on: Terms, expected: Mode, white_list: WhiteList) -> None:
    """Signed, sealed, plain or encrypted; what is encrypted is signed first, whatever `sign` says."""
    chosen = route(addressee, white_list, NODE, on)
    assert isinstance(chosen, Route)
    assert chosen.mode is expected


@pytest.mark.parametrize(
    ("addressee", "on", "expected"),
    [
        (PAUL, terms(encrypt="always"), Reason.NO_CERTIFICATE),
        (PAUL, terms(REVOKED, encrypt="always"), Reason.NO_CERTIFICATE),
        (PAUL, terms(encrypt="always", without_certificate="wait"), Mode.PEER_ENCRYPTED),
        (PAUL, terms(UNSURE, encrypt="always"), Mode.PEER_ENCRYPTED),
        (DECLINED, terms(GOOD, encrypt="always"), Reason.ENCRYPTION_NOT_TAKEN),
        (Addressee(parse(PATIENT)), terms(encrypt="always"), Reason.ENCRYPTION_NOT_TAKEN),
        (PAUL, terms(encrypt="always", sign="none"), Reason.NO_CERTIFICATE),
    ],
)
def test_encryption_that_is_required_never_falls_back(
    addressee: Addressee, on: Terms, expected: Mode | Reason, white_list: WhiteList
) -> None:
    """Refused by name, or an encrypted route that waits for a certificate; never signed alone, never plain."""
    chosen = route(addressee, white_list, NODE, on)
    assert (chosen.mode if isinstance(chosen, Route) else chosen) is expected


@pytest.mark.parametrize("address", [f"paul@{PEER}", PATIENT])
def test_what_its_author_encrypted_passes(address: str, white_list: WhiteList) -> None:
    """Required or not: it is encrypted already, and nobody of ours can judge to whom."""
    chosen = route(Addressee(parse(address)), white_list, NODE, terms(encrypted=True, encrypt="always"))
    assert chosen == Route(Mode.PEER_ENCRYPTED, parse(address).domain, "encrypted-by-author")


def test_a_notice_is_signed_and_never_encrypted(white_list: WhiteList) -> None:
    """It holds no content; a sender is told of a failure also where he published no certificate."""
    for usable in (NONE, GOOD):
        chosen = route(PAUL, white_list, NODE, terms(usable, notice=True, encrypt="always"))
        assert chosen == Route(Mode.PEER_SIGNED, PEER, "signed-by-default")


@pytest.mark.parametrize("sign", ["mailbox", "establishment", "none"])
def test_the_archive_stays_reachable_where_the_route_needs_it(sign: str, white_list: WhiteList) -> None:
    """Mon espace santé gets a plain attachment whatever `sign` says; an applicative mailbox is not closed to its
    own software unless it says that it reads S/MIME, or policy requires it."""
    patient = route(Addressee(parse(PATIENT)), white_list, NODE, terms(sign=sign))
    assert patient == Route(Mode.PEER_PLAIN, "patient.mssante.fr", "patient-space-plain")
    open_ = route(to(f"app@{PEER}", kind=Kind.APP), white_list, NODE, terms(GOOD, sign=sign))
    reads = route(to(f"app@{PEER}", smime=True, kind=Kind.APP), white_list, NODE, terms(GOOD, sign=sign))
    asked = route(to(f"app@{PEER}", kind=Kind.APP), white_list, NODE, terms(GOOD, sign=sign, encrypt="always"))
    assert [isinstance(each, Route) and "encrypted" in each.mode.value for each in (open_, reads, asked)] == [
        False,
        True,
        True,
    ]


def test_explain_tells_every_rule_that_was_asked(white_list: WhiteList) -> None:
    """Rules that did not answer, then the one that decided."""
    asked = explain(DECLINED, white_list, NODE)
    names = [rule.name for rule, _ in asked]
    assert names == [rule.name for rule in RULES[: names.index("signature-declined") + 1]]
    assert [answer is None for _, answer in asked] == [True] * (len(names) - 1) + [False]


def test_a_route_carries_the_name_of_its_rule(white_list: WhiteList) -> None:
    """What is stored is what explain shows, and each rule says at which values it looked."""
    names = {rule.name for rule in RULES}
    every = (terms(), terms(GOOD), terms(GOOD, encrypt="always"), terms(sign="none"), terms(sign="establishment"))
    for on in every:
        for addressee in (to("a@lilas.mssante.example"), PAUL, DECLINED):
            (*_, (rule, answer)) = explain(addressee, white_list, NODE, on)
            if isinstance(answer, Route):
                assert answer.rule == rule.name
                assert answer.rule in names
                assert answer == route(addressee, white_list, NODE, on)

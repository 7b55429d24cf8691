"""Which courier serves a recipient, and by which rule."""

from __future__ import annotations

from datetime import datetime

import pytest

from directory.address import parse
from directory.model import Capabilities, Entry, Kind
from relay.model import Addressee, Mode, Reason, Route
from relay.partners import Listed, WhiteList
from relay.routing import RULES, Node, explain, route

NODE = Node("lilas", frozenset({"lilas.mssante.example"}), "mss.lilas.example")
PEER = "parc.mssante.example"


@pytest.fixture
def white_list(now: datetime) -> WhiteList:
    names = (PEER, "patient.mssante.fr", "lilas.mssante.example")
    return WhiteList.of([Listed(name, f"CN=mss.{name},O=X,C=FR") for name in names], now)


def to(address: str, smime: bool | None = None) -> Addressee:
    entry = Entry(parse(address), Kind.PER, "X", capabilities=Capabilities(smime=smime))
    return Addressee(entry.address, entry)


@pytest.mark.parametrize(
    ("addressee", "expected"),
    [
        (to("anne@lilas.mssante.example"), Route(Mode.MAILBOX, "lmtp", "mailbox-here")),
        (to(f"paul@{PEER}"), Route(Mode.PEER_SIGNED, PEER, "signed-by-default")),
        (to(f"paul@{PEER}", smime=True), Route(Mode.PEER_SIGNED, PEER, "signed-by-default")),
        (Addressee(parse(f"paul@{PEER}")), Route(Mode.PEER_SIGNED, PEER, "signed-by-default")),
        (to(f"paul@{PEER}", smime=False), Route(Mode.PEER_PLAIN, PEER, "signature-declined")),
        (
            Addressee(parse("279035121518989@patient.mssante.fr")),
            Route(Mode.PEER_PLAIN, "patient.mssante.fr", "patient-space-plain"),
        ),
        (to("paul@elsewhere.example"), Reason.NOT_LISTED),
        (to("paul@sub.parc.mssante.example"), Reason.NOT_LISTED),
    ],
)
def test_the_first_rule_that_answers_decides(
    addressee: Addressee, expected: Route | Reason, white_list: WhiteList
) -> None:
    """Ours to the mailbox, listed ones signed, plain where it was asked for, nobody else at all."""
    assert route(addressee, white_list, NODE) == expected


def test_explain_tells_every_rule_that_was_asked(white_list: WhiteList) -> None:
    """Rules that did not answer, then the one that decided."""
    asked = explain(to(f"paul@{PEER}", smime=False), white_list, NODE)
    names = [rule.name for rule, _ in asked]
    assert names == [rule.name for rule in RULES[: names.index("signature-declined") + 1]]
    assert [answer is None for _, answer in asked] == [True] * (len(names) - 1) + [False]


def test_a_route_carries_the_name_of_its_rule(white_list: WhiteList) -> None:
    """What is stored is what explain shows."""
    names = {rule.name for rule in RULES}
    for addressee in (to("a@lilas.mssante.example"), to(f"a@{PEER}"), to(f"a@{PEER}", smime=False)):
        chosen = route(addressee, white_list, NODE)
        assert isinstance(chosen, Route)
        assert chosen.rule in names

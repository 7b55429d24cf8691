"""What `pli explain` and `pli policy` say, and the policy that a configuration's file holds."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from directory.address import parse
from gateway.explanation import LEVELS, QUESTIONS, NotOurs, origin, ours, said
from gateway.policy_section import FILE, PolicySection
from relay.policy import Book, Level, Line
from relay.routing import RULES, Node

NODE = Node("lilas", frozenset({"lilas.mssante.example"}), "mss.lilas.example")
MARIE = parse("marie.martin@lilas.mssante.example")
PAUL = parse("paul.durand@parc.mssante.example")


def test_every_rule_has_its_question_in_both_languages() -> None:
    """And no question is left of a rule that went."""
    assert QUESTIONS.keys() == {rule.name for rule in RULES}
    assert LEVELS.keys() == set(Level)
    assert all(french != english for french, english in (*QUESTIONS.values(), *LEVELS.values()))


def test_a_value_says_whose_it_is_and_who_gave_it() -> None:
    """The factory's, a file's, a person's with its moment."""
    at = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
    by_hand = Line(Level.MAILBOX, str(MARIE), "sign", "none", "root", at)
    assert origin(Line(Level.FACTORY, "", "sign", "mailbox"), "fr") == "usine"
    assert origin(Line(Level.TENANT, "", "sign", "none", FILE), "fr") == "établissement, pli.toml"
    assert said(by_hand, "fr") == f"sign = none, boîte {MARIE}, root 2026-11-25 09:30 UTC"
    assert origin(by_hand, "en") == f"mailbox {MARIE}, root 2026-11-25 09:30 UTC"


def test_a_sender_is_a_mailbox_of_this_node() -> None:
    """Another operator's mailbox has no policy here."""
    assert ours(str(MARIE), NODE) == MARIE
    with pytest.raises(NotOurs):
        ours(str(PAUL), NODE)


def test_the_file_speaks_at_each_level_and_towards_each_destination() -> None:
    """Its lines inherit like those that people set, and one set at the same place replaces the file's."""
    told = PolicySection.model_validate(
        {
            "sign": "establishment",
            "towards": {"Parc.mssante.example": {"max_bytes": 1000}},
            "domain": {"lilas.mssante.example": {"receipt": "always"}},
            "mailbox": {str(MARIE): {"towards": {str(PAUL): {"encrypt": "always"}}}},
        }
    )
    wanted = Book(told.all_lines()).wanted(MARIE, PAUL)
    assert {name: (line.value, line.level, line.by) for name, line in wanted.lines.items()} == {
        "sign": ("establishment", Level.TENANT, FILE),
        "encrypt": ("always", Level.MAILBOX, FILE),
        "without_certificate": ("refuse", Level.FACTORY, "factory"),
        "receipt": ("always", Level.DOMAIN, FILE),
        "patient_ins": ("as-stated", Level.FACTORY, "factory"),
        "max_bytes": ("1000", Level.TENANT, FILE),
    }
    set_ = Line(Level.TENANT, "", "sign", "none", "root")
    assert Book((*told.all_lines(), set_)).wanted(MARIE, PAUL)["sign"] == "none"
    assert PolicySection().all_lines() == ()


@pytest.mark.parametrize(
    "told",
    [
        {"encypt": "always"},
        {"encrypt": "allways"},
        {"max_bytes": -1},
        {"towards": {"not a domain": {"sign": "none"}}},
        {"towards": {"279035121518989@patient.mssante.fr": {"sign": "none"}}},
        {"domain": {str(MARIE): {"sign": "none"}}},
        {"mailbox": {"lilas.mssante.example": {"sign": "none"}}},
    ],
)
def test_a_file_that_says_nothing_that_is_looked_at_stops_the_start(told: dict[str, object]) -> None:
    """Unknown keys, words, destinations and holders are faults of the configuration."""
    with pytest.raises(ValidationError):
        PolicySection.model_validate(told)

"""Policy: which value counts, where it comes from, who changed it, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import create_engine, select

from directory.address import parse
from directory.model import Address
from relay.policy import CHOICES, FACTORY, BadPolicy, Book, Level, Line, PolicyDown, checked, place
from relay.spooler import StoreRefused
from relay.store import policies
from relay.store.tables import journal

MARIE = parse("marie.martin@lilas.mssante.example")
ANNE = parse("anne.petit@lilas.mssante.example")
PAUL = parse("paul.durand@parc.mssante.example")
PATIENT = parse("279035121518989@patient.mssante.fr")
TENANT, DOMAIN, MAILBOX = Level.TENANT, Level.DOMAIN, Level.MAILBOX


def said(key: str, value: str, level: Level = TENANT, holder: str = "", by: str = "root") -> Line:
    return Line(level, holder, key, value, by)


def encrypt(*lines: Line, own: Address | None = MARIE, to: Address = PAUL) -> tuple[str, Level]:
    line = Book(lines).wanted(own, to).lines["encrypt"]
    return line.value, line.level


# --- which one counts -----------------------------------------------------------------------------------------

AT_DOMAIN = said("encrypt", "never", DOMAIN, "lilas.mssante.example")
AT_MAILBOX = said("encrypt", "when-possible", MAILBOX, "marie.martin@lilas.mssante.example")


def test_the_nearest_level_counts() -> None:
    """factory < tenant < domain < mailbox; another mailbox of the domain has its domain's value."""
    lines = (said("encrypt", "always"), AT_DOMAIN, AT_MAILBOX)
    assert encrypt() == ("when-possible", Level.FACTORY)
    assert encrypt(*lines[:1]) == ("always", TENANT)
    assert encrypt(*lines[:2]) == ("never", DOMAIN)
    assert encrypt(*lines) == ("when-possible", MAILBOX)
    assert encrypt(*lines, own=ANNE) == ("never", DOMAIN)
    assert encrypt(*lines, own=None) == ("always", TENANT)


def test_within_a_level_the_nearest_destination_counts() -> None:
    """Address before domain before everybody; whom it does not name has the general value."""
    lines = (
        said("encrypt", "never"),
        said("towards.parc.mssante.example.encrypt", "when-possible"),
        said("towards.paul.durand@parc.mssante.example.encrypt", "always"),
    )
    assert encrypt(*lines) == ("always", TENANT)
    assert encrypt(*lines[:2]) == ("when-possible", TENANT)
    assert encrypt(*lines, to=parse("lea@parc.mssante.example"))[0] == "when-possible"
    assert encrypt(*lines, to=parse("lea@bois.mssante.example"))[0] == "never"


def test_a_near_levels_word_for_all_beats_a_far_levels_word_for_one() -> None:
    """A mailbox that asks for encryption always is not undone by what its tenant says of one domain."""
    towards = said("towards.parc.mssante.example.encrypt", "never")
    always = said("encrypt", "always", MAILBOX, MARIE.key)
    assert encrypt(towards, always) == ("always", MAILBOX)
    assert encrypt(towards) == ("never", TENANT)


def test_a_patients_letter_has_its_own_size() -> None:
    """spec/payload.md §1.6: 25 Mo towards Mon espace santé, configurable; elsewhere the door's limit alone."""
    assert Book().wanted(MARIE, PATIENT).max_bytes == 25_000_000
    assert Book().wanted(MARIE, PAUL).max_bytes == 0
    smaller = said("towards.patient.mssante.fr.max_bytes", "1000000")
    assert Book([smaller]).wanted(MARIE, PATIENT).max_bytes == 1_000_000


def test_the_factory_has_a_word_for_every_key() -> None:
    """Whatever is asked has an answer, and each is one that could be set."""
    assert {each.key for each in FACTORY if "." not in each.key} == set(CHOICES)
    for each in FACTORY:
        assert checked(Line(TENANT, "", each.key, each.value, "root"))


# --- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("encypt", "did you mean 'encrypt'?"),
        ("towards.parc.mssante.example.maxbytes", "did you mean 'towards.parc.mssante.example.max_bytes'?"),
        ("zzz", "known keys: sign, encrypt"),
        ("towards.encrypt", "unknown key"),
        ("parc.mssante.example.encrypt", "unknown key"),
        ("towards.not a domain.sign", "neither a domain nor an address"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(key: str, near: str) -> None:
    """Nothing is set that nobody looks at."""
    with pytest.raises(BadPolicy, match=near.replace("?", r"\?")):
        place(key)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (said("encrypt", "allways"), "did you mean 'always'"),
        (said("sign", "x"), "one of mailbox, establishment, none"),
        (said("max_bytes", "25MB"), "not a number of bytes"),
        (said("max_bytes", "-1"), "not a number of bytes"),
        (said("max_bytes", "²"), "not a number of bytes"),
        (said("sign", "none", Level.FACTORY), "fixed"),
        (said("sign", "none", TENANT, "lilas.mssante.example"), "no holder"),
        (said("sign", "none", DOMAIN), "with --for"),
        (said("sign", "none", DOMAIN, MARIE.key), "is no domain"),
        (said("sign", "none", MAILBOX, "lilas.mssante.example"), "is no mailbox"),
        (said(f"towards.{PATIENT}.sign", "none"), "a patient's address has no policy"),
    ],
)
def test_a_value_that_means_nothing_is_refused(line: Line, why: str) -> None:
    """Each with its sentence; a patient's matricule never enters a key."""
    with pytest.raises(BadPolicy, match=why) as refused:
        checked(line)
    assert "2790351215189" not in str(refused.value)


def test_names_are_kept_as_they_are_looked_up() -> None:
    """Capitals in a domain or an address do not make another policy; 0-padded numbers are numbers."""
    kept = checked(said("towards.Paul.Durand@PARC.mssante.example.max_bytes", "007", MAILBOX, str(MARIE).upper()))
    assert (kept.holder, kept.value) == (MARIE.key, "7")
    assert Book([kept]).wanted(MARIE, PAUL).max_bytes == 7


# --- kept, and told --------------------------------------------------------------------------------------------


def facts(store: Any) -> list[tuple[str, dict[str, str]]]:
    with store.reader.connect() as conn:
        rows = conn.execute(select(journal).order_by(journal.c.number)).all()
    return [(row.event, json.loads(row.facts)) for row in rows]


def test_a_change_is_kept_and_journalled_with_before_and_after(store: Any) -> None:
    """Who, what stood there, what stands there; what is read back names its origin."""
    assert policies.put(store.client, "lilas", said("encrypt", "always", by="marie")) == ""
    assert policies.put(store.client, "lilas", said("encrypt", "never", by="root")) == "always"
    (line,) = policies.read(store.reader, "lilas")
    assert (line.key, line.value, line.level, line.by) == ("encrypt", "never", TENANT, "root")
    assert line.at is not None
    assert facts(store)[-1] == (
        "policy-set",
        {"by": "root", "level": "tenant", "key": "encrypt", "before": "always", "after": "never"},
    )


def test_a_value_taken_back_leaves_the_next_level(store: Any) -> None:
    """Journalled too; taking back what is not there changes and tells nothing."""
    policies.put(store.client, "lilas", AT_MAILBOX)
    assert policies.remove(store.client, "lilas", AT_MAILBOX) == "when-possible"
    told = facts(store)
    assert told[-1][0] == "policy-unset"
    assert policies.remove(store.client, "lilas", AT_MAILBOX) == ""
    assert facts(store) == told
    assert policies.read(store.reader, "lilas") == ()


def test_policy_is_a_tenants_own(store: Any) -> None:
    """Another tenant neither sees nor changes it."""
    policies.put(store.client, "lilas", said("encrypt", "always"))
    policies.put(store.client, "parc", said("encrypt", "never"))
    assert [line.value for line in policies.read(store.reader, "lilas")] == ["always"]
    policies.remove(store.client, "parc", said("encrypt", "never"))
    assert [line.value for line in policies.read(store.reader, "lilas")] == ["always"]


def test_the_writer_checks_once_more(store: Any) -> None:
    """Whoever speaks to the spooler by himself stores no key that nobody reads."""
    good = {"level": "tenant", "holder": "", "key": "encrypt", "value": "always", "by": "x"}
    for wrong in (
        {"key": "encypt"},
        {"value": "x"},
        {"level": "factory"},
        {"level": "nobody"},
        {"holder": "a@b.example"},
    ):
        with pytest.raises(StoreRefused):
            store.client.write("policy.put", "lilas", **(good | wrong))
    assert policies.read(store.reader, "lilas") == ()
    store.client.write("policy.put", "lilas", **good)
    assert len(policies.read(store.reader, "lilas")) == 1


def test_a_store_that_does_not_answer_is_no_policy() -> None:
    """Nothing is decided by the factory's values because the table could not be read."""
    with pytest.raises(PolicyDown):
        policies.read(create_engine("sqlite://"), "lilas")

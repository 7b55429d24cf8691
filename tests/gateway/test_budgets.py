"""Budgets of a door, by address block: sessions, letters, octets before and after one is known."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.doors.budgets import Guesses, Rate, block

Open = Callable[..., Any]
LETTER = b"From: anna@lilas.example\r\n\r\nBonjour.\r\n.\r\n"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.254", True),
        ("192.0.2.1", "192.0.3.1", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.9", True),
        ("", "", True),
        ("unix", "192.0.2.1", False),
    ],
)
def test_who_has_one_address_has_its_neighbours(one: str, other: str, same: bool) -> None:
    """/24 of IPv4, also where it comes dressed as IPv6; /64 of IPv6."""
    assert (block(one) == block(other)) is same


def test_a_rate_is_forgotten_with_its_time() -> None:
    """So many in so many seconds, for each name apart."""
    now = datetime(2026, 11, 25, tzinfo=UTC)
    rate = Rate(2, 60, lambda: now)
    assert [rate.take("a") for _ in range(3)] == [True, True, False]
    assert rate.take("b")
    now += timedelta(seconds=61)
    assert rate.take("a")


def test_names_that_nobody_counts_any_more_take_no_room() -> None:
    """A stranger with many addresses fills no memory."""
    now = datetime(2026, 11, 25, tzinfo=UTC)
    rate = Rate(2, 60, lambda: now)
    for n in range(30_000):
        if n % 5000 == 0:
            now += timedelta(seconds=61)
        rate.count(str(n))
    assert len(rate._times) <= 10_001


def test_a_block_has_so_many_sessions(open_door: Open) -> None:
    """One more is told to come back; when one has left there is room again."""
    door = open_door(sessions_of_block=2)
    first, second = door.client(), door.client()
    assert door.client().greeting.startswith("421-4.3.2")
    assert second.say("QUIT").startswith("221")
    second.end()
    assert door.client().greeting.startswith("220")
    assert first.say("NOOP").startswith("250")


def test_a_block_begins_so_many_letters(open_door: Open) -> None:
    """Over its rate a letter is delayed, not lost; the session goes on."""
    door = open_door(letters=2, letters_s=60.0)
    client = door.logged_in()
    for _ in range(2):
        client.envelope()
        assert client.data(LETTER).startswith("250")
    assert client.say("MAIL FROM:<anna@lilas.example>").startswith("451-4.7.1")
    assert client.say("NOOP").startswith("250")
    assert len(door.intake.letters) == 2


def test_a_stranger_says_only_so_much(open_door: Open) -> None:
    """Command lines before anyone is known have a budget, whatever they say."""
    client = open_door(unknown_bytes=2000).secure()
    said = ""
    for _ in range(50):
        said = client.say("NOOP " + "x" * 100)
        if not said.startswith("250"):
            break
    assert said.startswith("421-4.7.0")
    assert client.hear() == ""


def test_who_is_known_says_more(open_door: Open) -> None:
    """Twin: after a sender was accepted the budget is another one."""
    client = open_door(unknown_bytes=2000).logged_in()
    client.envelope()
    for _ in range(50):
        assert client.say("NOOP " + "x" * 100).startswith("250")


# --- one account, guessed from everywhere --------------------------------------------------------------------------

HERE, THERE, FAR = "192.0.2.1", "198.51.100.1", "203.0.113.1"


def guesses(now: list[datetime]) -> Guesses:
    return Guesses(3, 600, 86_400, lambda: now[0])


def test_a_login_is_tried_so_often_from_everywhere() -> None:
    """Each address has its own first failure, together they are too many; another login is not touched."""
    tried = guesses([datetime(2026, 11, 25, tzinfo=UTC)])
    assert [tried.begin("anna", client) for client in (HERE, THERE, FAR, "2001:db8::1")] == [True, True, True, False]
    assert tried.begin("bert", HERE)


def test_nobody_is_locked_out() -> None:
    """Where it went in lately it goes in during the attack; elsewhere once the time is over, since attempts that were
    put off count not."""
    now = [datetime(2026, 11, 25, tzinfo=UTC)]
    tried = guesses(now)
    assert tried.begin("anna", HERE)
    tried.succeeded("anna", HERE)
    assert [tried.begin("anna", FAR) for _ in range(5)] == [True, True, True, False, False]
    assert tried.begin("anna", "192.0.2.77")
    assert not tried.begin("anna", THERE)
    now[0] += timedelta(seconds=300)
    assert not tried.begin("anna", FAR)
    now[0] += timedelta(seconds=301)
    assert tried.begin("anna", THERE)


def test_who_logs_in_often_is_not_put_off() -> None:
    """The twin: what succeeded was no guess."""
    tried = guesses([datetime(2026, 11, 25, tzinfo=UTC)])
    for _ in range(10):
        assert tried.begin("anna", THERE)
        tried.succeeded("anna", THERE)
    assert [tried.begin("anna", FAR) for _ in range(3)] == [True, True, True]


def test_names_are_forgotten_when_there_are_too_many() -> None:
    """Whoever was counted least lately goes first; memory is bounded within the time too."""
    rate = Rate(2, 60, lambda: datetime(2026, 11, 25, tzinfo=UTC))
    for n in range(12_000):
        rate.count("kept" if n % 100 == 0 else str(n))
    assert len(rate._times) <= 10_000
    assert rate.spent("kept")


def test_at_the_door(open_door: Open, accounts_of_anna: Any) -> None:
    """454 with its sentence, for a login that exists and for one that does not; a device's password goes on."""
    device = accounts_of_anna.add_device("anna@lilas.example", "poste")
    door = open_door(guesses=2, failures=100, logins=100)
    client = door.secure()
    for login in ("anna@lilas.example", "ANNA@lilas.example", "nobody@lilas.example", "nobody@lilas.example"):
        assert client.log_in(login, "faux").startswith("535-5.7.8")
    for login in ("anna@lilas.example", "nobody@lilas.example"):
        assert client.log_in(login, "correct horse").startswith("454-4.7.0 Trop d'identifications")
    assert client.log_in("anna@lilas.example/poste", device).startswith("235")
    assert accounts_of_anna.remove("anna@lilas.example/poste")

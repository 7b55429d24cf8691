"""The pages of a real node: signing in over TLS, one's own letters, their timeline, and the support's look-up."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from gateway.demo.cast import RADIOLOGIST, RIS, SURGEON
from tests.journeys.browsing import Browser, signed_in, with_pages

pytestmark = pytest.mark.journey


@pytest.fixture(scope="module")
def world(make_world: Any) -> Iterator[Any]:
    with make_world(with_pages) as made:
        yield made


@pytest.fixture(scope="module")
def claire(world: Any) -> Browser:
    return signed_in(world, str(RADIOLOGIST.address))


@pytest.fixture(scope="module")
def support(world: Any) -> Browser:
    """Somebody of the same establishment who answers for the support."""
    assert world.pli(world.lilas, "account", "role", str(RIS.address), "support").returncode == 0
    return signed_in(world, str(RIS.address))


def test_a_professional_sees_where_his_letter_is_and_no_other(world: Any, claire: Browser, support: Browser) -> None:
    """Mine, with one timeline per recipient in plain words; a colleague's is no page for anybody else."""
    letter = world.submit(world.plain(str(RADIOLOGIST.address), str(SURGEON.address)))
    world.settled(world.lilas, letter)
    assert f"/lettres/{letter}" in claire.get("/").text
    page = claire.get(f"/lettres/{letter}").text
    assert str(SURGEON.address) in page
    assert "remise" in page
    assert "hx-get" not in page.partition('id="timeline"')[2]  # settled: there is nothing more to ask
    assert support.get(f"/lettres/{letter}").status_code == 404
    assert support.get(f"/lettres/{letter}/suivi").status_code == 404
    assert f"/lettres/{letter}" not in support.get("/").text


def test_a_recipient_sees_himself_alone(world: Any, claire: Browser, support: Browser) -> None:
    """Who else got the letter may be a Bcc: of two recipients each has his own row; their author has both."""
    author, mine, other = str(RADIOLOGIST.address), RIS.address, SURGEON.address
    letter = world.submit(world.plain(author, str(mine)), mine, other)
    world.settled(world.lilas, letter)
    page = support.get(f"/lettres/{letter}").text
    assert str(mine) in page
    assert str(other) not in page
    assert str(other) not in support.get("/").text
    assert str(other) in claire.get(f"/lettres/{letter}").text


def test_the_support_finds_a_letter_and_the_journal_has_who_looked(
    world: Any, claire: Browser, support: Browser
) -> None:
    """Only who has the role; by sender; in the looker's name, and without a word of the letter."""
    login = str(RADIOLOGIST.address)
    letter = world.submit(world.plain(login, str(SURGEON.address), "Sujet tu", "Texte tu"))
    assert claire.get("/ou-est-ma-lettre").status_code == 403
    found = support.post("/ou-est-ma-lettre", "/ou-est-ma-lettre", sender=login).text
    assert letter in found
    assert "Sujet tu" not in found
    assert "Texte tu" not in found
    with closing(sqlite3.connect(f"file:{world.lilas.folder / 'data' / 'pli.sqlite'}?mode=ro", uri=True)) as base:
        asked = "SELECT facts FROM journal WHERE event = 'looked-up' AND letter_id = ?"
        looks = [json.loads(row[0]) for row in base.execute(asked, (letter,))]
    assert str(RIS.address) in json.dumps(looks)

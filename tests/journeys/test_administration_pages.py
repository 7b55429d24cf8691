"""The pages of who runs a node, on real servers: a letter that waits is held and let go, each act in his name."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from gateway.demo import stage
from gateway.demo.cast import RADIOLOGIST, RIS, SURGEON
from gateway.demo.processes import free_port
from tests.journeys.test_pages import Browser, signed_in

pytestmark = pytest.mark.journey

OPERATOR = str(RIS.address)


@pytest.fixture(scope="module")
def world(make_world: Any) -> Iterator[Any]:
    def with_pages(built: stage.Stage) -> None:
        for seat in built.seats.values():
            seat.config.write_text(f"{seat.config.read_text('utf-8')}\n[web]\nport = {free_port()}\n", "utf-8")

    with make_world(with_pages) as made:
        yield made


@pytest.fixture(scope="module")
def operator(world: Any) -> Browser:
    assert world.pli(world.lilas, "account", "role", OPERATOR, "operator").returncode == 0
    return signed_in(world, OPERATOR)


def journalled(world: Any, event: str) -> list[dict[str, str]]:
    with closing(sqlite3.connect(f"file:{world.lilas.folder / 'data' / 'pli.sqlite'}?mode=ro", uri=True)) as base:
        return [json.loads(row[0]) for row in base.execute("SELECT facts FROM journal WHERE event = ?", (event,))]


def test_what_waits_is_held_and_let_go_at_the_page(world: Any, operator: Browser) -> None:
    """Held while the other operator is away, released when it is back, delivered; a colleague may do neither."""
    domain = SURGEON.address.domain
    world.company.stop_node(world.parc)
    try:
        letter = world.submit(world.plain(str(RADIOLOGIST.address), str(SURGEON.address)))
        world.until(lambda: world.states(world.lilas, letter)["peer-signed"][1], "a reason for the delay")
        assert domain in operator.get("/file").text
        assert "hold" in operator.post("/file", "/file/prevoir", action="hold", target=domain).text

        def held() -> bool:  # just while it is carried nobody takes it
            operator.post("/file", "/file/faire", action="hold", target=domain, why="ticket 4711")
            return bool(world.states(world.lilas, letter)["peer-signed"][0] == "held")

        world.until(held, "held")
    finally:
        world.company.start_node(world.parc)
    assert "retenue" in operator.get("/file").text
    answer = operator.post("/file", "/file/faire", action="release", target=domain, why="de retour").text
    assert "1 destinataire(s) libérés" in answer
    assert world.settled(world.lilas, letter) == {"peer-signed": ("done", "")}
    for event, why in (("held", "ticket 4711"), ("released", "de retour")):
        facts = journalled(world, event)[-1]
        assert (facts["by"], facts["why"]) == (OPERATOR, why)


def test_a_colleague_neither_sees_nor_moves_it(world: Any) -> None:
    """A professional without the role."""
    claire = signed_in(world, str(RADIOLOGIST.address))
    for path in ("/file", "/pairs", "/etat", "/configuration"):
        assert claire.get(path).status_code == 403
    assert claire.post("/", "/file/faire", action="hold", target=SURGEON.address.domain, why="x").status_code == 403


def test_the_node_is_well_and_has_met_the_other(world: Any, operator: Browser) -> None:
    """Every process answers, and the other operator was met when the letter went."""
    page = operator.get("/etat").text
    assert "Processus" in page
    assert "does not run" not in page
    met = operator.get("/pairs").text
    assert SURGEON.address.domain in met
    assert "à jour" in met

"""The operator's pages and the handbook: what they show of a real spooler's rows, and to whom."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from gateway import app, config, handbook
from gateway.web.faces import FACES
from gateway.web.roles import Role
from gateway.web.site import Site
from relay import collected, spool
from relay.model import BodyRef, Door, DoorProof, Event, Letter, Mode, Recipient, Route, State, Verdict
from tests.gateway.browsing import ANNE, Browser
from tests.gateway.spooling import spooler, with_pages

PEER = "parc.mssante.example"
PATIENT = "279035121518989@patient.mssante.fr"
NOW = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
PATHS = ("/file", "/pairs", "/etat", "/configuration")


@pytest.fixture
def settings(configure: Callable[[str], Path], tmp_path: Path) -> Iterator[config.Settings]:
    """With a spooler that runs, and a collector that has spoken."""
    made = with_pages(configure, tmp_path, ANNE)
    with spooler(made):
        yield made


@pytest.fixture
def site(settings: config.Settings) -> Site:
    return Site(settings, FACES, lambda: NOW)


@pytest.fixture
def operator(site: Site) -> Browser:
    return Browser(site, Role.OPERATOR)


def kept(settings: config.Settings, *addresses: str, to: str = PEER, state: State = State.QUEUED) -> None:
    """A letter that waits for another operator, or that was given up."""
    verdict, proof = Verdict(), DoorProof(account="marie", tls="TLSv1.3")
    letter = Letter("L1", "lilas", Door.SUBMISSION, "marie@lilas.example", "<L1@lilas>", BodyRef("0123abcd", 3, "d1"),
                    NOW, "", verdict, proof)  # fmt: skip
    route = Route(Mode.PEER_SIGNED, to, "signed-by-default")
    rows = [Recipient(f"L1-{n}", "L1", "lilas", each, route, state) for n, each in enumerate(addresses)]
    spool.keep(app.client(settings), letter, rows, [Event("accepted", "L1")])


def states(settings: config.Settings) -> set[str]:
    held = spool.letter(app.reader(settings.database_url), "lilas", "L1")
    assert held
    return {row.state.value for row in held[1]}


def acts(settings: config.Settings, event: str) -> list[dict[str, str]]:
    with closing(sqlite3.connect(f"file:{settings.paths.data / 'pli.sqlite'}?mode=ro", uri=True)) as base:
        rows = base.execute("SELECT facts FROM journal WHERE event = ? ORDER BY number", (event,))
        return [json.loads(row[0]) for row in rows]


def test_what_waits_is_held_and_released_with_who_and_why(settings: config.Settings, operator: Browser) -> None:
    """Shown first, with how many and patients as pseudonyms; then done to all, journalled for the session's account."""
    kept(settings, f"labo@{PEER}", PATIENT)
    assert PEER in operator.get("/file").text
    foreseen = operator.post("/file/prevoir", action="hold", target=PEER)
    assert "2 destinataire(s) seraient retenus" in foreseen.text
    assert PATIENT.partition("@")[0] not in foreseen.text
    assert f"<li>labo@{PEER} – en attente – signée par la boîte de l&#39;expéditeur (" in foreseen.text
    assert "peer-signed" not in foreseen.text
    assert states(settings) == {"queued"}
    assert "2 destinataire(s) retenus" in operator.post("/file/faire", action="hold", target=PEER, why="ticket 7").text
    assert states(settings) == {"held"}
    assert [(each["by"], each["why"]) for each in acts(settings, "held")] == [(ANNE, "ticket 7")] * 2
    assert "2 destinataire(s) libérés" in operator.post("/file/faire", action="release", target=PEER, why="ok").text
    assert states(settings) == {"queued"}
    assert [each["by"] for each in acts(settings, "released")] == [ANNE] * 2


def test_what_failed_is_sent_again_with_who_and_why(settings: config.Settings, operator: Browser) -> None:
    """Of a destination whose letters were given up; once sent again, nothing of it is left to be."""
    kept(settings, f"labo@{PEER}", f"accueil@{PEER}", state=State.FAILED)
    assert 'value="resend"' in operator.get("/file").text
    foreseen = operator.post("/file/prevoir", action="resend", target=PEER).text
    assert "2 destinataire(s) repartiraient" in foreseen
    assert foreseen.count(" – non remise – ") == 2
    assert states(settings) == {"failed"}
    assert (
        "2 destinataire(s) repartent" in operator.post("/file/faire", action="resend", target=PEER, why="ticket 8").text
    )
    assert states(settings) == {"queued"}
    assert [(each["by"], each["why"]) for each in acts(settings, "resent")] == [(ANNE, "ticket 8")] * 2
    assert operator.post("/file/prevoir", action="resend", target=PEER).status_code == 404


def test_without_a_reason_or_a_known_act_nothing_moves(settings: config.Settings, operator: Browser) -> None:
    """The reason is asked for again; what there is none of is said; a further act than the three is no form of ours."""
    kept(settings, f"labo@{PEER}")
    answer = operator.post("/file/faire", action="hold", target=PEER, why="  ")
    assert (answer.status_code, "Dites pourquoi" in answer.text) == (400, True)
    assert operator.post("/file/prevoir", action="release", target=PEER).status_code == 404
    assert operator.post("/file/prevoir", action="hold", target="ailleurs.example").status_code == 404
    for path in ("/file/prevoir", "/file/faire"):
        assert operator.post(path, action="bounce", target=PEER, why="x").status_code == 400
    assert states(settings) == {"queued"}


def test_an_act_is_by_form_alone(settings: config.Settings, site: Site, operator: Browser) -> None:
    """Without the form's token, or by somebody who only supports, nothing moves."""
    kept(settings, f"labo@{PEER}")
    told = {"action": "hold", "target": PEER, "why": "x"}
    assert operator.http.post("/file/faire", data=told).status_code == 403
    assert Browser(site, Role.SUPPORT, Role.PROFESSIONAL).post("/file/faire", **told).status_code == 403
    assert operator.get("/file/faire").status_code == 404
    assert states(settings) == {"queued"}


@pytest.mark.parametrize("language", ["fr", "en"])
@pytest.mark.parametrize("path", PATHS)
def test_the_operators_pages_are_in_both_languages(
    settings: config.Settings, site: Site, path: str, language: str
) -> None:
    """One heading, tables with a caption, and headers of columns and rows."""
    kept(settings, f"labo@{PEER}")
    page = Browser(site, Role.OPERATOR, language=language).get(path)
    assert page.status_code == 200
    assert f'<html lang="{language}">' in page.text
    assert page.text.count("<h1>") == 1
    assert page.text.count("<table>") == page.text.count("<caption>") > 0
    assert 'scope="col"' in page.text
    assert 'scope="row"' in page.text


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("role", [role for role in Role if role is not Role.OPERATOR])
def test_nobody_else_opens_them(site: Site, path: str, role: Role) -> None:
    """Neither support, nor administrators, nor professionals."""
    assert Browser(site, role).get(path).status_code == 403


def test_what_is_wrong_is_said_in_words(settings: config.Settings, operator: Browser) -> None:
    """A process that does not run, a file that is missing, a white list that cannot be used, a failing connector."""
    collected.report(app.client(settings), "lilas", "national", collected.State.FAILING, "login-refused", "")
    page = operator.get("/etat").text
    assert "carrier" in page
    assert "does not run" in page
    assert "à corriger" in page
    assert "national" in page
    assert "en échec" in page
    assert "Aucune liste blanche utilisable" in operator.get("/pairs").text


def test_each_value_has_its_source_and_no_secret_is_shown(
    settings: config.Settings, operator: Browser, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The file, the environment, the factory; of a secret the name of its file alone."""
    (tmp_path / "directory").write_text("mot-de-passe-secret")
    monkeypatch.setenv("PLI_CARRIER__THREADS", "7")
    page = operator.get("/configuration").text
    assert "PLI_CARRIER__THREADS" in page
    assert "valeur d’usine" in page
    assert "le fichier" in page
    assert f"{tmp_path}/directory" in page
    assert "mot-de-passe-secret" not in page


def test_a_file_that_cannot_be_read_any_more_is_said(operator: Browser, tmp_path: Path) -> None:
    """Somebody broke it since the node started."""
    (tmp_path / "pli.toml").write_text("[node")
    assert operator.get("/configuration").status_code == 503


# --- the handbook ---------------------------------------------------------------------------------------------------


def test_the_handbook_is_open_to_everybody_within_the_site(site: Site) -> None:
    """Each page of it, with the site's frame and one heading of the first level; another name leads nowhere."""
    stranger = TestClient(site.application(), base_url="https://testserver", follow_redirects=False)
    contents = stranger.get("/aide").text
    for name in handbook.PAGES:
        assert f'href="/aide/{name}"' in contents
        page = stranger.get(f"/aide/{name}")
        assert (page.status_code, page.text.count("<h1")) == (200, 1), name
        assert "script-src 'self'" in page.headers["content-security-policy"]
    for name in ("nothing", "..%2Fpli", "%00"):
        assert stranger.get(f"/aide/{name}").status_code == 404

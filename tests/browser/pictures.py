"""`./dev screenshots`: the pictures of README.md and docs/, made anew before a running node.

Promises: real pages of a real node, invented people, files of some 200 kB at most. Does not: judge what it sees;
whoever makes them looks at them.
"""

from __future__ import annotations

from pathlib import Path

from gateway.demo.cast import SURGEON
from tests.browser import gestures
from tests.browser.chromium import View, Window, chromium
from tests.browser.house import CLAIRE, KEEPER, House, imported, of_the_minute, opened, waiting

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "pictures"
LOW, TELEPHONE = View("fr", 1100, 760), View("en", 390, 844)


def _taken(at: Window, name: str, *, whole: bool = False) -> None:
    path = FOLDER / f"{name}.png"
    at.page.screenshot(path=path, full_page=whole, animations="disabled")
    print(path.relative_to(FOLDER.parents[1]), f"{path.stat().st_size // 1024} kB", flush=True)


def _writing(house: House, view: View) -> None:
    with house.window(view, CLAIRE) as at:
        gestures.chooses_the_surgeon(at, view)
        gestures.brings(at, view, house.world.report())
        gestures.writes(at, "IRM du genou droit", "Cher confrère, voici le compte rendu de votre patiente.")
        _taken(at, "ecrire", whole=True)
        gestures.checks(at, view)
        _taken(at, "verifier")
        gestures.sends(at, view)
        _taken(at, "envoyee")
        at.page.locator("#timeline .state.good").nth(1).wait_for(timeout=120_000)
        _taken(at, "suivi")


def _reading(house: House) -> None:
    with house.window(LOW, KEEPER) as at:
        at.open("/")
        _taken(at, "accueil")
        gestures.goes(at, LOW, "box-menu")
        _taken(at, "boite")


def _work(house: House) -> None:
    entry = waiting(house.world, 133)
    with house.window(LOW, KEEPER) as at:
        at.open(f"/liste-de-travail/{entry}")
        _taken(at, "liste-de-travail", whole=True)


def _queue(house: House) -> None:
    world = house.world
    world.company.stop_node(world.parc)
    letter = world.submit(world.plain(CLAIRE, str(SURGEON.address)))
    world.until(lambda: world.states(world.lilas, letter)["peer-signed"][1], "a reason for the delay")
    with house.window(LOW, KEEPER) as at:
        at.open("/file")
        _taken(at, "file")
        at.open("/etat")
        _taken(at, "etat")


def _directory(house: House) -> None:
    """A later file of a source, of which the directory has an earlier one."""
    data, name = imported(house.world), of_the_minute(1)
    with house.window(LOW, KEEPER) as at:
        gestures.brings_a_file(at, LOW, "mssante", name, data.replace(b" PARIS|", b" MEAUX|", 2))
        gestures.opens_the_plan(at, name)
        _taken(at, "import", whole=True)
        at.open(f"/annuaire/fiche/{SURGEON.address}")
        _taken(at, "fiche")


def _signing_in(house: House) -> None:
    with house.window(LOW) as at:
        at.open("/entrer")
        _taken(at, "connexion")


def _telephone(house: House) -> None:
    with house.window(TELEPHONE, KEEPER) as at:
        at.open("/")
        _taken(at, "home-phone")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with opened() as world, chromium() as browser:
        house = House(world, browser, {})
        _writing(house, LOW)
        _reading(house)
        _telephone(house)
        _signing_in(house)
        _directory(house)
        _work(house)
        _queue(house)


if __name__ == "__main__":
    main()

"""An import at the pages, step by step: planned, applied, and what its page says."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from html import unescape

import ldap

from directory.region import SUFFIX
from gateway import kept_plans
from gateway.kept_plans import Kept
from tests.gateway.browsing import Browser
from tests.gateway.region import WORD, Region

PAGE = "/annuaire/imports"
MAILBOXES = 60


def until(done: Callable[[], bool]) -> None:
    limit = time.monotonic() + 60
    while not done():
        assert time.monotonic() < limit
        time.sleep(0.02)


def idle(region: Region) -> None:
    until(lambda: region.site.works.running() is None)


def planned(region: Region, keeper: Browser, data: bytes, name: str = "jour.txt", **form: str) -> str:
    """The address of the page of its plan."""
    before = {each.id for each in kept_plans.every(region.settings)}
    asked = {"source": "mssante", "dated": "2026-11-26T08:00"} | form
    answer = keeper.send(PAGE, name, data, **asked)
    assert answer.status_code == 303, answer.text
    idle(region)
    (made,) = {each.id for each in kept_plans.every(region.settings)} - before
    return f"{PAGE}/{made}"


def held(region: Region, page: str) -> Kept:
    found = kept_plans.of(region.settings, page.rpartition("/")[2])
    assert found
    return found


def applied(region: Region, keeper: Browser, page: str, **form: str) -> str:
    assert keeper.post(f"{page}/appliquer", **form).status_code == 303
    idle(region)
    return unescape(keeper.get(page).text)


def outcome(page: str) -> str:
    """What became of a plan, as its page says it; else all that it says of applying."""
    found = re.search(r'<p class="done" role="status">(.*)</p>', page)
    return found[1] if found else page.partition("Appliquer</h2>")[2].partition("</section>")[0]


def boxes(region: Region) -> int:
    """Mailboxes that the source made."""
    link = ldap.initialize(region.server.uri)
    link.simple_bind_s(f"cn=gestion,{SUFFIX}", WORD)
    try:
        return len(link.search_s(SUFFIX, ldap.SCOPE_SUBTREE, "(dataSource=mssante)", ["1.1"]))
    finally:
        link.unbind_s()


def acts(region: Region) -> list[tuple[str, dict[str, str]]]:
    with closing(sqlite3.connect(f"file:{region.settings.paths.data / 'pli.sqlite'}?mode=ro", uri=True)) as base:
        rows = base.execute("SELECT event, facts FROM journal WHERE event LIKE 'directory.%' ORDER BY number")
        return [(event, json.loads(facts)) for event, facts in rows]

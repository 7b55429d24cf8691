"""The first page: what must be looked at, then the letters of the mailbox, then what one sent.

Promises: what waits stands first; whose document is not certain is told to who may say it alone; a mailbox that does
not answer is said, and the rest is shown; a letter that did not arrive is shown until its author has dealt with it.
Does not: show an identity, or change a letter.
"""

from __future__ import annotations

from functools import partial
from typing import Any, TypeAlias

from starlette.responses import Response

from gateway import app, lookout, troubles, worklist_desk
from gateway.imap import Denied, Lost
from gateway.troubles import Trouble
from gateway.web import boxes, inbox, letters
from gateway.web.inbox import Page
from gateway.web.roles import Face, Role
from gateway.web.visits import Visit
from gateway.worklist_desk import Line
from relay.spooler import StoreDown

SENT_MOST = 15
LETTERS_MOST = 15
LINES_MOST = 5


async def home(visit: Visit) -> Response:
    open_ones, over, lines, waiting = await visit.aside(_waiting, visit)
    sent, got = await visit.aside(lookout.own, visit.settings, visit.session.account, SENT_MOST)
    page = await _mailbox(visit)
    told: dict[str, Any] = {"troubles": open_ones, "over": over, "lines": lines, "waiting": waiting, "page": page}
    told["named"] = partial(letters.named, visit)
    told |= {"sent": letters.followed(visit, sent), "why": partial(lookout.why, language=visit.language)}
    told["got"] = letters.followed_as_got(visit, got) if page is None else []
    return visit.shown("home.html", **told)


Waits: TypeAlias = tuple[tuple[Trouble, ...], tuple[Trouble, ...], tuple[Line, ...], int]


def _waiting(visit: Visit) -> Waits:
    """Troubles, those that were dealt with, lines of the work list, and how many lines there are."""
    now, account = app.clock(), visit.session.account
    open_ones = troubles.waiting(visit.settings, account, now)
    over = troubles.dealt_with(visit.settings, account, now)
    lines = worklist_desk.waiting(visit.settings, now) if Role.IDENTITY in visit.roles else ()
    return open_ones, over, lines[:LINES_MOST], len(lines)


async def _mailbox(visit: Visit) -> Page | None:
    """None where it cannot be read."""
    try:
        async with boxes.opened(visit, boxes.INBOX) as mailbox:
            return await inbox.page_of(mailbox, boxes.INBOX, 1, LETTERS_MOST)
    except (boxes.Unreachable, boxes.Absent, Lost, Denied):
        return None


async def deal(visit: Visit) -> Response:
    """Its author has dealt with a trouble, or takes that back."""
    act = troubles.take_up if visit.form.get("do") == "again" else troubles.deal
    try:
        done = await visit.aside(
            act, visit.settings, visit.session.account, visit.form.get("recipient", ""), app.clock()
        )
    except StoreDown:
        return visit.wrong(503)
    return visit.moved("/") if done else visit.wrong(404)


EVERYBODY = frozenset(Role)

FACES = (
    Face("/", home, EVERYBODY, menu="letters-menu"),
    Face("/a-verifier", deal, EVERYBODY, ("POST",)),
)

"""The first page: what must be looked at, then the letters of the mailbox, then what one sent.

Promises: what waits stands first; whose document is not certain is told to who may say it alone; a mailbox that does
not answer is said, and the rest is shown. Does not: show an identity, or change anything.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.responses import Response

from gateway import app, lookout, reading_desk, worklist_desk
from gateway.imap import Denied, Lost
from gateway.reading_desk import Trouble
from gateway.web import boxes, inbox, letters
from gateway.web.inbox import Page
from gateway.web.roles import Face, Role
from gateway.web.visits import Visit
from gateway.worklist_desk import Line

SENT_MOST = 15
LETTERS_MOST = 15
LINES_MOST = 5


async def home(visit: Visit) -> Response:
    troubles, lines, waiting = await visit.aside(_waiting, visit)
    sent, got = await visit.aside(lookout.own, visit.settings, visit.session.account, SENT_MOST)
    page = await _mailbox(visit)
    told: dict[str, Any] = {"troubles": troubles, "lines": lines, "waiting": waiting, "page": page}
    told |= {"sent": letters.followed(visit, sent), "why": partial(lookout.why, language=visit.language)}
    told["got"] = letters.followed_as_got(visit, got) if page is None else []
    return visit.shown("home.html", **told)


def _waiting(visit: Visit) -> tuple[tuple[Trouble, ...], tuple[Line, ...], int]:
    now = app.clock()
    troubles = reading_desk.troubles(visit.settings, visit.session.account, now)
    lines = worklist_desk.waiting(visit.settings, now) if Role.IDENTITY in visit.roles else ()
    return troubles, lines[:LINES_MOST], len(lines)


async def _mailbox(visit: Visit) -> Page | None:
    """None where it cannot be read."""
    try:
        async with boxes.opened(visit, boxes.INBOX) as mailbox:
            return await inbox.page_of(mailbox, boxes.INBOX, 1, LETTERS_MOST)
    except (boxes.Unreachable, boxes.Absent, Lost, Denied):
        return None


EVERYBODY = frozenset(Role)

FACES = (Face("/", home, EVERYBODY, menu="letters-menu"),)

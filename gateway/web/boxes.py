"""A person's mailbox, opened for one request: over IMAP, by a pass of minutes, with no password of anybody.

Promises: his own mailbox and no other; a connection is used by one request at a time, and kept a minute for the next
of the same person, since to log in costs more than to read; a folder is named as the server names it. Does not: show
anything (inbox and reading do), or keep a letter.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from gateway import app
from gateway.imap import Denied, Login, Lost, Mailbox
from gateway.web.passes import Passes
from gateway.web.visits import Visit

WAIT_S = 10.0
INBOX = "INBOX"
LETTER_MOST = 64 * 1024 * 1024
_NAME = re.compile(r"[ -~]{1,300}")
_NUMBER = re.compile(r"[0-9]{1,10}")


class Unreachable(Exception):
    """The mailbox cannot be opened now."""


class Absent(Exception):
    """No such folder or letter."""


class TooLarge(Exception):
    """The letter is larger than what is shown here."""


class Place(NamedTuple):
    """Where a letter lies (RFC 3501 §2.3.1.1)."""

    folder: str
    validity: int
    uid: int


@asynccontextmanager
async def opened(visit: Visit, folder: str, *, only_look: bool = True) -> AsyncIterator[Mailbox]:
    """Raises Unreachable, Absent."""
    account, kept = visit.session.account, visit.site.boxes
    mailbox = await _selected(visit, kept.take(account), folder, only_look=only_look)
    try:
        yield mailbox
    except BaseException as error:
        mailbox.close()
        if isinstance(error, Lost | Denied):
            raise Unreachable from error
        raise
    kept.give(account, mailbox)


async def _selected(visit: Visit, mailbox: Mailbox | None, folder: str, *, only_look: bool) -> Mailbox:
    """A kept one that ended meanwhile is opened anew."""
    if not _NAME.fullmatch(folder):
        raise Absent
    if mailbox is not None:
        try:
            await mailbox.select(folder, only_look=only_look)
            return mailbox
        except (Lost, Denied):
            mailbox.close()
    mailbox = await _logged_in(visit)
    try:
        await mailbox.select(folder, only_look=only_look)
    except (Lost, Denied) as error:
        mailbox.close()
        raise (Absent if isinstance(error, Denied) else Unreachable) from error
    return mailbox


async def _logged_in(visit: Visit) -> Mailbox:
    account, web = visit.session.account, visit.site.web
    try:
        own = Passes(visit.site.settings.pass_key, app.clock).make(account)
        context = await visit.aside(visit.site.imap_context)
        login = Login(account, token=own)
        return await Mailbox.opened(web.imap_host, web.imap_port, context, login, "", WAIT_S, web.imap_name)
    except (Lost, Denied, OSError, ValueError) as error:
        raise Unreachable from error


def folder_of(visit: Visit) -> str:
    return visit.request.query_params.get("dossier", INBOX)[:300]


def place_of(visit: Visit) -> Place:
    """Raises Absent."""
    named = visit.request.path_params
    validity, uid = str(named["validity"]), str(named["uid"])
    if not _NUMBER.fullmatch(validity) or not _NUMBER.fullmatch(uid):
        raise Absent
    return Place(folder_of(visit), int(validity), int(uid))


async def letter(visit: Visit, place: Place, *, read: bool = False) -> bytes:
    """Its bytes; `read`: it is marked as seen. Raises Unreachable, Absent, TooLarge."""
    async with opened(visit, place.folder, only_look=not read) as mailbox:
        if mailbox.uid_validity != place.validity:
            raise Absent
        size = await mailbox.size(place.uid)
        if size is not None and size > LETTER_MOST:
            raise TooLarge
        raw = await mailbox.fetch(place.uid) if size is not None else None
        if raw is None:
            raise Absent
        if read:
            await mailbox.mark_seen(place.uid)
        return raw

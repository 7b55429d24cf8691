"""The list of a mailbox: its folders, and its letters by page, the newest first.

Promises: a page costs the same however many letters there are: they are asked for by sequence number; what a header
says is shown as text. Does not: open a letter (gateway.web.reading does).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from starlette.responses import Response

from dmp_bridge import letterhead
from dmp_bridge.letterhead import Person
from gateway.imap import Mailbox
from gateway.imap_words import Folder, Head
from gateway.web import boxes
from gateway.web.roles import Face, Role
from gateway.web.visits import Visit
from relay.fields import Field, Malformed, parameters, read_block

PATH = "/boite"
EACH = 50
SUBJECT_MOST = 160
FOLDERS_MOST = 100
_SHIFTS = {"next": 1, "previous": -1}


@dataclass(frozen=True)
class Row:
    """One letter of the list."""

    path: str
    who: str
    patient: bool
    subject: str
    at: datetime | None
    size: int
    seen: bool
    encloses: bool


@dataclass(frozen=True)
class Page:
    number: int
    last: int
    count: int
    rows: tuple[Row, ...]


async def show(visit: Visit) -> Response:
    folder = boxes.folder_of(visit)
    try:
        async with boxes.opened(visit, folder) as mailbox:
            page = await page_of(mailbox, folder, _number(visit.request.query_params.get("page", "")))
            folders = await mailbox.folders()
    except boxes.Absent:
        return visit.wrong(404)
    except boxes.Unreachable:
        return visit.shown("unreachable.html", 503)
    named = [(each.shown, _listed(each.name), each.name == folder) for each in sorted(folders, key=_first)]
    turns = {way: _listed(folder, page.number + by) for way, by in _SHIFTS.items() if _is_page(page, by)}
    return visit.shown("inbox.html", page=page, folders=named[:FOLDERS_MOST], turns=turns)


def _number(said: str) -> int:
    return int(said) if said.isascii() and said.isdigit() and len(said) < 8 and int(said) else 1


def _first(folder: Folder) -> tuple[bool, str]:
    return folder.name.upper() != boxes.INBOX, folder.shown.casefold()


def _listed(folder: str, number: int = 1) -> str:
    return f"{PATH}?{urlencode({'dossier': folder, 'page': number})}"


def _is_page(page: Page, by: int) -> bool:
    return 1 <= page.number + by <= page.last


async def page_of(mailbox: Mailbox, folder: str, number: int, each: int = EACH) -> Page:
    """Of the folder that is selected. Raises Lost, Denied."""
    last_page = max(1, -(-mailbox.count // each))
    number = min(number, last_page)
    last = mailbox.count - (number - 1) * each
    heads = await mailbox.heads(max(1, last - each + 1), last) if last > 0 else []
    rows = tuple(row(head, folder, mailbox.uid_validity) for head in reversed(heads))
    return Page(number, last_page, mailbox.count, rows)


def row(head: Head, folder: str, validity: int) -> Row:
    fields = _fields(head.fields)
    written = {each.name.lower(): each.text for each in reversed(fields)}
    author = next(iter(letterhead.people(fields, "From")), Person(""))
    subject = letterhead.subject(written.get("subject", ""))[:SUBJECT_MOST]
    kinds = {_kind(written.get("content-type", "")), *(_kind(each.text) for each in _fields(head.inside))}
    path = f"{PATH}/{validity}/{head.uid}?{urlencode({'dossier': folder})}"
    who = author.name or author.address
    return Row(path, who, author.patient, subject, head.at, head.size, head.seen, "multipart/mixed" in kinds)


def _fields(block: bytes) -> tuple[Field, ...]:
    try:
        return read_block(block, 0, len(block))[0]
    except Malformed:
        return ()


def _kind(written: str) -> str:
    try:
        return parameters(written)[0]
    except Malformed:
        return ""


PROFESSIONAL = frozenset({Role.PROFESSIONAL})

FACES = (Face(PATH, show, PROFESSIONAL, menu="box-menu"),)

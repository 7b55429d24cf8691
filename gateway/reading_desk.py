"""What a reader is told beside a letter: whose signature it bears, and what waits about it.

Promises: without a key: what was found on entry counts for the very bytes that came in, or the signature is judged
again; what was only claimed in a header counts for nothing. Does not: fetch or open a letter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from dmp_bridge import filings
from gateway import app, timeline
from gateway.config import Settings
from relay import smime, spool, warning
from relay.fields import Malformed, block_end, read_block
from relay.message import OWN_FAMILY, scan
from relay.model import Letter, Mode, Recipient, Verdict

_LETTER = re.compile(r"[0-9a-z]{26}")


@dataclass(frozen=True)
class Standing:
    """How a letter in a mailbox stands with the node."""

    verdict: Verdict
    letter: Letter | None = None
    """The one that this is, as it came in; None: it did not come in by this node, or not so."""
    note: str = ""
    """Of its delivery."""

    def sentence(self, language: str) -> str:
        signer = self.verdict.signer.value if self.verdict.signer else ""
        said = timeline.signature(self.verdict.signature.value, signer, self.verdict.signer_name, language)
        return f"{said[:1].upper()}{said[1:]}."


def standing(settings: Settings, account: str, raw: bytes) -> Standing:
    """Of a letter as its mailbox has it, for the mailbox's owner."""
    claimed, content = _apart(raw)
    held = spool.letter(app.reader(settings.database_url), settings.node.tenant, claimed) if claimed else None
    row = _row(held[1], account) if held else None
    if held is None or row is None:
        return Standing(_judged(settings, content, app.clock()))
    if app.bodies(settings).is_of(held[0].body, content):
        return Standing(held[0].verdict, held[0], row.note)
    if row.note == warning.AS_WARNING:
        return Standing(held[0].verdict, held[0], row.note)
    # It was opened on its way in; or another letter bears this one's name.
    opened = row.note == warning.AS_TEXT or _was_opened(settings, held[0].id, row.id)
    found = _judged(settings, content, held[0].received_at)
    return Standing(found, held[0] if opened else None, row.note if opened else "")


def _apart(raw: bytes) -> tuple[str, bytes]:
    """The letter's id in our fields on top, and what stands below them; '' where there is none, or several."""
    end, _ = block_end(raw, 0, len(raw))
    try:
        fields, _ = read_block(raw, 0, end)
    except Malformed:
        return "", raw
    ours = [each for each in fields if each.name.lower().startswith(OWN_FAMILY)]
    named = [each.text for each in ours if each.name.lower() == f"{OWN_FAMILY}letter"]
    known = len(named) == 1 and _LETTER.fullmatch(named[0]) is not None
    return (named[0], raw[ours[-1].span[1] :]) if known else ("", raw)


def _row(rows: tuple[Recipient, ...], account: str) -> Recipient | None:
    mine = (row for row in rows if row.route.mode is Mode.MAILBOX and row.address.lower() == account.lower())
    return next(mine, None)


def _was_opened(settings: Settings, letter_id: str, recipient_id: str) -> bool:
    steps = spool.timeline(app.reader(settings.database_url), settings.node.tenant, letter_id)
    return any(step.event in ("opened", "not-opened") and step.recipient == recipient_id for step in steps)


def _judged(settings: Settings, content: bytes, at: datetime) -> Verdict:
    try:
        return smime.judge(scan(content), app.trust(settings)(), at)
    except Malformed:
        return Verdict()


# --- what waits -----------------------------------------------------------------------------------------------------


def waits(settings: Settings, letter_id: str) -> tuple[str, ...]:
    """Entries of the work list that are about this letter."""
    rows = filings.waiting(app.reader(settings.database_url), settings.node.tenant)
    return tuple(row.id for row in rows if row.letter_id == letter_id)

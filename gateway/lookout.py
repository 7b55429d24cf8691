"""Where is a letter, what waits: looks into a node, without content and without a patient's identity.

Promises: each look-up of a letter is journalled before it is answered; addresses of patients appear as pseudonyms.
Does not: change anything else.
"""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from dmp_bridge import filings
from gateway import app, rule_sentences, timeline
from gateway.config import Settings
from gateway.doors import replies
from relay import spool
from relay.journal import SpoolJournal
from relay.model import Event, Letter, Recipient, Verdict
from relay.pseudonym import Pseudonyms

MOST = 100
"""Letters that one look-up shows."""


@dataclass(frozen=True)
class Trail:
    """One letter with its recipients and its steps."""

    letter: Letter
    recipients: tuple[Recipient, ...]
    steps: tuple[spool.Step, ...]
    names: dict[str, str]
    """Recipient id -> address, a patient's as a pseudonym."""


def trace(
    settings: Settings,
    letter: str = "",
    *,
    message_id: str = "",
    sender: str = "",
    recipient: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    by: str = "",
) -> list[Trail]:
    """Letters that answer to what is given, oldest first, the newest MOST of them. The look-up is journalled first,
    as `by`'s; whoever is logged in at the machine otherwise."""
    tenant, reader = settings.node.tenant, app.reader(settings.database_url)
    hide = app.pseudonyms(settings)
    # Rows hold a Message-ID with a pseudonym wherever it named a patient
    wanted: dict[str, Any] = {"id": letter, "message_id": hide.scrub(message_id), "sender": sender}
    wanted |= {"recipient": recipient, "since": since, "until": until}
    given = {name: value for name, value in wanted.items() if value}
    found = spool.find(reader, tenant, limit=MOST, **given)
    _audit(settings, by or getpass.getuser(), given, found)
    return [_trail(reader, tenant, each.id, hide) for each in reversed(found)]


def own(settings: Settings, account: str, most: int) -> tuple[list[Trail], list[Trail]]:
    """The letters that an account sent and got, the newest first: its own, so that no look-up is journalled."""
    tenant, reader = settings.node.tenant, app.reader(settings.database_url)
    hide = app.pseudonyms(settings)
    sides = (
        spool.find(reader, tenant, sender=account, limit=most),
        spool.find(reader, tenant, recipient=account, limit=most),
    )
    sent, got = ([_trail(reader, tenant, each.id, hide) for each in side] for side in sides)
    return sent, got


def trail(settings: Settings, letter: str) -> Trail | None:
    """One letter, for who is known to be of it (gateway.web.letters asks)."""
    tenant, reader = settings.node.tenant, app.reader(settings.database_url)
    found = spool.find(reader, tenant, id=letter, limit=1)
    return _trail(reader, tenant, letter, app.pseudonyms(settings)) if found else None


def _audit(settings: Settings, by: str, given: dict[str, Any], found: list[Letter]) -> None:
    facts = (("by", by), ("criteria", ",".join(given)))
    # A search counts once (relay.indicators), whatever it found.
    search = (*facts, ("search", "1"))
    ids = [each.id for each in found] or [""]
    events = [Event("looked-up", each, facts=facts if number else search) for number, each in enumerate(ids)]
    SpoolJournal(app.client(settings)).add(settings.node.tenant, events)


def _trail(reader: Engine, tenant: str, letter_id: str, hide: Pseudonyms) -> Trail:
    held = spool.letter(reader, tenant, letter_id)
    assert held is not None, "found a moment ago"
    letter, rows = held
    steps = [step for step in spool.timeline(reader, tenant, letter_id) if step.event != "looked-up"]
    return Trail(letter, rows, tuple(steps), {row.id: hide.address(row.address) for row in rows})


def _sentence(trail: Trail, language: str = "fr") -> str:
    verdict = trail.letter.verdict
    signer = verdict.signer.value if verdict.signer else ""
    return timeline.signature(verdict.signature.value, signer, verdict.signer_name, language)


def as_json(trail: Trail) -> dict[str, Any]:
    verdict = trail.letter.verdict
    return {
        "letter": trail.letter.id,
        "received_at": trail.letter.received_at.isoformat(),
        "verdict": _verdict(verdict),
        "sentence": _sentence(trail),
        "recipients": [
            {"id": row.id, "address": trail.names[row.id], "mode": row.route.mode.value, "state": row.state.value,
             "reason": row.reason, "note": row.note, "attempts": row.attempts, "word": row.word.value}
            for row in trail.recipients
        ],
        "steps": [
            {"at": step.at.isoformat(), "event": step.event, "recipient": trail.names.get(step.recipient, ""),
             "facts": dict(step.facts)}
            for step in trail.steps
        ],
    }  # fmt: skip


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "signature": verdict.signature.value,
        "signer": verdict.signer.value if verdict.signer else "",
        "fault": verdict.fault,
        "findings": list(verdict.findings),
        "evidence": list(verdict.evidence),
    }


def show(trail: Trail, out: Console, language: str) -> None:
    """One timeline per recipient: the letter's own steps, then each recipient's."""
    out.print(f"{trail.letter.id}  {trail.letter.received_at:%Y-%m-%d %H:%M:%S} UTC", markup=False)
    for line in own_lines(trail, language):
        out.print(f"  {line}", markup=False)
    for row in trail.recipients:
        out.print(f"  → {trail.names[row.id]}  [{row.id}]", markup=False)
        for line in recipient_lines(trail, row.id, language):
            out.print(f"      {line}", markup=False)


def own_lines(trail: Trail, language: str, zone: tzinfo = UTC) -> list[str]:
    """The letter's own steps, in words, each at its time in `zone`."""
    told = [step for step in trail.steps if not step.recipient and step.event not in timeline.QUIET]
    return [_line(step, language, trail, zone) for step in told]


def recipient_lines(trail: Trail, recipient_id: str, language: str, zone: tzinfo = UTC) -> list[str]:
    """One recipient's steps, likewise."""
    return [_line(step, language, trail, zone) for step in trail.steps if step.recipient == recipient_id]


def _moment(at: datetime, trail: Trail, zone: tzinfo) -> str:
    """The hour; with its day, where that is not the day of the letter."""
    here = at.astimezone(zone)
    same = here.date() == trail.letter.received_at.astimezone(zone).date()
    return f"{here:%H:%M:%S}" if same else f"{here:%d/%m %H:%M:%S}"


def _line(step: spool.Step, language: str, trail: Trail, zone: tzinfo) -> str:
    facts = dict(step.facts)
    words = [_moment(step.at, trail, zone), timeline.sentence(step.event, language)]
    if step.event == "verified":
        words.append(f": {_sentence(trail, language)}")
    if step.event == "dossier-ruled":
        return " ".join([*words, f": {rule_sentences.rulings(facts, language)}"])
    if why_ := facts.get("reason"):
        words.append(f": {why(why_, language)}")
    if note := timeline.note(facts.get("note", ""), language):
        words.append(f": {note}")
    if way := rule_sentences.route(facts.get("mode", ""), facts.get("rule", ""), language):
        words.append(f": {way}")
    return " ".join(words)


def rulings(settings: Settings, letter_id: str, document_id: str, language: str = "fr") -> str:
    """What the filing rules last answered for a document of a letter; '' where they were not asked."""
    reader = app.reader(settings.database_url)
    steps = spool.timeline(reader, settings.node.tenant, letter_id)
    asked = [dict(step.facts) for step in steps if step.event == "dossier-ruled"]
    found = [facts for facts in asked if facts.get("document") == document_id]
    return rule_sentences.rulings(found[-1], language) if found else ""


def why(reason: str, language: str = "fr") -> str:
    return replies.sentence(reason, language)


# --- the queue ------------------------------------------------------------------------------------------------------


def queue_rows(settings: Settings) -> list[dict[str, Any]]:
    """The same for programs."""
    return [
        {"mode": line.mode, "target": line.target, "state": line.state.value, "count": line.count,
         "oldest": line.oldest.isoformat(timespec="seconds"), "reason": line.reason,
         "next_due": line.next_due.isoformat(timespec="seconds") if line.next_due else None}
        for line in spool.queue(app.reader(settings.database_url), settings.node.tenant)
    ]  # fmt: skip


def queue_table(settings: Settings, language: str) -> Table:
    """A row per destination and state, readable on 80 columns."""
    heads = {
        "fr": ("destination", "état", "lettres", "depuis", "prochain essai", "motif"),
        "en": ("destination", "state", "letters", "since", "next try", "reason"),
    }
    table = Table(*heads[language], box=box.SIMPLE, pad_edge=False)
    for line in spool.queue(app.reader(settings.database_url), settings.node.tenant):
        due = f"{line.next_due:%d/%m %H:%M:%S}" if line.next_due else ""
        reason = why(line.reason, language) if line.reason else ""
        where = f"{line.target}\n({line.mode})"
        table.add_row(where, line.state.value, str(line.count), f"{line.oldest:%d/%m %H:%M:%S}", due, reason)
    return table


def worklist(settings: Settings) -> list[dict[str, Any]]:
    reader = app.reader(settings.database_url)
    return [
        {"id": row.id, "letter_id": row.letter_id, "document_id": row.document_id, "reason": row.reason,
         "evidence": dict(row.evidence), "at": row.added_at.isoformat(timespec="seconds")}
        for row in filings.waiting(reader, settings.node.tenant)
    ]  # fmt: skip

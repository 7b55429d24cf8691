"""What an outcome makes of a recipient: its row's new values and its line in the journal.

Promises: pure. Done settles, Never settles and owes its sender a notice, Later queues again until the lifetime
is over, Quarantined holds for a person; no answer is Later. Does not: check who may settle (relay.spool) or write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from relay.model import Done, Event, Later, Mode, Never, Outcome, Quarantined, Reason, State, Word
from relay.schedule import Policy, next_due
from relay.store.rows import Held, notified

_DELIVERED = {
    Mode.PEER_SIGNED: "relayed",
    Mode.PEER_SEALED: "relayed",
    Mode.PEER_PLAIN: "relayed",
    Mode.PEER_ENCRYPTED: "relayed",
    Mode.PEER_SEALED_ENCRYPTED: "relayed",
    Mode.MAILBOX: "delivered",
    Mode.DOSSIER: "filed",
    Mode.DOSSIER_SHOW: "shown",
}
"""The word of the timeline for Done."""


def pack(outcomes: Mapping[str, Outcome]) -> dict[str, dict[str, str]]:
    """JSON-able outcomes by recipient id."""
    return {key: {"kind": type(value).__name__, **asdict(value)} for key, value in outcomes.items()}


def unpack(told: Mapping[str, Any] | None) -> Outcome:
    """What a courier did not tell counts as Later: absence of an answer means that it was not delivered."""
    if told is None:
        return Later(Reason.SURPRISE, "no outcome")
    kinds: dict[str, Callable[..., Outcome]] = {each.__name__: each for each in (Done, Later, Never, Quarantined)}
    return kinds[told["kind"]](**{name: value for name, value in told.items() if name != "kind"})


def settled(row: Held, outcome: Outcome, policy: Policy, now: datetime) -> tuple[dict[str, Any], Event]:
    """The values that change in the row, and the event."""
    match outcome:
        case Done():
            return _done(row, outcome, now)
        case Never(reason, detail):
            return _failed(row, reason, detail, now)
        case Quarantined(reason, detail):
            facts = {"reason": reason, "detail": detail}
            return {"state": State.HELD.value, "reason": reason, "reference": detail}, event("quarantined", row, facts)
        case Later(reason, detail):
            due = next_due(policy, row["id"], row["attempts"], row["queued_at"], now)
            if due is None:
                return _failed(row, Reason.EXPIRED, f"{reason} {detail}".strip(), now)
            return _delayed(row, reason, detail, due)


def _done(row: Held, outcome: Done, now: datetime) -> tuple[dict[str, Any], Event]:
    facts = {"reference": outcome.reference, "note": outcome.note}
    met = {"peer": outcome.peer, "white_list": outcome.listed}  # in the journal alone: it is evidence
    values = {"state": State.DONE.value, "reason": "", "settled_at": now, "notice": notice_of_delivery(row)}
    if row["word"] == Word.ASKED:
        values["word"] = Word.AWAITED.value
    return values | facts, event(_DELIVERED[Mode(row["mode"])], row, facts | met)


def _delayed(row: Held, reason: str, detail: str, due: datetime) -> tuple[dict[str, Any], Event]:
    facts = {"reason": reason, "detail": detail, "until": due.isoformat(timespec="seconds")}
    values = {"state": State.QUEUED.value, "reason": reason, "reference": detail, "due_at": due}
    return values, event("delayed", row, facts)


def _failed(row: Held, reason: str, detail: str, now: datetime) -> tuple[dict[str, Any], Event]:
    values = {"state": State.FAILED.value, "reason": reason, "reference": detail, "settled_at": now}
    notice = {"notice": notice_of_failure(row)}
    return values | notice, event("failed", row, {"reason": reason, "detail": detail})


def given_up(row: Held, now: datetime) -> tuple[dict[str, Any], Event]:
    """At the end of its lifetime, with the last reason why it waited."""
    return _failed(row, Reason.EXPIRED, f"{row['reason']} {row['reference']}".strip(), now)


def event(name: str, row: Held, facts: Mapping[str, Any]) -> Event:
    told = {key: str(value) for key, value in facts.items() if value and key != "state"}
    return Event(name, row["letter_id"], row["id"], (*told.items(), ("attempt", str(row["attempts"]))))


def notice_of_failure(row: Held) -> str:
    """RFC 3461 §4.1: a failure is told unless NOTIFY names other cases only."""
    asked = notified(row["notify"])
    return "due" if not asked or "FAILURE" in asked else ""


def notice_of_delivery(row: Held) -> str:
    """A dossier's receipt is due always; a delivery report where it was asked for (RFC 3461 §4.1)."""
    dossier = row["mode"] in (Mode.DOSSIER, Mode.DOSSIER_SHOW)
    return "due" if dossier or "SUCCESS" in notified(row["notify"]) else ""

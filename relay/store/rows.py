"""How a letter and its recipients are written in rows, and read back.

Promises: what is read equals what was written; a packed row is JSON-able, to be handed to the spooler.
Does not: touch a database.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import RowMapping

from relay.model import (
    Asked,
    BodyRef,
    Door,
    DoorProof,
    Letter,
    Mode,
    Recipient,
    Route,
    SignatureState,
    Signer,
    State,
    Verdict,
    Word,
)

Held: TypeAlias = Mapping[str, Any] | RowMapping
"""A row, from the database or from JSON."""

_MOMENTS = ("received_at", "queued_at", "due_at", "settled_at", "lease_until")


def packed(row: Held) -> dict[str, Any]:
    """A row with its moments as text, for JSON."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def unpacked(row: Held) -> dict[str, Any]:
    """Undoes `packed`."""
    return {
        name: datetime.fromisoformat(value) if name in _MOMENTS and isinstance(value, str) else value
        for name, value in row.items()
    }


def letter_row(letter: Letter) -> dict[str, Any]:
    return {
        "tenant": letter.tenant,
        "id": letter.id,
        "door": letter.door.value,
        "sender": letter.sender,
        "sender_key": letter.sender.lower(),
        "message_id": letter.message_id,
        "body_name": letter.body.name,
        "body_size": letter.body.size,
        "body_digest": letter.body.digest,
        "received_at": letter.received_at,
        "trace": letter.trace,
        "verdict": json.dumps(asdict(letter.verdict), ensure_ascii=False),
        "proof": json.dumps(asdict(letter.proof), ensure_ascii=False),
        "envid": letter.envid,
        "require_tls": letter.require_tls,
        "utf8": letter.utf8,
    }


def letter_of(row: Held) -> Letter:
    return Letter(
        id=row["id"],
        tenant=row["tenant"],
        door=Door(row["door"]),
        sender=row["sender"],
        message_id=row["message_id"],
        body=BodyRef(row["body_name"], row["body_size"], row["body_digest"]),
        received_at=row["received_at"],
        trace=row["trace"],
        verdict=_verdict(json.loads(row["verdict"])),
        proof=DoorProof(**json.loads(row["proof"])),
        envid=row["envid"],
        require_tls=bool(row["require_tls"]),
        utf8=bool(row["utf8"]),
    )


def _verdict(held: dict[str, Any]) -> Verdict:
    known = {
        "signature": SignatureState(held["signature"]),
        "signer": Signer(held["signer"]) if held["signer"] else None,
        "findings": tuple(held["findings"]),
        "evidence": tuple(held.get("evidence", ())),  # rows of before have none
    }
    return Verdict(**(held | known))


def recipient_row(recipient: Recipient, now: datetime) -> dict[str, Any]:
    """A new row; one that is failed from the start is settled at `now`."""
    route = recipient.route
    return {
        "tenant": recipient.tenant,
        "id": recipient.id,
        "letter_id": recipient.letter_id,
        "address": recipient.address,
        "address_key": recipient.address.lower(),
        "mode": route.mode.value,
        "target": route.target,
        "lane": f"{route.mode.value} {route.target}",
        "rule": route.rule,
        "state": recipient.state.value,
        "attempts": recipient.attempts,
        "queued_at": now,
        "due_at": recipient.due_at or now,
        "settled_at": now if recipient.state is State.FAILED else None,
        "reason": recipient.reason,
        "reference": recipient.reference,
        "note": recipient.note,
        "notify": ",".join(sorted(recipient.asked.notify)),
        "orcpt": recipient.asked.orcpt,
        "word": recipient.word.value,
    }


def recipient_of(row: Held) -> Recipient:
    return Recipient(
        id=row["id"],
        letter_id=row["letter_id"],
        tenant=row["tenant"],
        address=row["address"],
        route=Route(Mode(row["mode"]), row["target"], row["rule"]),
        state=State(row["state"]),
        attempts=row["attempts"],
        due_at=row["due_at"],
        reason=row["reason"],
        reference=row["reference"],
        note=row["note"],
        asked=Asked(notified(row["notify"]), row["orcpt"]),
        word=Word(row["word"]),
        queued_at=row["queued_at"],
        warning=row["warning"],
    )


def notified(text: str) -> frozenset[str]:
    """The NOTIFY values of a row (RFC 3461 §4.1)."""
    return frozenset(filter(None, text.split(",")))

"""The rows with which a letter enters custody: itself, one per recipient, and the events that say so.

Promises: an address counts once, however often it was named; a recipient who cannot be served has a row too,
failed from the start, so that its sender is told. Does not: write (relay.spool does) or decide (relay.intake,
relay.gate).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias

from directory.model import Address
from relay.gate import Served
from relay.international import is_international
from relay.message import Message
from relay.model import (
    INCOMING,
    Addressee,
    Asked,
    BodyRef,
    Door,
    Envelope,
    Event,
    Extra,
    Findings,
    Letter,
    Mode,
    Recipient,
    Route,
    State,
    Verdict,
    Word,
    new_id,
)
from relay.pseudonym import Pseudonyms
from relay.routing import Node
from relay.trace import received


def letter(
    envelope: Envelope, message: Message, verdict: Verdict, body: BodyRef, node: Node, pseudonyms: Pseudonyms
) -> Letter:
    return Letter(
        id=envelope.id,
        tenant=envelope.tenant,
        door=envelope.door,
        sender=str(envelope.sender or ""),
        message_id=pseudonyms.scrub(message.message_id),
        body=body,
        received_at=envelope.received_at,
        trace=received(envelope, node.hostname),
        verdict=verdict,
        proof=envelope.proof,
        envid=envelope.envid,
        require_tls=envelope.require_tls,
        utf8=is_international(envelope, message),
    )


Serve: TypeAlias = Callable[[Addressee], Served]


def recipients(
    envelope: Envelope, found: Findings, serve: Serve, node: Node, *, asks: bool = False
) -> tuple[Recipient, ...]:
    """Everyone named, then what finders added; nothing is added to a letter that nobody named will get. `asks`: the
    letter asks for a receipt of its reader."""
    refused = {each.key: reason for each, reason in found.refusals}
    rows = [_named(envelope, each, refused, serve, node) for each in _once(envelope.addressees)]
    rows = [_asking(row, envelope, asks=asks) for row in rows]
    if any(row.state is State.QUEUED for row in rows):
        rows += [added(envelope, extra, envelope.received_at) for extra in found.extras]
    return tuple(rows)


def _asking(row: Recipient, envelope: Envelope, *, asks: bool) -> Recipient:
    """Of our people's letters alone a word is awaited: what a peer's letter asks, its own node awaits."""
    ours = envelope.door not in INCOMING and envelope.door is not Door.NOTICE
    wanted = asks or "SUCCESS" in row.asked.notify
    return replace(row, word=Word.ASKED) if ours and wanted else row


def _once(addressees: Sequence[Addressee]) -> tuple[Addressee, ...]:
    first: dict[str, Addressee] = {}
    for each in addressees:
        first.setdefault(each.address.key, each)
    return tuple(first.values())


def _named(envelope: Envelope, addressee: Addressee, refused: Mapping[str, str], serve: Serve, node: Node) -> Recipient:
    served = serve(addressee)
    chosen = refused.get(addressee.address.key) or served.chosen
    if isinstance(chosen, Route):
        return _row(envelope, str(addressee.address), chosen, served.asked, envelope.received_at)
    nowhere = Route(_mode_without_route(addressee.address, node), addressee.address.domain, "refused")
    row = _row(envelope, str(addressee.address), nowhere, served.asked, envelope.received_at)
    return replace(row, state=State.FAILED, reason=str(chosen))


def _mode_without_route(address: Address, node: Node) -> Mode:
    return Mode.MAILBOX if node.serves(address) else Mode.PEER_PLAIN


def added(letter: Letter | Envelope, extra: Extra, at: datetime) -> Recipient:
    """A recipient whom a finder adds; a dossier asks for no delivery report."""
    return _row(letter, extra.address, extra.route, Asked(), at)


def _row(of: Letter | Envelope, address: str, route: Route, asked: Asked, at: datetime) -> Recipient:
    waits = of.not_before if isinstance(of, Envelope) else None
    return Recipient(
        id=new_id(at),
        letter_id=of.id,
        tenant=of.tenant,
        address=address,
        route=route,
        state=State.QUEUED,
        due_at=waits or at,
        asked=asked,
    )


Facts: TypeAlias = tuple[tuple[str, str], ...]


def events(letter: Letter, rows: Sequence[Recipient], about: Facts = ()) -> tuple[Event, ...]:
    """What the journal says of an entry: accepted, verified, and for each recipient queued or failed. `about`: what the
    letter says of itself (relay.indicators)."""
    accepted = {
        "door": letter.door.value,
        "size": str(letter.body.size),
        "peer": letter.proof.peer_fingerprint,
        "neighbour": letter.proof.neighbour,
        "tls": letter.proof.tls,
        "doubt": letter.proof.doubt,
        "note": "peer-unsure" if letter.proof.doubt else "",
    }
    return (
        Event("accepted", letter.id, "", (*_facts(accepted), *about)),
        Event("verified", letter.id, "", facts_of(letter.verdict)),
        *(of_recipient(row) for row in rows),
    )


def facts_of(verdict: Verdict) -> tuple[tuple[str, str], ...]:
    """A verdict as the journal has it: names only."""
    about = {
        "signature": verdict.signature.value,
        "signer": verdict.signer.value if verdict.signer else "",
        "fault": verdict.fault,
        "automatic": verdict.automatic,
        "scan": verdict.scan,
        "findings": ",".join(verdict.findings),
        "evidence": evidence_digest(verdict),
    }
    return _facts(about)


def evidence_digest(verdict: Verdict) -> str:
    """SHA-256 of what the verdict stands on, as it is kept beside the letter: by it the journal dates the evidence."""
    if not verdict.evidence:
        return ""
    return hashlib.sha256(evidence_bytes(verdict)).hexdigest()


def evidence_bytes(verdict: Verdict) -> bytes:
    return json.dumps(verdict.evidence, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def of_recipient(row: Recipient) -> Event:
    """What the journal says of a new recipient."""
    if row.state is State.FAILED:
        return Event("failed", row.letter_id, row.id, (("reason", row.reason),))
    facts = {"mode": row.route.mode.value, "target": row.route.target, "rule": row.route.rule}
    return Event("queued", row.letter_id, row.id, _facts(facts))


def _facts(values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in values.items() if value)

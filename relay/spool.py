"""The spool: custody of letters, the only place where doors, carriers and notices meet.

A recipient is in one of five states. Who moves it, and what is left when the machine dies before the answer:

    state    means                       moved by         to                    a crash leaves
    -------  --------------------------  ---------------  --------------------  -----------------------------
    (none)   the door has it             keep             queued, failed        no 250 was said: the sender
                                                                                has it and sends it again
    queued   waits for due_at            claim            running               still queued
                                         hold, bounce     held, failed          still queued
                                         reroute          queued, another way   still queued, as before
                                         withdraw         failed                still queued: it will leave
                                         expire           failed                still queued
    running  one worker carries it,      settle           done, queued, failed, the lease ends, another takes
             until lease_until                            held                  it: twice perhaps, never lost
                                         renew            running
                                         a later claim    queued, held          running on an ended lease
    held     a person looks at it        release, bounce  queued, failed        still held
                                         reroute          queued, another way   still held
    done     the other side has it; its  report           failed                the report was not kept either,
             people's word: see below                                           its sender has it
    failed   the dead letter, with its   resend, reroute  queued                still failed
             reason; its sender is told  noticed          failed                told again, by the same id
             (notice: due, sent)

    word     of the other side's people, where a receipt was asked for or came (relay.model.Word)
    -------  -------------------------------------------------------------------------------------------------
    asked    settle makes it awaited; overdue silent ('sans nouvelle'); an answer arrived, deleted, unfiled, read,
             filed or undelivered, forward only (relay.store.answered.FORWARD)

    warning  '' none yet, due, sent, none wanted: the sender is warned once that it still waits (relay.overdue)

Promises: a move not in TRANSITIONS is refused; each move and its journal row are one transaction; only who
holds the lease settles, so of two workers on one letter exactly one does; asking twice moves once (keep by
letter id, settle by lease). Not promised: that nothing is delivered twice. A worker killed between the other
side's 250 and our settle has delivered what the next one will deliver again (RFC 1047); a dossier refuses it.
Does not: open a body, speak to anyone, or decide a route.

The functions that begin with an underscore run inside the spooler; the others are called anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, update

from relay import acts, additions, collected, feedback, journal, overdue, retention, settlement, withdrawal
from relay.acts import act
from relay.model import Event, Later, Letter, Origin, Outcome, Reason, Recipient, State, new_id
from relay.schedule import FACTORY, Policy
from relay.spooler import SpoolClient, StoreRefused, Write
from relay.store import answered, claims, direct, lanes, policies, statements
from relay.store.reads import Line, Step, due_notices, find, is_due, letter, queue, timeline, verify
from relay.store.rows import Held, letter_of, letter_row, packed, recipient_of, recipient_row, unpacked
from relay.store.statements import places
from relay.store.tables import recipients

__all__ = [
    "MOST_LAPSES",
    "TRANSITIONS",
    "WRITES",
    "Claimed",
    "Line",
    "Step",
    "act",
    "claim",
    "due_notices",
    "find",
    "is_due",
    "keep",
    "letter",
    "noticed",
    "queue",
    "renew",
    "settle",
    "timeline",
    "verify",
]

TRANSITIONS: dict[str, dict[State, frozenset[State]]] = {
    "claim": {
        State.QUEUED: frozenset({State.RUNNING}),
        State.RUNNING: frozenset({State.QUEUED, State.HELD}),
    },
    "settle": {State.RUNNING: frozenset({State.DONE, State.QUEUED, State.FAILED, State.HELD})},
    "hold": {State.QUEUED: frozenset({State.HELD})},
    "release": {State.HELD: frozenset({State.QUEUED})},
    "bounce": {State.QUEUED: frozenset({State.FAILED}), State.HELD: frozenset({State.FAILED})},
    "resend": {State.FAILED: frozenset({State.QUEUED})},
    "reroute": {each: frozenset({State.QUEUED}) for each in (State.QUEUED, State.HELD, State.FAILED)},
    "expire": {State.QUEUED: frozenset({State.FAILED})},
    "withdraw": {State.QUEUED: frozenset({State.FAILED})},
    "report": {State.DONE: frozenset({State.FAILED})},
}
"""From where to where each act may move a recipient. keep creates; renew and noticed move nothing."""

MOST_AT_ONCE = 8
"""Letters at once towards one destination, however well it goes."""
MOST_LAPSES = 8
"""So many workers may die in a row over one recipient; then it is held for a person to look at."""


@dataclass(frozen=True)
class Claimed:
    """One letter for those of its recipients that share a route, leased to a worker."""

    letter: Letter
    recipients: tuple[Recipient, ...]
    lease: str
    attempt: int


# --- called anywhere ---------------------------------------------------------------------------------------


def keep(
    client: SpoolClient,
    letter: Letter,
    recipients: Sequence[Recipient],
    events: Sequence[Event],
    origin: Origin | None = None,
    answers: Sequence[Mapping[str, Any]] = (),
) -> bool:
    """Takes custody; when it returns, the rows are on the disk. True: kept now. False: a letter with this id, or from
    this `origin`, was already kept, nothing was added. `answers`: what it says of letters of ours
    (relay.store.answered.pack). Raises StoreDown, StoreFull, StoreRefused."""
    return bool(client.write("relay.keep", letter.tenant, **kept_parts(letter, recipients, events, origin, answers)))


def kept_parts(
    letter: Letter,
    recipients: Sequence[Recipient],
    events: Sequence[Event],
    origin: Origin | None = None,
    answers: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """What `relay.keep` is told of one letter."""
    rows = [packed(recipient_row(each, letter.received_at)) for each in recipients]
    parts: dict[str, Any] = {
        "letter": packed(letter_row(letter)),
        "recipients": rows,
        "events": journal.pack(events),
        "answers": list(answers),
    }
    return parts | ({"origin": asdict(origin)} if origin else {})


def claim(client: SpoolClient, worker: str, limit: int, lease_s: float, per_target: int) -> list[Claimed]:
    """Up to `limit` letters of all tenants to carry, at most `per_target` at once towards one target, whoever
    carries them. Leases count on the writer's clock."""
    given = client.write("relay.claim", "", worker=worker, limit=limit, lease_s=lease_s, per_target=per_target)
    return [_claimed(each) for each in given]


def _claimed(given: Mapping[str, Any]) -> Claimed:
    rows = tuple(recipient_of(unpacked(row)) for row in given["recipients"])
    return Claimed(letter_of(unpacked(given["letter"])), rows, given["lease"], max(r.attempts for r in rows))


def renew(client: SpoolClient, claimed: Claimed, worker: str, lease_s: float) -> None:
    """Raises StoreRefused if the lease was lost."""
    client.write("relay.renew", claimed.letter.tenant, worker=worker, lease=claimed.lease, lease_s=lease_s)


def settle(
    client: SpoolClient,
    claimed: Claimed,
    worker: str,
    outcomes: Mapping[str, Outcome],
    events: Sequence[Event] = (),
    policy: Policy = FACTORY,
    per_target: int = MOST_AT_ONCE,
) -> None:
    """Records an outcome for every recipient of the claim. Raises StoreRefused, and records nothing, if the
    lease was lost; asking again after StoreDown records once."""
    client.write(
        "relay.settle",
        claimed.letter.tenant,
        worker=worker,
        lease=claimed.lease,
        ids=[each.id for each in claimed.recipients],
        outcomes=settlement.pack(outcomes),
        events=journal.pack(events),
        policy=asdict(policy),
        per_target=per_target,
    )


def noticed(client: SpoolClient, tenant: str, recipient_ids: Sequence[str], told: bool = True) -> None:
    """The notice about these recipients is no longer due; `told`: the sender has been told something."""
    client.write("relay.noticed", tenant, ids=list(recipient_ids), told=told)


# --- inside the spooler: custody ---------------------------------------------------------------------------


def _keep(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> bool:
    row = unpacked(params["letter"])
    if row["tenant"] != tenant or any(each["tenant"] != tenant for each in params["recipients"]):
        raise StoreRefused("rows of another tenant")
    held = direct.rows(conn, statements.letter_seen(), places(tenant=tenant, id=row["id"]))
    if held:
        if held[0] != {name: row[name] for name in ("door", "sender")}:
            raise StoreRefused("another letter has this id")
        return False
    if not _first_seen(conn, tenant, params, now):
        return False
    rows = [_kept(unpacked(each), row["id"]) for each in params["recipients"]]
    if not rows:
        raise StoreRefused("a letter without a recipient")
    direct.add(conn, statements.new_letter(), [row])
    direct.add(conn, statements.new_recipients(), rows)
    waiting = [each for each in rows if each["state"] == State.QUEUED]
    lanes.wake(conn, waiting, max(now, min((each["due_at"] for each in waiting), default=now)))
    events = journal.unpack(params["events"]) or [Event("accepted", row["id"])]
    journal.append(conn, tenant, events, now)
    answered.hear(conn, tenant, params.get("answers", ()), now)
    return True


def _first_seen(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> bool:
    """Notes where a collected letter lay, in the transaction that keeps it; False: it has entered before."""
    if "origin" not in params:
        return True
    origin, row = Origin(**params["origin"]), params["letter"]
    before = collected.known(conn, tenant, origin, row["body_digest"])
    collected.enter(conn, tenant, origin, row["body_digest"], now, letter_id="" if before else row["id"])
    return not before


def _kept(row: dict[str, Any], letter_id: str) -> dict[str, Any]:
    if row["state"] not in (State.QUEUED, State.FAILED) or row["letter_id"] != letter_id:
        raise StoreRefused("a recipient enters queued or failed, in its own letter")
    return row | {"notice": settlement.notice_of_failure(row) if row["state"] == State.FAILED else ""}


def _claim(conn: Connection, _tenant: str, params: Mapping[str, Any], now: datetime) -> list[dict[str, Any]]:
    claims.take_turns(conn)
    _lapse(conn, now)
    lease, until = new_id(now), now + timedelta(seconds=params["lease_s"])
    take, told = claims.take(
        conn.dialect.name, params["worker"], lease, params["limit"], params["per_target"], now, until
    )
    rows = conn.execute(take, told).mappings().all()
    if not rows and lanes.put_to_sleep(conn, now):  # empty lanes stood before it
        rows = conn.execute(take, told).mappings().all()
    by_letter: dict[tuple[str, str, str], list[Held]] = {}
    for row in rows:
        by_letter.setdefault((row["tenant"], row["letter_id"], row["lane"]), []).append(row)
    lanes.served(conn, {(tenant, lane) for tenant, _, lane in by_letter}, now)
    return [_leased(conn, rows) for rows in by_letter.values()]


def _leased(conn: Connection, rows: list[Held]) -> dict[str, Any]:
    """Each letter's lease has a name of its own: it is renewed and settled apart."""
    first = rows[0]
    lease = f"{first['lease']}{first['id'][-6:]}"
    tenant, letter_id = first["tenant"], first["letter_id"]
    shared = places(tenant=tenant, letter_id=letter_id, lane=first["lane"], lease=first["lease"])
    direct.run(conn, statements.name_lease(), shared | {"lease": lease})
    (held,) = direct.rows(conn, statements.letter(), places(tenant=tenant, id=letter_id))
    return {"letter": packed(held), "recipients": [packed(row) for row in rows], "lease": lease}


def _lapse(conn: Connection, now: datetime) -> None:
    if not direct.rows(conn, statements.lease_over(), places(lease_until=now)):
        return  # nearly always, and asking costs a tenth of what both updates do
    for statement, name in (
        (claims.lapse(now, MOST_LAPSES), "lapsed"),
        (claims.set_aside(now, Reason.SURPRISE.value), "set-aside"),
    ):
        for row in conn.execute(statement).all():
            if name == "lapsed":
                lanes.wake(conn, [row._mapping], now)
            event = Event(name, row.letter_id, row.id, (("attempt", str(row.attempts)),))
            journal.append(conn, row.tenant, [event], now)


def _renew(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> int:
    until = now + timedelta(seconds=params["lease_s"])
    mine = places(tenant=tenant, worker=params["worker"], lease=params["lease"])
    renewed = conn.execute(statements.renew_lease(), mine | {"lease_until": until})
    if not renewed.rowcount:
        raise StoreRefused("the lease was lost")
    return int(renewed.rowcount)


# --- inside the spooler: settling --------------------------------------------------------------------------


def _settle(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> None:
    ids: list[str] = params["ids"]
    found = [row for each in ids for row in direct.rows(conn, statements.recipient(), places(tenant=tenant, id=each))]
    rows = [row for row in found if row["lease"] == params["lease"]]
    if len(rows) != len(ids) or not rows:
        raise StoreRefused("the lease was lost")
    if all(row["state"] != State.RUNNING for row in rows):
        return  # asked again: this lease has already settled
    if any(row["state"] != State.RUNNING or row["worker"] != params["worker"] for row in rows):
        raise StoreRefused("the lease was lost")
    events = journal.unpack(params["events"])
    policy = Policy(**(params["policy"] | {"delays_s": tuple(params["policy"]["delays_s"])}))
    outcomes = [settlement.unpack(params["outcomes"].get(row["id"])) for row in rows]
    for row, outcome in zip(rows, outcomes, strict=True):
        values, event = settlement.settled(row, outcome, policy, now)
        # worker and lease_until go, the lease's name stays: by it a repeated request is known.
        freed = {"worker": "", "lease_until": None, "lapses": 0}
        direct.run(conn, statements.move_recipient(), places(tenant=tenant, id=row["id"]) | values | freed)
        if values["state"] == State.QUEUED:
            lanes.wake(conn, [row], values["due_at"])
        events.append(event)
    _learn(conn, rows[0], outcomes, params, now)
    journal.append(conn, tenant, events, now)


def _learn(conn: Connection, row: Held, outcomes: Sequence[Outcome], params: Mapping[str, Any], now: datetime) -> None:
    """One letter is one experience with its destination, however many it was for; it failed where all of it did."""
    if any(feedback.ours(each) for each in outcomes):
        return
    name = lanes.end_of(row)
    before = lanes.standing(conn, name)
    failed = all(feedback.whole(each) for each in outcomes)
    most, pauses = params.get("per_target", MOST_AT_ONCE), params["policy"]["delays_s"]
    known = feedback.after(before, name, failed=failed, most=most, now=now, pauses_s=pauses)
    lanes.learn(conn, name, before, known, str(outcomes[0].reason) if isinstance(outcomes[0], Later) else "", now)


# --- inside the spooler: notes and a person's acts ---------------------------------------------------------


def _note(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> None:
    journal.append(conn, tenant, journal.unpack(params["events"]), now)


def _noticed(conn: Connection, tenant: str, params: Mapping[str, Any], now: datetime) -> None:
    for column, word in ((recipients.c.notice, "noticed"), (recipients.c.warning, "warned")):
        due = (recipients.c.tenant == tenant, recipients.c.id.in_(params["ids"]), column == "due")
        settled = update(recipients).where(*due).values({column: "sent"})
        rows = conn.execute(settled.returning(recipients.c.letter_id, recipients.c.id)).all()
        if params.get("told", True):
            journal.append(conn, tenant, [Event(word, row.letter_id, row.id) for row in rows], now)


WRITES: dict[str, Write] = {
    "relay.keep": _keep,
    "relay.claim": _claim,
    "relay.renew": _renew,
    "relay.settle": _settle,
    "relay.note": _note,
    **additions.WRITES,
    **collected.WRITES,
    **retention.WRITES,
    **overdue.WRITES,
    **policies.WRITES,
    "relay.noticed": _noticed,
    **acts.writes(TRANSITIONS),
    **withdrawal.WRITES,
}

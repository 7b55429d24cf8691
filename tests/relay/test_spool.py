"""Custody: states, leases, caps, notices and a person's acts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from relay import spool
from relay.model import Done, Event, Later, Letter, Mode, Never, Outcome, Reason, Recipient, Route, State
from relay.schedule import Policy
from relay.spooler import StoreRefused
from relay.store.tables import recipients as rows

Make = Callable[..., tuple[Letter, tuple[Recipient, ...]]]

OURS = Route(Mode.MAILBOX, "lmtp", "ours")
PARC = Route(Mode.PEER_SIGNED, "parc.mssante.example", "peer")
BOIS = Route(Mode.PEER_SIGNED, "bois.mssante.example", "peer")
DOSSIER = Route(Mode.DOSSIER, "region", "xdm")


def _keep(store: Any, kept: tuple[Letter, tuple[Recipient, ...]]) -> Letter:
    letter, recipients = kept
    assert spool.keep(store.client, letter, recipients, [Event("accepted", letter.id)])
    return letter


def _claim(store: Any, worker: str = "w1", limit: int = 10, per_target: int = 4) -> list[spool.Claimed]:
    return spool.claim(store.client, worker, limit, 60, per_target)


def _settle(store: Any, claimed: spool.Claimed, outcome: Outcome, **more: Any) -> None:
    spool.settle(store.client, claimed, "w1", {each.id: outcome for each in claimed.recipients}, **more)


def _states(store: Any, letter_id: str) -> list[State]:
    return [each.state for each in _recipients(store, letter_id)]


def _recipients(store: Any, letter_id: str, tenant: str = "lilas") -> tuple[Recipient, ...]:
    found = spool.letter(store.reader, tenant, letter_id)
    assert found is not None
    return found[1]


def _events(store: Any, letter_id: str) -> list[str]:
    return [step.event for step in spool.timeline(store.reader, "lilas", letter_id)]


# --- keeping -------------------------------------------------------------------------------------------------


def test_kept_letter_is_read_back(store: Any, make_letter: Make) -> None:
    """What is read equals what was kept, verdict, proof and what the sender asked included."""
    letter, recipients = make_letter("L1", OURS, PARC, notify=frozenset({"SUCCESS", "DELAY"}))
    _keep(store, (letter, recipients))
    found = spool.letter(store.reader, "lilas", "L1")
    assert found == (letter, tuple(replace(each, due_at=letter.received_at) for each in recipients))


def test_keeping_twice_keeps_once(store: Any, make_letter: Make) -> None:
    """A door that asks again, for want of an answer, adds nothing."""
    letter, recipients = make_letter("L1")
    _keep(store, (letter, recipients))
    assert not spool.keep(store.client, letter, recipients, [Event("accepted", "L1")])
    assert _events(store, "L1") == ["accepted"]


def test_another_letter_under_the_same_id_is_refused(store: Any, make_letter: Make) -> None:
    """An id is never given to a second sender."""
    _keep(store, make_letter("L1"))
    letter, recipients = make_letter("L1", sender="other@lilas.mssante.example")
    with pytest.raises(StoreRefused, match="another letter"):
        spool.keep(store.client, letter, recipients, [])


def test_tenants_do_not_meet(store: Any, make_letter: Make) -> None:
    """Two tenants may use one id; neither reads, finds or moves what is the other's."""
    _keep(store, make_letter("L1"))
    _keep(store, make_letter("L1", tenant="bois"))
    assert spool.letter(store.reader, "parc", "L1") is None
    assert [each.tenant for each in spool.find(store.reader, "bois", id="L1")] == ["bois"]
    with pytest.raises(StoreRefused, match="no such"):
        spool.act(store.client, "parc", "hold", "L1-0")
    spool.act(store.client, "bois", "hold", "L1-0")
    assert _states(store, "L1") == [State.QUEUED]


@pytest.mark.parametrize("state", [State.RUNNING, State.DONE, State.HELD])
def test_a_recipient_enters_queued_or_failed(store: Any, make_letter: Make, state: State) -> None:
    """No other state can be entered from outside."""
    letter, (recipient,) = make_letter("L1")
    with pytest.raises(StoreRefused, match="queued or failed"):
        spool.keep(store.client, letter, [replace(recipient, state=state)], [])


def test_letter_without_recipient_is_refused(store: Any, make_letter: Make) -> None:
    """Custody of a letter for nobody is not taken, nor is half of it left."""
    letter, _ = make_letter("L1")
    with pytest.raises(StoreRefused, match="without a recipient"):
        spool.keep(store.client, letter, [], [])
    assert spool.letter(store.reader, "lilas", "L1") is None


def test_failed_from_the_start_is_told(store: Any, make_letter: Make) -> None:
    """A recipient who could not be served on entry owes the sender a notice at once, and is never claimed."""
    letter, (one, two) = make_letter("L1", OURS, PARC)
    _keep(store, (letter, (one, replace(two, state=State.FAILED, reason=Reason.NOT_LISTED.value))))
    assert [[each.id for each in told] for _, told in spool.due_notices(store.reader)] == [["L1-1"]]
    assert [each.id for claimed in _claim(store) for each in claimed.recipients] == ["L1-0"]


# --- claiming ------------------------------------------------------------------------------------------------


def test_claim_groups_by_letter_and_route(store: Any, make_letter: Make) -> None:
    """Recipients that share a route go together; another route is another job."""
    letter = _keep(store, make_letter("L1", OURS, PARC, OURS))
    claimed = sorted(_claim(store), key=lambda each: each.recipients[0].id)
    assert [[each.id for each in one.recipients] for one in claimed] == [["L1-0", "L1-2"], ["L1-1"]]
    assert {one.letter for one in claimed} == {letter}
    assert {one.attempt for one in claimed} == {1}
    assert len({one.lease for one in claimed}) == 2


def test_claimed_once(store: Any, make_letter: Make) -> None:
    """What one worker holds no other gets."""
    _keep(store, make_letter("L1"))
    assert len(_claim(store, "w1")) == 1
    assert _claim(store, "w2") == []


def test_not_before_its_moment(store: Any, make_letter: Make) -> None:
    """What is due later is left; when its moment has come, it is taken."""
    _keep(store, make_letter("L1"))
    _settle(store, _claim(store)[0], Later(Reason.MAILBOX_DELAYED))
    assert _claim(store) == []
    store.clock.on(minutes=1)
    assert [each.attempt for each in _claim(store)] == [2]


def test_caps_per_target(store: Any, make_letter: Make) -> None:
    """At most so many letters at once towards one target, whoever carries them; other targets are served."""
    for n in range(5):
        _keep(store, make_letter(f"P{n}", PARC))
    _keep(store, make_letter("Z", BOIS))
    first = _claim(store, "w1", per_target=2)
    assert sorted(each.letter.id for each in first) == ["P0", "P1", "Z"]
    assert _claim(store, "w2", per_target=2) == []
    _settle(store, next(each for each in first if each.letter.id == "P0"), Done("250"))
    assert [each.letter.id for each in _claim(store, "w2", per_target=2)] == ["P2"]


def test_cap_counts_letters_not_recipients(store: Any, make_letter: Make) -> None:
    """A letter with many recipients at one peer is one job under the cap."""
    _keep(store, make_letter("L1", *[PARC] * 10))
    assert [len(each.recipients) for each in _claim(store, per_target=1)] == [10]


def test_one_slow_lane_does_not_starve_another(store: Any, make_letter: Make) -> None:
    """A limit smaller than the queue is shared among the targets."""
    for n in range(8):
        _keep(store, make_letter(f"P{n}", PARC))
    _keep(store, make_letter("Z", BOIS))
    assert "Z" in [each.letter.id for each in _claim(store, limit=2, per_target=8)]


# --- leases --------------------------------------------------------------------------------------------------


def test_ended_lease_goes_to_another_who_alone_settles(store: Any, make_letter: Make) -> None:
    """After a lease ended another worker holds the letter; the first can neither renew nor settle it."""
    _keep(store, make_letter("L1"))
    (stale,) = _claim(store, "w1")
    store.clock.on(seconds=61)
    (held,) = _claim(store, "w2")
    with pytest.raises(StoreRefused, match="lost"):
        spool.renew(store.client, stale, "w1", 60)
    with pytest.raises(StoreRefused, match="lost"):
        _settle(store, stale, Never(Reason.MAILBOX_REFUSED))
    spool.settle(store.client, held, "w2", {"L1-0": Done("250")})
    with pytest.raises(StoreRefused, match="lost"):
        _settle(store, stale, Done("250"))
    assert _states(store, "L1") == [State.DONE]
    assert _events(store, "L1") == ["accepted", "lapsed", "delivered"]


def test_renewed_lease_is_kept(store: Any, make_letter: Make) -> None:
    """A lease that is renewed in time does not end."""
    _keep(store, make_letter("L1"))
    (held,) = _claim(store, "w1")
    for _ in range(3):
        store.clock.on(seconds=40)
        spool.renew(store.client, held, "w1", 60)
    assert _claim(store, "w2") == []
    _settle(store, held, Done("250"))


def test_another_worker_cannot_use_a_lease(store: Any, make_letter: Make) -> None:
    """A lease is its worker's."""
    _keep(store, make_letter("L1"))
    (held,) = _claim(store, "w1")
    with pytest.raises(StoreRefused, match="lost"):
        spool.settle(store.client, held, "w2", {"L1-0": Done("250")})
    assert _states(store, "L1") == [State.RUNNING]


def test_settling_twice_settles_once(store: Any, make_letter: Make) -> None:
    """Asked again for want of an answer, a settlement adds nothing."""
    _keep(store, make_letter("L1"))
    (held,) = _claim(store)
    for _ in range(2):
        _settle(store, held, Later(Reason.MAILBOX_DELAYED))
    assert _events(store, "L1") == ["accepted", "delayed"]


def test_letter_that_kills_its_carriers_is_held(store: Any, make_letter: Make) -> None:
    """After so many leases in a row without a settlement a person must look; before that it is tried again."""
    _keep(store, make_letter("L1"))
    for _ in range(spool.MOST_LAPSES + 1):
        assert len(_claim(store)) == 1
        store.clock.on(seconds=61)
    assert _claim(store) == []
    assert _states(store, "L1") == [State.HELD]
    assert _events(store, "L1")[-1] == "set-aside"


# --- settling ------------------------------------------------------------------------------------------------


def test_each_outcome_has_its_state(store: Any, make_letter: Make) -> None:
    """Done is done, Later waits, Never fails; a recipient without an outcome waits."""
    _keep(store, make_letter("L1", OURS, OURS, OURS, OURS))
    told = {"L1-0": Done("250 ok", "note"), "L1-1": Later("a", "b"), "L1-2": Never("c", "d")}
    spool.settle(store.client, _claim(store)[0], "w1", told)
    assert _states(store, "L1") == [State.DONE, State.QUEUED, State.FAILED, State.QUEUED]
    done, later, never, silent = _recipients(store, "L1")
    assert (done.reference, done.note) == ("250 ok", "note")
    assert (later.reason, later.reference) == ("a", "b")
    assert (never.reason, never.reference) == ("c", "d")
    assert silent.reason == Reason.SURPRISE


def test_given_up_after_the_lifetime(store: Any, make_letter: Make) -> None:
    """Later at the end of the lifetime is a failure, told with the last reason; before it, it is not."""
    _keep(store, make_letter("L1"))
    policy = Policy(delays_s=(10,), lifetime_s=100)
    _settle(store, _claim(store)[0], Later(Reason.MAILBOX_DELAYED), policy=policy)
    assert _states(store, "L1") == [State.QUEUED]
    store.clock.on(seconds=100)
    _settle(store, _claim(store)[0], Later(Reason.MAILBOX_DELAYED), policy=policy)
    (given_up,) = _recipients(store, "L1")
    assert (given_up.state, given_up.reason) == (State.FAILED, Reason.EXPIRED)
    assert given_up.reference == Reason.MAILBOX_DELAYED
    assert len(spool.due_notices(store.reader)) == 1


@pytest.mark.parametrize(
    ("route", "notify", "outcome", "due"),
    [
        (OURS, "", Never("x"), True),
        (OURS, "FAILURE", Never("x"), True),
        (OURS, "NEVER", Never("x"), False),
        (OURS, "SUCCESS", Never("x"), False),
        (OURS, "", Done("x"), False),
        (PARC, "SUCCESS", Done("x"), True),
        (DOSSIER, "", Done("x"), True),
        (OURS, "SUCCESS", Later("x"), False),
    ],
)
def test_which_notices_are_due(
    store: Any, make_letter: Make, route: Route, notify: str, outcome: Outcome, due: bool
) -> None:
    """RFC 3461: failures by default, deliveries where asked; a dossier's receipt always."""
    _keep(store, make_letter("L1", route, notify=frozenset(filter(None, [notify]))))
    _settle(store, _claim(store)[0], outcome)
    assert bool(spool.due_notices(store.reader)) is due


def test_noticed_is_not_due_again(store: Any, make_letter: Make) -> None:
    """A sender who was told is not told again, and the timeline says that he was."""
    _keep(store, make_letter("L1"))
    _settle(store, _claim(store)[0], Never("x"))
    for _ in range(2):
        spool.noticed(store.client, "lilas", ["L1-0"])
    assert spool.due_notices(store.reader) == []
    assert _events(store, "L1") == ["accepted", "failed", "noticed"]


# --- a person's acts -----------------------------------------------------------------------------------------


def test_hold_and_release(store: Any, make_letter: Make) -> None:
    """What is held is not claimed; released, it is."""
    _keep(store, make_letter("L1"))
    spool.act(store.client, "lilas", "hold", "L1-0", "jeanne")
    assert _claim(store) == []
    spool.act(store.client, "lilas", "release", "L1-0", "jeanne")
    assert len(_claim(store)) == 1
    held = spool.timeline(store.reader, "lilas", "L1")[1]
    assert (held.event, dict(held.facts)["by"]) == ("held", "jeanne")


def test_bounce_fails_and_is_told(store: Any, make_letter: Make) -> None:
    """Given up by a person, the sender is told as for any failure."""
    _keep(store, make_letter("L1"))
    spool.act(store.client, "lilas", "bounce", "L1-0")
    assert _states(store, "L1") == [State.FAILED]
    assert len(spool.due_notices(store.reader)) == 1


def test_resend_begins_a_new_life(store: Any, make_letter: Make) -> None:
    """A failed recipient sent again has a new five days and no notice of the old failure."""
    _keep(store, make_letter("L1"))
    store.clock.on(days=6)
    _settle(store, _claim(store)[0], Later("x"))
    assert _states(store, "L1") == [State.FAILED]
    spool.act(store.client, "lilas", "resend", "L1-0")
    assert spool.due_notices(store.reader) == []
    (again,) = _claim(store)
    assert again.attempt == 1
    _settle(store, again, Later("x"))
    assert _states(store, "L1") == [State.QUEUED]


@pytest.mark.parametrize("action", ["hold", "release", "bounce", "resend"])
def test_no_act_moves_what_is_done(store: Any, make_letter: Make, action: str) -> None:
    """A move that the table does not have is refused."""
    _keep(store, make_letter("L1"))
    _settle(store, _claim(store)[0], Done("250"))
    with pytest.raises(StoreRefused, match="not while it is done"):
        spool.act(store.client, "lilas", action, "L1-0")


@pytest.mark.parametrize("action", ["hold", "release", "bounce", "resend"])
def test_no_act_takes_from_a_worker(store: Any, make_letter: Make, action: str) -> None:
    """What a worker holds stays his until the lease ends."""
    _keep(store, make_letter("L1"))
    _claim(store)
    with pytest.raises(StoreRefused, match="not while it is running"):
        spool.act(store.client, "lilas", action, "L1-0")


def test_journal_and_row_are_one_transaction(store: Any, make_letter: Make) -> None:
    """A claim whose row has gone meanwhile settles nothing and journals nothing."""
    _keep(store, make_letter("L1"))
    (held,) = _claim(store)
    with store.writer.begin() as conn:
        conn.execute(update(rows).values(lease="another"))
    with pytest.raises(StoreRefused):
        _settle(store, held, Done("250"))
    assert _events(store, "L1") == ["accepted"]

"""Who is served next: dead destinations, shared probes, tenants by turns, and lanes that never sleep over a letter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from relay import spool
from relay.model import Done, Event, Later, Letter, Mode, Outcome, Reason, Recipient, Route, State
from relay.spooler import StoreRefused

Make = Callable[..., tuple[Letter, tuple[Recipient, ...]]]
DEAD = Later(Reason.PEER_UNREACHABLE, "TimeoutError", whole=True)
OK = Done("250 ok")


def _to(name: str, mode: Mode = Mode.PEER_SIGNED) -> Route:
    return Route(mode, f"{name}.mssante.example", "test")


def _keep(store: Any, kept: tuple[Letter, tuple[Recipient, ...]]) -> None:
    letter, recipients = kept
    assert spool.keep(store.client, letter, recipients, [Event("accepted", letter.id)])


def _claim(store: Any, limit: int = 16, per_target: int = 8) -> list[spool.Claimed]:
    return spool.claim(store.client, "w1", limit, 600, per_target)


def _settle(store: Any, claimed: spool.Claimed, outcome: Outcome) -> None:
    spool.settle(store.client, claimed, "w1", {each.id: outcome for each in claimed.recipients})


def _names(claimed: list[spool.Claimed]) -> list[str]:
    return sorted(each.letter.id for each in claimed)


def _kill(store: Any, make: Make, name: str = "mort") -> None:
    """Two letters that fail as a whole: the destination is dead."""
    for n in range(2):
        _keep(store, make(f"K{n}", _to(name)))
    for each in _claim(store):
        _settle(store, each, DEAD)


def test_a_window_grows_with_success(store: Any, make_letter: Make) -> None:
    """A new destination gets two letters at once; after some successes more, up to its cap."""
    for n in range(30):
        _keep(store, make_letter(f"L{n:02}", _to("parc")))
    sizes = []
    while claimed := _claim(store, per_target=5):
        sizes.append(len(claimed))
        for each in claimed:
            _settle(store, each, OK)
    assert sizes[:4] == [2, 2, 3, 4]
    assert max(sizes) == 5


def test_a_dead_destination_is_probed_by_one_letter_for_all(store: Any, make_letter: Make) -> None:
    """Twenty letters wait, of two tenants and two modes; at the probe's moment one goes, and its failure is all's."""
    _kill(store, make_letter)
    for n in range(10):
        _keep(store, make_letter(f"A{n}", _to("mort")))
        _keep(store, make_letter(f"B{n}", _to("mort", Mode.PEER_PLAIN), tenant="bois"))
    assert _claim(store) == []
    store.clock.on(seconds=37)
    (probe,) = _claim(store)
    assert _claim(store) == []
    _settle(store, probe, DEAD)
    store.clock.on(seconds=119)
    assert _claim(store) == []
    store.clock.on(seconds=26)
    (probe,) = _claim(store)
    _settle(store, probe, OK)
    assert len(_claim(store)) == 2


def test_a_person_does_not_wait_for_the_probe(store: Any, make_letter: Make) -> None:
    """What an operator releases is the probe, now."""
    _kill(store, make_letter)
    _keep(store, make_letter("L", _to("mort")))
    spool.act(store.client, "lilas", "hold", "L-0")
    assert _claim(store) == []
    spool.act(store.client, "lilas", "release", "L-0")
    assert _names(_claim(store)) == ["L"]


def test_grey_listing_is_no_death(store: Any, make_letter: Make) -> None:
    """The refused twin: letters that are put off one by one leave the destination alive."""
    for n in range(2):
        _keep(store, make_letter(f"K{n}", _to("parc")))
    for each in _claim(store):
        _settle(store, each, Later(Reason.PEER_DELAYED, "451 come back"))
    _keep(store, make_letter("L", _to("parc")))
    assert _names(_claim(store)) == ["L"]


def test_a_dead_destination_costs_the_others_nothing(store: Any, make_letter: Make) -> None:
    """With a hundred letters for the dead before it, the letter for the living goes at once."""
    _kill(store, make_letter)
    for n in range(100):
        _keep(store, make_letter(f"D{n}", _to("mort")))
    _keep(store, make_letter("Z", _to("vif")))
    assert _names(_claim(store, limit=1)) == ["Z"]


def test_a_slow_destination_holds_no_more_than_its_window(store: Any, make_letter: Make) -> None:
    """Its letters are under way and do not end; all other places are the others'."""
    for n in range(20):
        _keep(store, make_letter(f"S{n:02}", _to("lent")))
    assert len(_claim(store)) == 2
    for n in range(5):
        _keep(store, make_letter(f"V{n}", _to(f"vif{n}")))
    assert _names(_claim(store)) == [f"V{n}" for n in range(5)]


def test_tenants_take_turns(store: Any, make_letter: Make) -> None:
    """One tenant's two hundred letters to fifty destinations do not delay another's one letter."""
    for n in range(200):
        _keep(store, make_letter(f"A{n:03}", _to(f"d{n % 50}")))
    store.clock.on(seconds=60)
    _keep(store, make_letter("B", _to("d0"), tenant="bois"))
    assert "B" in _names(_claim(store, limit=4))


def test_a_tenant_with_much_under_way_comes_after(store: Any, make_letter: Make) -> None:
    """What is carried now counts: the next free place is the other tenant's, though he came later."""
    for n in range(20):
        _keep(store, make_letter(f"A{n:02}", _to(f"d{n}")))
    assert len(_claim(store, limit=8)) == 8
    store.clock.on(seconds=60)
    _keep(store, make_letter("B", _to("d99"), tenant="bois"))
    assert _names(_claim(store, limit=1)) == ["B"]


def test_an_empty_lane_sleeps(store: Any, make_letter: Make) -> None:
    """What was held back leaves nothing to look at; released, it is found again."""
    _keep(store, make_letter("L", _to("parc")))
    spool.act(store.client, "lilas", "hold", "L-0")
    assert spool.is_due(store.reader, store.clock())
    assert _claim(store) == []
    assert not spool.is_due(store.reader, store.clock())
    spool.act(store.client, "lilas", "release", "L-0")
    assert _names(_claim(store)) == ["L"]


def test_empty_lanes_delay_nobody(store: Any, make_letter: Make) -> None:
    """Seventy lanes that were emptied stand before the one with a letter: one claim of one letter finds it."""
    for n in range(70):
        _keep(store, make_letter(f"E{n:02}", _to(f"vide{n}")))
        spool.act(store.client, "lilas", "hold", f"E{n:02}-0")
    store.clock.on(seconds=1)
    _keep(store, make_letter("Z", _to("plein")))
    assert _names(_claim(store, limit=1) or _claim(store, limit=1)) == ["Z"]
    for n in range(20):
        _keep(store, make_letter(f"F{n:02}", _to(f"un{n}")))
        assert _names(_claim(store, limit=1)) == [f"F{n:02}"]


def test_whatever_is_done_no_letter_is_forgotten(store: Any, make_letter: Make) -> None:
    """Letters come, go, fail, are held and released in any order: in the end all of them are carried."""

    class Life(RuleBasedStateMachine):
        number = 0

        @initialize()
        def begin(self) -> None:
            self.carried: list[spool.Claimed] = []

        @rule(place=st.integers(0, 3), tenant=st.sampled_from(["lilas", "bois"]))
        def comes(self, place: int, tenant: str) -> None:
            Life.number += 1
            _keep(store, make_letter(f"L{Life.number:06}", _to(f"d{place}"), tenant=tenant))

        @rule(limit=st.integers(1, 4))
        def is_taken(self, limit: int) -> None:
            self.carried += _claim(store, limit=limit)

        @rule(outcome=st.sampled_from([OK, DEAD, DEAD, Later(Reason.PEER_DELAYED, "451")]))
        def is_settled(self, outcome: Outcome) -> None:
            for each in self.carried:
                try:
                    _settle(store, each, outcome)
                except StoreRefused as refusal:  # it came too late, and somebody else has taken the letter
                    if str(refusal) != "the lease was lost":
                        raise
            self.carried = []

        @rule(action=st.sampled_from(["hold", "release"]), number=st.integers(0, 5))
        def is_held(self, action: str, number: int) -> None:
            letter = f"L{Life.number - number:06}"
            for tenant in ("lilas", "bois"):
                try:
                    spool.act(store.client, tenant, action, f"{letter}-0")
                except StoreRefused:
                    continue

        @rule(seconds=st.integers(1, 300))
        def time_passes(self, seconds: int) -> None:
            store.clock.on(seconds=seconds)

        @invariant()
        def nothing_is_forgotten(self) -> None:
            assert spool.verify(store.reader) == ()

        def teardown(self) -> None:
            self.is_settled(OK)
            for _ in range(60):
                store.clock.on(minutes=61)
                self.is_taken(16)
                if not self.carried and not _waiting(store):
                    return
                self.is_settled(OK)
            assert _waiting(store) == 0

    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    chosen = settings(max_examples=8, stateful_step_count=20, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(Life, settings=chosen)  # type: ignore[no-untyped-call]


def _waiting(store: Any) -> int:
    lines = [line for tenant in ("lilas", "bois") for line in spool.queue(store.reader, tenant)]
    return sum(line.count for line in lines if line.state in (State.QUEUED, State.RUNNING))

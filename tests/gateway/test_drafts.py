"""Letters that are being written: whose they are, and how much of them is held."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dmp_bridge.papers import Look
from gateway.web.drafts import EACH, Draft, Drafts
from gateway.writing import Brought


class Held:
    """Drafts whose clock the test moves; together they may hold a hundred octets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
        self.drafts = Drafts(lambda: self.now, timedelta(minutes=120), 100)

    def with_paper(self, owner: str, size: int) -> Draft:
        draft = self.drafts.of(owner, "")
        draft.papers["1"] = Brought("x", b"x" * size, Look("application/pdf"))
        self.drafts.made_room(draft)
        return draft


def test_a_draft_is_found_by_its_owner_alone() -> None:
    """To another session it is a new one; what was signed out, or nobody used, is gone."""
    held = Held()
    draft = held.drafts.of("anna", "")
    assert held.drafts.of("anna", draft.id) is draft
    assert held.drafts.of("bert", draft.id) is not draft
    assert held.drafts.known("bert", draft.id) is None
    held.now += timedelta(minutes=119)
    assert held.drafts.known("anna", draft.id) is draft
    held.now += timedelta(minutes=2)
    assert held.drafts.known("anna", draft.id) is None
    other = held.drafts.of("anna", "")
    held.drafts.forget("anna")
    assert held.drafts.known("anna", other.id) is None


def test_what_all_of_them_hold_is_bounded() -> None:
    """The one used longest ago is forgotten first, and never the one that is written now, however large."""
    held = Held()
    first, second = held.with_paper("anna", 60), held.with_paper("bert", 30)
    assert held.drafts.known("anna", first.id)
    third = held.with_paper("carl", 20)
    assert held.drafts.known("anna", first.id) is None
    assert held.drafts.known("bert", second.id)
    large = held.with_paper("dora", 500)
    assert held.drafts.known("dora", large.id)
    assert held.drafts.known("carl", third.id) is None


def test_one_session_has_a_few() -> None:
    """Its own oldest makes room; another session's stays."""
    held = Held()
    others = held.drafts.of("bert", "")
    own = [held.drafts.of("anna", "") for _ in range(EACH + 1)]
    assert [held.drafts.known("anna", each.id) is not None for each in own] == [False, *[True] * EACH]
    assert held.drafts.known("bert", others.id)

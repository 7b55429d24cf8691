"""The account of CPU time by step: whole, whichever thread counted and whether it still lives."""

from __future__ import annotations

import threading

import pytest

from certs import meter


def _counted(name: str) -> int:
    return meter.totals().get(name, (0, 0.0))[0]


def test_counts_of_all_threads_are_summed_those_of_ended_ones_too() -> None:
    """Twenty threads, one after the other and none alive in the end, and this one."""

    def work() -> None:
        for _ in range(50):
            with meter.step("test-sum"):
                pass

    for _ in range(20):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    work()
    assert _counted("test-sum") == 21 * 50


def test_ended_threads_leave_no_account_each() -> None:
    """What a thread counted is kept, its account is not: threads come and go for as long as a node runs."""
    for _ in range(30):
        thread = threading.Thread(target=_leave)
        thread.start()
        thread.join()
    alive = threading.active_count()
    assert len(meter._accounts) <= alive + 1
    assert _counted("test-left") == 30


def _leave() -> None:
    with meter.step("test-left"):
        pass


def test_step_is_counted_though_it_fails() -> None:
    """An exception passes, and the time was spent all the same."""
    with pytest.raises(KeyError), meter.step("test-fails"):
        raise KeyError
    assert _counted("test-fails") == 1

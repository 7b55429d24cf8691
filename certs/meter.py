"""Where CPU time goes: thread CPU seconds by step of a letter's life, for the bench and for later work.

Promises: adding a step costs microseconds and never fails; totals are per process. Does not: time on the clock,
nor carry anything about a letter.
"""

from __future__ import annotations

import threading
import time
from typing import TypeAlias

Account: TypeAlias = dict[str, tuple[int, float]]

_lock = threading.Lock()
_accounts: list[tuple[threading.Thread, Account]] = []
"""One for each thread that counts: nobody waits for another to count."""
_ended: Account = {}
"""Of all threads that are no more."""
_mine = threading.local()


class step:  # noqa: N801  (used as the function that it would be, were contextlib's not three times as slow)
    """Adds the CPU seconds that this thread spends inside to `name`, e.g. 'accept', 'sign', 'file'."""

    __slots__ = ("_begun", "_name")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._begun = time.thread_time()

    def __exit__(self, *_: object) -> None:
        spent = time.thread_time() - self._begun
        account = _account()
        count, total = account.get(self._name, (0, 0.0))
        account[self._name] = (count + 1, total + spent)


def _account() -> Account:
    found: Account | None = getattr(_mine, "account", None)
    if found is None:
        found = _mine.account = {}
        with _lock:
            for each in [each for each in _accounts if not each[0].is_alive()]:
                _accounts.remove(each)
                _add(_ended, each[1])
            _accounts.append((threading.current_thread(), found))
    return found


def _add(summed: Account, account: Account) -> None:
    for name, (count, total) in list(account.items()):
        times, spent = summed.get(name, (0, 0.0))
        summed[name] = (times + count, spent + total)


def totals() -> Account:
    """(times, CPU seconds) by step, in this process."""
    summed: Account = {}
    with _lock:
        _add(summed, _ended)
        for _, account in _accounts:
            _add(summed, account)
    return summed

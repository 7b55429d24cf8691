"""A process of the node, made by forking the supervisor: what each would import is there already, and shared.

Promises: a child begins within milliseconds, so that what was killed is missed for no longer; it is named in `ps`,
tells systemd nothing in its supervisor's name, and has its memory tuned as a program of its own; one that holds keys is
executed anew instead, so that those that speak with strangers know nothing of its layout.
Does not: decide when a child starts or ends (gateway.serve does).
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import multiprocessing
import os
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess

from setproctitle import setproctitle

from gateway import notify

HEAVY = ("gateway.process", "gateway.entrance", "gateway.outward", "relay.spooler", "relay.store.engine")
"""What the children import, most of it in several of them."""

MEMORY = {"MALLOC_MMAP_THRESHOLD_": "4194304"}
"""mallopt(3): once a large letter was freed, glibc would take the next ones from heaps that never shrink again."""
_M_MMAP_THRESHOLD = -3
_FORK = multiprocessing.get_context("fork")


def prepare() -> None:
    """Before the first child: imports once, and keeps the collector's hands off what all share."""
    for name in HEAVY:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def forked(name: str, work: Callable[[], None]) -> BaseProcess:
    """Starts a child that does `work`."""
    return _started(name, lambda: _work(name, work))


def executed(name: str, command: Sequence[str]) -> BaseProcess:
    """Starts a child that becomes `command`."""
    environment = {**MEMORY, **notify.environment()}
    return _started(name, lambda: os.execve(command[0], list(command), environment))  # noqa: S606


def _started(name: str, work: Callable[[], None]) -> BaseProcess:
    child = _FORK.Process(target=work, name=name)
    child.start()
    return child


def _work(name: str, work: Callable[[], None]) -> None:
    notify.forget()
    setproctitle(f"pli: {name}")
    _tune()
    work()


def _tune() -> None:
    """As MEMORY does for a program that is executed; another libc than glibc has no such word, and is left as it is."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_MMAP_THRESHOLD, int(MEMORY["MALLOC_MMAP_THRESHOLD_"]))

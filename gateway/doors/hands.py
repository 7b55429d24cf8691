"""Threads for what would block the loop: a disk, a look-up, the spooler's answer.

As a pool of concurrent.futures that asyncio waits for, at half its price: one future in place of three, and one wake-up
of the loop. A door hands over three pieces of work for each letter.

Promises: what was started runs to its end, whoever still waits for it; threads are made as they are needed, up to a
number. Does not: cancel, or keep an order.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
_Piece: TypeAlias = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class Hands:
    """Belongs to one event loop, in whose thread `start` is called."""

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._due: SimpleQueue[_Piece | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._taken = 0
        """Pieces that were started and whose end the loop has not heard of."""
        self._closed = False

    def start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Its outcome. Whoever stops waiting for it does not stop the work. RuntimeError once shut."""
        if self._closed:
            raise RuntimeError(f"{self._name}: shut")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._taken += 1
        if self._taken > len(self._threads) and len(self._threads) < self._most:
            self._grow()
        self._due.put((loop, future, work))
        return future

    def shut(self) -> None:
        """Blocks until all that was started has ended."""
        self._closed = True
        for _ in self._threads:
            self._due.put(None)
        for thread in self._threads:
            thread.join()

    def _grow(self) -> None:
        thread = threading.Thread(target=self._serve, name=f"{self._name}-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        while (piece := self._due.get()) is not None:
            self._do(*piece)
            del piece  # not kept until the next one comes: it may hold a letter

    def _do(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], work: Callable[[], Any]) -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as surprise:
            error = surprise
        try:
            loop.call_soon_threadsafe(self._tell, future, result, error)
        except RuntimeError:  # the loop has ended: nobody waits
            return

    def _tell(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        self._taken -= 1
        if future.cancelled():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

"""A warm process apart that does one kind of heavy work (schemas, pictures, papers), asked over pipes, within a budget.

Promises: an answer, or the name of why there is none; a question that takes too long or too much memory ends its
process, and the next question gets a fresh one; questions wait for each other. Does not: know what is asked, keep
what it was sent, or believe that the process cannot break.
"""

from __future__ import annotations

import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_ANSWER = 16 * 1024 * 1024
MAX_DATA = 1024 * 1024 * 1024
"""What it made: bounded by the memory of the process already."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LOOK_S = 0.05


@dataclass(frozen=True)
class Budget:
    """Of one question; `start_s` is what the process may take to be ready, once."""

    seconds: float = 20.0
    memory: int = 2 * 1024 * 1024 * 1024
    """Resident bytes."""
    start_s: float = 120.0


@dataclass(frozen=True)
class Unanswered:
    """Why there is no answer: 'too-slow', 'too-large', 'broken' or 'not-started'."""

    why: str


class _Ended(Exception):
    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Workshop:
    """One process of dmp_bridge.workman with its arguments; started at the first question, ended by close()."""

    def __init__(self, *arguments: str, budget: Budget | None = None) -> None:
        self._arguments, self.budget = arguments, budget or Budget()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self.started = 0
        """How often a process was started: more than once means that one was ended."""

    def ask(self, question: Mapping[str, Any], data: bytes) -> dict[str, Any] | Unanswered:
        """The answer to `question` about `data`; under `data` the bytes that were made, if any. Blocks for at most the
        budget and those who wait before."""
        with self._lock:
            try:
                process = self._ready()
                return self._exchange(process, question, data, self.budget.seconds)
            except _Ended as ended:
                self._end()
                return Unanswered(ended.why)

    def warm(self) -> bool:
        """Starts the process, if it does not run; whether it is ready."""
        with self._lock:
            try:
                self._ready()
            except _Ended:
                self._end()
                return False
            return True

    def close(self) -> None:
        with self._lock:
            self._end()

    def _ready(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        command = [sys.executable, "-m", "dmp_bridge.workman", *self._arguments]
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH", "VIRTUAL_ENV") if name in os.environ}
        # What libraries print may quote a document: nobody reads it.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=kept
        )
        self.started += 1
        if self._exchange(self._process, {"ready": True}, b"", self.budget.start_s).get("ready") is not True:
            raise _Ended("not-started")
        return self._process

    def _exchange(
        self, process: subprocess.Popen[bytes], question: Mapping[str, Any], data: bytes, seconds: float
    ) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        until = time.monotonic() + seconds
        try:
            process.stdin.write(framed(question, data))
            process.stdin.flush()
        except OSError:
            raise _Ended("broken") from None
        size, made = struct.unpack(">II", self._read(process, 8, until))
        if size > MAX_ANSWER or made > MAX_DATA:
            raise _Ended("broken")
        answer = json.loads(self._read(process, size, until))
        more = {"data": self._read(process, made, until)} if made else {}
        return {**answer, **more} if isinstance(answer, dict) else {}

    def _read(self, process: subprocess.Popen[bytes], size: int, until: float) -> bytes:
        assert process.stdout is not None
        held = bytearray()
        while len(held) < size:
            if _resident(process.pid) > self.budget.memory:
                raise _Ended("too-large")
            if time.monotonic() > until:
                raise _Ended("too-slow")
            if select.select([process.stdout], [], [], _LOOK_S)[0]:
                got = os.read(process.stdout.fileno(), size - len(held))
                if not got:
                    raise _Ended("broken")
                held += got
        return bytes(held)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def framed(question: Mapping[str, Any], data: bytes) -> bytes:
    """What workman reads: two lengths, the question in JSON, the data."""
    head = json.dumps(question).encode()
    return struct.pack(">II", len(head), len(data)) + head + data


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0

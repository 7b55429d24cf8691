"""What one process of a node counts, and how the monitor reads it: Prometheus' text on a Unix socket.

Promises: labels are names of our own code (process, level, event, door, outcome, reason, step), never a letter's, a
person's or a patient's; a label value that is none of them counts as 'other'. Reading costs a process nothing between
scrapes. Does not: listen on a network (gateway.monitor does), nor count what the store knows (gateway.gauges does).
"""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from certs import meter

REGISTRY = CollectorRegistry(auto_describe=True)
"""Of this process."""
LINES = Counter("pli_log_lines", "Log lines by what they say.", ["level", "event"], registry=REGISTRY)
LETTERS = Counter(
    "pli_door_letters", "Letters at a door, by what became of them.", ["door", "outcome", "reason"], registry=REGISTRY
)
DOOR_BYTES = Counter("pli_door_bytes", "Octets of letters taken at a door.", ["door"], registry=REGISTRY)
ProcessCollector(namespace="pli", registry=REGISTRY)
_NAME = re.compile(r"[a-z][a-z0-9.\-]{0,63}")
_MOST_EVENTS = 300
_READ_S = 5.0


class Steps(Collector):
    """certs.meter: how often each step of a letter's life was done, and its CPU time."""

    def collect(self) -> Iterator[Metric]:
        times = CounterMetricFamily("pli_steps", "Steps of letters' lives.", labels=["step"])
        spent = CounterMetricFamily("pli_step_cpu_seconds", "CPU time inside them; they nest.", labels=["step"])
        for step, (number, seconds) in sorted(meter.totals().items()):
            times.add_metric([step], number)
            spent.add_metric([step], seconds)
        yield times
        yield spent


REGISTRY.register(Steps())


# --- counting log lines -------------------------------------------------------------------------------------


_events: set[str] = set()


def counted(_logger: Any, _method: str, line: Mapping[str, Any]) -> Mapping[str, Any]:
    """A processor of structlog: each line counts by its name, and a letter's at the doors by its outcome."""
    event = _bounded(str(line.get("event", "")))
    LINES.labels(str(line.get("level", "")), event).inc()
    if event == "letter":
        labels = (_named(line.get("door")), _named(line.get("outcome")), _named(line.get("reason")))
        LETTERS.labels(*labels).inc()
        DOOR_BYTES.labels(labels[0]).inc(line.get("size") or 0)
    return line


def _bounded(event: str) -> str:
    """Names of lines are words of our code; a library's free text is not."""
    if event not in _events and (len(_events) >= _MOST_EVENTS or not _NAME.fullmatch(event)):
        return "other"
    _events.add(event)
    return event


def _named(value: Any) -> str:
    text = str(value or "")
    return text if not text or _NAME.fullmatch(text) else "other"


# --- telling ------------------------------------------------------------------------------------------------


def socket_of(run: Path, process: str) -> Path:
    return run / f"{process}.metrics"


def tell(path: Path) -> None:
    """Answers whoever connects with this process's text, in a thread of its own, until the process ends."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    os.chmod(path, 0o600)
    listener.listen(16)
    threading.Thread(target=_answer, args=(listener,), name="metrics", daemon=True).start()


def _answer(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.settimeout(_READ_S)
            connection.sendall(generate_latest(REGISTRY))


def asked(path: Path) -> str:
    """What the process behind `path` tells. Raises OSError where it does not answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_READ_S)
        connection.connect(str(path))
        pieces = []
        while piece := connection.recv(65536):
            pieces.append(piece)
    return b"".join(pieces).decode("utf-8")

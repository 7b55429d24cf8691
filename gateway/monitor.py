"""The monitor: one place on loopback where a node's metrics and its health are read.

Promises: /metrics is all processes' text in one, each sample with its `process`, and what store, disk and files say;
/healthz answers 200 while every process answers, /readyz while a letter could go in and out, 503 otherwise, with a
sentence a line; /aide is the handbook. A process that does not answer is `pli_up 0`, never an error of the whole. Does
not: write, or let anybody in from another machine.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from certs.expiry import Expiring
from gateway import app, gauges, handbook_pages, health, metrics, records, roster, upkeep, watching
from gateway.config import ConfigError, Settings
from gateway.doors import web
from gateway.doors.ports import PortUnusable
from gateway.readiness import Check
from relay.store import engine

EXPIRY_EVERY_S = 600.0


class Processes(Collector):
    """What every process of the node counts, read when asked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("pli_up", "1 where the process answers.", labels=["process"])
        merged: dict[str, Metric] = {}
        for name in roster.names(self._settings):
            text = self._text(name)
            up.add_metric([name], 1 if text else 0)
            for family in text_string_to_metric_families(text):
                into = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for each in family.samples:
                    into.samples.append(each._replace(labels={**each.labels, "process": name}))
        yield up
        yield from merged.values()

    def _text(self, name: str) -> str:
        try:
            return metrics.asked(metrics.socket_of(self._settings.paths.run, name))
        except OSError:
            return ""


class Ends(Collector):
    """When certificates and lists end; read anew every ten minutes, since each look opens every file."""

    def __init__(self, settings: Settings, clock: Callable[[], datetime]) -> None:
        self._settings, self._clock = settings, clock
        self._read_at: datetime | None = None
        self._found: dict[tuple[str, str], float] = {}

    def collect(self) -> Iterator[Metric]:
        now = self._clock()
        if self._read_at is None or (now - self._read_at).total_seconds() > EXPIRY_EVERY_S:
            self._read_at, self._found = now, dict(self._look(now))
        told = GaugeMetricFamily(
            "pli_certificate_expires_seconds",
            "Moment of the end; 0 where it cannot be read.",
            labels=["tenant", "name"],
        )
        for labels, until in self._found.items():
            told.add_metric(list(labels), until)
        yield told

    def _look(self, now: datetime) -> Iterator[tuple[tuple[str, str], float]]:
        for view in self._settings.views:
            for each in watching.expiring(view, now):
                yield (view.node.tenant, each.name), _moment(each)


def _moment(each: Expiring) -> float:
    return each.until.timestamp() if each.until else 0.0


class Kept(Collector):
    """What is done by the clock for the directory."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def collect(self) -> Iterator[Metric]:
        told = GaugeMetricFamily("pli_upkeep_late", "1 where a work could not be done.", labels=["tenant", "work"])
        for each in upkeep.said(self._settings):
            told.add_metric([each.tenant, each.work], 0 if each.ok else 1)
        yield told


# --- the page ---------------------------------------------------------------------------------------------------


class Monitor:
    """What is told at its addresses."""

    def __init__(self, settings: Settings) -> None:
        assert settings.monitor is not None
        self._settings = settings
        self._lock = threading.Lock()
        self._registry = CollectorRegistry(auto_describe=False)
        reader = engine.reader_engine(settings.database_url)
        self._happened = gauges.Happened(reader, self._registry)
        tenants = tuple(view.node.tenant for view in settings.views)
        lists = tuple(view.trust.white_list for view in settings.views)
        heads = tuple(records.folder(view) for view in settings.views)
        for each in (
            gauges.Queue(reader, app.clock, settings.monitor.destinations, tenants),
            gauges.Disk(settings.paths.data, heads, lists, app.clock),
            Ends(settings, app.clock),
            Kept(settings),
            Processes(settings),
        ):
            self._registry.register(each)

    def text(self) -> bytes:
        with self._lock:
            self._happened.look()
            return generate_latest(self._registry)

    async def metrics(self, _request: Request) -> Response:
        return Response(await asyncio.to_thread(self.text), media_type=CONTENT_TYPE_LATEST)

    async def healthz(self, _request: Request) -> Response:
        return _told(await asyncio.to_thread(health.alive, self._settings))

    async def readyz(self, _request: Request) -> Response:
        return _told(await asyncio.to_thread(health.ready, self._settings))

    def routes(self) -> list[Route]:
        pages = {"/metrics": self.metrics, "/healthz": self.healthz, "/readyz": self.readyz}
        return [*(Route(path, page, methods=["GET"]) for path, page in pages.items()), *handbook_pages.routes()]


def _told(checks: Sequence[Check]) -> Response:
    lines = [f"{'ok  ' if check.ok else 'BAD '} {check.name}: {check.sentence}\n" for check in checks]
    return PlainTextResponse("".join(lines), 200 if all(check.ok for check in checks) else 503)


def serve_until(settings: Settings, stop: threading.Event, listening: Callable[[], None]) -> None:
    """Serves until `stop`; raises ConfigError where the port cannot be opened."""
    assert settings.monitor is not None
    try:
        asyncio.run(_serve(Monitor(settings), settings.monitor.host, settings.monitor.port, stop, listening))
    except PortUnusable as error:
        raise ConfigError(str(error)) from None


async def _serve(monitor: Monitor, host: str, port: int, stop: threading.Event, listening: Callable[[], None]) -> None:
    async with web.opened(host, port, monitor.routes()):
        listening()
        await asyncio.to_thread(stop.wait)

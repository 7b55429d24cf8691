"""The processes of one node by name, and the files in which each says that it serves.

Promises: names follow from the settings alone. Does not: start or watch one (gateway.serve does), or know what one does
(gateway.process does).
"""

from __future__ import annotations

import os
from pathlib import Path

from gateway import notify
from gateway.administration_section import Adapter
from gateway.config import Settings

PROCESSES = ("spooler", "keeper", "doors", "carrier")
"""In the order in which they start and, backwards, end: who keeps letters outlives who brings them."""


def names(settings: Settings) -> list[str]:
    """Of the node's processes: 'doors' once per configured worker ('doors', 'doors-2', …), 'collector' where there is
    something to collect, 'refresher' unless trust.fetch is false and no white list is fetched, 'monitor' where it has
    a port, 'web' where there are pages, 'upkeep' where the directory is kept or told of, or results are hidden."""
    more = [f"doors-{number}" for number in range(2, settings.doors.workers + 1)]
    collector = ["collector"] if any(view.collect for view in settings.views) else []
    bus = ["mllp"] if any(view.hl7 for view in settings.views) else []
    feed = ["identities"] if any(view.identities for view in settings.views) else []
    refresher = ["refresher"] if settings.trust.fetch or settings.trust.white_list_url else []
    monitor = ["monitor"] if settings.monitor else []
    pages = ["web"] if settings.web else []
    keeping = ["upkeep"] if any(map(_is_kept, settings.views)) else []
    return [*PROCESSES[:-1], *refresher, *more, *collector, *bus, *feed, *monitor, *pages, *keeping, PROCESSES[-1]]


def _is_kept(view: Settings) -> bool:
    return bool(view.publication.adapter is not Adapter.NONE or view.lifecycle.by or view.feed or hides(view))


def hides(view: Settings) -> bool:
    """Whether results that are not announced are filed hidden, and must be shown one day."""
    hosts = (view.dossier, *view.dossiers.values())
    return any(each is not None and each.enabled and each.unannounced == "hide" for each in hosts)


def ready_file(settings: Settings, process: str) -> Path:
    return settings.paths.run / f"{process}.pid"


def announce(settings: Settings, process: str) -> None:
    """Called by a process once it serves: its pid file appears, and systemd is told where it is a unit by itself."""
    ready_file(settings, process).write_text(f"{os.getpid()}\n")
    notify.serves_alone()

"""The wiring of the processes apart: schemas of others, and pictures of pages; one of each for all tenants of a node.

Promises: a host whose norm asks for schemas is not served without them; a process is started where it is needed and
ends with its parent. Does not: decide what an answer means.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

from dmp_bridge import installed, printed
from dmp_bridge.installed import Checked, Checker
from dmp_bridge.model import HostProfile
from dmp_bridge.workshop import Budget
from gateway import app, documents
from gateway.config import ConfigError, Settings
from relay.intake import Intake
from relay.model import Courier


def schemas(settings: Settings, profile: HostProfile | None) -> Callable[[bytes], Checked] | None:
    """None where nothing is installed. Raises ConfigError where the host's norm asks for schemas (design §8)."""
    folder = documents.folder(settings)
    if installed.stamp(folder) is not None:
        return _checker(folder, documents.budget(settings))
    if profile is not None and profile.norm.schema_required:
        raise ConfigError(
            f"dossier '{profile.name}': its norm asks for schemas and none are in {folder}; `pli cda install` puts them"
        )
    return None


def with_pictures(settings: Settings, host: str, dossier: Courier, entry: Intake) -> Courier:
    """The courier to the dossier, before it the one that looks for printed identities, where that is asked for."""
    if not settings.cda.pictures:
        return dossier
    return printed.PrintedCourier(dossier, app.register(settings), entry.client, _looker(), host)


@cache
def _checker(folder: Path, budget: Budget) -> Checker:
    made = Checker(folder, budget)
    # Compiling the schematrons takes some ten seconds: the first document shall not wait for them.
    threading.Thread(target=made.warm, daemon=True).start()
    return made


@cache
def _looker() -> printed.Look:
    return printed.looker()

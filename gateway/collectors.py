"""The wiring of the collectors: for each mailbox at another operator, how it is opened and whose letters they are.

Promises: password, token, certificate and anchors are read anew at each connection, so that a renewed one needs no
restart. Does not: collect (gateway.doors.imap does).
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from certs import tls
from certs.chain import TrustStore
from directory import address
from gateway import app
from gateway.config import CollectSection, ConfigError, Settings
from gateway.doors import imap as door
from gateway.imap import Denied, Login, Mailbox, Opens
from relay import collected
from relay.intake import Intake
from relay.store import engine


def serve(settings: Settings, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Collects from every tenant's configured mailboxes until `stop`. Raises ConfigError."""
    collectors = [each for view in settings.views if view.collect for each in _of_tenant(view)]
    ready()
    asyncio.run(_until(collectors, stop))


def _of_tenant(view: Settings) -> list[door.Collector]:
    entry = app.intake(view)
    return [_collector(view, name, section, entry) for name, section in view.collect.items()]


async def _until(collectors: list[door.Collector], stop: threading.Event) -> None:
    ended = asyncio.Event()
    watching = asyncio.create_task(asyncio.to_thread(stop.wait))
    watching.add_done_callback(lambda _: ended.set())
    await asyncio.gather(door.collect_all(collectors, ended), ended.wait())


def _collector(settings: Settings, name: str, section: CollectSection, entry: Intake) -> door.Collector:
    try:
        to = address.parse(section.to)
    except address.BadAddress as error:
        raise ConfigError(f"collect.{name}.to: {error}") from None
    if not entry.node.serves(to):
        raise ConfigError(f"collect.{name}.to: {section.to} is no mailbox of this node (node.domains)")
    source = door.Source(
        name=name,
        host=section.host,
        to=to,
        opens=_opens(section, entry.trust),
        max_bytes=settings.doors.max_bytes,
        pace=door.Pace(poll_s=section.poll_s),
    )
    return door.Collector(
        source=source,
        tenant=settings.node.tenant,
        intake=entry,
        bodies=app.bodies(settings),
        client=app.client(settings),
        reader=engine.reader_engine(settings.database_url),
        clock=app.clock,
    )


def _opens(section: CollectSection, trust: Callable[[], TrustStore]) -> Opens:
    async def opened() -> Mailbox:
        try:
            context, login = _context(section, trust()), _login(section)
        except (OSError, ValueError) as error:
            raise Denied(f"our own files cannot be used: {_named(error)}") from error
        return await Mailbox.opened(section.host, section.port, context, login, section.folder)

    return opened


def _context(section: CollectSection, trust: TrustStore) -> ssl.SSLContext:
    """The server's name counts here: no white list binds it to a domain."""
    ours = (section.certificate, section.key) if section.certificate and section.key else None
    return tls.context(tls.CLIENT_OUT, ours, trust, section.authorities)


def _login(section: CollectSection) -> Login:
    return Login(section.user, _secret(section.password_file), _secret(section.token_file))


def _secret(path: Path | None) -> str:
    return path.read_text().strip() if path else ""


def _named(error: Exception) -> str:
    """An OSError's own words name the file; others might quote what they read."""
    return str(error) if isinstance(error, OSError) else type(error).__name__


# --- how they are ---------------------------------------------------------------------------------------------------


def health(settings: Settings) -> list[dict[str, Any]]:
    """One row per collector that has ever said how it is, JSON-able."""
    found = collected.health(app.reader(settings.database_url), settings.node.tenant)
    return [
        {"source": each.source, "state": each.state.value, "reason": each.reason, "detail": each.detail,
         "since": each.since.isoformat(timespec="seconds"), "well_at": _moment(each.well_at),
         "entered": each.entered, "refused": each.refused}
        for each in found
    ]  # fmt: skip


def _moment(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at else ""

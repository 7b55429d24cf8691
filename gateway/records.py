"""The journal's heads, sealed every hour with the establishment's seal, so that a cut tail shows; where several tenants
share the node, by each with its own.

Promises: a sealing that fails is an alarm in the log and is tried again; a node without a seal says so once a day and
goes on. Does not: copy the sealed heads to another machine (the operator does: docs/operations.md), or judge a chain.
"""

from __future__ import annotations

import threading
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from certs.chain import TrustStore
from certs.keys import KeeperDown
from gateway import app
from gateway.config import ConfigError, Settings
from relay import heads, journal
from relay.store import engine

_log = structlog.get_logger(__name__)
LETTER = "journal"
"""What the keeper's record of the release names."""


def folder(settings: Settings) -> Path:
    return settings.journal.heads or settings.paths.data / "heads"


def seal(settings: Settings) -> Path:
    """Seals the heads as they are now. Raises ConfigError without a seal, KeeperDown, OSError, SQLAlchemyError."""
    keeper = app.keeper_client(settings)
    reader = engine.reader_engine(settings.database_url)
    try:
        domain = settings.node.domains[0]
        signer = keeper.seal_for(domain, LETTER)
        if signer is None:
            raise ConfigError(f"the keeper holds no seal for {domain}: its certificate names domain-signing-authority@")
        return heads.write(folder(settings), settings.node.name, journal.heads(reader), signer, app.clock())
    finally:
        reader.dispose()
        keeper.close()


def keep_sealing(settings: Settings, stop: threading.Event) -> None:
    """Every `journal.seal_every_s` seconds until `stop`, for every tenant; the first time soon after the start."""
    pause = min(60.0, settings.journal.seal_every_s)
    while not stop.wait(pause):
        sealed = [_sealed(each) for each in settings.views]  # none waits for another's trouble
        pause = settings.journal.seal_every_s if all(sealed) else min(300.0, settings.journal.seal_every_s)


def _sealed(settings: Settings) -> bool:
    try:
        path = seal(settings)
    except (ConfigError, KeeperDown, OSError, SQLAlchemyError) as error:
        why = str(error) if isinstance(error, ConfigError) else type(error).__name__
        _log.error("alarm-journal-not-sealed", why=why, tenant=settings.node.tenant)
        return False
    _log.info("journal-sealed", file=path.name, tenant=settings.node.tenant)
    return True


def verify(settings: Settings, store: TrustStore, kept: Path | None = None) -> tuple[list[str], int]:
    """What is wrong with the journal, and how many sealed heads it was compared with, of every tenant."""
    sealed: list[heads.SealedHeads] = []
    faults: list[str] = []
    for each in [kept] if kept else [folder(view) for view in settings.views]:
        found, wrong = heads.read(each, store)
        sealed += found
        faults += wrong
    reader = engine.reader_engine(settings.database_url)
    try:
        return [*faults, *journal.verify(reader, heads.places(sealed))], len(sealed)
    finally:
        reader.dispose()

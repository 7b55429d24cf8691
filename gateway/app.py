"""The wiring: from one tenant's settings (Settings.views) to its parts. Nothing else joins anything.

Promises: each function builds what one process needs and no more (a door has no key that opens a body, the keeper has
no database to write). Does not: decide, speak a protocol or loop.
"""

from __future__ import annotations

import getpass
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Generic, TypeVar

import structlog
from sqlalchemy import Engine

from certs.chain import TrustStore
from certs.keys import KeeperClient
from certs.revocation import Patience
from certs.seen import Seen
from certs.tls import Role
from directory.following import Follower
from directory.ldap import LdapDirectory
from directory.lookup import Directory
from directory.several import SeveralDirectories
from dmp_bridge import candidates, choices, filings, forgetting, patients, roll
from dmp_bridge import tables as dossier_tables
from dmp_bridge.gatekeeper import Gatekeeper
from dmp_bridge.model import HostProfile
from dmp_bridge.norms import norm
from gateway import lookups
from gateway.accounts import Accounts
from gateway.config import MINIMUMS, ConfigError, DossierSection, Settings
from gateway.logins import Household, Logins
from gateway.tokens import Provider, Tokens, download, vouching
from relay import erasure, resealing, retention, spool, tenants
from relay.intake import Intake
from relay.journal import SpoolJournal
from relay.model import Event
from relay.partners import WhiteList
from relay.policy import Book
from relay.pseudonym import Pseudonyms
from relay.resealing import Sealed
from relay.routing import Node
from relay.scan import Clamd, Scanning, Unable
from relay.spooler import SpoolClient, Write
from relay.store import engine, policies, publications, reads, tables
from relay.store.bodies import BodyStore, open_bytes, seal_bytes

METADATAS = (tables.metadata, dossier_tables.metadata)
SEALED = (Sealed(dossier_tables.patients, "identity"), Sealed(dossier_tables.patient_identifiers, "sealed"))
"""What lies sealed in rows; bodies are files."""
WRITES: dict[str, Write] = {
    **spool.WRITES,
    **erasure.WRITES,
    **resealing.writes(SEALED),
    **tenants.WRITES,
    **publications.WRITES,
    **filings.WRITES,
    **choices.WRITES,
    **patients.WRITES,
    **forgetting.WRITES,
}

T = TypeVar("T")


def clock() -> datetime:
    return datetime.now(UTC)


# --- what files say, read again when they change ------------------------------------------------------------------


class Fresh(Generic[T]):
    """A value made from files: made again when one of them changed; the last good one is kept on trouble."""

    def __init__(self, folder: Path, make: Callable[[T | None], T], *more: Path) -> None:
        self._folder, self._more, self._make = folder, more, make
        self._lock = threading.Lock()
        self._seen = self._stamp()
        self._value = make(None)

    def __call__(self) -> T:
        stamp = self._stamp()
        if stamp != self._seen:
            with self._lock:
                self._renew(stamp)
        return self._value

    def _renew(self, stamp: tuple[int, ...]) -> None:
        try:
            self._value = self._make(self._value)
        except (ConfigError, OSError, ValueError) as error:
            structlog.get_logger().error("alarm-not-renewed", what=str(self._folder), why=str(error))
        self._seen = stamp

    def _stamp(self) -> tuple[int, ...]:
        return tuple(at for folder in (self._folder, *self._more) for at in _times(folder))


def _times(folder: Path) -> Iterator[int]:
    for file in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
        try:
            yield file.stat().st_mtime_ns
        except FileNotFoundError:
            continue  # renamed or removed since it was listed


def trust(settings: Settings) -> Fresh[TrustStore]:
    """With what the refresher fetched; what it lacks is left for it."""
    cache, patience = settings.revocation_cache, Patience(grace=timedelta(hours=settings.trust.grace_hours))
    note = Seen(settings.paths.run / "seen").note if settings.trust.fetch else _nothing

    def load(_: TrustStore | None) -> TrustStore:
        return TrustStore.load(settings.trust.folder, cache, patience, note)

    return Fresh(settings.trust.folder, load, cache / "crls", cache / "ocsp")


def tls_role(settings: Settings, role: Role) -> Role:
    """A role between operators or for mail clients, as this node's settings want it."""
    told = settings.tls
    return replace(role, minimum=MINIMUMS[told.minimum], ciphers=told.ciphers)


def _nothing(_: object) -> None:
    return None


def white_list(settings: Settings, store: Callable[[], TrustStore]) -> Fresh[WhiteList]:
    return Fresh(settings.trust.white_list, lambda held: _believed(settings, store(), held))


def _believed(settings: Settings, store: TrustStore, held: WhiteList | None) -> WhiteList:
    path = settings.trust.white_list
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the white list {path} cannot be read: {error.strerror}") from None
    answer = WhiteList.load(data, store, clock(), held, signer=settings.trust.white_list_signer)
    if isinstance(answer, WhiteList):
        return answer
    raise ConfigError(f"the white list {path} is not believed: {answer.fault} {answer.detail}".rstrip())


# --- shared parts -------------------------------------------------------------------------------------------------


def node(settings: Settings) -> Node:
    section = settings.node
    return Node(section.tenant, frozenset(section.domains), section.hostname, section.name)


def pseudonyms(settings: Settings) -> Pseudonyms:
    return Pseudonyms(secret(settings.keeper.pseudonym_key))


def log_names(settings: Settings) -> Pseudonyms:
    """What the log of a process hides identities with: where it works for several tenants, a key that is nobody's, so
    that no line shows that two of them know one patient."""
    return Pseudonyms(os.urandom(32)) if settings.tenants else pseudonyms(settings)


def secret(path: Path) -> bytes:
    """A key or password kept in a file of its own."""
    try:
        return path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


def bodies(settings: Settings) -> BodyStore:
    return BodyStore(settings.paths.data / "bodies", body_key(settings), secret(settings.keeper.digest_key))


def body_key(settings: Settings) -> Callable[[], bytes]:
    """The public half of the body key, read again when its file changes: a rotation stops nobody."""
    path = settings.keeper.body_public_key
    secret(path)  # absent: said now
    return Fresh(path, lambda _: bytes.fromhex(secret(path).decode("ascii")))


def client(settings: Settings) -> SpoolClient:
    return SpoolClient(settings.spool_socket)


def keeper_client(settings: Settings) -> KeeperClient:
    """Asks for one tenant's keys; the connections are all tenants'."""
    return _keeper(settings.keeper_socket).of(settings.node.tenant)


@lru_cache(maxsize=4)
def _keeper(socket: Path) -> KeeperClient:
    return KeeperClient(socket)


@lru_cache(maxsize=4)
def reader(url: str) -> Engine:
    """An engine that only reads: one for all parts, and all tenants, of a process."""
    return engine.reader_engine(url)


def directory(settings: Settings) -> LdapDirectory:
    """The region's own, asked each time."""
    return lookups.regional(settings.directory, secret, clock)


def directories(settings: Settings) -> SeveralDirectories:
    """The region's own, then the national ones that are configured."""
    return lookups.every(settings, secret, clock)


def profile(section: DossierSection | None) -> HostProfile | None:
    if section is None:
        return None
    return HostProfile(
        name=section.name,
        url=section.url,
        repository_id=section.repository_id,
        source_id=section.source_id,
        files_incoming=section.files_incoming,
        enabled=section.enabled,
        ins_root=section.ins_root,
        reads=norm(section.norm).reads,
        hides=section.unannounced == "hide",
        norm=norm(section.norm),
    )


@dataclass(frozen=True)
class Common:
    """What the tenants of a node share in one process: none of it holds anything of a tenant's."""

    client: SpoolClient
    directory: Directory
    trust: Fresh[TrustStore]
    white_list: Fresh[WhiteList]
    scanning: Scanning | None
    hearing: Follower | None = None

    def close(self) -> None:
        """No change of the directory is heard any more."""
        if self.hearing:
            self.hearing.stop()


def common(settings: Settings, follow: bool = False) -> Common:
    """`follow`: for a process that stays; the directory's changes are heard until it is closed."""
    store = trust(settings)
    asked = lookups.remembered(settings.directory, directories(settings), clock)
    hearing = lookups.heard(settings.directory, asked, secret, clock) if follow else None
    return Common(client(settings), asked, store, white_list(settings, store), scanning(settings), hearing)


def intake(settings: Settings, shared: Common | None = None) -> Intake:
    """One tenant's. `shared`: with what the other tenants of this process use too."""
    parts = shared or common(settings)
    gatekeeper = Gatekeeper(reader(settings.database_url), settings.node.tenant, pseudonyms(settings))
    return Intake(
        node=node(settings),
        client=parts.client,
        directory=parts.directory,
        white_list=parts.white_list,
        trust=parts.trust,
        finders=(candidates.make_finder(profile(settings.dossier), pictures=settings.cda.pictures),),
        pseudonyms=pseudonyms(settings),
        clock=clock,
        may_use=accounts(settings).may_use,
        white_list_age_most=timedelta(hours=settings.trust.white_list_max_age_hours),
        scanning=parts.scanning,
        book=book(settings),
        opposed=gatekeeper,
        qualified=gatekeeper.qualified,
    )


def book(settings: Settings) -> Callable[[], Book]:
    """Policy as it stands when asked: the factory's, the file's, then what people have set."""
    rows, tenant, told = reader(settings.database_url), settings.node.tenant, settings.policy.all_lines()
    return lambda: Book((*told, *policies.read(rows, tenant)))


def scanning(settings: Settings) -> Scanning | None:
    told = settings.scan
    if told is None:
        return None
    at, stale = told.socket or (told.host, told.port), timedelta(hours=told.stale_hours)
    clamd = Clamd(at, clock, stale, told.timeout_s, told.own_signatures)
    policy = {
        Unable.DOWN: told.when_down,
        Unable.NO_DATABASE: told.when_no_database,
        Unable.STALE: told.when_stale,
        Unable.TOO_LARGE: told.when_too_large,
        Unable.FAILED: told.when_failed,
    }
    return Scanning(clamd, policy)


def accounts(settings: Settings, held: Tokens | None = None) -> Accounts:
    """One tenant's. `held`: what judges tokens, where another tenant's provider is the same."""
    told = settings.accounts
    return Accounts(told.file, told.delegations, held or tokens(settings), told.application_passwords_only)


def logins(settings: Settings) -> Accounts | Logins:
    """Who may log in at this node's doors."""
    if not settings.tenants:
        return accounts(settings)
    providers = {view.provider: tokens(view) for view in settings.views}
    return Logins(
        [
            Household(view.node.tenant, node(view).domains, accounts(view, providers[view.provider]))
            for view in settings.views
        ]
    )


def tokens(settings: Settings) -> Tokens | None:
    told = settings.provider
    if told is None:
        return None
    known = Provider(told.issuer, told.audience, told.keys_url, held_for=timedelta(hours=told.keys_held_hours))
    try:
        return Tokens(known, clock, partial(download, context=vouching(told.authorities)))
    except OSError as error:
        raise ConfigError(f"provider.authorities {told.authorities}: {error.strerror or error}") from None


def register(settings: Settings) -> patients.Register:
    keys, rows = keeper_client(settings), reader(settings.database_url)
    opened = partial(open_bytes, unwrap=lambda wrapped: keys.unwrap(wrapped, "patient"))
    return patients.Register(rows, pseudonyms(settings), opened)


# --- care ---------------------------------------------------------------------------------------------------------


def migrate(settings: Settings) -> None:
    settings.paths.data.mkdir(mode=0o700, parents=True, exist_ok=True)

    from relay.store import migrations  # Alembic takes a while to import: only who migrates pays

    migrations.upgrade(settings.database_url, METADATAS)


def forget_bodies(settings: Settings) -> int:
    """Erases the bodies that retention lets go; how many."""
    reader = engine.reader_engine(settings.database_url)
    try:
        kept_for = timedelta(days=settings.retention.bodies_days)
        # To erase a body needs no key: any tenant's store does it for all
        own = {tenant: timedelta(days=days) for tenant, days in settings.retention.tenants.items()}
        return retention.forget(client(settings), reader, bodies(settings.views[0]).erase, clock(), kept_for, own)
    finally:
        reader.dispose()


def local_root(settings: Settings) -> str:
    """Under which the establishment's own numbers of patients stand."""
    root = settings.dossier.local_root if settings.dossier else ""
    return root or settings.node.establishment


def import_patients(
    settings: Settings, file: Path, progress: Callable[[int], None] = lambda _: None
) -> tuple[int, tuple[str, ...]]:
    """Patients written, and a sentence for each line that was not. `progress`: how many more are written."""
    read = roll.load_csv(file.read_bytes(), local_root(settings))
    public = bytes.fromhex(secret(settings.keeper.body_public_key).decode("ascii"))
    written = 0
    if read.patients:
        names = pseudonyms(settings)
        seal = partial(seal_bytes, public)
        written = patients.put(client(settings), settings.node.tenant, read.patients, names, seal, progress=progress)
        facts = (("by", getpass.getuser()), ("patients", str(written)), ("rejected", str(len(read.errors))))
        SpoolJournal(client(settings)).add(settings.node.tenant, [Event("patients-imported", facts=facts)])
    return written, tuple(str(error) for error in read.errors)


def verify(settings: Settings) -> list[str]:
    """Faults in the journal's chain, its sealed heads and the spool; empty when all is well."""
    from gateway import records

    faults, _ = records.verify(settings, trust(settings)())
    rows = reader(settings.database_url)
    with rows.connect() as conn:
        base = [f"database: {each}" for each in engine.damage(conn)]
    lost = [
        f"body of {each}"
        for view in settings.views
        for each in reads.faulty_bodies(rows, view.node.tenant, bodies(view).fault)
    ]
    return [*base, *faults, *map(str, spool.verify(rows)), *lost]

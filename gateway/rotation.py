"""Another body key without stopping: made, put to use, what was sealed to older ones wrapped again, old ones retired.

Promises: at every moment the keeper opens what doors seal, whatever is killed: it reads the new key before a door sees
its public half, and keeps the old one until nothing is sealed to it; wrapping again may be cut short and begun anew,
each value is whole before and after; content never leaves the keeper's or this process's memory, and of version 2 not
even a body's key does. Does not: change signing keys, or reach copies made elsewhere (they need the old key).
"""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy import Engine, select

from certs import disk
from certs.keys import KeeperClient, KeeperDown, KeeperRefused
from gateway import app
from gateway.config import Settings
from relay import resealing
from relay.resealing import Sealed
from relay.store import bodies
from relay.store.bodies import BodyDamaged, BodyStore
from relay.store.tables import letters

AT_ONCE = 200
WAIT_S = 15.0
YOUNGEST = timedelta(hours=1)
"""No letter is so long on its way from its first byte, when its body was sealed, to its row."""

Told = Callable[[int], None]


class NotRotated(Exception):
    """The text is for the operator."""


@dataclass(frozen=True)
class Counted:
    """How many values are sealed to which body key, by its mark in hex; '' for the first form, which tells none."""

    in_use: str
    by_key: Counter[str]

    @property
    def older(self) -> int:
        return self.by_key.total() - self.by_key[self.in_use]


# --- a new key ---------------------------------------------------------------------------------------------------


def rotate(settings: Settings, at: datetime) -> str:
    """Makes a key and puts it to use; its mark in hex. Raises NotRotated, OSError."""
    folder, keeper = settings.keeper.folder, app.keeper_client(settings)
    new = X25519PrivateKey.generate()
    public = new.public_key().public_bytes_raw()
    old = folder / "body.key"
    kept = folder / f"body-{at:%Y%m%dT%H%M%S}-{secrets.token_hex(2)}.key"
    draft = _placed(old, new.private_bytes(*_FORM))
    os.link(old, kept)  # the old one has two names before the first of them is given away
    draft.replace(old)
    disk.sync_folder(folder)
    _read_again(settings, keeper, public)
    _placed(settings.keeper.body_public_key, public.hex().encode()).replace(settings.keeper.body_public_key)
    disk.sync_folder(settings.keeper.body_public_key.parent)
    return bodies.mark(public).hex()


_FORM = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _placed(beside: Path, data: bytes) -> Path:
    """A new file beside another, with its owner and mode, on the disk."""
    draft = beside.with_name(beside.name + ".new")
    draft.unlink(missing_ok=True)
    like = beside.stat()
    disk.make(draft, data, like.st_mode & 0o777)
    if os.geteuid() == 0:
        os.chown(draft, like.st_uid, like.st_gid)
    return draft


def _read_again(settings: Settings, keeper: KeeperClient, public: bytes) -> None:
    """Raises NotRotated unless the keeper uses this key."""
    try:
        os.kill(int((settings.paths.run / "keeper.pid").read_text()), signal.SIGHUP)
        end = time.monotonic() + WAIT_S
        while keeper.body_key() != public:
            if time.monotonic() > end:
                raise NotRotated(
                    "the keeper does not use the new key: its log says why; doors still seal to the old one"
                )
            time.sleep(0.05)
    except (OSError, ValueError, KeeperDown, KeeperRefused) as error:
        raise NotRotated(
            f"the keeper was not reached ({type(error).__name__}); doors still seal to the old key"
        ) from None


# --- what was sealed to older ones -------------------------------------------------------------------------------


def counted(settings: Settings) -> Counted:
    """Raises KeeperDown."""
    in_use = bodies.mark(app.keeper_client(settings).body_key()).hex()
    store, reader = app.bodies(settings), app.reader(settings.database_url)
    found = Counter(_mark(store, name) for name in _names(reader, settings.node.tenant))
    found.pop(_GONE, None)
    for of in app.SEALED:
        found.update(bodies.sealed_to(each.value).hex() for each in resealing.held(reader, settings.node.tenant, of))
    return Counted(in_use, found)


_GONE = "gone"


def _names(reader: Engine, tenant: str) -> Iterator[str]:
    query = select(letters.c.body_name).where(letters.c.tenant == tenant, letters.c.body_name != "")
    with reader.connect() as conn:
        yield from conn.execution_options(yield_per=1000).scalars(query)


def _mark(store: BodyStore, name: str) -> str:
    try:
        return bodies.sealed_to(store.header(name)).hex()
    except BodyDamaged:
        return _GONE  # erased since, or a fault that `pli verify` tells


def rewrap(settings: Settings, told: Told) -> int:
    """Wraps again what is sealed to older keys; how many values. Raises KeeperDown, StoreDown, OSError."""
    keeper, reader = app.keeper_client(settings), app.reader(settings.database_url)
    public = keeper.body_key()
    mine, store, count = bodies.mark(public).hex(), app.bodies(settings), 0
    older = (name for name in _names(reader, settings.node.tenant) if _mark(store, name) not in (mine, _GONE))
    while names := list(islice(older, AT_ONCE)):
        count += _bodies(settings, keeper, store, public, names)
        told(count)
    for of in app.SEALED:
        count += _rows(settings, keeper, reader, public, of)
        told(count)
    return count


def _bodies(settings: Settings, keeper: KeeperClient, store: BodyStore, public: bytes, names: list[str]) -> int:
    sealed = {}
    for name in names:
        try:
            sealed[name] = store.sealed(name)
        except BodyDamaged:
            continue  # erased since
    again = _again(keeper, public, list(sealed.values()))
    count = 0
    for name, blob in zip(sealed, again, strict=True):
        if blob is not None:
            store.replace(name, blob)
            count += 1
    _not_risen(settings, store, list(sealed))
    return count


def _not_risen(settings: Settings, store: BodyStore, names: list[str]) -> None:
    """A body that was erased while it was wrapped again stays erased."""
    with app.reader(settings.database_url).connect() as conn:
        held = set(conn.scalars(select(letters.c.body_name).where(letters.c.body_name.in_(names))))
    for name in set(names) - held:
        store.drop(name)


def _rows(settings: Settings, keeper: KeeperClient, reader: Engine, public: bytes, of: Sealed) -> int:
    mine, tenant, client = bodies.mark(public), settings.node.tenant, app.client(settings)
    older = (each for each in resealing.held(reader, tenant, of) if bodies.sealed_to(each.value) != mine)
    count = 0
    while held := list(islice(older, AT_ONCE)):
        for before, blob in zip(held, _again(keeper, public, [each.value for each in held]), strict=True):
            count += blob is not None and resealing.put(client, tenant, of, before, blob)
    return count


def _again(keeper: KeeperClient, public: bytes, blobs: list[bytes]) -> list[bytes | None]:
    """Each value sealed to `public`; None for one that opens with none of our keys."""
    wrapped = keeper.rewrap([bodies.wrapped_in(each) for each in blobs])
    return [
        None if key is None else _resealed(keeper, public, blob, key) for blob, key in zip(blobs, wrapped, strict=True)
    ]


def _resealed(keeper: KeeperClient, public: bytes, blob: bytes, key: bytes) -> bytes:
    if bodies.sealed_to(blob):
        return bodies.rewrapped(blob, public, key)
    # The first form binds the wrapped key to each chunk: such a value is opened and sealed anew.
    return bodies.seal_bytes(public, bodies.open_bytes(blob, lambda wrapped: keeper.unwrap(wrapped, "rotation")))


# --- retiring ----------------------------------------------------------------------------------------------------


def retire(settings: Settings, at: datetime, youngest: timedelta = YOUNGEST) -> int:
    """Destroys the keys to which nothing is sealed any more; how many. Raises NotRotated, KeeperDown, OSError."""
    left = counted(settings).older
    if left:
        raise NotRotated(f"{left} values are sealed to older keys still: pli keys rewrap")
    folder = settings.keeper.folder
    since = at.timestamp() - (folder / "body.key").stat().st_mtime
    if since < youngest.total_seconds():
        raise NotRotated("the key in use is too young: a letter on its way may be sealed to the one before; in an hour")
    old = sorted(folder.glob("body-*.key"))
    for path in old:
        disk.destroy(path)
    if old:
        disk.sync_folder(folder)
        _read_again(settings, app.keeper_client(settings), app.keeper_client(settings).body_key())
    return len(old)

"""What can be seen of a node before it starts: the files that its configuration names, and who may read secret ones.

Promises: each look is one sentence that says what to do. Does not: start or repair anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.config import Settings

NOT_CLAIMED = (
    "Pli is not homologated: the operator contract and the ANS audit, the DMP homologation number, the ORG "
    "certificates and HDS hosting are the deployer's.",
    "National filing ships disabled.",
    "Delivered mail is encrypted at rest only where Dovecot's mail_crypt or an encrypted disk does it.",
)


@dataclass(frozen=True)
class Check:
    name: str
    ok: bool
    sentence: str


def checks(settings: Settings) -> tuple[Check, ...]:
    """Every file that the configuration names, who may read the secret ones, and that no tenant has another's keys."""
    named = {
        "tls.certificate": settings.tls.certificate,
        "tls.key": settings.tls.key,
        "trust.folder": settings.trust.folder,
        "trust.white_list": settings.trust.white_list,
        "directory.password_file": settings.directory.password_file,
    }
    for view in settings.views:
        named |= {f"{of(settings, view)}{key}": path for key, path in _of_tenant(view).items()}
    secret = [key for key in named if key.endswith(_SECRET) and named[key].exists()]
    return (
        *(_exists(key, path) for key, path in named.items()),
        *(_private(key, named[key]) for key in secret),
        *_copied(settings),
    )


_SECRET = ("tls.key", "keeper.folder", "directory.password_file", "dossier.key")


def of(settings: Settings, view: Settings) -> str:
    """What stands before a key that is one of several tenants'."""
    return f"tenants.{view.node.tenant}." if settings.tenants else ""


def _of_tenant(view: Settings) -> dict[str, Path]:
    named = {
        "keeper.folder": view.keeper.folder,
        "keeper.body_public_key": view.keeper.body_public_key,
        "keeper.digest_key": view.keeper.digest_key,
        "keeper.pseudonym_key": view.keeper.pseudonym_key,
        "accounts.file": view.accounts.file,
    }
    if view.dossier:
        named |= {"dossier.certificate": view.dossier.certificate, "dossier.key": view.dossier.key}
    return named


def _copied(settings: Settings) -> Iterator[Check]:
    """Two files with one key in them are one key: what the paths alone do not show (gateway.tenants)."""
    held: dict[tuple[str, bytes], str] = {}
    for view in settings.views if settings.tenants else ():
        for name in ("digest_key", "pseudonym_key", "body_public_key"):
            path: Path = getattr(view.keeper, name)
            if os.access(path, os.R_OK):
                other = held.setdefault((name, path.read_bytes().strip()), view.node.tenant)
                if other != view.node.tenant:
                    said = f"the same key as tenant {other}'s: each needs its own, made anew"
                    yield Check(f"tenants.{view.node.tenant}.keeper.{name}", False, said)


def _exists(key: str, path: Path) -> Check:
    ok = os.access(path, os.R_OK)
    return Check(key, ok, f"{path}" if ok else f"{path} is missing or not readable: put it there or correct {key}")


def _private(key: str, path: Path) -> Check:
    ok = path.stat().st_mode & 0o077 == 0
    return Check(f"{key} private", ok, f"{path}" if ok else f"{path} is open to others: chmod go-rwx {path}")

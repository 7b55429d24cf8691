"""What can be seen of a node before it starts: the files that its configuration names, and who may read secret ones.

Promises: each look is one sentence that says what to do. Does not: start or repair anything.
"""

from __future__ import annotations

import os
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
    """Every file that the configuration names, and who may read the secret ones."""
    named = {
        "tls.certificate": settings.tls.certificate,
        "tls.key": settings.tls.key,
        "trust.folder": settings.trust.folder,
        "trust.white_list": settings.trust.white_list,
        "directory.password_file": settings.directory.password_file,
        "keeper.folder": settings.keeper.folder,
        "keeper.body_public_key": settings.keeper.body_public_key,
        "keeper.digest_key": settings.keeper.digest_key,
        "keeper.pseudonym_key": settings.keeper.pseudonym_key,
        "accounts.file": settings.accounts.file,
    }
    if settings.dossier:
        named |= {"dossier.certificate": settings.dossier.certificate, "dossier.key": settings.dossier.key}
    secret = ("tls.key", "keeper.folder", "directory.password_file", "dossier.key")
    return tuple(_exists(key, path) for key, path in named.items()) + tuple(
        _private(key, named[key]) for key in secret if key in named and named[key].exists()
    )


def _exists(key: str, path: Path) -> Check:
    ok = os.access(path, os.R_OK)
    return Check(key, ok, f"{path}" if ok else f"{path} is missing or not readable: put it there or correct {key}")


def _private(key: str, path: Path) -> Check:
    ok = path.stat().st_mode & 0o077 == 0
    return Check(f"{key} private", ok, f"{path}" if ok else f"{path} is open to others: chmod go-rwx {path}")

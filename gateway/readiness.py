"""What can be seen of a node before it starts: the files that its configuration names, and who may read secret ones.

Promises: each look is one sentence that says what to do. Does not: start or repair anything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.config import Settings

WITHOUT = {
    "tls.certificate": "no operator and no mail client gets in, and no letter leaves",
    "tls.key": "no operator and no mail client gets in, and no letter leaves",
    "trust.folder": "nobody's certificate is believed",
    "trust.white_list": "no other operator is known: the white list says who may speak",
    "directory.password_file": "no recipient is found",
    "keeper.folder": "nothing is signed and no letter can be opened",
    "keeper.body_public_key": "no letter can be kept",
    "keeper.digest_key": "no letter can be kept",
    "keeper.pseudonym_key": "no patient's register, and no log",
    "accounts.file": "nobody can log in; `pli account password ADDRESS` makes it",
    "dossier.certificate": "no dossier host lets us in",
    "dossier.key": "no dossier host lets us in",
    "web.certificate": "the pages do not start",
    "web.key": "the pages do not start",
    "provider.secret_file": "the pages do not start: nobody signs in at the provider",
    "provider.authorities": "the provider's servers are not believed",
}
"""What is not there, in plain words."""


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
    if settings.web and settings.web.certificate and settings.web.key:
        named |= {"web.certificate": settings.web.certificate, "web.key": settings.web.key}
    for view in settings.views:
        named |= {f"{of(settings, view)}{key}": path for key, path in _of_tenant(view).items()}
    secret = [key for key in named if key.endswith(_SECRET) and named[key].exists()]
    return (
        *(_exists(key, path) for key, path in named.items()),
        *(_private(key, named[key]) for key in secret),
        *_copied(settings),
    )


_SECRET = ("tls.key", "web.key", "keeper.folder", "directory.password_file", "dossier.key", "provider.secret_file")


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
    if view.provider:
        known = {"provider.secret_file": view.provider.secret_file, "provider.authorities": view.provider.authorities}
        named |= {key: path for key, path in known.items() if path}
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
    if os.access(path, os.R_OK):
        return Check(key, True, f"{path}")
    why = next((said for name, said in WITHOUT.items() if key.endswith(name)), "")
    asked = request_of(path)
    todo = f"its request waits at {asked}: have it answered" if asked else f"put it there or correct {key}"
    return Check(key, False, f"{path} is missing or not readable{': ' if why else ''}{why}. To do: {todo}")


def plain(name: str) -> str:
    """One name for a file, however a look calls it: what is missing is said once."""
    return name.replace("/", ".").replace("-", "_")


def request_of(certificate: Path) -> Path | None:
    """The certificate request that `pli quickstart` left for a certificate that has not come yet."""
    asked = certificate.parent.parent / "requests" / f"{certificate.stem}.csr"
    return asked if certificate.suffix == ".pem" and asked.exists() else None


def waiting(settings: Settings) -> Iterator[Check]:
    """What a node works without, and that is wanted all the same: keys without a certificate, no anchor, nobody's
    account."""
    if not any((settings.trust.folder / "anchors").glob("*")):
        yield Check("trust.folder anchors", False, f"{settings.trust.folder}/anchors is empty: nobody is believed")
    for view in settings.views:
        for name in ("mailbox", "seal", "decrypt"):
            for key in sorted((view.keeper.folder / name).glob("*.key")):
                if not key.with_suffix(".pem").exists():
                    yield Check(f"{of(settings, view)}keeper/{name}", True, f"{key} waits for its certificate")
        if view.accounts.file.exists() and not view.accounts.file.stat().st_size:
            yield Check(
                f"{of(settings, view)}accounts.file", True, "nobody has an account: pli account password ADDRESS"
            )


def _private(key: str, path: Path) -> Check:
    ok = path.stat().st_mode & 0o077 == 0
    return Check(f"{key} private", ok, f"{path}" if ok else f"{path} is open to others: chmod go-rwx {path}")

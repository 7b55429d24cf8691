"""The node's own secrets: body key, digest key, pseudonyms' key, the directory's passwords.

Promises: each is random, made once and never replaced. Does not: rotate them (`pli keys` does).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from directory.slapd import Passwords
from gateway.install.answers import House
from gateway.install.layout import NODE, Layout
from gateway.install.placing import Piece


def of_house(layout: Layout, house: House) -> Iterator[Piece]:
    """A tenant's keys: the body key in its folder, beside it the public half, digest and pseudonym keys."""
    home, file = layout.home(house), layout.keys(house) / "body.key"
    if not file.exists():  # both halves or neither
        body = X25519PrivateKey.generate()
        yield _once(file, body.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        yield _once(home / "body.pub", body.public_key().public_bytes_raw().hex().encode())
    for name in ("digest.key", "pseudonym.key"):
        yield _once(home / name, secrets.token_hex(32).encode())


def of_directory(layout: Layout, passwords: Passwords) -> Iterator[Piece]:
    etc = layout.answers.etc
    named = {"directory": passwords.relay, "annuaire": passwords.people, "feed": passwords.feeder}
    named["passerelle"] = passwords.gateway
    for name, password in named.items():
        yield _once(etc / f"{name}.password", password.encode())


def passwords(layout: Layout) -> Passwords:
    """Those that are there already, so that the directory and the node agree; random otherwise."""
    etc, new = layout.answers.etc, Passwords.random()
    return Passwords(
        _held(etc / "directory.password", new.relay),
        _held(etc / "annuaire.password", new.people),
        _held(etc / "feed.password", new.feeder),
        _held(etc / "passerelle.password", secrets.token_urlsafe(18)),
    )


def _held(file: Path, otherwise: str) -> str:
    return file.read_text("utf-8").strip() if file.exists() else otherwise


def _once(path: Path, content: bytes) -> Piece:
    return Piece(path, content, 0o600, NODE, once=True)

"""New tenants of a node that serves several: their keys, their requests for certificates, their part of the file.

Promises: what is there is left as it is, so that asking again makes nothing twice; the configuration is written whole,
and only after it was read back. Does not: send a request, or restart the node, which serves them after that.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs import pkcs10
from certs.keys import SEAL_LOCAL_PART
from certs.pkcs10 import Wanted
from gateway import config
from gateway.config import Settings
from gateway.install.answers import House


@dataclass(frozen=True)
class Home:
    """Where a tenant's files lie."""

    folder: Path

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def accounts(self) -> Path:
        return self.folder / "accounts"

    def files(self) -> dict[str, Path]:
        named = {"body_public_key": "body.pub", "digest_key": "digest.key", "pseudonym_key": "pseudonym.key"}
        return {"folder": self.keys, **{key: self.folder / name for key, name in named.items()}}


def make(homes: Path, house: House, owner: os.stat_result) -> int:
    """Keys, an empty accounts file, and a request for the seal of each domain; how many requests are new. `owner`: of
    the node's data, to whom they are given where root types. Raises OSError, ValueError."""
    home = Home(homes / house.name)
    for folder in (home.folder, home.keys, home.keys / "seal", home.folder / "requests"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _secrets(home)
    made = sum(_requested(home, house, domain) for domain in house.domains)
    _given(home.folder, owner)
    return made


def _secrets(home: Home) -> None:
    if not (home.keys / "body.key").exists():  # both halves or neither
        body = X25519PrivateKey.generate()
        _once(home.folder / "body.pub", body.public_key().public_bytes_raw().hex().encode(), again=True)
        _once(home.keys / "body.key", body.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for name in ("digest.key", "pseudonym.key"):
        _once(home.folder / name, secrets.token_hex(32).encode())
    _once(home.accounts, b"")


def _once(path: Path, content: bytes, *, again: bool = False) -> None:
    if path.exists() and not again:
        return
    draft = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _requested(home: Home, house: House, domain: str) -> bool:
    """RFC 3183 §3.1: domain-signing-authority@ the domain. A second request would be for a second key."""
    key = home.keys / "seal" / f"{domain}.key"
    if key.exists():
        return False
    addresses = (f"{SEAL_LOCAL_PART}@{domain}",)
    wanted = Wanted(domain[:64], house.organisation, house.establishment, house.department, addresses=addresses)
    pkcs10.write(wanted, "rsa2048", home.folder / "requests" / f"seal-{domain}.csr", key)
    return True


def _given(folder: Path, owner: os.stat_result) -> None:
    if os.geteuid() != 0:
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def join(file: Path, homes: Path, houses: Sequence[House]) -> Settings:
    """Adds the tenants to the configuration at `file`, and reads it. Raises ConfigError, OSError: nothing changed."""
    if not houses:
        return config.load(file)
    was = file.stat()
    draft = file.with_name(f"{file.name}.new")
    text = file.read_text("utf-8").rstrip("\n")
    draft.write_text("\n".join([text, "", *(line for each in houses for line in _lines(homes, each))]) + "\n", "utf-8")
    try:
        settings = config.load(draft)
        draft.chmod(was.st_mode & 0o777)
        if os.geteuid() == 0:
            os.chown(draft, was.st_uid, was.st_gid)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    return settings


def _lines(homes: Path, house: House) -> Iterator[str]:
    """JSON strings and arrays of them are TOML too."""
    home = Home(homes / house.name)
    yield f"[tenants.{house.name}]"
    yield f"domains = {json.dumps(house.domains)}"
    yield f"establishment = {json.dumps(house.establishment)}"
    yield f"[tenants.{house.name}.keeper]"
    yield from (f"{key} = {json.dumps(str(path))}" for key, path in home.files().items())
    yield f"[tenants.{house.name}.accounts]"
    yield f"file = {json.dumps(str(home.accounts))}"
    yield ""

"""Builds the stage: keys, white list, region, mailboxes and one configuration per operator, in one private folder.

Promises: everything is made anew at each building and thrown away with the folder; secrets are readable by their owner
alone; ports are free ones on loopback. Does not: start anything, nor play.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from certs import xml
from certs.chain import identity
from certs.throwaway import Issued, Pki
from directory.model import Entry
from directory.region import ldif, region
from directory.slapd import Passwords
from dmp_bridge.model import Patient
from gateway.accounts import Accounts
from gateway.demo import pages, sample
from gateway.demo.cast import OPERATORS, PASSWORD, Operator
from gateway.demo.processes import free_port
from relay.partners import Listed, compose

SUFFIX = "dc=ile-de-france,dc=annuaire"
REPOSITORY_ID = "2.25.98129146317311236203"
LOCAL_ROOT = f"{sample.ROOT}.1"
DOSSIER_DOMAIN = "dossier.region.example"


@dataclass(frozen=True)
class Ports:
    peers: int
    submission: int
    lmtp: int
    imap: int
    imaps: int
    introspection: int
    pages: int


@dataclass(frozen=True)
class Seat:
    """One operator on the stage: its folder, its ports, its keys."""

    who: Operator
    folder: Path
    ports: Ports

    @property
    def config(self) -> Path:
        return self.folder / "pli.toml"

    @property
    def accounts(self) -> Path:
        return self.folder / "accounts"

    @property
    def tls(self) -> tuple[Path, Path]:
        return self.folder / "tls" / "server.pem", self.folder / "tls" / "server.key"

    @property
    def dossier(self) -> tuple[Path, Path]:
        return self.folder / "tls" / "auth-cli.pem", self.folder / "tls" / "auth-cli.key"


@dataclass(frozen=True)
class Stage:
    """What was built. `ldif` is the region; `passwords` are the directory's."""

    folder: Path
    seats: Mapping[str, Seat]
    directory_port: int
    dossier_port: int
    passwords: Passwords
    ldif: str
    pki: Pki
    pages: bool = False
    """The nodes serve them."""

    @property
    def trust(self) -> Path:
        return self.folder / "trust"

    @property
    def anchors(self) -> Path:
        return self.trust / "anchors" / "root.pem"

    @property
    def host_tls(self) -> tuple[Path, Path]:
        return self.folder / "dossier" / "tls" / "server.pem", self.folder / "dossier" / "tls" / "server.key"

    @property
    def dossier_url(self) -> str:
        return f"https://127.0.0.1:{self.dossier_port}"

    @property
    def directory_uri(self) -> str:
        return f"ldap://127.0.0.1:{self.directory_port}"


def build(folder: Path, now: datetime, *, with_pages: bool = False) -> Stage:
    """A new stage in `folder`, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o711, parents=True)
    pki = Pki.create(now)
    seats = {name: Seat(who, folder / name, _ports()) for name, who in OPERATORS.items()}
    servers = {name: _server(pki, seat.who) for name, seat in seats.items()}
    actors = [entry for seat in seats.values() for entry in _keys(pki, seat, servers[seat.who.name])]
    passwords = Passwords.random()
    stage = Stage(folder, seats, free_port(), free_port(), passwords, ldif(region(actors), SUFFIX), pki, with_pages)
    pki.write_trust(stage.trust, now)
    host = pki.tls_server(DOSSIER_DOMAIN, "HEBERGEUR REGIONAL", "1750000036")
    host.write(stage.host_tls[0].parent, "server")
    _white_list(stage, servers, now)
    for seat in seats.values():
        _accounts(seat)
        _configure(stage, seat)
        if with_pages:
            pages.admit(seat)
    return stage


def _ports() -> Ports:
    return Ports(*(free_port() for _ in fields(Ports)))


def _server(pki: Pki, who: Operator) -> Issued:
    return pki.tls_server(who.hostname, who.organisation, who.unit, who.department)


# --- keys ---------------------------------------------------------------------------------------------------------


def _keys(pki: Pki, seat: Seat, server: Issued) -> list[Entry]:
    """Every key of one operator, on disk; answers its directory entries with their certificates."""
    who, tls = seat.who, seat.tls[0].parent
    server.write(tls, "server")
    pki.auth_client(f"dossier.{who.domain}", who.organisation, who.unit, who.department).write(tls, "auth-cli")
    keys = seat.folder / "keys"
    pki.seal(who.domain, who.organisation, who.unit).write(keys / "seal", "seal")
    keep_keys(keys)
    return [_mailbox(pki, seat, entry) for entry in who.mailboxes]


def _mailbox(pki: Pki, seat: Seat, entry: Entry) -> Entry:
    """A person's mailbox has a certificate of its own; an applicative or shared one is sealed by the establishment."""
    if not entry.rpps:
        return entry
    who = seat.who
    kind = "p256" if who.name == "parc" else "rsa"
    issued = pki.smime(str(entry.address), entry.display_name, who.organisation, who.unit, key=kind)
    issued.write(seat.folder / "keys" / "mailbox", entry.address.local)
    return _with_certificate(entry, issued)


def _with_certificate(entry: Entry, issued: Issued) -> Entry:
    return Entry(**{**entry.__dict__, "certificates": (issued.der,)})


def keep_keys(keys: Path) -> None:
    """A tenant's body key in its key folder; beside the folder its public half, the digest and the pseudonym key."""
    body = X25519PrivateKey.generate()
    private = body.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    secret_file(keys / "body.key", private)
    outside = keys.parent
    secret_file(outside / "body.pub", body.public_key().public_bytes_raw().hex().encode())
    for name in ("digest.key", "pseudonym.key"):
        secret_file(outside / name, secrets.token_hex(32).encode())
    keys.chmod(0o700)


def secret_file(path: Path, data: bytes) -> None:
    """A file that only its owner reads, from its first byte on."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)


# --- the trust space ----------------------------------------------------------------------------------------------


def _white_list(stage: Stage, servers: Mapping[str, Issued], now: datetime) -> None:
    listed = [Listed(seat.who.domain, identity(servers[name].der).subject) for name, seat in stage.seats.items()]
    listed += [Listed("patient.mssante.fr", identity(servers["lilas"].der).subject, "Espace patient")]
    publish(stage, listed, now)


def publish(stage: Stage, listed: list[Listed], now: datetime) -> None:
    """Signs and writes the white list."""
    signer = stage.pki.white_list_signer()
    signed = xml.sign_enveloped(compose(listed, now), signer.key, [signer.der, *signer.chain])
    (stage.trust / "white-list.xml").write_bytes(signed)


# --- one operator's files -----------------------------------------------------------------------------------------


def _accounts(seat: Seat) -> None:
    accounts = Accounts(seat.accounts)
    for entry in seat.who.mailboxes:
        accounts.add(str(entry.address), PASSWORD)


def _configure(stage: Stage, seat: Seat) -> None:
    secret_file(seat.folder / "directory.password", stage.passwords.relay.encode())
    secret_file(seat.folder / "feed.password", stage.passwords.feeder.encode())
    seat.config.write_text(_toml(_settings(stage, seat)), encoding="utf-8")


def _settings(stage: Stage, seat: Seat) -> dict[str, Mapping[str, object]]:
    who, folder, ports = seat.who, seat.folder, seat.ports
    others = {o.who.domain: f"127.0.0.1:{o.ports.peers}" for o in stage.seats.values() if o is not seat}
    web: dict[str, Mapping[str, object]] = {"web": pages.section(seat)} if stage.pages else {}
    return web | {
        "node": {
            "name": who.name,
            "hostname": who.hostname,
            "tenant": who.name,
            "domains": [who.domain],
            "establishment": who.unit,
        },
        "paths": {"data": folder / "data", "run": folder / "run"},
        "doors.peers": {"port": ports.peers},
        "doors.submission": {"port": ports.submission},
        "doors.introspection": {"port": ports.introspection},
        "tls": {"certificate": seat.tls[0], "key": seat.tls[1]},
        "trust": {
            "folder": stage.trust,
            "white_list": stage.trust / "white-list.xml",
            "white_list_signer": "alb@test.pli.invalid",
        },
        "directory": {
            "uri": stage.directory_uri,
            "base": SUFFIX,
            "bind_dn": f"cn=relais,{SUFFIX}",
            "password_file": folder / "directory.password",
        },
        "feed": {"bind_dn": f"cn=gestion,{SUFFIX}", "password_file": folder / "feed.password"},
        "delivery": {"lmtp_port": ports.lmtp},
        "keeper": {
            "folder": folder / "keys",
            "body_public_key": folder / "body.pub",
            "digest_key": folder / "digest.key",
            "pseudonym_key": folder / "pseudonym.key",
        },
        "accounts": {"file": seat.accounts},
        "peers": others,
        "dossier": {
            "url": stage.dossier_url,
            "repository_id": REPOSITORY_ID,
            "source_id": f"{sample.ROOT}.9",
            "local_root": LOCAL_ROOT,
            "certificate": seat.dossier[0],
            "key": seat.dossier[1],
        },
        # A demo does not wait for minutes.
        "carrier": {"lease_s": 5, "retry_s": [1, 2, 4, 8]},
        "log": {"file": folder / "pli.log"},
    }


def _toml(sections: Mapping[str, Mapping[str, object]]) -> str:
    """JSON strings, numbers and arrays are TOML too."""
    text = ["# Made by pli demo; a real node's file has the same keys (docs/configuration.md).", ""]
    for name, values in sections.items():
        text.append(f"[{name}]")
        text += [f"{json.dumps(key)} = {json.dumps(value, default=str)}" for key, value in values.items()]
        text.append("")
    return "\n".join(text)


def roll(patient: Patient) -> str:
    """The CSV of the sender's register: one patient, with a qualified INS."""
    traits, ins = patient.traits, patient.ins
    assert ins is not None
    assert traits.birth_date is not None
    fields = {
        "ipp": patient.local_ids[0][1],
        "matricule": ins.value,
        "oid": ins.root,
        "statut": "qualifiée",
        "nom_naissance": traits.birth_name,
        "premier_prenom": traits.first_given_name,
        "prenoms": traits.given_names,
        "date_naissance": traits.birth_date.isoformat(),
        "sexe": traits.sex,
        "lieu_naissance": traits.birth_place,
    }
    return ";".join(fields) + "\n" + ";".join(fields.values()) + "\n"

"""A town: one node that serves several invented tenants, with its directory and its mailboxes, in one private folder.

Promises: everything is made anew and thrown away with the folder; each tenant has keys, accounts and a domain of its
own; nothing is installed or started outside. Does not: play.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from certs import xml
from certs.chain import identity
from certs.throwaway import Issued, Pki
from directory.address import parse
from directory.model import Capabilities, Entry, Kind
from directory.region import ldif
from directory.slapd import Passwords
from gateway.accounts import Accounts
from gateway.demo.cast import PASSWORD
from gateway.demo.processes import Process, free_port, give
from gateway.demo.running import our_account, serve
from gateway.demo.servers import Dovecot, Slapd
from gateway.demo.stage import SUFFIX, keep_keys, secret_file
from relay.partners import Listed, compose

HOST = "mss.ville.mssante.example"
PEER = "hopital-nord.mssante.example"
"""Another operator that the white list names; no host of it runs."""


@dataclass(frozen=True)
class Tenant:
    """One tenant of the town: a service's mailbox, sealed by its establishment."""

    number: int
    folder: Path

    @property
    def name(self) -> str:
        return f"cabinet-{self.number:02}"

    @property
    def domain(self) -> str:
        return f"{self.name}.mssante.example"

    @property
    def address(self) -> str:
        return f"secretariat@{self.domain}"

    @property
    def entry(self) -> Entry:
        return Entry(
            address=parse(self.address), kind=Kind.ORG, display_name=f"Cabinet {self.number} - Secrétariat",
            finess=f"75{self.number:07}", structure=f"CABINET {self.number}", service="Secrétariat", town="Paris",
            postal_code="75001", capabilities=Capabilities(xdm=True, smime=True, mdn=True),
        )  # fmt: skip

    @property
    def settings(self) -> dict[str, object]:
        """What stands under [tenants.NAME]."""
        return {
            "domains": [self.domain],
            "establishment": f"175{self.number:07}",
            "keeper": {
                "folder": self.folder / "keys",
                "body_public_key": self.folder / "body.pub",
                "digest_key": self.folder / "digest.key",
                "pseudonym_key": self.folder / "pseudonym.key",
            },
            "accounts": {"file": self.folder / "accounts" / self.domain},
        }


@dataclass(frozen=True)
class Town:
    """What was built, and how it is started and stopped."""

    folder: Path
    tenants: tuple[Tenant, ...]
    peers: int
    submission: int
    introspection: int
    imap: int
    lmtp: int
    directory_port: int
    pki: Pki
    passwords: Passwords = field(default_factory=Passwords.random)

    @property
    def config(self) -> Path:
        return self.folder / "node" / "pli.toml"

    @property
    def ca(self) -> Path:
        return self.folder / "trust" / "anchors" / "root.pem"

    @property
    def tls(self) -> tuple[Path, Path]:
        return self.folder / "node" / "tls" / "server.pem", self.folder / "node" / "tls" / "server.key"

    @property
    def peer(self) -> tuple[Path, Path]:
        """The other operator's certificate and key."""
        return self.folder / "peer" / "server.pem", self.folder / "peer" / "server.key"

    @property
    def slapd(self) -> Slapd:
        return Slapd(self.folder / "slapd", self.directory_port, SUFFIX, self.passwords)

    @property
    def dovecot(self) -> Dovecot:
        certificate, key = self.tls
        return Dovecot(self.folder / "dovecot", self.imap, self.lmtp, self.folder / "logins", certificate, key, HOST)

    def start(self) -> None:
        """Raises ServerTrouble for the first that does not start."""
        elsewhere = Entry(parse(f"labo@{PEER}"), Kind.ORG, "Hôpital Nord - Laboratoire", finess="750000044")
        self.slapd.load(ldif([*(each.entry for each in self.tenants), elsewhere], SUFFIX))
        self.slapd.start()
        self.dovecot.start()
        self.start_node()

    def start_node(self) -> None:
        who, folder = our_account(), self.folder / "node"
        for path in (folder, *folder.rglob("*")):
            give(path, who)
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
        serve(Process(folder), self.config, environment, {self.peers: b"220", self.submission: b"220"}, "pli")

    def stop_node(self) -> None:
        Process(self.folder / "node").stop()

    def stop(self) -> None:
        self.stop_node()
        self.dovecot.stop()
        self.slapd.stop()


@contextmanager
def running(town: Town) -> Iterator[Town]:
    """Ended at the end, whatever happened."""
    try:
        town.start()
        yield town
    finally:
        town.stop()


def build(folder: Path, count: int, now: datetime) -> Town:
    """A town of `count` tenants in `folder`, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "node").mkdir(mode=0o711, parents=True)
    tenants = tuple(Tenant(number, folder / "node" / f"t{number:02}") for number in range(1, count + 1))
    town = Town(
        folder, tenants, free_port(), free_port(), free_port(), free_port(), free_port(), free_port(),
        Pki.create(now, kind="p256"),
    )  # fmt: skip
    town.pki.write_trust(folder / "trust", now)
    server = town.pki.tls_server(HOST, "VILLE", "1750000099")
    server.write(town.tls[0].parent, "server")
    peer = town.pki.tls_server(f"mss.{PEER}", "HOPITAL NORD", "1750000044")
    peer.write(town.peer[0].parent, "server")
    for tenant in tenants:
        _keys(town.pki, tenant)
    _accounts(tenants, folder / "logins")
    _white_list(town, server, peer, now)
    secret_file(folder / "node" / "directory.password", town.passwords.relay.encode())
    town.config.write_text(toml(settings(town)), encoding="utf-8")
    return town


def _keys(pki: Pki, tenant: Tenant) -> None:
    """A key of its own for everything; EC, since there may be many tenants."""
    seal = pki.smime(
        f"domain-signing-authority@{tenant.domain}", tenant.domain, f"CABINET {tenant.number}",
        f"175{tenant.number:07}", key="p256",
    )  # fmt: skip
    seal.write(tenant.folder / "keys" / "seal", "seal")
    keep_keys(tenant.folder / "keys")


def _accounts(tenants: tuple[Tenant, ...], copies: Path) -> None:
    """One file for each domain, as Dovecot looks for them; the password is hashed once, for time's sake."""
    copies.mkdir()
    first: str | None = None
    for tenant in tenants:
        file = tenant.folder / "accounts" / tenant.domain
        file.parent.mkdir(parents=True)
        if first is None:
            Accounts(file).add(tenant.address, PASSWORD)
            first = file.read_text("utf-8").partition(":")[2]
        file.write_text(f"{tenant.address}:{first}", "utf-8")
        os.chmod(file, 0o600)
        shutil.copy(file, copies / tenant.domain)


def _white_list(town: Town, server: Issued, peer: Issued, now: datetime) -> None:
    """All of the town by the node's certificate, and the other operator by its own."""
    ours = identity(server.der).subject
    listed = [Listed(each.domain, ours) for each in town.tenants]
    listed += [Listed(PEER, identity(peer.der).subject), Listed("patient.mssante.fr", ours, "Espace patient")]
    signer = town.pki.white_list_signer()
    signed = xml.sign_enveloped(compose(listed, now), signer.key, [signer.der, *signer.chain])
    (town.folder / "trust" / "white-list.xml").write_bytes(signed)


def settings(town: Town) -> dict[str, object]:
    node = town.folder / "node"
    return {
        "node": {"name": "ville", "hostname": HOST},
        "paths": {"data": node / "data", "run": node / "run"},
        "doors": {
            "peers": {"port": town.peers},
            "submission": {"port": town.submission},
            "introspection": {"port": town.introspection},
            "autoconfig": True,
        },
        "tls": {"certificate": town.tls[0], "key": town.tls[1]},
        "trust": {
            "folder": town.folder / "trust",
            "white_list": town.folder / "trust" / "white-list.xml",
            "white_list_signer": "alb@test.pli.invalid",
            "fetch": False,
        },
        "directory": {
            "uri": town.slapd.uri,
            "base": SUFFIX,
            "bind_dn": f"cn=relais,{SUFFIX}",
            "password_file": node / "directory.password",
        },
        "delivery": {"lmtp_port": town.lmtp},
        # No name server of this machine is asked: what one says of a name that is invented is not ours to know, and a
        # letter to the other operator waits (dns.down).
        "dns": {"servers": ["127.0.0.1:1"], "timeout_s": 1},
        "carrier": {"lease_s": 5, "retry_s": [1, 2, 4, 8]},
        "log": {"file": node / "pli.log"},
        "tenants": {each.name: each.settings for each in town.tenants},
    }


def toml(tables: Mapping[str, object], path: str = "") -> str:
    """Nested tables as TOML: JSON strings, numbers and arrays are TOML too."""
    plain = {key: value for key, value in tables.items() if not isinstance(value, dict)}
    text = [f"[{path}]"] if path and plain else []
    text += [f"{json.dumps(key)} = {json.dumps(value, default=str)}" for key, value in plain.items()]
    for key, value in tables.items():
        if isinstance(value, dict):
            text.append(toml(value, f"{path}.{json.dumps(key)}" if path else json.dumps(key)))
    return "\n".join(text) + "\n"

"""One tenant with its register and the door of its applications, and curl as one of them."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from sqlalchemy import text

from certs import keys
from certs.throwaway import Issued, Pki, Shape, subject
from dmp_bridge import patients, pixm
from gateway import app, config
from gateway.accounts import Accounts
from gateway.config import Settings
from gateway.demo.processes import free_port
from relay.spooler import Spooler
from relay.store import bodies
from relay.store.engine import reader_engine, writer_engine

HOST = "mss.lilas.example"
GAM, LABO, MAILBOX = "gam@lilas.example", "labo@lilas.example", "claire.moreau@lilas.example"
OURS = "1.2.250.1.999.1"
SYSTEM = f"urn:oid:{OURS}"
INS = "279035121518989"
NAMES = ("PAT-TROIS", "DOMINIQUE", INS, "1979-03-28", "NUMERO")


def patient(number: str, **change: Any) -> dict[str, Any]:
    """A qualified one, with what differs."""
    status = {"url": "identityStatus", "valueCoding": {"code": "VALI"}}
    kind = {"coding": [{"code": "PI"}]}
    made = {
        "resourceType": "Patient",
        "extension": [{"url": pixm.RELIABILITY, "extension": [status]}],
        "identifier": [
            {"type": kind, "system": SYSTEM, "value": number},
            {"system": "urn:oid:1.2.250.1.213.1.4.10", "value": INS},
        ],
        "name": [{"use": "official", "family": "PAT-TROIS", "given": ["DOMINIQUE"]}],
        "gender": "female",
        "birthDate": "1979-03-28",
    }
    return copy.deepcopy(made) | change


def bundle(*resources: dict[str, Any], kind: str = "batch") -> dict[str, Any]:
    def entry(resource: dict[str, Any]) -> dict[str, Any]:
        number = resource["identifier"][0]["value"]
        return {"resource": resource, "request": {"method": "PUT", "url": f"Patient?identifier={SYSTEM}|{number}"}}

    return {"resourceType": "Bundle", "type": kind, "entry": [entry(each) for each in resources]}


@dataclass(frozen=True)
class Told:
    """What curl says of one request."""

    status: int
    body: dict[str, Any]

    @property
    def code(self) -> str:
        return str(self.body["issue"][0]["details"]["coding"][0]["code"])

    @property
    def codes(self) -> list[tuple[str, str]]:
        """Of a batch: each status, each code."""
        answers = [each["response"] for each in self.body["entry"]]
        return [(each["status"], Told(0, each["outcome"]).code) for each in answers]


class House:
    """One tenant with its certificates, its register and its door."""

    def __init__(self, folder: Path, configure: Callable[[str], Path]) -> None:
        self.folder, self._configure = folder, configure
        self.port = free_port()
        for name in ("data", "run"):
            (folder / name).mkdir()
        self._keys()
        self.cards = self._cards()
        self.settings = self.configured()
        app.migrate(self.settings)
        writer = writer_engine(self.settings.database_url)
        self.spooler = Spooler(writer, self.settings.spool_socket, app.WRITES, app.clock, "lilas")
        self.reader = reader_engine(self.settings.database_url)

    def _keys(self) -> None:
        private = X25519PrivateKey.generate()
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        (self.folder / "body.pub").write_text(public.hex())
        (self.folder / "pseudonym").write_bytes(b"k" * 32)
        (self.folder / "digest").write_bytes(b"d" * 32)
        self.unseal = lambda blob: bodies.open_bytes(blob, lambda wrapped: keys.unwrap_key(private, wrapped))

    def _cards(self) -> dict[str, tuple[Path, Path]]:
        now = datetime.now(UTC)
        pki, elsewhere = Pki.create(now, kind="p256"), Pki.create(now, "AUTRE", kind="p256")

        def card(of: Pki, cn: str) -> Issued:
            shape = Shape(eku=(ExtendedKeyUsageOID.CLIENT_AUTH,), key="p256")
            return of.issue(subject(cn, "IMAGERIE DES LILAS", "1750000001"), shape)

        made = {name: card(pki, f"{name}.lilas.example") for name in ("gam", "labo", "mailbox", "unbound")}
        made |= {"revoked": card(pki, "gam.lilas.example"), "another issuer": card(elsewhere, "gam.lilas.example")}
        self.unbound = made["unbound"].der
        pki.revoke(made["revoked"])
        pki.write_trust(self.folder / "trust", now)
        pki.tls_server(HOST, "IMAGERIE DES LILAS", "1750000001").write(self.folder, "tls")
        accounts = Accounts(self.folder / "passwd")
        for account, name in ((GAM, "gam"), (LABO, "labo"), (MAILBOX, "mailbox")):
            accounts.bind_certificate(account, made[name].der)
        return {name: each.write(self.folder / "cards", name.replace(" ", "-")) for name, each in made.items()}

    def configured(self, more: str = "") -> Settings:
        systems = f'systems = {{ "{GAM}" = "{SYSTEM}", "{LABO}" = "1.2.250.1.999.2" }}'
        return config.load(self._configure(f"[doors]\n[identities]\nport = {self.port}\n{systems}\n{more}"))

    def curl(self, path: str, body: Any = None, card: str = "gam", method: str = "PUT", **more: str) -> Told:
        """One request. Raises CalledProcessError where there is no answer."""
        command = ["curl", "-sS", "-g", "-m", "60", "-X", method, "-w", "\n%{http_code}"]
        command += ["--cacert", str(self._anchors()), "--resolve", f"{HOST}:{self.port}:127.0.0.1"]
        if card:
            command += ["--cert", str(self.cards[card][0]), "--key", str(self.cards[card][1])]
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        if body is not None:
            command += ["-H", f"content-type: {more.get('kind', 'application/fhir+json')}", "--data-binary", "@-"]
        command += [f"https://{HOST}:{self.port}/fhir{path}"]
        done = subprocess.run(command, input=sent, capture_output=True, check=True, timeout=90)
        answer, _, status = done.stdout.decode().rpartition("\n")
        return Told(int(status), json.loads(answer) if answer.startswith("{") else {})

    def put(self, resource: dict[str, Any], **more: Any) -> Told:
        return self.curl(f"/Patient?identifier={SYSTEM}|{resource['identifier'][0]['value']}", resource, **more)

    def _anchors(self) -> Path:
        whole = self.folder / "ca.pem"
        found = sorted((self.folder / "trust").glob("[ai]n*/*"))
        whole.write_bytes(b"".join(each.read_bytes() for each in found))
        return whole

    def known(self, number: str) -> patients.Known | None:
        register = patients.Register(self.reader, app.pseudonyms(self.settings), self.unseal)
        found = register.numbered("lilas", OURS, number)
        return register.known("lilas", found.id) if found else None

    def rows(self) -> int:
        with self.reader.connect() as conn:
            return int(conn.execute(text("SELECT count(*) FROM patients")).scalar_one())

"""An operator's desk: a trust folder, keys, a letter and a document, on which `pli certs` is typed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509

from certs.throwaway import Issued, Pki, Shape
from gateway.cli import pli

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
AT = ("--at", "2026-11-25T09:31:00Z")
LETTER = (
    b"From: jeanne.martin@hopital-a.mssante.fr\r\nTo: paul@parc.example\r\nSubject: essai\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=us-ascii\r\n\r\nBonjour.\r\n"
)
CONTENT = b"un document quelconque\n"


@dataclass(frozen=True)
class Desk:
    """Files on an operator's desk: a trust folder, keys, a letter and a document."""

    folder: Path
    pki: Pki
    doctor: Issued
    reader: Issued

    def __call__(self, *arguments: object, stdin: bytes | None = None) -> Result:
        """Runs `pli certs …` in the folder."""
        return CliRunner().invoke(pli, ["--config", "absent.toml", "certs", *map(str, arguments)], input=stdin)

    def path(self, name: str, data: bytes | None = None) -> Path:
        path = self.folder / name
        if data is not None:
            path.write_bytes(data)
        return path

    @property
    def anchors(self) -> tuple[str, str]:
        return "--anchors", str(self.folder / "trust")

    @property
    def key(self) -> tuple[str, ...]:
        return "--key", str(self.folder / "doctor.key"), "--cert", str(self.folder / "doctor.pem")

    def signed(self, source: str = "letter.eml", *options: str) -> Path:
        """`source` signed by the doctor."""
        out = self.folder / f"signed-{'-'.join((source, *options)).replace('/', '_')}"
        if not out.exists():
            done = self("sign", self.folder / source, *self.key, *AT, *options, "--out", out)
            assert done.exit_code == 0, done.output
        return out


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("desk")
    pki = Pki.create(NOW)
    doctor = pki.smime("jeanne.martin@hopital-a.mssante.fr", "JEANNE MARTIN", "HOPITAL A", "1750000001")
    usage = frozenset({"key_agreement"})
    reader = pki.issue(
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "PAUL")]), Shape(key="p256", usage=usage)
    )
    pki.write_trust(folder / "trust", NOW)
    doctor.write(folder, "doctor")
    reader.write(folder, "reader")
    (folder / "letter.eml").write_bytes(LETTER)
    (folder / "document.bin").write_bytes(CONTENT)
    return Desk(folder, pki, doctor, reader)


def answered(done: Result) -> Any:
    return json.loads(done.stdout)


def wrong_use(done: Result) -> str:
    """The sentence of a wrong use."""
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
    return done.stderr


def sealed_for_reader(desk: Desk, source: str, *options: str) -> Path:
    out = desk.folder / f"sealed-{'-'.join((source, *options))}"
    done = desk("encrypt", desk.folder / source, "--to", desk.folder / "reader.pem", *options, "--out", out)
    assert done.exit_code == 0, done.output
    return out

"""What the bridge's tests share: the sample report, read back as a document, and a lot to put it in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from certs.chain import TrustStore
from certs.throwaway import Pki
from dmp_bridge import cda, ebrim
from dmp_bridge.model import Code, Document
from gateway.demo import sample


@pytest.fixture(scope="session")
def report_pdf() -> bytes:
    """The sample report's page; made once."""
    return sample.report_pdf(datetime.fromisoformat("2026-11-25T09:30:00+00:00"))


@pytest.fixture
def report_xml(report_pdf: bytes, now: datetime) -> bytes:
    """The CDA N1 around it."""
    return sample.report_cda(now, report_pdf)


@pytest.fixture
def report(report_xml: bytes) -> Document:
    """The sample report as the bridge reads it."""
    document = cda.read(report_xml)
    assert isinstance(document, Document)
    return document


@pytest.fixture
def lot(report: Document, now: datetime) -> ebrim.Submission:
    """A submission by the report's author."""
    content = Code("07", "1.2.250.1.213.2.2", "Consultation, soins externes")
    return ebrim.Submission("2.25.1", "2.25.2", now, report.authors[0], content)


@dataclass(frozen=True)
class Site:
    """Certificates around one dossier host, (chain, key) each; valid now: TLS runs on the real clock."""

    folder: Path
    host: tuple[Path, Path]
    client: tuple[Path, Path]
    revoked: tuple[Path, Path]
    mailbox: tuple[Path, Path]
    stranger: tuple[Path, Path]
    """Of an authority that nobody here knows."""

    @property
    def trust_folder(self) -> Path:
        return self.folder / "trust"

    def trust(self) -> TrustStore:
        return TrustStore.load(self.trust_folder)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Made once: keys cost."""
    folder, moment = tmp_path_factory.mktemp("site"), datetime.now(UTC)
    pki, other = Pki.create(moment), Pki.create(moment, "ELSEWHERE")
    who = ("Imagerie médicale des Tilleuls", "1750000018")
    revoked = pki.auth_client("revoked", *who)
    pki.revoke(revoked)
    pki.write_trust(folder / "trust", moment)
    return Site(
        folder,
        host=pki.tls_server("hebergeur.test", "Hébergeur de démonstration", "1750000026").write(
            folder, "host"
        ),
        client=pki.auth_client("passerelle", *who).write(folder, "client"),
        revoked=revoked.write(folder, "revoked"),
        mailbox=pki.smime("a@tilleuls.test", "a", *who).write(folder, "mailbox"),
        stranger=other.auth_client("stranger", *who).write(folder, "stranger"),
    )


@pytest.fixture
def dossier_host(site: Site, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Starts dossier hosts in processes of their own, over one folder; answers their URL."""
    running: list[subprocess.Popen[str]] = []

    def start(wrong: str = "", port: int = 0) -> str:
        files = {"cert": site.host[0], "key": site.host[1], "trust": site.trust_folder}
        told = {"folder": tmp_path / "host", "port": port, "repository-id": "2.25.7", **files}
        told |= {"wrong": wrong} if wrong else {}
        command = [sys.executable, "-m", "dmp_bridge.host"]
        command += [text for name, value in told.items() for text in (f"--{name}", str(value))]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        return process.stdout.readline().strip().rpartition(" ")[2]

    def stop() -> None:
        while running:
            process = running.pop()
            process.terminate()
            process.communicate(timeout=20)

    start.stop = stop  # type: ignore[attr-defined]
    yield start
    stop()

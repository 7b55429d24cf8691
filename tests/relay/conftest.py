"""Shared by the tests of custody: a throw-away PKI, and letters as bytes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path

import pytest

from certs.chain import TrustStore
from certs.throwaway import Pki


@pytest.fixture(scope="session")
def today() -> datetime:
    """TLS libraries judge by the machine's own clock, so that what they see must be valid today."""
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="session")
def pki(today: datetime) -> Pki:
    return Pki.create(today)


@pytest.fixture(scope="session")
def trust_folder(pki: Pki, today: datetime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trust")
    pki.write_trust(folder, today)
    return folder


@pytest.fixture(scope="session")
def trust(trust_folder: Path) -> TrustStore:
    return TrustStore.load(trust_folder)


@pytest.fixture(scope="session")
def make_mail() -> Callable[..., bytes]:
    """A letter with CRLF line ends: text, then attachments as (name, type, bytes)."""

    def make(
        text: str = "Bonjour,\n\nvoici le compte rendu.\n",
        attachments: tuple[tuple[str, str, bytes], ...] = (),
        **headers: str,
    ) -> bytes:
        mail = EmailMessage()
        fields = {
            "From": "Marie Martin <marie.martin@lilas.mssante.example>",
            "To": "paul.durand@parc.mssante.example",
            "Subject": "Compte rendu",
            "Date": "Wed, 25 Nov 2026 09:30:00 +0000",
            "Message-ID": "<1@lilas.mssante.example>",
        } | {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in fields.items():
            mail[name] = value
        mail.set_content(text, cte="8bit" if not text.isascii() else None)
        for name, kind, data in attachments:
            main, _, sub = kind.partition("/")
            mail.add_attachment(data, maintype=main, subtype=sub, filename=name)
        return mail.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    return make


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[], asyncio.Protocol]], int]]:
    """Serves a protocol on a loopback port of its own, in a thread; answers the port."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def start(protocol: Callable[[], asyncio.Protocol]) -> int:
        server = loop.create_server(protocol, "127.0.0.1", 0)
        listening = asyncio.run_coroutine_threadsafe(server, loop).result(10)
        return int(listening.sockets[0].getsockname()[1])

    yield start
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)

"""The pages over real TLS: which certificate they show, and when a renewed one counts."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from certs.throwaway import Issued, Pki
from gateway import config
from gateway.web import serving
from gateway.web.faces import FACES
from gateway.web.site import Site

HOST = "mss.lilas.example"


class Node:
    """A folder with a node's certificate, and its pages, opened at a free port."""

    def __init__(self, folder: Path, configure: Callable[[str], Path]) -> None:
        self.folder, self._configure = folder, configure
        self.pki = Pki.create(datetime.now(UTC), kind="p256")
        self.pki.write_trust(folder / "trust", datetime.now(UTC))
        for name in ("data", "run"):
            (folder / name).mkdir()

    def server(self, host: str = HOST) -> Issued:
        return self.pki.tls_server(host, "IMAGERIE DES LILAS", "1750000001")

    @contextmanager
    def opened(self, more: str = "") -> Iterator[int]:
        settings = config.load(self._configure(f"[doors]\n[web]\n{more}"))
        site = Site(settings, FACES, lambda: datetime.now(UTC))
        ready, stop, ports = threading.Event(), threading.Event(), []

        async def serve() -> None:
            async with serving.opened(site, 0) as port:
                ports.append(port)
                ready.set()
                await asyncio.to_thread(stop.wait)

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        try:
            assert ready.wait(60)
            yield ports[0]
        finally:
            stop.set()
            thread.join(60)


def shown(port: int, name: str | None = HOST) -> bytes:
    """The certificate that a caller of now sees, asking for `name`."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), 30) as bare,
        context.wrap_socket(bare, server_hostname=name) as session,
    ):
        return session.getpeercert(True) or b""


@pytest.fixture
def node(tmp_path: Path, configure: Callable[[str], Path]) -> Node:
    return Node(tmp_path, configure)


def test_a_renewed_certificate_is_shown_without_a_restart(node: Node) -> None:
    """From the next session on, as at the mail doors; one that cannot be used leaves the old one."""
    first, second = node.server(), node.server()
    files = first.write(node.folder, "tls")
    with node.opened() as port:
        assert shown(port) == first.der
        second.write(node.folder, "tls")
        assert shown(port) == second.der
        assert shown(port, None) == second.der
        files[0].write_text("no certificate")
        assert shown(port) == second.der
        first.write(node.folder, "tls")
        assert shown(port) == first.der

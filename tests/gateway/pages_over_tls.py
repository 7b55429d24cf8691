"""A node's pages over real TLS, in this process, with certificates of a throw-away authority."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

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
        self.site: Site
        self.pki = Pki.create(datetime.now(UTC), kind="p256")
        self.pki.write_trust(folder / "trust", datetime.now(UTC))
        for name in ("data", "run"):
            (folder / name).mkdir()

    def server(self, host: str = HOST) -> Issued:
        return self.pki.tls_server(host, "IMAGERIE DES LILAS", "1750000001")

    @contextmanager
    def opened(self, more: str = "", port: int | None = 0) -> Iterator[int]:
        """`port`: 0 is a free one, None the configured one."""
        settings = config.load(self._configure(f"[doors]\n[web]\n{more}"))
        site = self.site = Site(settings, FACES, lambda: datetime.now(UTC))
        ready, stop, ports = threading.Event(), threading.Event(), []

        async def serve() -> None:
            async with serving.opened(site, port) as got, serving.opened_beside(site):
                ports.append(got)
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
            site.close()

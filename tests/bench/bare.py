"""The peer of the main job: the parts alone, joined by nothing.

What it is: for each letter, the work that nobody who does this job can leave out, by the same libraries and with none
of our code: a submission over STARTTLS to aiosmtpd, a file synced; a detached S/MIME signature with the same key
(cryptography's PKCS7SignatureBuilder); a relay over STARTTLS to a second aiosmtpd, a file synced. Both ends and both
servers live in one process; sessions are kept, as one would at best.

What it is not: a gateway. It knows no sender and no recipient, keeps no queue or journal, verifies no signature and no
peer, seals nothing, retries nothing, delivers to no mailbox and files no document. So its rate is a ceiling for our
parts on this machine, not a rival; a ratio far under 1 is expected, and what counts is how it moves.
"""

from __future__ import annotations

import os
import smtplib
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509 import load_pem_x509_certificates

from gateway.demo.processes import free_port

SIGNED = [pkcs7.PKCS7Options.DetachedSignature]


class _Sink:
    """Takes every letter, and answers 250 once it is on the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._count = 0
        self._lock = threading.Lock()

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        with self._lock:
            self._count += 1
            name = str(self._count)
        with (self.folder / name).open("wb") as file:
            file.write(envelope.content)
            file.flush()
            os.fsync(file.fileno())
        return "250 2.0.0 kept"


@dataclass(frozen=True)
class Files:
    """PEM files of a signing mailbox and of a TLS server, and the anchor that both lead to."""

    signer: Path
    signer_key: Path
    server: Path
    server_key: Path
    anchor: Path


class Bare:
    """Two servers, and a client of each."""

    def __init__(self, folder: Path, files: Files) -> None:
        self._certificates = load_pem_x509_certificates(files.signer.read_bytes())
        self._key: Any = serialization.load_pem_private_key(files.signer_key.read_bytes(), None)
        self._context = ssl.create_default_context(cafile=str(files.anchor))
        self._context.check_hostname = False
        shown = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        shown.load_cert_chain(files.server, files.server_key)
        self._sinks = [self._sink(folder / name, shown) for name in ("submitted", "relayed")]

    def _sink(self, folder: Path, context: ssl.SSLContext) -> Controller:
        folder.mkdir()
        controller = Controller(_Sink(folder), hostname="127.0.0.1", port=free_port(), tls_context=context)
        controller.start()
        return controller

    def __enter__(self) -> Bare:
        return self

    def __exit__(self, *_: object) -> None:
        for sink in self._sinks:
            sink.stop()

    def carry(self, mails: Sequence[bytes], sessions: int) -> None:
        """Every letter, to its end."""
        threads = [threading.Thread(target=self._session, args=(mails[n::sessions],)) for n in range(sessions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _session(self, mails: Sequence[bytes]) -> None:
        first, second = (self._client(sink) for sink in self._sinks)
        for mail in mails:
            first.sendmail("a@bare.example", ["b@bare.example"], mail)
            second.sendmail("a@bare.example", ["b@bare.example"], self._signed(mail))
        first.quit()
        second.quit()

    def _client(self, sink: Controller) -> smtplib.SMTP:
        client = smtplib.SMTP("127.0.0.1", sink.port, local_hostname="bare.example")
        client.starttls(context=self._context)
        return client

    def _signed(self, mail: bytes) -> bytes:
        builder = pkcs7.PKCS7SignatureBuilder().set_data(mail)
        builder = builder.add_signer(self._certificates[0], self._key, hashes.SHA256())
        for certificate in self._certificates[1:]:
            builder = builder.add_certificate(certificate)
        return builder.sign(serialization.Encoding.SMIME, SIGNED)

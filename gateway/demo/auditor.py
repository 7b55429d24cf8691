"""A stand-in for the trust space's audit platform (spec/operator.md §2.6): eight domains, each with its host and fault.

Promises: real sockets and TLS on loopback, one address for each host and one port for all, so that they are found by
MX; what each was told and was sent is kept; replies can be scripted. The white list names two certificates for those
that are to be refused, as the production list does. Does not: claim to behave as the platform does, which nobody
outside has described.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Unpack

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs import throwaway
from certs.chain import identity
from certs.throwaway import Issued, Pki, Shape, Window
from gateway.audit import CASES
from gateway.demo.nameserver import Record
from relay.partners import Listed

MINUTE = timedelta(minutes=1)
PATIENCE_S = 20.0
PLATFORM = "bus.audit.example"
"""CN of the platform's own certificate."""


@dataclass
class AuditHost:
    """One host. `shown` is None for the one that has no TLS."""

    domain: str
    address: str
    port: int
    shown: tuple[Path, Path] | None
    anchors: str = field(repr=False)
    replies: dict[str, str] = field(default_factory=dict)
    """Beginning of a command -> the reply to it; '.' is the end of a letter."""
    said: list[str] = field(default_factory=list)
    """Commands that it was told."""
    letters: list[bytes] = field(default_factory=list)
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    maximum: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED
    demands: ssl.VerifyMode = ssl.CERT_OPTIONAL

    def listen(self) -> socket.socket:
        listening = socket.create_server((self.address, self.port))
        threading.Thread(target=self._serve, args=(listening,), daemon=True).start()
        return listening

    def _serve(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:  # closed: the end
                return
            connection.settimeout(PATIENCE_S)
            threading.Thread(target=self._session, args=(connection,), daemon=True).start()

    def _session(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.sendall(b"220 audit\r\n")
            self._talk(connection, secure=False)

    def _talk(self, connection: socket.socket, *, secure: bool) -> None:
        reader = connection.makefile("rb")
        while line := reader.readline():
            words = line.decode("ascii", "replace").strip()
            self.said.append(words)
            verb = words.partition(" ")[0].upper()
            connection.sendall(self._reply(verb, words, secure=secure).encode("ascii") + b"\r\n")
            if verb == "STARTTLS" and self.shown:
                with self._context(self.shown).wrap_socket(connection, server_side=True) as wrapped:
                    return self._talk(wrapped, secure=True)
            if verb == "DATA":
                self.letters.append(_letter(reader))
                connection.sendall(self.replies.get(".", "250 2.0.0 taken").encode("ascii") + b"\r\n")
            if verb == "QUIT":
                return None
        return None

    def _context(self, shown: tuple[Path, Path]) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = self.minimum, self.maximum
        context.load_cert_chain(*shown)
        context.load_verify_locations(cadata=self.anchors)
        context.verify_mode = self.demands
        return context

    def _reply(self, verb: str, words: str, *, secure: bool) -> str:
        for begins, answer in self.replies.items():
            if words.upper().startswith(begins.upper()):
                return answer
        if verb == "EHLO":
            offers = ["8BITMIME", "SIZE 36700160", *(["STARTTLS"] if self.shown and not secure else [])]
            return "".join(f"250-{word}\r\n" for word in ("audit", *offers)) + "250 ENHANCEDSTATUSCODES"
        known = {"DATA": "354 go on", "STARTTLS": "220 go on" if self.shown else "502 5.5.1 no", "QUIT": "221 bye"}
        return known.get(verb, "250 2.0.0 fine")


def _letter(reader: BinaryIO) -> bytes:
    lines = []
    while (line := reader.readline()) not in (b".\r\n", b""):
        lines.append(line.removeprefix(b"."))
    return b"".join(lines)


@dataclass(frozen=True)
class Auditor:
    """The platform: its hosts by case, and what white list and name server must say of them."""

    hosts: dict[str, AuditHost]
    listed: tuple[Listed, ...]
    parent: str

    @property
    def zone(self) -> list[Record]:
        """Of `parent`."""
        names = self.hosts.items()
        return [Record(name, "MX", f"10 mx.{name}.{self.parent}.") for name, _ in names] + [
            Record(f"mx.{name}", "A", host.address) for name, host in names
        ]

    @contextmanager
    def answering(self) -> Iterator[None]:
        listening: list[socket.socket] = []
        try:
            listening += [host.listen() for host in self.hosts.values()]
            yield
        finally:
            for each in listening:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()


def platform(pki: Pki, foreign: Pki, parent: str, port: int, folder: Path) -> Auditor:
    """The eight, with certificates in `folder`. Revokes one in `pki`: write its lists afterwards."""
    shown, listed = _shown(pki, foreign, parent), list(_listed(pki, parent))
    platforms = pki.tls_server(PLATFORM, "ESPACE DE CONFIANCE", "318751275100020")
    shown["tests-operateur"] = platforms
    listed += [Listed(f"{case.name}.{parent}", subject(platforms)) for case in CASES]
    # Listed too, but for a domain of its own
    listed.append(Listed("autre-operateur.example", subject(shown["cert-no-match-audit"])))
    anchors = "".join(_anchor(each) for each in (pki, foreign))
    hosts = {
        case.name: AuditHost(
            domain=f"{case.name}.{parent}",
            address=f"127.0.0.{number}",
            port=port,
            shown=shown[case.name].write(folder, case.name) if case.name in shown else None,
            anchors=anchors,
        )
        for number, case in enumerate(CASES, 2)
    }
    return Auditor(hosts, tuple(listed), parent)


def _shown(pki: Pki, foreign: Pki, parent: str) -> dict[str, Issued]:
    """What each host presents; its own certificate where there is nothing wrong with it."""
    over: Window = {"not_before": pki.now - 50 * MINUTE, "not_after": pki.now - 10 * MINUTE}
    revoked = _own(pki, "cert-revoque-audit", parent)
    pki.revoke(revoked)
    return {
        "cert-valide-audit": _own(pki, "cert-valide-audit", parent),
        "cert-expire-audit": _own(pki, "cert-expire-audit", parent, **over),
        "cert-revoque-audit": revoked,
        "cert-non-igc-audit": _own(foreign, "cert-non-igc-audit", parent),
        "cert-no-match-audit": _host(pki, "mss.autre-operateur.example", "AUTRE OPERATEUR", "1750000099"),
        # Everything of the listed name but its CN
        "cert-cn-diff-dn-audit": _own(pki, "autre.cert-cn-diff-dn-audit", parent),
    }


def _listed(pki: Pki, parent: str) -> Iterable[Listed]:
    """Their own certificate's subject, for the domains whose name says 'cert': it is one of two that are listed."""
    names = [case.name for case in CASES if case.name.startswith("cert-")]
    a_subject = subject(_own(pki, "any", parent))
    return [
        Listed(f"{name}.{parent}", a_subject.replace("mx.any.", f"mx.{name}."), "Domaine d'audit") for name in names
    ]


def _own(pki: Pki, name: str, parent: str, **window: Unpack[Window]) -> Issued:
    return _host(pki, f"mx.{name}.{parent}", "OUTIL D'AUDIT", "130000000000000", **window)


def _host(pki: Pki, cn: str, organisation: str, unit: str, **window: Unpack[Window]) -> Issued:
    """As Pki.tls_server, with a key that is made at once."""
    uses = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
    shape = Shape(eku=uses, names=(x509.DNSName(cn),), key="p256", **window)
    return pki.issue(throwaway.subject(cn, organisation, unit), shape)


def subject(issued: Issued) -> str:
    return identity(issued.der).subject


def _anchor(pki: Pki) -> str:
    return "".join(each.certificate.public_bytes(Encoding.PEM).decode() for each in (pki.root, pki.authority))

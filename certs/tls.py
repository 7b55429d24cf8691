"""TLS contexts, one for each role in which a gateway speaks, and what the other side showed.

Promises: a role is data; TLS 1.2 or later; for 1.2 between operators and for mail clients only the four suites that
operators' texts name; the other side's chain reaches our anchors, or there is no session. Does not: ask about
revocation, profile or white list (chain.TrustStore.judge and relay.partners do, after the handshake and again for each
transaction; a role with `lists` asks in the handshake already), nor read keys again (renewal does).

In TLS 1.3 a server refuses a client's certificate after the client's handshake has ended (RFC 8446 §4.4.2.4):
the client learns it on its first read, as ssl.SSLError or as a closed connection, not in the handshake.
"""

from __future__ import annotations

import hashlib
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from cryptography.hazmat.primitives.serialization import Encoding

from certs.chain import TrustStore
from certs.handshakes import case
from certs.identities import identity
from certs.renewal import Renewed

__all__ = ["CIPHERS_1_2", "Contexts", "PeerShown", "Role", "case", "context", "peer_certificate", "renewed", "shown_by"]

# spec/operator.md §2.1, client to operator (ECO.1.1.3): 0xC030, 0xC02F, 0xC028, 0xC027, in this order. No
# text names suites between operators: the same. The TLS 1.3 suites are the library's own.
CIPHERS_1_2 = "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256"

Contexts: TypeAlias = Callable[[], ssl.SSLContext]
"""Asked for the context of each new session."""
Files: TypeAlias = tuple[Path, Path]
"""PEM chain and PEM key."""


@dataclass(frozen=True)
class Role:
    """How we speak to one kind of other side."""

    name: str
    serves: bool
    theirs: ssl.VerifyMode
    """Whether the other side must show a certificate, may, or is not asked."""
    names: bool = False
    """The server's host name counts. Between operators the white list binds a domain to a subject instead."""
    lists: bool = False
    """CRLs count in the handshake: a revoked server learns nothing."""
    resumes: bool = True
    """A resumed session shows no certificate: where we decide on the one presented in this session, none is."""
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    ciphers: str = CIPHERS_1_2
    """OpenSSL's list for TLS 1.2; empty: the library's own."""
    suites: str = ""
    """Of TLS 1.3, where Python lets them be set; empty: the library's own."""
    groups: tuple[str, ...] = ()
    """Of the key exchange, best first; more than one only where Python lets them be set; none: the library's own."""


PEER_IN = Role("peer-in", serves=True, theirs=ssl.CERT_OPTIONAL, resumes=False)
"""The door of peers: lets one without certificate in, so that the door can refuse in words."""
PEER_OUT = Role("peer-out", serves=False, theirs=ssl.CERT_REQUIRED)
CLIENT_IN = Role("client-in", serves=True, theirs=ssl.CERT_NONE)
"""The doors of mail clients."""
APPLICATION_IN = Role("application-in", serves=True, theirs=ssl.CERT_OPTIONAL, resumes=False)
"""The same, where applicative mailboxes may log in by certificate. One that does not chain to our anchors, or is not
valid today, ends the handshake."""
CLIENT_OUT = Role("client-out", serves=False, theirs=ssl.CERT_REQUIRED, names=True, ciphers="")
"""As a mail client of another operator: the server's name counts, since no white list binds it to a domain."""
HOST_IN = Role("host-in", serves=True, theirs=ssl.CERT_REQUIRED, resumes=False)
HOST_OUT = Role("host-out", serves=False, theirs=ssl.CERT_REQUIRED, names=True, lists=True)
"""Towards a dossier host."""


def context(
    role: Role, ours: Files | None, trust: TrustStore | None = None, authorities: Path | None = None
) -> ssl.SSLContext:
    """A context for one role. `ours`: what we show, if anything; `authorities`: PEM, instead of the anchors of `trust`.

    Raises OSError or ssl.SSLError on unusable files, ValueError for what this Python cannot set.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if role.serves else ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = role.names
    made.verify_mode = role.theirs
    made.minimum_version = role.minimum
    _choose(made, role)
    # RFC 7457 §2: no compression, no renegotiation.
    made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    if ours is not None:
        made.load_cert_chain(*ours, password=_no_passphrase)
    if authorities is not None:
        made.load_verify_locations(cafile=authorities)
    elif trust is not None and role.theirs is not ssl.CERT_NONE:
        _believe(made, trust)
    if role.lists and trust is not None:
        _know_revoked(made, trust)
    if not role.resumes:
        made.num_tickets = 0
        made.options |= ssl.OP_NO_TICKET
    return made


def _no_passphrase() -> str:
    """Else OpenSSL would ask a terminal, and wait."""
    raise ValueError("a TLS key is encrypted: doors read theirs without a passphrase")


def _choose(made: ssl.SSLContext, role: Role) -> None:
    if role.ciphers:
        made.set_ciphers(role.ciphers)
    if role.suites:
        _settable(made, "set_ciphersuites")(role.suites)
    if len(role.groups) == 1 and not hasattr(made, "set_groups"):
        made.set_ecdh_curve(role.groups[0])
    elif role.groups:
        _settable(made, "set_groups")(":".join(role.groups))


def _settable(made: ssl.SSLContext, name: str) -> Callable[[str], Any]:
    found: Callable[[str], Any] | None = getattr(made, name, None)
    if found is None:
        raise ValueError(f"this Python's ssl has no {name}: leave it to the library")
    return found


def _believe(made: ssl.SSLContext, trust: TrustStore) -> None:
    """Anchors to end at; intermediates only to build with, since peers often show their end certificate alone."""
    known = "".join(each.public_bytes(Encoding.PEM).decode("ascii") for each in trust.intermediates)
    made.load_verify_locations(cadata=trust.anchors_pem() + known)


def _know_revoked(made: ssl.SSLContext, trust: TrustStore) -> None:
    """The library takes CRLs from a file only."""
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(trust.crls_pem())
        file.flush()
        made.load_verify_locations(cafile=file.name)
    made.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN


def renewed(role: Role, ours: Files | None, trust: Callable[[], TrustStore] | None = None) -> Renewed[ssl.SSLContext]:
    """The context of a role for each new session, made anew when its files or `trust` change. Raises as `context`."""
    return Renewed(role.name, lambda: context(role, ours, trust() if trust else None), ours or (), trust)


def client_side(cert: Path, key: Path, trust: TrustStore, check_hostname: bool = False) -> ssl.SSLContext:
    """Towards a peer, showing our certificate; with `check_hostname` the caller passes server_hostname."""
    made = context(PEER_OUT, (cert, key), trust)
    made.check_hostname = check_hostname
    return made


def peer_side(cert: Path, key: Path, trust: TrustStore) -> ssl.SSLContext:
    """For the door of peers. A certificate that does not chain to our anchors, or is not valid today, ends the
    handshake."""
    return context(PEER_IN, (cert, key), trust)


def service_side(cert: Path, key: Path) -> ssl.SSLContext:
    """For the doors of mail clients: asks for no certificate."""
    return context(CLIENT_IN, (cert, key))


# --- what the other side showed ------------------------------------------------------------------------------------


Shown: TypeAlias = ssl.SSLSocket | ssl.SSLObject


@dataclass(frozen=True)
class PeerShown:
    """The end certificate that the other side presented in this session. Says nothing about trust."""

    der: bytes = field(repr=False)
    fingerprint: str
    """SHA-256 of the certificate, lower-case hexadecimal."""
    subject: str
    """RFC 4514; empty where it cannot be read, and then nobody trusts it either."""
    version: str
    """'TLSv1.3'."""
    cipher: str

    @property
    def words(self) -> str:
        return f"{self.version} {self.cipher}"


def shown_by(session: Shown | None) -> PeerShown | None:
    """What the other side showed in this session; None without a session or a certificate."""
    der = peer_certificate(session)
    if session is None or der is None:
        return None
    cipher = session.cipher() or ("", "", 0)
    return PeerShown(der, hashlib.sha256(der).hexdigest(), _subject(der), session.version() or "", cipher[0])


def _subject(der: bytes) -> str:
    try:
        return identity(der).subject
    except ValueError:
        return ""


def peer_certificate(session: Shown | None) -> bytes | None:
    """The end certificate (DER) that the other side showed in this session, or None.

    Says nothing about trust.
    """
    shown = session.getpeercert(True) if session is not None else None
    return shown if isinstance(shown, bytes) and shown else None

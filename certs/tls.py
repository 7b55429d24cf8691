"""TLS contexts for the three ways in which a gateway speaks, and the certificate that the other side showed.

Promises: TLS 1.2 or later; for 1.2 only the four suites that operators' texts name; the other side's chain
reaches our anchors, or there is no session. Does not: ask about revocation, profile or white list
(chain.TrustStore.judge and relay.partners do, after the handshake and again for each transaction), nor read
keys again: make a new context.

In TLS 1.3 a server refuses a client's certificate after the client's handshake has ended (RFC 8446 §4.4.2.4):
the client learns it on its first read, as ssl.SSLError or as a closed connection, not in the handshake.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.serialization import Encoding

from certs.chain import TrustStore

# spec/operator.md §2.1, client to operator (ECO.1.1.3): 0xC030, 0xC02F, 0xC028, 0xC027, in this order. No
# text names suites between operators: the same. The TLS 1.3 suites are the library's own.
CIPHERS_1_2 = "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-SHA384:ECDHE-RSA-AES128-SHA256"


class Shown(Protocol):
    """What ssl.SSLSocket and ssl.SSLObject share."""

    def getpeercert(self, binary_form: bool = ...) -> object: ...


def client_side(cert: Path, key: Path, trust: TrustStore, check_hostname: bool = False) -> ssl.SSLContext:
    """Towards a peer, showing our certificate. `cert`, `key`: PEM chain and key.

    Between operators names are not compared to host names: the white list binds a domain to a certificate's
    subject. With `check_hostname` the caller passes server_hostname. Raises OSError or ssl.SSLError on
    unusable files.
    """
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = check_hostname
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(cert, key)
    _believe(context, trust)
    return context


def peer_side(cert: Path, key: Path, trust: TrustStore) -> ssl.SSLContext:
    """For the door of peers: asks for a certificate, and lets one without in, so that the door can refuse in
    words.

    A certificate that does not chain to our anchors, or is not valid today, ends the handshake.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_cert_chain(cert, key)
    _believe(context, trust)
    # A resumed session shows no certificate; we decide on the one presented in this session.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    return context


def service_side(cert: Path, key: Path) -> ssl.SSLContext:
    """For the doors of mail clients: asks for no certificate."""
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


def peer_certificate(session: Shown | None) -> bytes | None:
    """The end certificate (DER) that the other side showed in this session, or None.

    Says nothing about trust.
    """
    shown = session.getpeercert(True) if session is not None else None
    return shown if isinstance(shown, bytes) and shown else None


def _context(protocol: ssl._SSLMethod) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS_1_2)
    # RFC 7457 §2: no compression, no renegotiation.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


def _believe(context: ssl.SSLContext, trust: TrustStore) -> None:
    """Anchors to end at;

    intermediates only to build with, since peers often show their end certificate alone.
    """
    known = "".join(each.public_bytes(Encoding.PEM).decode("ascii") for each in trust.intermediates)
    context.load_verify_locations(cadata=trust.anchors_pem() + known)

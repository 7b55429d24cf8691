"""Who a certificate, a signature or a peer is: the values in which certs answers.

Promises: every question of trust has three answers (Trusted, Untrusted, CannotTell), never two; each answer is a
frozen value that says why. Does not: decide what to do with an answer (policy does, in relay).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]
"""Answers the present moment, timezone-aware, in UTC. Passed in everywhere, never patched."""


class Fault(StrEnum):
    """Why a certificate, a signature or a peer is not trusted, or cannot be judged. Names go to journals."""

    NO_CERTIFICATE = "no-certificate"
    UNREADABLE = "unreadable"
    UNKNOWN_ISSUER = "unknown-issuer"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    REVOKED = "revoked"
    REVOCATION_UNKNOWN = "revocation-unknown"
    STALE_CRL = "stale-crl"
    WRONG_USAGE = "wrong-usage"
    WRONG_NAME = "wrong-name"
    NAME_CONSTRAINT = "name-constraint"
    CHAIN = "chain"
    POLICY = "policy"
    WEAK_ALGORITHM = "weak-algorithm"
    WEAK_KEY = "weak-key"
    UNSUPPORTED = "unsupported"
    NO_SIGNER = "no-signer"
    NO_CONTENT = "no-content"
    SEVERAL_SIGNERS = "several-signers"
    AMBIGUOUS = "ambiguous"
    DIGEST_MISMATCH = "digest-mismatch"
    BAD_SIGNATURE = "bad-signature"
    BAD_ATTRIBUTES = "bad-attributes"
    TOO_LARGE = "too-large"
    NOT_FOR_US = "not-for-us"
    CANNOT_OPEN = "cannot-open"


@dataclass(frozen=True)
class Identity:
    """Who a certificate names. Distinguished names are RFC 4514 strings, most specific attribute first."""

    subject: str
    issuer: str
    serial: int
    fingerprint: str
    """SHA-256 of the DER certificate, lower-case hexadecimal."""
    addresses: tuple[str, ...] = ()
    """rfc822Name values of subjectAltName, exactly as written."""
    common_name: str = ""
    organisation: str = ""
    unit: str = ""
    """First OU; in IGC-Santé the national structure identifier, e.g. '1' + FINESS."""
    utf8_addresses: tuple[str, ...] = ()
    """SmtpUTF8Mailbox values (RFC 9598): named, and so far compared with nothing."""


@dataclass(frozen=True)
class Consulted:
    """One CRL or OCSP answer that was looked at."""

    kind: str
    """'crl' or 'ocsp'."""
    name: str
    """'issuer#crlNumber@thisUpdate' of a CRL; 'responder#serial@producedAt' of an OCSP answer."""
    digest: str
    """SHA-256 of its DER, lower-case hexadecimal."""
    until: datetime | None = None
    """nextUpdate."""
    stale: bool = False
    """It was over, and policy's grace let it count (design §7)."""
    der: bytes = field(default=b"", repr=False, compare=False)
    """An OCSP answer's bytes; empty for a CRL, which the trust folder keeps."""


@dataclass(frozen=True)
class Evidence:
    """What was looked at for an answer: kept beside the letter, so that it can be judged again later."""

    at: datetime
    chain: tuple[str, ...] = ()
    """SHA-256 fingerprints from the end certificate to the anchor."""
    crls: tuple[str, ...] = ()
    """The name of each CRL or OCSP answer consulted, from the anchor downwards."""
    algorithms: tuple[str, ...] = ()
    consulted: tuple[Consulted, ...] = ()
    certificates: tuple[bytes, ...] = field(default=(), repr=False, compare=False)
    """The chain in DER, end certificate first."""


@dataclass(frozen=True)
class Trusted:
    identity: Identity
    evidence: Evidence


@dataclass(frozen=True)
class Untrusted:
    fault: Fault
    detail: str = ""
    """For operators; holds no content and no patient identity."""
    identity: Identity | None = None
    check: str = ""
    """The name of the check that said no: what a test names."""


@dataclass(frozen=True)
class CannotTell:
    fault: Fault
    detail: str = ""
    identity: Identity | None = None
    check: str = ""


Trust: TypeAlias = Trusted | Untrusted | CannotTell


@dataclass(frozen=True)
class Proof:
    """The answer about one CMS signature over given bytes (RFC 5652 §5): trust in its signer, and what it says."""

    trust: Trust
    signing_time: datetime | None = None
    digest_algorithm: str = ""
    signature_algorithm: str = ""
    certificates: tuple[bytes, ...] = field(default=(), repr=False)
    """DER certificates carried by the message, as carried."""

    @property
    def valid(self) -> bool:
        return isinstance(self.trust, Trusted)

"""Why a TLS handshake failed, as one word for a log line.

Promises: each way of failing has its name, whichever library raised it; what the other side told us in an alert begins
with 'refused-', so that nobody looks for the fault on the wrong side. Does not: carry anything a stranger wrote.
"""

from __future__ import annotations

import ssl

CERTIFICATE: dict[int, str] = {  # X509_V_ERR_*, openssl/x509_vfy.h
    2: "unknown-issuer",
    3: "revocation-unknown",
    7: "bad-signature",
    9: "not-yet-valid",
    10: "expired",
    11: "revocation-unknown",
    12: "revocation-unknown",
    18: "unknown-issuer",
    19: "unknown-issuer",
    20: "unknown-issuer",
    21: "unknown-issuer",
    23: "revoked",
    26: "wrong-usage",
    33: "revocation-unknown",
    62: "wrong-name",
    64: "wrong-name",
    66: "weak-key",
    67: "weak-key",
    68: "weak-algorithm",
    79: "wrong-usage",
}
"""What our own look at the other side's certificate found."""

REASONS: dict[str, str] = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "no-certificate",
    "NO_SHARED_CIPHER": "no-shared-cipher",
    "NO_SUITABLE_SIGNATURE_ALGORITHM": "no-shared-cipher",
    "NO_SUITABLE_KEY_SHARE": "no-shared-cipher",
    "NO_SHARED_SIGNATURE_ALGORITHMS": "no-shared-cipher",
    "NO_SUITABLE_GROUPS": "no-shared-cipher",
    "NO_CIPHERS_AVAILABLE": "no-shared-cipher",
    "UNSUPPORTED_PROTOCOL": "version",
    "WRONG_SSL_VERSION": "version",
    "VERSION_TOO_LOW": "version",
    "NO_PROTOCOLS_AVAILABLE": "version",
    "INAPPROPRIATE_FALLBACK": "version",
    "WRONG_VERSION_NUMBER": "not-tls",
    "HTTP_REQUEST": "not-tls",
    "HTTPS_PROXY_REQUEST": "not-tls",
    "UNEXPECTED_MESSAGE": "not-tls",
    "PACKET_LENGTH_TOO_LONG": "not-tls",
    "RECORD_LAYER_FAILURE": "not-tls",
    "UNEXPECTED_EOF_WHILE_READING": "closed",
    # What the other side says (RFC 8446 §6.2)
    "TLSV1_ALERT_PROTOCOL_VERSION": "version",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "refused-handshake",  # no suite in common, or in TLS 1.2 no certificate
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": "no-shared-cipher",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "refused-no-certificate",
    "SSLV3_ALERT_NO_CERTIFICATE": "refused-no-certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "refused-unknown-issuer",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "refused-expired",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "refused-revoked",
    "SSLV3_ALERT_BAD_CERTIFICATE": "refused-bad-certificate",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "refused-bad-certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "refused-bad-certificate",
    "TLSV1_ALERT_ACCESS_DENIED": "refused-access",
    "TLSV1_UNRECOGNIZED_NAME": "refused-wrong-name",
    "TLSV1_ALERT_DECRYPT_ERROR": "refused-bad-signature",
    "TLSV1_ALERT_INTERNAL_ERROR": "refused-internal-error",
}
"""OpenSSL's own names (openssl/sslerr.h), as ssl.SSLError.reason shows them."""


def case(error: BaseException | None) -> str:
    """The name of a failed handshake, or of a first read that failed (RFC 8446 §4.4.2.4). 'unknown' for all else."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return CERTIFICATE.get(error.verify_code, "untrusted")
    # ssl.SSLError is an OSError, so it comes before all others
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "closed"
    if isinstance(error, ssl.SSLError):
        return _reason(error.reason or "")
    # asyncio gives up a handshake that takes too long with ConnectionAbortedError, and nothing else raises it
    if isinstance(error, TimeoutError | ConnectionAbortedError):
        return "timeout"
    return "closed" if isinstance(error, ConnectionError | EOFError) else "unknown"


def _reason(reason: str) -> str:
    known = REASONS.get(reason)
    if known is None and "_ALERT_" in reason:
        return "refused"
    return known or "broken"

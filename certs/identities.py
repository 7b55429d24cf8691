"""Whom a certificate names: the names inside it, read once and remembered. Says nothing about trust.

Promises: names exactly as written; a certificate that cannot be read is ValueError, whatever is wrong with it.
Does not: compare names (relay does), nor refuse odd ones (checks.end_names does, within a judgement).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import NameOID, ObjectIdentifier

from certs.model import Identity

MAX_CERTIFICATE = 64 * 1024
"""Bytes of one DER certificate."""

UNREADABLE = (
    ValueError,
    TypeError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    UnsupportedAlgorithm,
)
"""All that cryptography raises on bytes which are no proper certificate, list or answer."""

SMTP_UTF8_MAILBOX = ObjectIdentifier("1.3.6.1.5.5.7.8.9")
"""id-on-SmtpUTF8Mailbox (RFC 9598 §3)."""


def read(der: bytes) -> x509.Certificate:
    """A certificate from its DER. Raises ValueError on unreadable or oversized bytes."""
    if len(der) > MAX_CERTIFICATE:
        raise ValueError("the certificate is too large")
    try:
        return x509.load_der_x509_certificate(der)
    except UNREADABLE as error:
        raise ValueError(f"unreadable certificate: {type(error).__name__}") from error


def name(der: bytes) -> str:
    """A distinguished name as RFC 4514 writes it. Raises ValueError on bytes that are none."""
    try:
        return x509.Name.from_bytes(der).rfc4514_string()
    except UNREADABLE as error:
        raise ValueError(f"unreadable name: {type(error).__name__}") from error


@lru_cache(maxsize=512)
def identity(der: bytes) -> Identity:
    """Whom a DER certificate names. Raises ValueError on unreadable bytes. Says nothing about trust."""
    certificate = read(der)
    try:
        return Identity(
            subject=certificate.subject.rfc4514_string(),
            issuer=certificate.issuer.rfc4514_string(),
            serial=certificate.serial_number,
            fingerprint=hashlib.sha256(der).hexdigest(),
            addresses=_addresses(certificate),
            common_name=_attribute(certificate, NameOID.COMMON_NAME),
            organisation=_attribute(certificate, NameOID.ORGANIZATION_NAME),
            unit=_attribute(certificate, NameOID.ORGANIZATIONAL_UNIT_NAME),
            utf8_addresses=_utf8_addresses(certificate),
        )
    except UNREADABLE as error:
        raise ValueError(f"unreadable certificate: {type(error).__name__}") from error


def alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def _addresses(certificate: x509.Certificate) -> tuple[str, ...]:
    names = alternative_names(certificate)
    return () if names is None else tuple(names.get_values_for_type(x509.RFC822Name))


def _utf8_addresses(certificate: x509.Certificate) -> tuple[str, ...]:
    """RFC 9598 §3: an otherName that holds one UTF8String."""
    names = alternative_names(certificate)
    others = () if names is None else names.get_values_for_type(x509.OtherName)
    return tuple(_utf8_string(each.value) for each in others if each.type_id == SMTP_UTF8_MAILBOX)


def _utf8_string(value: bytes) -> str:
    if len(value) < 2 or value[0] != 0x0C or value[1] != len(value) - 2:
        raise ValueError("no short UTF8String")
    return value[2:].decode("utf-8")


def _attribute(certificate: x509.Certificate, oid: ObjectIdentifier) -> str:
    """The first value of an attribute of the subject, or empty."""
    found = certificate.subject.get_attributes_for_oid(oid)
    return str(found[0].value) if found else ""

"""What a certificate must be allowed to do before we believe it in a role: profiles, as data.

Promises: a profile is a frozen value; `misuse` names the first thing that a certificate may not do. An absent
extension permits (RFC 5280 §4.2.1.3, §4.2.1.12; RFC 8550 §4.4.2, §4.4.4), a present one must name the use.
Does not: build chains, look at validity or revocation (chain, revocation), nor compare names (relay does).
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from cryptography.x509.oid import ObjectIdentifier


@dataclass(frozen=True)
class Profile:
    """What one role asks of an end certificate. Names go to journals."""

    name: str
    key_usage: frozenset[str]
    """Attribute names of cryptography's KeyUsage; one of them suffices."""
    eku: frozenset[ObjectIdentifier] | None = None
    """One of them suffices; None asks for nothing."""
    min_rsa_bits: int = 2048
    policies: tuple[str, ...] = ()
    """Dotted certificate policies, of which the end certificate must have one; empty asks for nothing."""


_SIGNS = frozenset({"digital_signature", "content_commitment"})
_HANDSHAKE = frozenset({"digital_signature"})
# RFC 8550 §4.4.4: a mail signer names emailProtection or anyExtendedKeyUsage, or has no such extension.
_MAIL = frozenset({Eku.EMAIL_PROTECTION, Eku.ANY_EXTENDED_KEY_USAGE})

TLS_SERVER = Profile("tls-server", _HANDSHAKE, frozenset({Eku.SERVER_AUTH}))
TLS_CLIENT = Profile("tls-client", _HANDSHAKE, frozenset({Eku.CLIENT_AUTH}))
# Whether one operator certificate must carry both uses was not found in any text: either will do.
TLS_PEER = Profile("tls-peer", _HANDSHAKE, frozenset({Eku.SERVER_AUTH, Eku.CLIENT_AUTH}))
SMIME = Profile("smime", _SIGNS, _MAIL)
SEAL = Profile("seal", _SIGNS, frozenset({Eku.EMAIL_PROTECTION}))
WHITE_LIST_SIGNER = Profile("white-list-signer", _SIGNS, frozenset({Eku.EMAIL_PROTECTION}))


def misuse(certificate: x509.Certificate, profile: Profile) -> str:
    """What the certificate lacks for `profile`, for operators; empty when it lacks nothing.

    Raises what cryptography raises on an extension that it cannot read (ValueError and x509 exceptions).
    """
    extensions = certificate.extensions
    return (
        _key_usage(extensions, profile)
        or _extended_usage(extensions, profile)
        or _policies(extensions, profile)
        or _not_an_authority(extensions)
    )


def _key_usage(extensions: x509.Extensions, profile: Profile) -> str:
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return ""
    permitted = any(getattr(usage, name) for name in profile.key_usage)
    return "" if permitted else f"keyUsage permits none of {', '.join(sorted(profile.key_usage))}"


def _extended_usage(extensions: x509.Extensions, profile: Profile) -> str:
    if profile.eku is None:
        return ""
    try:
        usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ""
    return "" if profile.eku.intersection(usage) else f"extKeyUsage does not fit {profile.name}"


def _policies(extensions: x509.Extensions, profile: Profile) -> str:
    if not profile.policies:
        return ""
    try:
        stated = extensions.get_extension_for_class(x509.CertificatePolicies).value
    except x509.ExtensionNotFound:
        return "certificatePolicies is absent"
    found = {policy.policy_identifier.dotted_string for policy in stated}
    return "" if found.intersection(profile.policies) else f"no certificate policy of {profile.name}"


def _not_an_authority(extensions: x509.Extensions) -> str:
    """A CA's own certificate signs certificates, never letters or handshakes."""
    try:
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return ""
    return "the certificate is an authority's" if constraints.ca else ""

"""Our own checks on a chain that OpenSSL found: each one function with a name, which its refusal carries.

Promises: a check answers None, or why not; it depends on the chain and the profile alone, never on the moment. In
order: what we do not understand, then what is weak, then what the certificate may not do. Does not: build chains
(paths), nor ask about revocation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from cryptography import x509

from certs import identities, policies, profiles, strength
from certs.model import Fault, Untrusted
from certs.paths import Answer, Chain
from certs.policies import Initial
from certs.profiles import Profile

UNDERSTOOD = (
    x509.KeyUsage,
    x509.ExtendedKeyUsage,
    x509.BasicConstraints,
    x509.NameConstraints,
    x509.SubjectAlternativeName,
    x509.CertificatePolicies,
    x509.PolicyConstraints,
    x509.InhibitAnyPolicy,
    x509.CRLDistributionPoints,
    x509.AuthorityKeyIdentifier,
    x509.SubjectKeyIdentifier,
    x509.OCSPNoCheck,
)
"""Extensions that may be critical: we, or OpenSSL for us, obey each of them."""
_MAPPINGS = "2.5.29.33"


def first_doubt(chain: Chain, profile: Profile) -> Answer | None:
    """The first check that objects, called by its name in this module. Raises what cryptography raises on odd bytes."""
    return (
        critical_extensions(chain)
        or strong_hashes(chain)
        or strong_keys(chain, profile)
        or end_names(chain)
        or end_use(chain, profile)
        or policy_path(chain, profile)
    )


def sound(chain: Chain) -> Answer | None:
    """What also holds for those who sign lists and OCSP answers, whatever their role."""
    return critical_extensions(chain) or strong_hashes(chain) or strong_keys(chain, profiles.CRL_SIGNER)


def critical_extensions(chain: Chain) -> Answer | None:
    """RFC 5280 §4.2: what is critical and not understood refuses the certificate."""
    for certificate in chain:
        for extension in certificate.extensions:
            known = isinstance(extension.value, UNDERSTOOD) or extension.oid.dotted_string == _MAPPINGS
            if extension.critical and not known:
                detail = f"critical extension {extension.oid.dotted_string}"
                return Untrusted(Fault.UNSUPPORTED, detail, check="critical-extensions")
    return None


def strong_hashes(chain: Chain) -> Answer | None:
    """An anchor's own signature proves nothing and is not looked at."""
    for certificate in chain[:-1]:
        if doubt := strength.weak_hash(certificate):
            return _named(doubt, "strong-hashes")
    return None


def strong_keys(chain: Chain, profile: Profile) -> Answer | None:
    for certificate in chain:
        if doubt := strength.weak_key(certificate, profile.min_rsa_bits):
            return _named(doubt, "strong-keys")
    return None


def end_use(chain: Chain, profile: Profile) -> Answer | None:
    """The rules of the profile (profiles), each with its name."""
    leaf = chain[0]
    return (
        _misused(profiles.key_usage(leaf, profile), "key-usage")
        or _misused(profiles.extended_usage(leaf, profile), "extended-usage")
        or _misused(profiles.stated_policy(leaf, profile), "stated-policy")
        or _misused(profiles.required_names(leaf, profile), "required-names")
        or _misused(profiles.no_authority(leaf, profile), "no-authority")
    )


def policy_path(chain: Chain, profile: Profile) -> Answer | None:
    """RFC 5280 §6.1: what authorities and profile require of the policies along the path."""
    answer = policies.process(chain, initial(profile))
    if not isinstance(answer, policies.Refused):
        return None
    return Untrusted(Fault.TOO_LARGE if answer.budget else Fault.POLICY, answer.why, check="policy-path")


def initial(profile: Profile) -> Initial:
    return Initial(
        frozenset(profile.initial_policies),
        profile.require_explicit_policy,
        profile.inhibit_policy_mapping,
        profile.inhibit_any_policy,
    )


def _misused(why: str, check: str) -> Answer | None:
    return Untrusted(Fault.WRONG_USAGE, why, check=check) if why else None


def _named(doubt: Answer, check: str) -> Answer:
    return type(doubt)(doubt.fault, doubt.detail, check=check)


# --- names -------------------------------------------------------------------------------------------------

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
# A quoted local part is a Mailbox too, and the classic case of two readers who disagree: nobody needs one.
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[A-Za-z0-9.:-]+\])")
_HOST = re.compile(r"(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_PRINTED = re.compile(r"[\x21-\x7e]+")
MAX_NAMES = 1000
"""Of one certificate."""


def end_names(chain: Chain) -> Answer | None:
    """An alternative name that two readers may read differently: NUL, white space, control or non-ASCII characters.

    RFC 5280 §4.2.1.6: rfc822Name is a Mailbox, dNSName a preferred name, a URI is absolute, all in IA5String; other
    scripts have their own form (RFC 9598).
    """
    names = identities.alternative_names(chain[0])
    if names is None:
        return None
    if len(names) > MAX_NAMES:
        return Untrusted(Fault.TOO_LARGE, "too many alternative names", check="end-names")
    odd = next(_odd(names), None)
    return Untrusted(Fault.WRONG_NAME, f"an odd {odd} in subjectAltName", check="end-names") if odd else None


def _odd(names: x509.SubjectAlternativeName) -> Iterator[str]:
    for name in names:
        if isinstance(name, x509.RFC822Name) and not _ADDRESS.fullmatch(name.value):
            yield "rfc822Name"
        if isinstance(name, x509.DNSName) and not _HOST.fullmatch(name.value):
            yield "dNSName"
        if isinstance(name, x509.UniformResourceIdentifier) and not _PRINTED.fullmatch(name.value):
            yield "uniformResourceIdentifier"

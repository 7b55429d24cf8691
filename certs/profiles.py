"""What a certificate must be allowed to do before we believe it in a role: profiles, as data (profiles.toml).

Promises: a profile is a frozen value; the file is read once and strictly: an unknown word stops the start and is
named. Each rule is one function that answers in words, empty when it has no objection. An absent extension permits
(RFC 5280 §4.2.1.3, §4.2.1.12; RFC 8550 §4.4.2, §4.4.4) unless the profile says otherwise; a present one must name
the use. What was only observed is never enforced. Does not: build chains, look at validity or revocation (chain,
revocation), nor compare names (relay does).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from cryptography.x509.oid import ObjectIdentifier

from certs import policies as policy


@dataclass(frozen=True)
class Observed:
    """What stood on the certificates of a profile that were seen: for people, never enforced."""

    production_policies: tuple[str, ...] = ()
    test_policies: tuple[str, ...] = ()
    note: str = ""


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
    absent_permits: bool = True
    """Whether a certificate without keyUsage or extKeyUsage may do everything."""
    names: frozenset[str] = frozenset()
    """Kinds of subjectAltName (KINDS), of which one must be there; empty asks for nothing."""
    initial_policies: tuple[str, ...] = (policy.ANY,)
    """RFC 5280 §6.1.1 (c): what we accept of the whole path, where its authorities or we require a policy."""
    require_explicit_policy: bool = False
    inhibit_policy_mapping: bool = False
    inhibit_any_policy: bool = False
    authority: bool = False
    """Whether an authority's own certificate may play the role."""
    title: str = ""
    environment: str = "any"
    """'production', 'test' or 'any' hierarchy."""
    source: str = ""
    confidence: str = "norm"
    """One of CONFIDENCES: how we know."""
    observed: Observed = Observed()


KINDS: Mapping[str, type[x509.GeneralName]] = {
    "rfc822": x509.RFC822Name,
    "dns": x509.DNSName,
    "uri": x509.UniformResourceIdentifier,
    "ip": x509.IPAddress,
    "dirname": x509.DirectoryName,
}
CONFIDENCES = frozenset({"norm", "verified", "quoted", "not-seen"})
ENVIRONMENTS = frozenset({"production", "test", "any"})
_USES = {
    "serverAuth": Eku.SERVER_AUTH,
    "clientAuth": Eku.CLIENT_AUTH,
    "emailProtection": Eku.EMAIL_PROTECTION,
    "OCSPSigning": Eku.OCSP_SIGNING,
    "anyExtendedKeyUsage": Eku.ANY_EXTENDED_KEY_USAGE,
}
_KEY_USAGES = frozenset(
    {
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
    }
)


# --- reading -----------------------------------------------------------------------------------------------

_DESCRIPTIVE = frozenset({"name", "title", "environment", "source", "confidence", "observed"})


def read(text: str) -> Mapping[str, Profile]:
    """The profiles of a file such as profiles.toml, by name. Raises ValueError saying which line of which is wrong."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"profiles: {error}") from error
    found: dict[str, Profile] = {}
    for name, table in tables.items():
        try:
            found[name] = _profile(name, table, found)
        except (ValueError, TypeError) as error:
            raise ValueError(f"profile {name}: {error}") from error
    return found


def _profile(name: str, table: Any, before: Mapping[str, Profile]) -> Profile:
    if not isinstance(table, dict):
        raise ValueError("not a table")
    said = {word: _value(word, value) for word, value in table.items() if word != "like"}
    if said.get("confidence") not in CONFIDENCES or not said.get("source"):
        raise ValueError("source or confidence is missing, or unknown")
    if said.get("environment", "any") not in ENVIRONMENTS:
        raise ValueError("environment is none of ours")
    asks = sorted(said.keys() - _DESCRIPTIVE)
    if said["confidence"] == "not-seen" and asks:
        raise ValueError(f"not seen, and yet asks for {', '.join(asks)}")
    if "like" in table:
        return replace(_of(before, table["like"]), **{"title": "", "observed": Observed(), **said, "name": name})
    if not said.get("key_usage"):
        raise ValueError("key_usage is missing")
    return Profile(name=name, **said)


def _of(before: Mapping[str, Profile], name: object) -> Profile:
    if not isinstance(name, str) or name not in before:
        raise ValueError(f"is like {name!r}, which does not stand above")
    return before[name]


def _value(word: str, value: Any) -> Any:
    """One word of a profile's table as Profile has it. Raises ValueError on what is not known."""
    if word in ("key_usage", "eku", "names"):
        return _known(word, _strings(word, value))
    if word in ("policies", "initial_policies"):
        return tuple(_dotted(word, each) for each in _strings(word, value))
    if word == "observed":
        return _observed(value)
    kinds = {each.name: each.type for each in fields(Profile) if each.name != "name"}
    wanted = {"bool": bool, "int": int, "str": str}.get(str(kinds.get(word)))
    if wanted is None:
        raise ValueError(f"{word} is unknown")
    if type(value) is not wanted:
        raise ValueError(f"{word} is no {wanted.__name__}")
    return value


def _known(word: str, values: tuple[str, ...]) -> frozenset[Any]:
    if word == "eku":
        return frozenset(_USES.get(each) or ObjectIdentifier(_dotted(word, each)) for each in values)
    unknown = sorted(set(values) - (_KEY_USAGES if word == "key_usage" else KINDS.keys()))
    if unknown:
        raise ValueError(f"{word} has {unknown[0]!r}, which is unknown")
    return frozenset(values)


def _strings(word: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{word} is no list of words")
    return tuple(value)


def _dotted(word: str, value: str) -> str:
    try:
        return ObjectIdentifier(value).dotted_string
    except ValueError as error:
        raise ValueError(f"{word} has {value!r}, which is no identifier") from error


def _observed(value: Any) -> Observed:
    if not isinstance(value, dict) or value.keys() != {"production_policies", "test_policies", "note"}:
        raise ValueError("observed is not production_policies, test_policies and note")
    lists = {word: _value("policies", value[word]) for word in ("production_policies", "test_policies")}
    return Observed(**lists, note=_value("title", value["note"]))


SHIPPED: Mapping[str, Profile] = read((Path(__file__).parent / "profiles.toml").read_text("utf-8"))
"""All profiles that come with the product."""


def named(name: str) -> Profile:
    """The shipped profile of this name. Raises ValueError if there is none."""
    if name not in SHIPPED:
        raise ValueError(f"no profile is named {name!r}")
    return SHIPPED[name]


TLS_SERVER = named("tls-server")
TLS_CLIENT = named("tls-client")
TLS_PEER = named("tls-peer")
SMIME = named("smime")
SEAL = named("seal")
WHITE_LIST_SIGNER = named("white-list-signer")
ENCRYPTION = named("encryption")
SAML_SIGNER = named("saml-signer")
OCSP_SIGNER = named("ocsp-signer")
CRL_SIGNER = named("crl-signer")


# --- rules -------------------------------------------------------------------------------------------------


def misuse(certificate: x509.Certificate, profile: Profile) -> str:
    """What the certificate lacks for `profile`, for operators; empty when it lacks nothing.

    Raises what cryptography raises on an extension that it cannot read (ValueError and x509 exceptions).
    """
    return (
        key_usage(certificate, profile)
        or extended_usage(certificate, profile)
        or stated_policy(certificate, profile)
        or required_names(certificate, profile)
        or no_authority(certificate, profile)
    )


def key_usage(certificate: x509.Certificate, profile: Profile) -> str:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return "" if profile.absent_permits else "keyUsage is absent"
    permitted = any(getattr(usage, name) for name in profile.key_usage)
    return "" if permitted else f"keyUsage permits none of {', '.join(sorted(profile.key_usage))}"


def extended_usage(certificate: x509.Certificate, profile: Profile) -> str:
    if profile.eku is None:
        return ""
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return "" if profile.absent_permits else "extKeyUsage is absent"
    return "" if profile.eku.intersection(usage) else f"extKeyUsage does not fit {profile.name}"


def stated_policy(certificate: x509.Certificate, profile: Profile) -> str:
    if not profile.policies:
        return ""
    found = policy.policies_of(certificate)
    if found is None:
        return "certificatePolicies is absent"
    return "" if found.intersection(profile.policies) else f"no certificate policy of {profile.name}"


def required_names(certificate: x509.Certificate, profile: Profile) -> str:
    if not profile.names:
        return ""
    wanted = tuple(KINDS[kind] for kind in sorted(profile.names))
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return "subjectAltName is absent"
    kinds = ", ".join(sorted(profile.names))
    return "" if any(isinstance(name, wanted) for name in names) else f"subjectAltName has no {kinds}"


def no_authority(certificate: x509.Certificate, profile: Profile) -> str:
    """A CA's own certificate signs certificates and lists, never letters or handshakes."""
    if profile.authority:
        return ""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return ""
    return "the certificate is an authority's" if constraints.ca else ""

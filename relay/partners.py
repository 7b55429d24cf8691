"""The white list (liste blanche) of the trust space: which certificate may speak for which mail domain.

Promises: a list is believed only if its signature, signer, dates and shape are right and it is not older than
the one held; then it is an immutable value. A domain has a set of certificate subjects, compared leniently
where the published list is careless (spec/operator.md §2.4) and exactly where it counts. Does not: fetch,
keep on disk, or read the contacts that it carries (they are personal data).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from lxml import etree

from certs import profiles, xml
from certs.chain import TrustStore
from certs.model import CannotTell, Fault, Identity, Trust, Trusted, Untrusted

NAMESPACE = "https://listeblanche.mssante.fr/schema"
NATIONAL_SIGNER = "alb@mssante.fr"
"""rfc822Name of the certificate that signs the national list (spec/operator.md §2.3)."""

MAX_BYTES = 16 * 1024 * 1024
"""Four times the national list of 2025."""
AHEAD = timedelta(minutes=10)
"""By how much a list's date may be ahead of our clock."""
SHRINK = 0.5
"""A list that loses more than this share of its domains at once is not taken without a person."""
_SMALL = 10
"""Domains below which shrinking says nothing."""

_LIST = f"{{{NAMESPACE}}}ListeBlancheMSSante"
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_log = structlog.get_logger(__name__)


# --- distinguished names -----------------------------------------------------------------------------------

# Attributes that may begin after an unescaped comma or plus. In the published list quotes and commas inside
# values are not escaped, so only a known name followed by '=' begins an attribute.
_KEYS = "CN|OU|O|STREET|ST|S|L|C|DC|UID|SERIALNUMBER|EMAILADDRESS|E|GIVENNAME|SN|T|[0-9]+(?:\\.[0-9]+)+"
_ATTRIBUTE = re.compile(rf"(?:^|(?<!\\)(?P<kept>(?:\\\\)*)[,+;])\s*(?P<key>{_KEYS})\s*=", re.IGNORECASE)
_ESCAPE = re.compile(r"(?:\\[0-9A-Fa-f]{2})+|\\.", re.DOTALL)
# spec/operator.md §2.4: one entry has L instead of ST.
_SAME_KEY = {"L": "ST", "S": "ST"}


@dataclass(frozen=True)
class Subject:
    """A certificate's subject, made comparable.

    Each attribute's values in sorted order: their order is not stable.
    """

    cn: tuple[str, ...]
    ou: tuple[str, ...]
    o: tuple[str, ...]
    st: tuple[str, ...]
    c: tuple[str, ...]
    others: tuple[str, ...] = ()

    def differing(self, other: Subject) -> tuple[str, ...]:
        """Names of the attributes in which two subjects differ."""
        names = ("cn", "ou", "o", "st", "c", "others")
        return tuple(name for name in names if getattr(self, name) != getattr(other, name))


def read_subject(text: str) -> Subject | None:
    """A subject from a lenient RFC 4514 string; None if it has no CN, or an attribute without a value."""
    values: dict[str, list[str]] = {}
    found = list(_ATTRIBUTE.finditer(text))
    # Escaped backslashes just before the separator still belong to the value.
    ends = [each.end("kept") for each in found[1:]] + [len(text)]
    if not found or text[: found[0].start()].strip():
        return None
    for each, end in zip(found, ends, strict=True):
        key = each["key"].upper()
        key = _SAME_KEY.get(key, key)
        value = _comparable(key, _unescaped(text[each.end() : end]))
        if not value:
            return None
        values.setdefault(key, []).append(value)
    return _subject(values) if "CN" in values else None


def _subject(values: Mapping[str, Sequence[str]]) -> Subject:
    cn, ou, o, st, c = (tuple(sorted(values.get(key, ()))) for key in ("CN", "OU", "O", "ST", "C"))
    rest = values.keys() - {"CN", "OU", "O", "ST", "C"}
    return Subject(cn, ou, o, st, c, tuple(sorted(f"{key}={value}" for key in rest for value in values[key])))


def _unescaped(value: str) -> str:
    """RFC 4514 §2.4:

    a pair in hexadecimal is a byte of UTF-8; any other escaped character stands for itself.
    """
    return _ESCAPE.sub(_unescape, value)


def _unescape(found: re.Match[str]) -> str:
    text = found.group()
    if len(text) == 2:
        return text[1]
    return bytes.fromhex(text.replace("\\", "")).decode("utf-8", "replace")


def _comparable(key: str, value: str) -> str:
    """CN without case, OU exactly, the rest after NFKC, collapsed white space and without quotes (§2.4)."""
    if key == "OU":
        return value.strip()
    if key == "CN":
        return value.strip().strip('"').casefold()
    plain = " ".join(unicodedata.normalize("NFKC", value).replace('"', "").split())
    return plain.upper() if key == "C" else plain


# --- the list ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listed:
    """One entry: a domain and one certificate that may speak for it. For composing a list."""

    domain: str
    subject: str
    description: str = "Domaine d'essai"
    responsible: str = "+33 1 99 00 00 00 responsable@exemple.invalid"
    support: str = "+33 1 99 00 00 01 support@exemple.invalid"


@dataclass(frozen=True)
class WhiteList:
    """A list that was believed.

    `generated_at` is its DateDeGeneration; how old is too old is the caller's policy.
    """

    entries: Mapping[str, frozenset[Subject]]
    generated_at: datetime
    signer: Identity | None = None

    @staticmethod
    def of(entries: Iterable[Listed], generated_at: datetime) -> WhiteList:
        """A list from entries that need no proof. An entry whose subject cannot be read permits nobody."""
        return WhiteList(_index((each.domain, each.subject) for each in entries), generated_at)

    @staticmethod
    def load(
        data: bytes,
        store: TrustStore,
        at: datetime,
        held: WhiteList | None = None,
        *,
        signer: str = NATIONAL_SIGNER,
    ) -> WhiteList | Untrusted | CannotTell:
        """The signed list in `data`, or why it is not believed. `at`: now. `held`: the list in use.

        `signer`: rfc822Name that the signer's certificate must carry; any mailbox of the trust space has a
        certificate that could sign, so the chain alone proves nothing.
        """
        root, trust = _verified(data, store, at)
        if not isinstance(trust, Trusted):
            return trust
        if signer not in trust.identity.addresses:
            return Untrusted(Fault.WRONG_NAME, f"the list is not signed by {signer}", trust.identity)
        try:
            believed = replace(_read(root), signer=trust.identity)
        except _Unusable as unusable:
            return Untrusted(Fault.BAD_ATTRIBUTES, str(unusable), trust.identity)
        doubt = _doubt(believed, at, held)
        return Untrusted(Fault.BAD_ATTRIBUTES, doubt, trust.identity) if doubt else believed

    def domains(self) -> frozenset[str]:
        return frozenset(self.entries)

    def lists(self, domain: str) -> bool:
        """Whether the domain belongs to the trust space."""
        return _domain(domain) in self.entries

    def permits(self, domain: str, subject: str) -> bool:
        """Whether a certificate of this subject (RFC 4514 string) may speak for the domain."""
        listed = self.entries.get(_domain(domain), frozenset())
        shown = read_subject(subject)
        if shown is None or not listed:
            return False
        if shown in listed:
            return True
        _tell_near_misses(domain, shown, listed)
        return False


def _tell_near_misses(domain: str, shown: Subject, listed: Iterable[Subject]) -> None:
    """One attribute apart is more often a careless entry than an attack: an operator wants to see it."""
    for each in listed:
        differing = each.differing(shown)
        if len(differing) == 1:
            _log.warning("white-list-near-miss", domain=_domain(domain), differs=differing[0])


def _domain(text: str) -> str:
    """Lower-case A-labels without a final dot; what cannot be one is compared as it stands."""
    plain = text.strip().rstrip(".").lower()
    try:
        return plain if plain.isascii() else plain.encode("idna").decode("ascii")
    except UnicodeError:
        return plain


# --- reading -----------------------------------------------------------------------------------------------


class _Unusable(Exception):
    """Signed, but no list that we can use."""


def _verified(data: bytes, store: TrustStore, at: datetime) -> tuple[etree._Element | None, Trust]:
    root, trust = _verify(data, store, at)
    if not (isinstance(trust, Untrusted) and trust.fault is Fault.EXPIRED):
        return root, trust
    # spec/operator.md §2.3: the signer must have been valid when the list was made; it may have expired
    # since.
    made = _claimed_date(data)
    if made is None or made > at:
        return root, trust
    again, then = _verify(data, store, made)
    if again is not None and _date(again) != made:
        return None, trust
    return again, then


def _verify(data: bytes, store: TrustStore, at: datetime) -> tuple[etree._Element | None, Trust]:
    return xml.verify_enveloped(data, store, profiles.WHITE_LIST_SIGNER, at, max_bytes=MAX_BYTES)


def _claimed_date(data: bytes) -> datetime | None:
    """The date before anything is proven."""
    try:
        return _date(xml.parse(data, max_bytes=MAX_BYTES))
    except (xml.XmlRefused, _Unusable):
        return None


def _read(root: etree._Element | None) -> WhiteList:
    if root is None or root.tag != _LIST:
        raise _Unusable("the signed document is no white list")
    domains = root.findall(_tag("ListeDomaines", "Domaine"))
    entries = _index((_text(each, "Nom"), _text(each, "DNCertificatOperateur")) for each in domains)
    if not entries:
        raise _Unusable("the list is empty")
    return WhiteList(entries, _date(root))


def _date(root: etree._Element) -> datetime:
    text = _text(root, "DateDeGeneration")
    try:
        if not _DATE.fullmatch(text):
            raise ValueError("another form")
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise _Unusable("DateDeGeneration is no date") from error


def _text(parent: etree._Element, name: str) -> str:
    found = parent.findall(_tag(name))
    text = (found[0].text or "").strip() if len(found) == 1 else ""
    if not text:
        raise _Unusable(f"{name} is absent, empty or repeated")
    return text


def _tag(*names: str) -> str:
    return "/".join(f"{{{NAMESPACE}}}{name}" for name in names)


def _index(pairs: Iterable[tuple[str, str]]) -> dict[str, frozenset[Subject]]:
    """Domain -> subjects: one domain is listed several times, even under several operators (§2.3)."""
    found: dict[str, set[Subject]] = {}
    for domain, text in pairs:
        subjects = found.setdefault(_domain(domain), set())
        subject = read_subject(text)
        if subject is None:  # one careless entry closes its own door, not everybody's
            _log.warning("white-list-entry-unreadable", domain=_domain(domain))
        else:
            subjects.add(subject)
    return {domain: frozenset(subjects) for domain, subjects in found.items()}


def _doubt(new: WhiteList, at: datetime, held: WhiteList | None) -> str:
    """Why a well-signed list is not taken all the same; empty when nothing speaks against it."""
    if new.generated_at > at + AHEAD:
        return "DateDeGeneration is in the future"
    if held is None:
        return ""
    if new.generated_at < held.generated_at:
        return "the list is older than the one in use"
    if len(held.entries) >= _SMALL and len(new.entries) < len(held.entries) * SHRINK:
        return "the list has lost most of its domains"
    return ""


# --- composing ---------------------------------------------------------------------------------------------


def compose(entries: Iterable[Listed], generated_at: datetime) -> etree._Element:
    """An unsigned list in the published shape (§2.3). `certs.xml.sign_enveloped` signs it."""
    names: dict[Any, str] = {None: NAMESPACE}
    root = etree.Element(_LIST, nsmap=names)
    stamp = generated_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    _child(root, "DateDeGeneration", stamp)
    domains = _child(root, "ListeDomaines")
    for entry in entries:
        domain = _child(domains, "Domaine")
        _child(domain, "Nom", entry.domain)
        _child(domain, "Description", entry.description)
        _child(domain, "DNCertificatOperateur", entry.subject)
        _child(domain, "ResponsableContact", entry.responsible)
        _child(domain, "SupportContact", entry.support)
        _child(domain, "DateMAJ", stamp)
    return root


def _child(parent: etree._Element, name: str, text: str | None = None) -> etree._Element:
    child = etree.SubElement(parent, f"{{{NAMESPACE}}}{name}")
    child.text = text
    return child

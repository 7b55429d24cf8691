"""Who asks the host: the certificate of the session, and the assertion in the request's header (VIHF).

Promises: where the host asks for assertions, one is believed only if a seal that our anchors vouch for signed it, its
issuer is that seal's subject, its time is now, its structure is the session certificate's, and its ID was not seen
before; each refusal has a name. Does not: authenticate people: their structure answers for them.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import NameOID
from lxml import etree

from certs.chain import TrustStore
from certs.model import Trusted
from certs.profiles import SEAL
from certs.xml import verify_assertion
from dmp_bridge.soap import SoapRefused

SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"
HL7 = "{urn:hl7-org:v3}"
ROLE = "urn:oasis:names:tc:xacml:2.0:subject:role"
PURPOSE = "urn:oasis:names:tc:xspa:1.0:subject:purposeofuse"
SUBJECT = "urn:oasis:names:tc:xspa:1.0:subject:subject-id"
MODES = frozenset({"INDIRECTE", "INDIRECTE_RENFORCEE"})
_MODE_NAMES = ("Authentification_Mode", "Authentification_mode")
_NEEDED = ("VIHF_Version", "Identifiant_Structure", "Secteur_Activite", SUBJECT, "Ressource_URN", "LPS_Nom")
SKEW = timedelta(minutes=2)
MAX_AGE = timedelta(minutes=15)


@dataclass(frozen=True)
class Caller:
    """`structure`: Struct_IdNat, '' where nothing names one. `mode`: '' without an assertion."""

    certificate: str
    """SHA-256 of the session's certificate."""
    structure: str = ""
    mode: str = ""

    @property
    def may_read(self) -> bool:
        """A structure that feeds in indirect mode may not open documents (spec/dossier.md §1.6)."""
        return self.mode != "INDIRECTE"


@dataclass
class Assertions:
    """What the host asks of assertions, and which it has seen."""

    trust: TrustStore
    clock: Callable[[], datetime]
    _seen: dict[str, datetime] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, security: etree._Element | None, certificate: bytes, fingerprint: str) -> Caller:
        """Raises SoapRefused, naming the check."""
        if security is None:
            raise SoapRefused("no assertion")
        now = self.clock()
        told, trust = verify_assertion(etree.tostring(security, with_tail=False), self.trust, SEAL, now)
        if told is None or not isinstance(trust, Trusted):
            raise SoapRefused("the assertion's signature does not hold, or is not by a seal that is known here")
        _check_issuer(told, security)
        _check_time(told, now)
        values = _values(told)
        structure = values.get("Identifiant_Structure", "")
        _check_values(told, values)
        if structure not in (structure_of(certificate), structure_of(_signer(security))):
            raise SoapRefused("the assertion's structure is not that of the certificates")
        self._check_new(str(told.get("ID")), now)
        return Caller(fingerprint, structure, _mode(values))

    def _check_new(self, name: str, now: datetime) -> None:
        with self._lock:
            self._seen = {each: at for each, at in self._seen.items() if now - at < MAX_AGE + SKEW}
            if name in self._seen:
                raise SoapRefused("the assertion was used before")
            self._seen[name] = now


def structure_of(certificate: bytes) -> str:
    """The structure's identifier in a certificate's subject (IGC-Santé: OU), '' where there is none."""
    try:
        subject = x509.load_der_x509_certificate(certificate).subject
    except ValueError:
        return ""
    units = [str(each.value) for each in subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)]
    return next((unit for unit in units if unit.isdigit()), units[0] if units else "")


def _signer(security: etree._Element) -> bytes:
    shown = security.find(".//{http://www.w3.org/2000/09/xmldsig#}X509Certificate")
    return base64.b64decode("".join((shown.text or "").split())) if shown is not None else b""


def _check_issuer(told: etree._Element, security: etree._Element) -> None:
    issuer = (told.findtext(f"{SAML}Issuer") or "").strip()
    names = {NameOID.GIVEN_NAME: "GN", NameOID.STATE_OR_PROVINCE_NAME: "ST"}
    subject = x509.load_der_x509_certificate(_signer(security)).subject
    if issuer not in (subject.rfc4514_string(names), subject.rfc4514_string()):
        raise SoapRefused("the assertion's issuer is not the subject of the certificate that signed it")


def _check_time(told: etree._Element, now: datetime) -> None:
    issued = _instant(told.get("IssueInstant"))
    held = told.find(f"{SAML}Conditions")
    start = _instant(held.get("NotBefore")) if held is not None else None
    end = _instant(held.get("NotOnOrAfter")) if held is not None else None
    fresh = issued is not None and now - MAX_AGE <= issued <= now + SKEW
    if not fresh or (start is not None and now + SKEW < start) or (end is not None and now >= end):
        raise SoapRefused("the assertion is not of this moment")


def _instant(text: str | bytes | None) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None


def _values(told: etree._Element) -> dict[str, str]:
    held = told.iterfind(f"{SAML}AttributeStatement/{SAML}Attribute")
    return {str(each.get("Name", "")): (each.findtext(f"{SAML}AttributeValue") or "").strip() for each in held}


def _mode(values: dict[str, str]) -> str:
    return next((values[name] for name in _MODE_NAMES if name in values), "")


def _check_values(told: etree._Element, values: dict[str, str]) -> None:
    absent = [name for name in _NEEDED if not values.get(name)]
    if absent:
        raise SoapRefused(f"the assertion lacks {absent[0]}")
    if _mode(values) not in MODES:
        raise SoapRefused("the assertion's mode is not known here")
    if told.find(f".//{HL7}Role") is None or told.find(f".//{HL7}PurposeOfUse") is None:
        raise SoapRefused("the assertion lacks a role or a purpose of use")

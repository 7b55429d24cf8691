"""The VIHF: who feeds or reads a dossier, as a SAML 2.0 assertion in the header of each request (spec/dossier.md §2).

Promises: two builders for two ways to be known, `indirect` (a structure feeds) and `air` (a professional whom the
structure has strongly authenticated reads); signed by the structure's seal through whoever holds its key; names whose
spelling differs between sources come from the host's norm. Does not: authenticate a professional, choose a mode, or
hold a homologation number in any log: it is a field that repr() leaves out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

from cryptography import x509
from cryptography.x509.oid import NameOID
from lxml import etree

from certs.keys import Signer
from certs.xml import sign_assertion
from dmp_bridge.model import Code
from dmp_bridge.norms import Norm

SAML = "urn:oasis:names:tc:SAML:2.0:assertion"
HL7 = "urn:hl7-org:v3"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
X509_NAME = "urn:oasis:names:tc:SAML:1.1:nameid-format:X509SubjectName"
ROLE = "urn:oasis:names:tc:xacml:2.0:subject:role"
PURPOSE = "urn:oasis:names:tc:xspa:1.0:subject:purposeofuse"
SUBJECT = "urn:oasis:names:tc:xspa:1.0:subject:subject-id"
RESOURCE = "urn:oasis:names:tc:xacml:2.0:resource:resource-id"
PURPOSE_SYSTEM = "1.2.250.1.213.1.1.4.248"
AUTOMATE = Code("AUTOMATE", "1.2.250.1.213.1.1.4.6", "Automate")
CLASSES = "urn:oasis:names:tc:SAML:2.0:ac:classes:"
LIVES = timedelta(minutes=5)
"""An assertion serves one exchange; clocks are kept by NTP (EX_GEN-1460), yet may differ a little."""


@dataclass(frozen=True)
class Software:
    """Who made the request: shown to the host in every assertion."""

    name: str = "Pli"
    version: str = ""
    id: str = ""
    homologation: str = field(default="", repr=False)
    """The deployer's number: a secret (spec/dossier.md §1.1)."""


@dataclass(frozen=True)
class Structure:
    """The structure that answers for the request."""

    id: str
    """Struct_IdNat."""
    sector: str
    """SAxx, of 1.2.250.1.71.4.2.4."""


@dataclass(frozen=True, repr=False)
class Professional:
    """Whom the structure has strongly authenticated (AIR). Not in repr()."""

    id: str
    """PS_IdNat."""
    name: str
    """Given name and family name."""
    roles: tuple[Code, ...]
    """Profession (TRE_G15), then specialty (TRE_R01) where there is one."""
    method: str = "CONF_EXI_PGSSIS"
    """How he was authenticated; this value is that of the simplified AIR."""


def indirect(
    structure: Structure, software: Software, patient_cx: str, norm: Norm, signer: Signer, at: datetime
) -> bytes:
    """The signed assertion of a structure that feeds by itself: NameID is '<structure>/<software>'."""
    who = f"{structure.id}/{software.name}"
    assertion = _assertion(who, signer, at, f"{CLASSES}unspecified", "")
    values = _common("INDIRECTE", structure, software, software.name, patient_cx, norm)
    return _signed(assertion, values, (AUTOMATE,), norm, signer)


def air(
    structure: Structure,
    software: Software,
    professional: Professional,
    patient_cx: str,
    norm: Norm,
    signer: Signer,
    at: datetime,
) -> bytes:
    """The signed assertion of a professional behind his structure, to read (TD2.1 is not for AIR)."""
    if not professional.roles:
        raise ValueError("a professional has a profession")
    assertion = _assertion(professional.id, signer, at, f"{CLASSES}unspecified", professional.method)
    values = _common("INDIRECTE_RENFORCEE", structure, software, professional.name, patient_cx, norm)
    return _signed(assertion, values, professional.roles, norm, signer)


def subject_name(certificate: bytes) -> str:
    """The signer's subject as Issuer writes it: RFC 2253 order, CN first; S is ST, G is GN there."""
    read = x509.load_der_x509_certificate(certificate)
    return read.subject.rfc4514_string({NameOID.GIVEN_NAME: "GN", NameOID.STATE_OR_PROVINCE_NAME: "ST"})


# --- the parts -------------------------------------------------------------------------------------------------


def _assertion(who: str, signer: Signer, at: datetime, method: str, primary: str) -> etree._Element:
    root = etree.Element(f"{{{SAML}}}Assertion", nsmap={"saml2": SAML})
    for name, value in (("ID", f"_{uuid4()}"), ("Version", "2.0"), ("IssueInstant", _time(at))):
        root.set(name, value)
    issuer = _add(root, "Issuer", subject_name(signer.certificate))
    issuer.set("Format", X509_NAME)
    _add(_add(root, "Subject"), "NameID", who)
    held = _add(root, "Conditions")
    held.set("NotBefore", _time(at - LIVES))
    held.set("NotOnOrAfter", _time(at + LIVES))
    said = _add(root, "AuthnStatement")
    said.set("AuthnInstant", _time(at))
    context = _add(said, "AuthnContext")
    _add(context, "AuthnContextClassRef", method)
    if primary:
        _add(context, "AuthnContextDecl", primary)
    return root


def _common(
    mode: str, structure: Structure, software: Software, subject: str, patient_cx: str, norm: Norm
) -> list[tuple[str, str]]:
    """Attributes of one text, in the order of the samples; an empty one is left out."""
    named = [
        ("VIHF_Version", norm.vihf_version),
        (norm.vihf_mode_attribute, mode),
        ("Identifiant_Structure", structure.id),
        ("Secteur_Activite", f"{structure.sector}^1.2.250.1.71.4.2.4"),
        (SUBJECT, subject),
        (RESOURCE, patient_cx),
        ("Ressource_URN", norm.vihf_resource),
        ("LPS_ID", software.id),
        ("LPS_Nom", software.name),
        ("LPS_Version", software.version),
        ("LPS_ID_HOMOLOGATION_DMP", software.homologation),
    ]
    return [(name, value) for name, value in named if value]


def _signed(
    assertion: etree._Element, values: list[tuple[str, str]], roles: tuple[Code, ...], norm: Norm, signer: Signer
) -> bytes:
    statement = _add(assertion, "AttributeStatement")
    for name, value in values:
        _add(_attribute(statement, name), "AttributeValue", value)
    held = _attribute(statement, ROLE)
    for role in roles:
        _coded(_add(held, "AttributeValue"), "Role", role, role.label)
    purpose = Code("normal", PURPOSE_SYSTEM, "Accès normal")
    _coded(_add(_attribute(statement, PURPOSE), "AttributeValue"), "PurposeOfUse", purpose, norm.purpose_name)
    return sign_assertion(assertion, signer)


def _attribute(statement: etree._Element, name: str) -> etree._Element:
    held = _add(statement, "Attribute")
    held.set("Name", name)
    return held


def _coded(value: etree._Element, tag: str, code: Code, system_name: str) -> None:
    held = etree.SubElement(value, f"{{{HL7}}}{tag}", nsmap={None: HL7, "xsi": XSI})  # type: ignore[dict-item]  # lxml takes None
    held.set(f"{{{XSI}}}type", "CE")
    for name, text in (
        ("code", code.code),
        ("codeSystem", code.system),
        ("codeSystemName", system_name),
        ("displayName", code.label),
    ):
        held.set(name, text)


def _add(parent: etree._Element, name: str, text: str = "") -> etree._Element:
    held = etree.SubElement(parent, f"{{{SAML}}}{name}")
    held.text = text or None
    return held


def _time(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")

"""The header of a CDA against the CI-SIS structuration minimale, clause by clause, by our own code: always on.

Promises: every clause is asked, in the order of the table, and each breach names its rule, its clause and the element;
an error is what a consumer may refuse for, a remark is what older documents lack. Does not: judge a body or a value
set (installed schemas do), nor quote what the document says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from certs import xml
from dmp_bridge import cda, codes
from dmp_bridge.cda import Element
from dmp_bridge.model import INS_ROOTS, Ins

PATIENT_ROOT_OLD = "1.2.250.1.213.1.4.2"
PS_ROOT, STRUCT_ROOT, DMP_ROOT = "1.2.250.1.71.4.2.1", "1.2.250.1.71.4.2.2", "1.2.250.1.213.4.1"
TEMPLATES = ("2.16.840.1.113883.2.8.2.1", "1.2.250.1.213.1.1.1.1")
UNSTRUCTURED = "1.3.6.1.4.1.19376.1.2.20"
NULLS = frozenset({"UNK", "NASK", "ASKU", "NAV", "MSK", "NA", "NI", "OTH"})
"""The sheet's five, and three that the published schematrons let pass."""
BODIES = frozenset({"application/pdf", "text/plain", "text/rtf", "image/jpeg", "image/tiff"})
_TELECOM = re.compile(r"(tel|fax|mailto|https?|ftp|mllp):[^\s]+")
_SECOND = re.compile(r"[0-9]{14}(\.[0-9]{1,4})?[+-][0-9]{4}")
_DAY = re.compile(r"[0-9]{4}([0-9]{2}([0-9]{2}([0-9]{4,6}([+-][0-9]{4})?)?)?)?")
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")

Check: TypeAlias = Callable[[Element], Iterator[str]]
"""The paths of the elements that break it."""


@dataclass(frozen=True)
class Clause:
    rule: str
    text: str
    """Where the norm says it."""
    check: Check
    error: bool = True


@dataclass(frozen=True)
class Breach:
    """One clause that one element breaks. Holds no value of the document."""

    rule: str
    clause: str
    where: str
    error: bool


def check(raw: bytes) -> tuple[Breach, ...] | None:
    """Every breach, errors first; None where there is no one ClinicalDocument to judge."""
    try:
        root = xml.parse(raw, max_bytes=cda.MAX_BYTES, max_markup=cda.MAX_MARKUP)
    except xml.XmlRefused:
        return None
    found = cda.locate(root)
    if found is None:
        return None
    broken = [Breach(each.rule, each.text, where, each.error) for each in CLAUSES for where in each.check(found)]
    return tuple(sorted(broken, key=lambda each: not each.error))


def errors(raw: bytes) -> tuple[Breach, ...]:
    return tuple(each for each in check(raw) or () if each.error)


# --- small questions ------------------------------------------------------------------------------------------


def _all(element: Element, path: str) -> list[Element]:
    return element.findall(path, namespaces={"c": cda.HL7})


def _plain(path: str) -> str:
    return re.sub(r"\[@[^\]]*\]", "", path.replace("c:", ""))


def once(path: str) -> Check:
    """Exactly one."""

    def ask(document: Element) -> Iterator[str]:
        if len(_all(document, path)) != 1:
            yield _plain(path)

    return ask


def at_least_once(path: str) -> Check:
    def ask(document: Element) -> Iterator[str]:
        if not _all(document, path):
            yield _plain(path)

    return ask


def at_most_once(path: str) -> Check:
    def ask(document: Element) -> Iterator[str]:
        if len(_all(document, path)) > 1:
            yield _plain(path)

    return ask


def each(path: str, holds: Callable[[Element], bool]) -> Check:
    """Whatever stands there holds; absence is another clause's."""

    def ask(document: Element) -> Iterator[str]:
        found = _all(document, path)
        for number, element in enumerate(found, 1):
            if not holds(element):
                yield _plain(path) + (f"[{number}]" if len(found) > 1 else "")

    return ask


def _fixed(**wanted: str) -> Callable[[Element], bool]:
    return lambda element: all(element.get(name) == value for name, value in wanted.items())


def _coded(element: Element) -> bool:
    return all(element.get(name) for name in ("code", "codeSystem", "displayName"))


def _timed(form: re.Pattern[str]) -> Callable[[Element], bool]:
    def holds(element: Element) -> bool:
        return bool(form.fullmatch(element.get("value", ""))) or element.get("nullFlavor") in NULLS

    return holds


def _has_id(element: Element) -> bool:
    return bool(element.get("root")) and not element.get("nullFlavor")


def _short_oid(element: Element) -> bool:
    root = element.get("root", "")
    return len(root) <= 64 and (bool(_OID.fullmatch(root)) or len(root) == 36)


def _text(element: Element | None) -> str:
    return " ".join("".join(map(str, element.itertext())).split()) if element is not None else ""


# --- clauses that look at more than one element -----------------------------------------------------------------


def _templates(document: Element) -> Iterator[str]:
    roots = {item.get("root") for item in _all(document, "c:templateId")}
    wanted = {*TEMPLATES, *([UNSTRUCTURED] if _all(document, "c:component/c:nonXMLBody") else ())}
    if wanted - roots:
        yield "templateId"


def _main_act(document: Element) -> Iterator[str]:
    """One act at least has its beginning, a performer, and his setting."""
    performer = "c:performer[@typeCode='PRF']/c:assignedEntity"
    setting = f"{performer}/c:representedOrganization/c:standardIndustryClassCode"
    for act in _all(document, "c:documentationOf/c:serviceEvent"):
        if _all(act, "c:effectiveTime/c:low[@value]") and any(map(_code, _all(act, setting))):
            return
    yield "documentationOf/serviceEvent"


def _code(element: Element) -> bool:
    return bool(element.get("code"))


def _replacement(document: Element) -> Iterator[str]:
    mine = {(item.get("root"), item.get("extension")) for item in _all(document, "c:id")}
    for related in _all(document, "c:relatedDocument"):
        parents = _all(related, "c:parentDocument/c:id")
        wrong = related.get("typeCode") not in ("RPLC", "XFRM") or len(parents) != 1
        # A document that replaces itself would end itself.
        if wrong or (parents[0].get("root"), parents[0].get("extension")) in mine:
            yield "relatedDocument"


def _version_replaces(document: Element) -> Iterator[str]:
    number = next((item.get("value", "") for item in _all(document, "c:versionNumber")), "")
    if number.isdigit() and int(number) > 1 and not _all(document, "c:relatedDocument[@typeCode='RPLC']"):
        yield "relatedDocument"


def _ins_of(document: Element) -> list[Ins]:
    ids = _all(document, "c:recordTarget/c:patientRole/c:id")
    return [Ins(item.get("extension", ""), item.get("root", "")) for item in ids if item.get("root") in INS_ROOTS]


def _strict_traits(document: Element) -> Iterator[str]:
    """§3.5.5.12: with an INS the strict traits are there, each in its form."""
    if not _ins_of(document):
        return
    person = "c:recordTarget/c:patientRole/c:patient/"
    names = {
        f"{person}c:name/c:family[@qualifier='BR']",
        f"{person}c:name/c:given[@qualifier='BR']",
        f"{person}c:birthplace/c:place/c:addr/c:county",
    }
    yield from sorted(_plain(path) for path in names if not any(map(_text, _all(document, path))))
    if not any(_text(item) for item in _all(document, f"{person}c:name/c:given") if not item.get("qualifier")):
        yield _plain(f"{person}c:name/c:given")
    if not _all(document, f"{person}c:birthTime[@value]"):
        yield _plain(f"{person}c:birthTime")


def _matricules(document: Element) -> Iterator[str]:
    if any(not cda.well_formed(ins) for ins in _ins_of(document)):
        yield "recordTarget/patientRole/id"


def _old_ins(document: Element) -> Iterator[str]:
    if _all(document, f"c:recordTarget/c:patientRole/c:id[@root='{PATIENT_ROOT_OLD}']"):
        yield "recordTarget/patientRole/id"


def _custodians(element: Element) -> bool:
    return element.get("root") == DMP_ROOT or (element.get("root") == STRUCT_ROOT and bool(element.get("extension")))


def _body(document: Element) -> Iterator[str]:
    bodies = _all(document, "c:component/c:nonXMLBody") + _all(document, "c:component/c:structuredBody")
    if len(bodies) != 1:
        yield "component"
    for text in _all(document, "c:component/c:nonXMLBody/c:text"):
        if text.get("mediaType") not in BODIES or text.get("representation") != "B64":
            yield "component/nonXMLBody/text"


_KNOWING = (
    "id", "code", "title", "effectiveTime", "confidentialityCode", "languageCode", "setId", "versionNumber",
    "recordTarget/patientRole/id", "recordTarget/patientRole/patient/name", "author/assignedAuthor/id",
    "custodian/assignedCustodian/representedCustodianOrganization/id", "legalAuthenticator/assignedEntity/id",
    "documentationOf", "relatedDocument/parentDocument/id",
    "componentOf/encompassingEncounter/location/healthCareFacility/code",
)  # fmt: skip


def _known(document: Element) -> Iterator[str]:
    """nullFlavor is forbidden on what identifies."""
    for path in _KNOWING:
        inner = "/".join(f"c:{step}" for step in path.split("/"))
        if any(item.get("nullFlavor") for item in _all(document, inner)):
            yield path


def _nulls(document: Element) -> Iterator[str]:
    for element in document.iter("{*}*"):
        if element.get("nullFlavor") and element.get("nullFlavor") not in NULLS:
            yield str(element.tag).rpartition("}")[2]
        if str(element.tag).endswith("}structuredBody"):
            return


def _reachable(document: Element) -> Iterator[str]:
    for path in ("c:recordTarget", "c:author", "c:custodian", "c:legalAuthenticator", "c:participant", "c:dataEnterer"):
        for item in _all(document, f"{path}//c:telecom"):
            if not item.get("nullFlavor") and not _TELECOM.fullmatch(item.get("value", "")):
                yield _plain(f"{path}//c:telecom")
                break


def _level(element: Element) -> bool:
    return element.get("code") in codes.BASIC_CONFIDENTIALITY


def _titled(element: Element) -> bool:
    return 0 < len(_text(element)) <= 128


_ROLE = "c:recordTarget/c:patientRole"
_SIGNER = "c:legalAuthenticator"
CLAUSES: tuple[Clause, ...] = (
    Clause("realm", "SM table 1", each("c:realmCode", _fixed(code="FR"))),
    Clause("realm-once", "SM table 1", once("c:realmCode")),
    Clause("type-id", "SM table 1", once("c:typeId[@extension='POCD_HD000040']")),
    Clause("templates", "SM table 1", _templates),
    Clause("id", "SM §3.5.5.4", once("c:id")),
    Clause("id-oid", "SM §3.5.5.4", each("c:id", _short_oid)),
    Clause("code", "SM table 1", each("c:code", _coded)),
    Clause("code-once", "SM table 1", once("c:code")),
    Clause("title", "SM table 1", each("c:title", _titled)),
    Clause("title-once", "SM table 1", once("c:title")),
    Clause("created", "SM table 1", each("c:effectiveTime", _timed(_DAY))),
    Clause("created-second", "SM table 1", each("c:effectiveTime", _timed(_SECOND)), error=False),
    Clause("created-once", "SM table 1", once("c:effectiveTime")),
    Clause("confidentiality", "SM table 1", each("c:confidentialityCode", _level)),
    Clause("confidentiality-once", "SM table 1", once("c:confidentialityCode")),
    Clause("language", "SM table 1", once("c:languageCode[@code='fr-FR']")),
    Clause("set", "SM table 1, since 1.16", once("c:setId"), error=False),
    Clause("version", "SM table 1, since 1.16", once("c:versionNumber"), error=False),
    Clause("version-replaces", "SM §3.5.5.10", _version_replaces, error=False),
    Clause("patient", "SM table 1", once(_ROLE)),
    Clause("patient-id", "SM §3.5.5.12", at_least_once(f"{_ROLE}/c:id[@root]")),
    Clause("strict-traits", "SM §3.5.5.12", _strict_traits),
    Clause("matricule", "SM §3.5.5.12", _matricules, error=False),
    Clause("ins-c", "SM since 1.8", _old_ins, error=False),
    Clause("birth-time", "SM §3.1", each(f"{_ROLE}/c:patient/c:birthTime", _timed(_DAY))),
    Clause("author", "SM table 1", at_least_once("c:author/c:assignedAuthor")),
    Clause("author-id", "SM table 1", each("c:author/c:assignedAuthor/c:id", _has_id)),
    Clause("author-time", "SM table 1", at_least_once("c:author/c:time")),
    Clause("custodian", "SM table 1", once("c:custodian//c:representedCustodianOrganization/c:id")),
    Clause("custodian-id", "SM table 1", each("c:custodian//c:representedCustodianOrganization/c:id", _custodians)),
    Clause("authenticator", "SM table 1", once(_SIGNER)),
    Clause("authenticator-time", "SM table 1", once(f"{_SIGNER}/c:time")),
    Clause("authenticator-second", "SM table 1", each(f"{_SIGNER}/c:time", _timed(_SECOND)), error=False),
    Clause("authenticator-signed", "SM table 1", each(f"{_SIGNER}/c:signatureCode", _fixed(code="S"))),
    Clause("authenticator-id", "SM table 1", at_least_once(f"{_SIGNER}/c:assignedEntity/c:id[@root]")),
    Clause("main-act", "SM table 1", _main_act),
    Clause("replacement", "SM table 1", _replacement),
    Clause("replacement-once", "SM table 1", at_most_once("c:relatedDocument")),
    Clause("encounter", "SM table 1", once("c:componentOf/c:encompassingEncounter")),
    Clause("facility", "SM table 1", once("c:componentOf//c:location/c:healthCareFacility/c:code")),
    Clause("body", "SM §3.4", _body),
    Clause("known", "SM §3.4", _known),
    Clause("null-flavors", "SM §3.4", _nulls),
    Clause("telecom", "SM §3.5", _reachable, error=False),
)  # fmt: skip

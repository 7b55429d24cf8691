"""The schemas and schematrons that a deployer installed, applied to one document: the work of workman.

Promises: only the ClinicalDocument is judged, wherever it stands (structuration minimale §4.1); a check that could
not be made is said to be one; where means the path of an element. Does not: fetch, write, or judge the header by
rules of our own (dmp_bridge.header does, always).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lxml import etree

from certs import xml
from dmp_bridge import cda, codes, schematron

SCHEMA = "infrastructure/cda/CDA_extended.xsd"
STRUCTURE = "schematrons/profils/structurationMinimale/ASIP-STRUCT-MIN-StrucMin.sch"
VOLETS = "schematrons"
MOST = 200
"""Findings of one document that are told."""
_MAX_WORDS = 500


def craft(folder: str) -> Callable[[dict[str, Any], bytes], dict[str, Any]]:
    """Loads what every document needs; a volet's own rules are loaded when its first document comes."""
    shop = _Shop(Path(folder))
    return lambda question, data: shop.check(data)


class _Shop:
    def __init__(self, folder: Path) -> None:
        import saxonche  # SaxonC loads a large library: only this process pays

        self._folder = folder
        self._schema = etree.XMLSchema(etree.parse(folder / SCHEMA, _quiet()))
        self._processor = saxonche.PySaxonProcessor(license=False)
        self._rules: dict[str, Any] = {}
        self._compiled(STRUCTURE)

    def check(self, data: bytes) -> dict[str, Any]:
        """{"findings": [...], "made": [names of what was applied]}."""
        root = xml.parse(data, max_bytes=cda.MAX_BYTES)
        found = cda.locate(root)
        if found is None:
            return {"surprise": "NoDocument"}
        alone = etree.tostring(found, with_tail=False)
        findings = list(self._by_schema(alone))
        made = ["xsd"]
        for path in self._applicable(found):
            name = Path(path).stem
            made.append(name)
            findings += self._by_rules(path, name, alone)
        return {"findings": findings[:MOST], "made": made, "total": len(findings)}

    def _by_schema(self, alone: bytes) -> Iterator[dict[str, str]]:
        if self._schema.validate(etree.fromstring(alone, _quiet())):
            return
        for each in list(self._schema.error_log):  # type: ignore[call-overload]  # lxml-stubs has no __iter__
            yield finding("xsd", "error", f"line {each.line}", each.message)

    def _applicable(self, document: etree._Element) -> Iterator[str]:
        yield STRUCTURE
        templates = [
            (item.get("root", ""), item.get("extension", "")) for item in document.findall(f"{{{cda.HL7}}}templateId")
        ]
        name = codes.schematron_of(templates)
        if name and (self._folder / VOLETS / name).is_file():
            yield f"{VOLETS}/{name}"

    def _by_rules(self, path: str, name: str, alone: bytes) -> list[dict[str, str]]:
        rules = self._compiled(path)
        if isinstance(rules, str):
            return [finding(name, schematron.NOT_RUN, "", rules)]
        rules.set_global_context_item(xdm_item=self._processor.parse_xml(xml_text=alone.decode()))
        answer = etree.fromstring(rules.call_template_returning_string("main").encode(), _quiet())
        return [finding(name, each.get("role") or "error", each.get("at", ""), each.text or "") for each in answer]

    def _compiled(self, path: str) -> Any:
        """The executable of a schematron, or why it has none."""
        if path not in self._rules:
            try:
                sheet = schematron.compiled(self._folder / path, self._folder)
                maker = self._processor.new_xslt30_processor()
                self._rules[path] = maker.compile_stylesheet(stylesheet_text=sheet.decode())
            except schematron.SchemaUnusable as unusable:
                self._rules[path] = str(unusable)
        return self._rules[path]


def _quiet() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)


def finding(source: str, role: str, where: str, words: str) -> dict[str, str]:
    plain = re.sub(r"Q\{urn:hl7-org:v3\}", "", where)
    return {"source": source, "role": role, "where": plain, "words": " ".join(words.split())[:_MAX_WORDS]}

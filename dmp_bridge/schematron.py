"""ISO Schematron (19757-3, query binding xslt2) made into one XSLT 3.0 stylesheet, for an engine to run.

Promises: inclusions, abstract patterns and rules, phases and variables are resolved as the norm says; what is
included lies inside the folder that was installed; a firing is an element f with where, role and words. Does
not: run anything, read the network, or know what a rule is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from lxml import etree

from certs import xml

SCH = "http://purl.oclc.org/dsdl/schematron"
XSL = "http://www.w3.org/1999/XSL/Transform"
ERRORS = "http://www.w3.org/2005/xqt-errors"
NOT_RUN = "not-run"
"""The role of a check that could not be made."""
MAX_FILE = 16 * 1024 * 1024
MAX_INCLUSIONS = 5000
MAX_DEPTH = 12

Element: TypeAlias = etree._Element


class SchemaUnusable(ValueError):
    """The schematron cannot be made into a stylesheet; says which file and why."""


def compiled(path: Path, within: Path) -> bytes:
    """The stylesheet of the schematron at `path`; includes are followed inside `within` only. Raises
    SchemaUnusable."""
    schema = _Inclusions(within.resolve()).read(path.resolve())
    if schema.tag != f"{{{SCH}}}schema":
        raise SchemaUnusable(f"{path.name} is no schematron")
    _instantiate(schema)
    return _stylesheet(schema, path)


def _children(element: Element, *names: str) -> Iterator[Element]:
    return element.iterchildren(*(f"{{{SCH}}}{name}" for name in names))


class _Inclusions:
    """ISO 19757-3 §5.4.4: an include is replaced by the root of the file that it names."""

    def __init__(self, within: Path) -> None:
        self._within, self._count = within, 0

    def read(self, path: Path, depth: int = 0) -> Element:
        if not path.is_relative_to(self._within) or depth > MAX_DEPTH or self._count > MAX_INCLUSIONS:
            raise SchemaUnusable(f"{path.name} is included from outside the folder, too deeply or too often")
        self._count += 1
        try:
            root = xml.parse(path.read_bytes(), max_bytes=MAX_FILE)
        except OSError as error:
            raise SchemaUnusable(f"{path.name}: {error.strerror}") from None
        except xml.XmlRefused as error:
            raise SchemaUnusable(f"{path.name}: {error}") from None
        for include in list(root.iter(f"{{{SCH}}}include")):
            parent = include.getparent()
            assert parent is not None
            _replace(parent, include, self.read(_named(path.parent, include.get("href", "")), depth + 1))
        return root


def _named(folder: Path, href: str) -> Path:
    """The file that an include means. The published schematrons were written where case does not count."""
    path = folder
    for step in href.replace("\\", "/").split("/"):
        exact = path / step
        if step in ("", ".", "..") or exact.exists() or not path.is_dir():
            path = exact
            continue
        path = next((each for each in sorted(path.iterdir()) if each.name.casefold() == step.casefold()), exact)
    return path.resolve()


def _replace(parent: Element, old: Element, new: Element) -> None:
    new.tail = old.tail
    parent.replace(old, new)


# --- abstract patterns and rules ------------------------------------------------------------------------------


def _instantiate(schema: Element) -> None:
    """§5.4.8: a pattern that is-a(n) abstract one is that one with its parameters put in."""
    abstract = {each.get("id", ""): each for each in _children(schema, "pattern") if each.get("abstract") == "true"}
    for pattern in list(_children(schema, "pattern")):
        wanted = pattern.get("is-a")
        if wanted is None:
            continue
        if wanted not in abstract:
            raise SchemaUnusable(f"the abstract pattern {wanted} is absent")
        values = {each.get("name", ""): each.get("value", "") for each in _children(pattern, "param")}
        made = _with_values(abstract[wanted], values)
        if pattern.get("id"):
            made.set("id", pattern.get("id", ""))
        _replace(schema, pattern, made)
    for each in abstract.values():
        schema.remove(each)


def _with_values(pattern: Element, values: dict[str, str]) -> Element:
    made: Element = etree.fromstring(etree.tostring(pattern, with_tail=False))
    made.attrib.pop("abstract", "")
    names = sorted(values, key=len, reverse=True)
    found = re.compile("|".join(rf"\${re.escape(name)}(?![\w.-])" for name in names) or r"(?!)")
    for element in made.iter(etree.Element):
        for key, text in element.attrib.items():
            element.set(str(key), found.sub(lambda match: values[match[0][1:]], str(text)))
    return made


# --- the stylesheet ------------------------------------------------------------------------------------------


def _stylesheet(schema: Element, path: Path) -> bytes:
    spaces = {each.get("prefix", ""): each.get("uri", "") for each in _children(schema, "ns")}
    spaces = {prefix: uri for prefix, uri in spaces.items() if prefix not in ("xml", "xsl", "err")}
    out = etree.Element(f"{{{XSL}}}stylesheet", nsmap={**spaces, "xsl": XSL, "err": ERRORS}, version="3.0")
    out.set("{http://www.w3.org/XML/1998/namespace}base", path.resolve().as_uri())
    active = _active(schema)
    patterns = [each for each in _children(schema, "pattern") if active is None or each.get("id", "") in active]
    _globals(out, schema, patterns)
    abstract = {each.get("id", ""): each for each in schema.iter(f"{{{SCH}}}rule") if each.get("abstract") == "true"}
    root = _add(out, "template", name="main")
    findings = etree.SubElement(root, "findings")
    for number, pattern in enumerate(patterns):
        mode = f"p{number}"
        if any(each.get("abstract") != "true" for each in _children(pattern, "rule")):
            _add(findings, "apply-templates", select="/", mode=mode)
            _add(out, "mode", name=mode, **{"on-no-match": "shallow-skip", "on-multiple-match": "use-last"})
            _rules(out, pattern, mode, abstract)
    return etree.tostring(out, encoding="UTF-8", xml_declaration=True)


def _add(parent: Element, tag: str, text: str = "", /, **attributes: str) -> Element:
    child = etree.SubElement(parent, f"{{{XSL}}}{tag}", attributes)
    child.text = text or None
    return child


def _active(schema: Element) -> set[str] | None:
    """The patterns of the default phase (§5.4.9); None: all of them."""
    phase = schema.get("defaultPhase", "#ALL")
    for each in _children(schema, "phase"):
        if each.get("id") == phase:
            return {item.get("pattern", "") for item in _children(each, "active")}
    return None


def _globals(out: Element, schema: Element, patterns: list[Element]) -> None:
    """Variables of the schema, its phases and its patterns hold everywhere, as the reference skeleton makes
    them."""
    seen: set[str] = set()
    for holder in (schema, *_children(schema, "phase"), *patterns):
        for let in _children(holder, "let"):
            name = let.get("name", "")
            if name not in seen:
                seen.add(name)
                _variable(out, let)


def _variable(parent: Element, let: Element) -> None:
    _add(parent, "variable", name=let.get("name", ""), select=let.get("value", "''"))


def _rules(out: Element, pattern: Element, mode: str, abstract: dict[str, Element]) -> None:
    """A node fires the first rule of a pattern that fits it (§6.5), hence the falling priorities."""
    rules = [each for each in _children(pattern, "rule") if each.get("abstract") != "true"]
    for number, rule in enumerate(rules):
        template = _add(out, "template", match=rule.get("context", ""), mode=mode, priority=str(len(rules) - number))
        _checks(template, rule, abstract, pattern.get("id", ""))
        _add(template, "apply-templates", select="@*|node()", mode=mode)


def _checks(template: Element, rule: Element, abstract: dict[str, Element], name: str, depth: int = 0) -> None:
    for item in _children(rule, "let", "assert", "report", "extends"):
        kind = etree.QName(item).localname
        if kind == "let":
            _variable(template, item)
        elif kind == "extends":
            wanted = item.get("rule", "")
            if wanted not in abstract or depth > MAX_DEPTH:
                raise SchemaUnusable(f"the abstract rule {wanted} is absent")
            _checks(template, abstract[wanted], abstract, name, depth + 1)
        else:
            _check(template, item, kind, name)


def _check(template: Element, item: Element, kind: str, name: str) -> None:
    test = item.get("test", "")
    # What a test needs may not be installed (a value set): then this one check was not made, and says so.
    tried = _add(template, "try")
    fired = _add(tried, "if", test=f"not({test})" if kind == "assert" else test)
    missed = etree.SubElement(_add(tried, "catch"), "f", role=NOT_RUN, pattern=name)
    _add(missed, "value-of", select="string($err:description)")
    found = etree.SubElement(fired, "f", role=item.get("role", ""), pattern=name)
    _add(found, "attribute", name="at", select="path(.)")
    _words(found, item)


def _words(found: Element, item: Element) -> None:
    """The text of a check, with the values that it quotes."""
    _add(found, "text", item.text or "")
    for part in item.iterchildren(etree.Element):
        kind = etree.QName(part).localname
        if kind == "value-of":
            _add(found, "value-of", select=part.get("select", "''"))
        elif kind == "name":
            _add(found, "value-of", select=f"name({part.get('path', '.')})")
        else:
            _add(found, "text", "".join(str(text) for text in part.itertext()))
        _add(found, "text", part.tail or "")

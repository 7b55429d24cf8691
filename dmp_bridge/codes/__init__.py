"""Terminology that ships as our own data: type to class, template or media type to format, confidentiality.

Promises: every table is a CSV beside this file that names its source and date; a type that no table holds
answers None, so that the caller refuses by name. Does not: judge whether a host takes a type.
"""

from __future__ import annotations

import csv
import difflib
import unicodedata
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from dmp_bridge.model import Code, Document

LOINC = "2.16.840.1.113883.6.1"
TYPE_SYSTEM = "1.2.250.1.213.1.1.4.12"
CLASS_SYSTEM = "1.2.250.1.213.1.1.4.1"
UNPROFILED = "urn:asipSante:modelesHorsProfils:2011"
NORMAL = Code("N", "2.16.840.1.113883.5.25", "Normal")
INVISIBLE = Code("INVISIBLE_PATIENT", "1.2.250.1.213.1.1.4.13", "Non visible par le patient")
"""Beside an entry's confidentiality until its patient was told (dossier §1.7)."""
IMAGING_REPORT = "18748-4"
BASIC_CONFIDENTIALITY = frozenset({"N", "R", "V"})


@cache
def table(name: str) -> tuple[dict[str, str], ...]:
    """The rows of one CSV; lines that begin with # say where it comes from."""
    text = files(__name__).joinpath(f"{name}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


@cache
def _column(name: str, key: str, value: str) -> dict[str, str]:
    return {row[key]: row[value] for row in table(name)}


def class_of(type_code: str) -> Code | None:
    """The classCode of a typeCode (ASS_X04); None where the association does not hold it."""
    code = _column("type_class", "type", "class").get(type_code)
    return Code(code, CLASS_SYSTEM, _column("classes", "code", "label")[code]) if code else None


def format_of(document: Document) -> Code:
    """The formatCode: from the media type of an unstructured body, else from the last template that is
    known."""
    if document.body_media_type:
        code = _column("media_format", "media", "format").get(document.body_media_type, UNPROFILED)
        return _format(code)
    known = _column("template_format", "template", "format")
    return _format(next((known[root] for root in reversed(document.templates) if root in known), UNPROFILED))


def body_known(media_type: str) -> bool:
    """True for a structured body ('') and for the media types of ASS_A12."""
    return not media_type or media_type in _column("media_format", "media", "format")


def type_label(code: str) -> str:
    """What JDV_J07 calls a type; '' where it does not hold it."""
    return _column("type_labels", "type", "label").get(code, "")


def nearest_type(kind: Code) -> str:
    """For a type that no table holds: 'code label' of the one that was perhaps meant, by its code, else by its words;
    '' where none is near."""
    labels = dict.fromkeys(_column("type_class", "type", "class"), "") | _column("type_labels", "type", "label")
    near = difflib.get_close_matches(kind.code.upper(), labels, n=5, cutoff=0.75)
    # Of equally near codes the one that begins alike: a wrong check digit is the usual slip.
    near.sort(key=lambda code: -_alike(code, kind.code.upper()))
    if not near and kind.label:
        by_words = {_spelt(label): code for code, label in labels.items() if label}
        words = difflib.get_close_matches(_spelt(kind.label), by_words, n=1, cutoff=0.6)
        near = [by_words[each] for each in words]
    return f"{near[0]} {labels[near[0]]}".strip() if near else ""


def _alike(one: str, other: str) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _spelt(label: str) -> str:
    plain = unicodedata.normalize("NFKD", label.casefold()).encode("ascii", "ignore").decode()
    return plain.replace("compte rendu", "cr").replace("compte-rendu", "cr")


def clause_words(rule: str, language: str = "fr") -> str:
    """What a clause of the header says when it is broken, 'fr' or 'en'."""
    return _column("clauses", "rule", language).get(rule, rule)


def schematron_of(templates: Sequence[tuple[str, str]]) -> str:
    """The schematron of the last (templateId, version) that has one; '' where none is known."""
    known = {(row["template"], row["version"]): row["schematron"] for row in table("volets")}
    return next((known[each] for each in reversed(templates) if each in known), "")


def _format(code: str) -> Code:
    # TRE_A11 holds the codes of IHE, TRE_A06 those of ANS.
    system = "1.3.6.1.4.1.19376.1.2.3" if code.startswith("urn:ihe:") else "1.2.250.1.213.1.1.4.2.282"
    return Code(code, system, code)


def fileable(class_code: str) -> bool:
    """Whether a dossier may hold documents of this class (JDV_J57)."""
    return _column("classes", "code", "filed").get(class_code) == "yes"


def practice_known(code: Code) -> bool:
    """Whether the practice setting stands in JDV_J04, under its own system."""
    return _column("practice_settings", "code", "system").get(code.code) == code.system


def confidentiality(code: str) -> Code | None:
    """A confidentiality or masking code by its value (JDV_J08)."""
    for row in table("confidentiality"):
        if row["code"] == code:
            return Code(row["code"], row["system"], row["label"])
    return None

"""Schemas, schematrons and value sets of others: put in place by the deployer, and asked about a document.

Promises: what is installed is whole or is not there; only files of the three known folders with known endings are
taken; without an installation the answer is that nobody can tell. Does not: ship, fetch or change what others
publish, but for one thing: a value set that a schematron names and lacks is made from the one of that OID.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from lxml import etree

from certs import xml
from dmp_bridge import archive, schemas
from dmp_bridge.model import Answer, Bad
from dmp_bridge.workshop import Budget, Unanswered, Workshop

STAMP = "installed.json"
FOLDERS = ("infrastructure", "schematrons", "jeuxDeValeurs")
SUFFIXES = frozenset({".xsd", ".sch", ".xml"})
LEFT_OUT = ("schematrons/rapports/", "schematrons/profils/terminologies/")
"""Reports of past runs, and 17 MB of terminologies that no schematron of a volet reads."""
BUDGET = archive.Budget(
    bytes=128 * 2**20, entries=20_000, directory=8 * 2**20, entry=32 * 2**20, total=512 * 2**20, ratio=200
)
_PLAIN = re.compile(r"[^/\\\x00-\x1f:]{1,200}")
_VOCABULARY = re.compile(r"voc-([0-9.]+)-DYNAMIC\.xml")
_SVS = "{urn:ihe:iti:svs:2008}"


class NotInstalled(ValueError):
    """What was named cannot be installed; one sentence."""


@dataclass(frozen=True)
class Stamp:
    files: int
    at: str
    source: str
    completed: tuple[str, ...] = ()
    """Names of value sets that were made from others of the same OID."""


# --- putting in place ----------------------------------------------------------------------------------------


def install(source: Path, folder: Path, at: datetime) -> Stamp:
    """Puts what `source` (a folder, or a ZIP) holds into `folder`, in place of what was there. Raises
    NotInstalled."""
    files = _of_folder(source) if source.is_dir() else _of_zip(source)
    if schemas.SCHEMA not in files or schemas.STRUCTURE not in files:
        raise NotInstalled(f"{source.name} holds neither {schemas.SCHEMA} nor the schematron of the minimal structure")
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    for name, content in files.items():
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    stamp = Stamp(len(files), at.isoformat(), source.name, tuple(_complete(fresh)))
    (fresh / STAMP).write_text(json.dumps(stamp.__dict__))
    _swap(fresh, folder)
    return stamp


def _swap(fresh: Path, folder: Path) -> None:
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _of_folder(source: Path) -> dict[str, bytes]:
    root = next((each.parent.parent.parent for each in sorted(source.rglob("CDA_extended.xsd"))), None)
    if root is None:
        raise NotInstalled(f"{source.name} holds no CDA_extended.xsd")
    paths = (each for top in FOLDERS for each in sorted((root / top).rglob("*")) if each.is_file())
    named = ((each.relative_to(root).as_posix(), each) for each in paths)
    return {name: path.read_bytes() for name, path in named if _wanted(name)}


def _of_zip(source: Path) -> dict[str, bytes]:
    entries = archive.unzip(source.read_bytes(), BUDGET)
    if isinstance(entries, Bad):
        raise NotInstalled(f"{source.name} is not a ZIP that can be read: {entries.detail}")
    above = next((name[: -len(schemas.SCHEMA)] for name in entries.files if name.endswith(schemas.SCHEMA)), None)
    if above is None:
        raise NotInstalled(f"{source.name} holds no CDA_extended.xsd")
    inside = {name[len(above) :]: content for name, content in entries.files.items() if name.startswith(above)}
    return {name: content for name, content in inside.items() if _wanted(name)}


def _wanted(name: str) -> bool:
    """Of a ZIP that an operator installs, names are kept, for schematrons name each other; these only."""
    steps = name.split("/")
    plain = all(_PLAIN.fullmatch(step) and step not in (".", "..") for step in steps)
    known = steps[0] in FOLDERS and not name.startswith(LEFT_OUT)
    return plain and known and Path(name).suffix in SUFFIXES


def _complete(folder: Path) -> Iterator[str]:
    """Makes the value sets that the minimal structure's schematron names and that were published elsewhere only."""
    include = (folder / schemas.STRUCTURE).parent / "include"
    texts = (each.read_text(encoding="utf-8", errors="replace") for each in sorted(include.glob("*.sch")))
    wanted = sorted({match[0] for text in texts for match in _VOCABULARY.finditer(text)})
    missing = {name: _VOCABULARY.fullmatch(name) for name in wanted if not (include / name).exists()}
    sets = {each: path for path in sorted((folder / "jeuxDeValeurs").glob("*.xml")) for each in [_oid(path)]}
    for name, match in missing.items():
        if match and match[1] in sets:
            (include / name).write_bytes(_vocabulary(match[1], sets[match[1]]))
            yield name


def _oid(path: Path) -> str:
    match = re.search(rb'<ValueSet\b[^>]*\bid="([0-9.]+)"', path.read_bytes()[:8192])
    return match[1].decode() if match else ""


def _vocabulary(oid: str, path: Path) -> bytes:
    concepts = xml.parse(path.read_bytes()).iter(f"{_SVS}Concept")
    root = etree.Element("valueSets")
    held = etree.SubElement(etree.SubElement(root, "valueSet", id=oid), "conceptList")
    for each in concepts:
        kept = {key: each.get(key, "") for key in ("code", "codeSystem", "displayName")}
        etree.SubElement(held, "concept", kept)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


# --- asking --------------------------------------------------------------------------------------------------


def stamp(folder: Path) -> Stamp | None:
    """What stands in `folder`; None where nothing was installed."""
    try:
        held = json.loads((folder / STAMP).read_text())
        return Stamp(held["files"], held["at"], held["source"], tuple(held["completed"]))
    except (OSError, ValueError, KeyError):
        return None


@dataclass(frozen=True)
class Finding:
    """One thing that a schema or schematron says about a document. `words` may quote it."""

    source: str
    role: str
    """'error', 'warning' (or another that the schematron gives), 'not-run'."""
    where: str
    words: str


@dataclass(frozen=True)
class Checked:
    """`answer`: valid, not, or cannot tell; `why` is '' or a name without content."""

    answer: Answer
    why: str = ""
    findings: tuple[Finding, ...] = ()
    made: tuple[str, ...] = ()


class Checker:
    """Asks the workshop of an installation; without one every answer is CANNOT_TELL."""

    def __init__(self, folder: Path | None, budget: Budget | None = None) -> None:
        there = folder is not None and stamp(folder) is not None
        self._shop = Workshop("schemas", str(folder), budget=budget) if there else None

    def __call__(self, raw: bytes) -> Checked:
        if self._shop is None:
            return Checked(Answer.CANNOT_TELL, "not-installed")
        answer = self._shop.ask({}, raw)
        if isinstance(answer, Unanswered):
            return Checked(Answer.CANNOT_TELL, answer.why)
        if "surprise" in answer:
            return Checked(Answer.CANNOT_TELL, "surprise")
        return _checked(answer)

    def warm(self) -> bool:
        """Starts the process ahead of the first document; whether it is ready."""
        return self._shop is not None and self._shop.warm()

    @property
    def installed(self) -> bool:
        return self._shop is not None

    def close(self) -> None:
        if self._shop is not None:
            self._shop.close()


def _checked(answer: Mapping[str, Any]) -> Checked:
    findings = tuple(Finding(**each) for each in answer["findings"])
    wrong = sorted({each.source for each in findings if each.role in ("error", "fatal")})
    made = tuple(answer["made"])
    return Checked(Answer.NO, wrong[0], findings, made) if wrong else Checked(Answer.YES, "", findings, made)

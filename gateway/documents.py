"""Documents and archives in plain values, for the commands that look at them: what they are, what is wrong.

Promises: codes, sizes, rules and elements; no trait of a patient. Does not: print, decide, or read a store.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from dmp_bridge import cda, codes, ebrim, header, installed, packing, xdm
from dmp_bridge.model import Answer, Bad, Document
from dmp_bridge.workshop import Budget
from gateway.config import Settings
from gateway.doors.replies import sentence


class NotPacked(ValueError):
    """Why there is no archive; one sentence."""


def folder(settings: Settings) -> Path:
    return settings.cda.folder or settings.paths.data / "cda"


def budget(settings: Settings) -> Budget:
    return Budget(settings.cda.seconds, settings.cda.memory_mb * 2**20)


# --- archives ---------------------------------------------------------------------------------------------------


def archive(data: bytes, *, headers: bool = False, language: str = "fr") -> dict[str, Any]:
    """{"ok", "refused", "remarks", "documents": [...], "set_aside"}."""
    read = xdm.read(data)
    if isinstance(read, Bad):
        return {"ok": False, "refused": {"reason": str(read.reason), "rule": read.detail,
                                         "words": sentence(read.reason, language)}}  # fmt: skip
    listed = {each.unique_id: each for each in read.listed}
    found = [_document(each, listed.get(each.unique_id), headers, language) for each in read.documents]
    broken = [{"reason": str(each.reason), "rule": each.detail} for each in read.refused]
    sound = not broken and not any(each.get("errors") for each in found)
    remarks = list(xdm.remarks(data))
    return {"ok": sound, "remarks": remarks, "documents": found, "broken": broken, "set_aside": read.set_aside}


def _document(document: Document, entry: ebrim.Listed | None, headers: bool, language: str) -> dict[str, Any]:
    kind = codes.class_of(document.type.code)
    told: dict[str, Any] = {
        "uri": entry.uri if entry else "", "id": document.unique_id, "set": document.set_id,
        "version": document.version, "action": document.action, "replaces": document.replaces,
        "type": document.type.code, "label": document.type.label, "class": kind.code if kind else "",
        "format": codes.format_of(document).code, "size": len(document.raw),
        "body": document.body_media_type or "structured", "pdf_copy": cda.pdf_copy(document) is not None,
    }  # fmt: skip
    if kind is None:
        told["nearest"] = codes.nearest_type(document.type)
    if headers:
        breaches = header.check(document.raw) or ()
        told["errors"] = [_breach(each, language) for each in breaches if each.error]
        told["remarks"] = [_breach(each, language) for each in breaches if not each.error]
    return told


def _breach(breach: header.Breach, language: str) -> dict[str, str]:
    words = codes.clause_words(breach.rule, language)
    return {"rule": breach.rule, "clause": breach.clause, "where": breach.where, "words": words}


def archive_lines(found: dict[str, Any]) -> list[str]:
    if refused := found.get("refused"):
        return [f"refused: {refused['rule'] or refused['reason']}: {refused['words']}"]
    lines = [f"remark: {each}" for each in found["remarks"]]
    for each in found["documents"]:
        action = {"C": ", replaces", "D": ", deletion"}.get(each["action"], "")
        lines.append(f"{each['uri']}  {each['type']} {each['label']}  v{each['version']}{action}  {each['size']} bytes")
        lines += [f"  {level}: {b['words']} ({b['clause']}, {b['where']})"
                  for level in ("errors", "remarks") for b in each.get(level, ())]  # fmt: skip
    lines += [f"broken document: {each['rule']}" for each in found["broken"]]
    return [*lines, f"{len(found['documents'])} documents, {found['set_aside']} other entries set aside"]


def extract(data: bytes, into: Path) -> None:
    """The documents under names of our own: none of an archive's is used on a disk."""
    read = xdm.read(data)
    assert not isinstance(read, Bad)
    into.mkdir(parents=True, exist_ok=True)
    for number, document in enumerate(read.documents, 1):
        (into / f"document-{number:02}.xml").write_bytes(document.raw)


def pack(contents: Sequence[bytes], source: str, at: datetime) -> bytes:
    """An archive of these documents in the name of the first one's author. Raises NotPacked."""
    documents = packing.read_each(contents)
    if isinstance(documents, Bad):
        raise NotPacked(f"{sentence(documents.reason)} ({documents.detail})")
    lot = ebrim.Submission(
        unique_id=f"2.25.{uuid.uuid4().int}",
        source_id=source or f"2.25.{uuid.uuid4().int}",
        time=at,
        author=documents[0].authors[0],
        content_type=packing.UNDETERMINED,
    )
    written = xdm.write(documents, lot)
    if isinstance(written, Bad):
        raise NotPacked(f"{sentence(written.reason)} ({written.detail})")
    return written


# --- one document -----------------------------------------------------------------------------------------------


def check(data: bytes, schemas: Path | None, language: str = "fr") -> dict[str, Any]:
    """{"ok", "refused" or "document", "errors", "remarks", "schema": {"answer", "why", "made", "findings"}}."""
    read = cda.read(data)
    if isinstance(read, Bad):
        return {"ok": False, "refused": {"reason": str(read.reason), "rule": read.detail,
                                         "words": sentence(read.reason, language)}}  # fmt: skip
    told = _document(read, None, True, language)
    errors, remarks = told.pop("errors"), told.pop("remarks")
    checked = _by_schemas(data, schemas)
    schema = {
        "answer": checked.answer.value, "why": checked.why, "made": list(checked.made),
        "findings": [each.__dict__ for each in checked.findings],
    }  # fmt: skip
    sound = not errors and checked.answer is not Answer.NO
    return {"ok": sound, "document": told, "errors": errors, "remarks": remarks, "schema": schema}


def _by_schemas(data: bytes, schemas: Path | None) -> installed.Checked:
    checker = installed.Checker(schemas)
    try:
        return checker(data)
    finally:
        checker.close()


def check_lines(found: dict[str, Any]) -> list[str]:
    if refused := found.get("refused"):
        return [f"refused: {refused['rule'] or refused['reason']}: {refused['words']}"]
    document, schema = found["document"], found["schema"]
    lines = [f"{document['type']} {document['label']}  class {document['class'] or 'unknown'}  {document['body']}"]
    if near := document.get("nearest"):
        lines.append(f"the type is unknown; perhaps {near} was meant")
    for level in ("errors", "remarks"):
        lines += [f"{level[:-1]}: {each['words']} ({each['clause']}, {each['where']})" for each in found[level]]
    for each in schema["findings"]:
        lines.append(f"{each['role']}: {each['words']} ({each['source']}, {each['where']})")
    made = f" ({', '.join(schema['made'])})" if schema["made"] else f" ({schema['why']})" if schema["why"] else ""
    return [*lines, f"header: {len(found['errors'])} errors; schemas: {schema['answer']}{made}"]

"""Each of the 94 examples of ANS, in a table: read, checked, ruled, packed, unpacked with the same hash.

The table is tests/dmp_bridge/examples.csv. A change of it is written by
`PLI_WRITE=1 pytest tests/dmp_bridge/test_examples.py`, and looked at.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from pathlib import Path

import pytest

from dmp_bridge import cda, codes, ebrim, header, rules, xdm
from dmp_bridge.model import Document, HostProfile, Matched

TABLE = Path(__file__).with_name("examples.csv")
COLUMNS = ("example", "type", "class", "format", "shape", "version", "errors", "remarks", "files", "pdf", "packed")


def row(path: Path, lot: ebrim.Submission) -> dict[str, str]:
    raw = path.read_bytes()
    document = cda.read(raw)
    assert isinstance(document, Document)
    kind = codes.class_of(document.type.code)
    breaches = header.check(raw) or ()
    return {
        "example": path.name,
        "type": document.type.code,
        "class": kind.code if kind else "",
        "format": codes.format_of(document).code,
        "shape": shape(document),
        "version": f"{document.version}{' RPLC' if document.replaces else ''}",
        "errors": " ".join(each.rule for each in breaches if each.error),
        "remarks": " ".join(each.rule for each in breaches if not each.error),
        "files": ruled(document),
        "pdf": "yes" if cda.pdf_copy(document) else "",
        "packed": packed(document, lot),
    }


def shape(document: Document) -> str:
    body = document.body_media_type or "structured"
    return f"{body}, self-presenting" if document.mime_type == "application/xslt+xml" else body


def ruled(document: Document) -> str:
    """'yes', or the rule that keeps it out, where its patient is certain and its author one of ours."""
    ours = frozenset(each.institution_id for each in document.authors if each.institution_id)
    root = document.patient.ins.root if document.patient.ins else "1.2.250.1.213.1.4.10"
    host = HostProfile("region", "https://127.0.0.1:1", "2.25.5", "2.25.6", ins_root=root)
    context = rules.Context(document, Matched("p", ()), host, ours)
    obstacle = rules.obstacle(rules.judge(context))
    return rules.told(obstacle) if obstacle else "yes"


def packed(document: Document, lot: ebrim.Submission) -> str:
    """'equal' where the archive gives the document back with the hash of the file."""
    written = xdm.write([document], lot)
    assert isinstance(written, bytes), written
    back = xdm.read(written)
    assert isinstance(back, xdm.Archive), back
    (again,) = back.documents
    same = hashlib.sha256(again.raw).digest() == hashlib.sha256(document.raw).digest()
    return "equal" if same else "differs"


@pytest.mark.corpus
def test_every_example_is_as_the_table_says(corpus: Path, lot: ebrim.Submission, summary: list[str]) -> None:
    """All 94 are read, break no clause and come back with equal hash; those that no rule lets file are named."""
    paths = sorted((corpus / "cda" / "ExemplesCDA").glob("*.xml"))
    rows = [row(path, lot) for path in paths]
    held = io.StringIO()
    table = csv.DictWriter(held, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    if os.environ.get("PLI_WRITE"):
        TABLE.write_text(held.getvalue(), encoding="utf-8")
    kept_out = sum(each["files"] != "yes" for each in rows)
    summary.append(
        f"shown: {len(rows)} examples read, checked, packed, unpacked; {kept_out} may not be filed ({TABLE.name})"
    )
    assert held.getvalue() == TABLE.read_text(encoding="utf-8")
    assert len(rows) == 94
    assert {(each["errors"], each["packed"]) for each in rows} == {("", "equal")}

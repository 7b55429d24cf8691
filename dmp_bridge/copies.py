"""The readable copy of a document that holds no PDF: a PDF/A-1b of what its header and its narrative say.

Promises: title, type, date, author, organisation and patient, then every section's title and text in order
(ECO.2.1.5); fonts are embedded; nothing is fetched, no stylesheet followed. Does not: lay a table out as its author
would, draw the pictures of a structured body, read RTF, or change a PDF that is there.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Iterator
from pathlib import Path

from fpdf import FPDF
from fpdf.enums import XPos, YPos
from fpdf.errors import FPDFException
from PIL import Image, UnidentifiedImageError

from certs import xml
from dmp_bridge import cda
from dmp_bridge.cda import HL7, Element
from dmp_bridge.model import Document

FONTS = (Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"), Path("/usr/share/fonts/TTF/DejaVuSans.ttf"))
"""Debian's fonts-dejavu-core, and where others keep it: PDF/A embeds what it uses."""
MOST_TEXT = 2_000_000
MOST_PIXELS = 50_000_000
_BLOCKS = frozenset({"paragraph", "item", "tr", "caption", "br", "title", "list", "table"})


def font() -> Path | None:
    return next((each for each in FONTS if each.is_file()), None)


def copy_of(document: Document) -> bytes | None:
    """The PDF in it, unchanged; else one made of it; None where none can be made (RTF, no font, a broken picture)."""
    held = cda.pdf_copy(document)
    if held is not None:
        return held
    path = font()
    kind = document.body_media_type
    if path is None or kind in ("application/pdf", "text/rtf"):
        return None
    root = cda.locate(xml.parse(document.raw, max_bytes=cda.MAX_BYTES, max_markup=cda.MAX_MARKUP))
    try:
        return None if root is None else _drawn(document, root, path)
    except (FPDFException, UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return None


def _drawn(document: Document, root: Element, path: Path) -> bytes:
    page = FPDF(format="A4", enforce_compliance="PDF/A-1B")
    page.set_title(document.title or document.type.label or document.type.code)
    page.set_lang("fr-FR")
    page.set_creation_date(document.effective_time)
    page.set_margins(20, 18, 20)
    page.add_font("text", fname=path)
    page.add_page()
    for line in _head(document):
        _line(page, line, 10)
    page.ln(4)
    if document.body_media_type.startswith("image/"):
        _picture(page, _body(root))
    else:
        lines = _body(root).decode("utf-8").splitlines() if document.body_media_type else narrative(root)
        for line in lines:
            _line(page, line, 9)
    return bytes(page.output())


def _head(document: Document) -> Iterator[str]:
    author = document.authors[0]
    yield document.title
    yield f"Type : {document.type.label or document.type.code}"
    yield f"Date : {document.effective_time:%d/%m/%Y %H:%M} UTC"
    yield f"Auteur : {author.given_name} {author.family_name}"
    yield f"Organisation : {author.institution_name}"
    traits = document.patient.traits
    born = f", né(e) le {traits.birth_date:%d/%m/%Y}" if traits.birth_date else ""
    yield f"Patient : {traits.birth_name} {traits.first_given_name}{born}"


def _line(page: FPDF, text: str, size: float) -> None:
    page.set_font("text", size=size)
    printable = "".join(each if each.isprintable() else " " for each in text)
    if printable.strip():
        page.multi_cell(0, size * 0.5, printable, new_x=XPos.LMARGIN, new_y=YPos.NEXT, align="L")


def _picture(page: FPDF, data: bytes) -> None:
    with Image.open(io.BytesIO(data)) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError("too many pixels")
        # PDF/A-1 knows no transparency.
        page.image(image.convert("RGB"), w=page.epw)


def _body(root: Element) -> bytes:
    text = root.findtext(f"{{{HL7}}}component/{{{HL7}}}nonXMLBody/{{{HL7}}}text") or ""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error:
        raise ValueError("the body is not base64") from None


def narrative(root: Element) -> list[str]:
    """Titles and texts of all sections, a line for each paragraph, item and row; cells of a row between bars."""
    lines: list[str] = []
    for section in root.iter(f"{{{HL7}}}section"):
        for child in section.iterchildren(f"{{{HL7}}}title", f"{{{HL7}}}text"):
            lines += [line.strip(" |") for line in _spoken(child).splitlines() if line.strip(" |")]
            if sum(map(len, lines)) > MOST_TEXT:
                raise ValueError("too much text")
    return lines


def _spoken(element: Element) -> str:
    """Words of an element: blocks on lines of their own, white space as one blank."""
    name = str(element.tag).rpartition("}")[2] if isinstance(element.tag, str) else ""
    if not name:
        return ""
    words = " ".join((element.text or "").split()) + " "
    for child in element:
        words += _spoken(child) + " ".join((child.tail or "").split()) + " "
    if name in _BLOCKS:
        return f"\n{words.strip()}\n"
    return f"{words.strip()} | " if name in ("td", "th") else words

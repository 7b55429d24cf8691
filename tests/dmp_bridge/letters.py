"""Letters and documents as senders write them: later versions, other forms of one document, requests to delete."""

from __future__ import annotations

import io
import re
import zipfile
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from lxml import etree

from dmp_bridge import cda, xdm
from dmp_bridge.model import Document


def version(report: Document, number: int) -> Document:
    """A later version of the report, that replaces it."""
    text = report.raw.decode()
    text = text.replace(f'root="{report.unique_id}"', f'root="{report.unique_id}.{number}"', 1)
    text = text.replace('<versionNumber value="1"/>', f'<versionNumber value="{number}"/>')
    related = (
        '<relatedDocument typeCode="RPLC"><parentDocument>'
        f'<id root="{report.unique_id}"/></parentDocument></relatedDocument>'
    )
    text = text.replace("<documentationOf>", f"{related}<documentationOf>", 1)
    read = cda.read(text.encode())
    assert isinstance(read, Document), read
    return read


def mailed(*attached: tuple[str, str, bytes]) -> bytes:
    """A letter with (file name, media type, content) attached."""
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = "a@tilleuls.mssante.fr", "b@cabinet.mssante.fr", "XDM/1.0/DDM+CR"
    mail.set_content("Bonjour")
    for name, kind, content in attached:
        mail.add_attachment(content, *kind.split("/"), filename=name)
    return mail.as_bytes()


def asking_to_delete(document: Document, lot: Any) -> bytes:
    """A letter whose archive asks to delete the document (payload §2.6)."""
    value = "<rim:ValueList><rim:Value>%s</rim:Value></rim:ValueList>"
    slot = f'<rim:Slot name="urn:action:extraMetadataSlot">{value}</rim:Slot>'
    written, held = xdm.write([document], lot), io.BytesIO()
    assert isinstance(written, bytes)
    with zipfile.ZipFile(io.BytesIO(written)) as whole, zipfile.ZipFile(held, "w") as out:
        for name in whole.namelist():
            data = whole.read(name).replace((slot % "C").encode(), b"")
            if name.endswith("METADATA.XML"):
                data = re.sub(rb"(<rim:ExtrinsicObject [^>]*>)", rb"\1" + (slot % "D").encode(), data, count=1)
            out.writestr(name, data)
    return mailed(("IHE_XDM.zip", "application/zip", held.getvalue()))


def serialised_otherwise(raw: bytes) -> bytes:
    """The same document as another writer would put it: canonical, with a comment, under another declaration."""
    root = etree.fromstring(raw)
    return b"<?xml version='1.0' encoding='UTF-8'?>\n<!-- again -->\n" + etree.tostring(root, method="c14n")


def signed(raw: bytes) -> bytes:
    """The document within an envelope of its author's (SM §3.3.2)."""
    inner = etree.tostring(etree.fromstring(raw))
    return (
        b'<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:Object>%s</ds:Object></ds:Signature>' % inner
    )


def self_presenting(raw: bytes) -> bytes:
    """The document within its own stylesheet (SM §3.9.3)."""
    inner = etree.tostring(etree.fromstring(raw))
    return (
        b'<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">'
        b'<d:Contenu xmlns:d="urn:asip-sante:ci-sis">%s</d:Contenu><xsl:template match="/"/></xsl:stylesheet>' % inner
    )

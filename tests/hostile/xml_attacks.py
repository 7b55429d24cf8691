"""XML made to harm: what each does, and by which rule the dossier's reader refuses it; made small or made when asked.

Promises: each is refused for the one thing that is wrong in it, its twin without that is read. Does not: reach out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dmp_bridge import cda

Make = Callable[[bytes], bytes]
"""From a sound document."""
ROOT = b"<ClinicalDocument"
REFUSED, NO_CDA = "xml-refused", "no-clinical-document"


def prolog(text: str) -> Make:
    """This after the XML declaration."""
    return lambda raw: raw.replace(ROOT, text.encode() + ROOT, 1)


def inside(text: bytes) -> Make:
    """This as the last child of the root."""
    return lambda raw: raw.replace(b"</ClinicalDocument>", text + b"</ClinicalDocument>")


def encoded(codec: str, *, dtd: bool) -> Make:
    def make(raw: bytes) -> bytes:
        bare = raw[raw.index(ROOT) :].decode()
        doctype = "<!DOCTYPE x>" if dtd else ""
        return f'<?xml version="1.0" encoding="{codec}"?>{doctype}{bare}'.encode(codec)

    return make


def _laughs() -> str:
    names = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE x [<!ENTITY l0 "lol">{names}]>'


ATTACKS: Mapping[str, tuple[Make, str]] = {
    "an external entity": (prolog('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'), REFUSED),
    "an external entity over the network": (prolog('<!DOCTYPE x [<!ENTITY e SYSTEM "http://127.0.0.1:9/">]>'), REFUSED),
    "a parameter entity": (prolog('<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>'), REFUSED),
    "an external DTD": (prolog('<!DOCTYPE x SYSTEM "file:///etc/passwd">'), REFUSED),
    "a DTD that says nothing": (prolog("<!DOCTYPE ClinicalDocument>"), REFUSED),
    "a billion laughs": (prolog(_laughs()), REFUSED),
    "a quadratic blow-up": (prolog(f'<!DOCTYPE x [<!ENTITY a "{"a" * 50_000}">]>'), REFUSED),
    "a default attribute": (prolog('<!DOCTYPE x [<!ATTLIST id root CDATA "1.2.3">]>'), REFUSED),
    "an entity that nobody declared": (inside(b"<x>&nobody;</x>"), REFUSED),
    "a DTD in UTF-16": (encoded("utf-16", dtd=True), REFUSED),
    "a DTD in Latin-1": (encoded("iso-8859-1", dtd=True), REFUSED),
    "UTF-7": (lambda raw: b'<?xml version="1.0" encoding="UTF-7"?>+ADw-ClinicalDocument/+AD4-', REFUSED),
    "UTF-32": (encoded("utf-32", dtd=False), REFUSED),
    "EBCDIC": (encoded("cp500", dtd=False), REFUSED),
    "an encoding that does not exist": (lambda raw: raw.replace(b"UTF-8", b"UTF-9", 1), REFUSED),
    "an encoding that lies": (lambda raw: raw.replace(b"<title>", b"<title>\xff\xfe", 1), REFUSED),
    "nesting 100,000 deep": (inside(b"<a>" * 100_000 + b"</a>" * 100_000), REFUSED),
    "nesting one too deep": (inside(b"<a>" * 100 + b"</a>" * 100), REFUSED),
    "a million elements": (inside(b"<a/>" * 1_000_000), REFUSED),
    "more markup than any document has": (inside(b"<a/>" * 150_000), REFUSED),
    "a million attributes": (inside(b"<a " + b" ".join(b'b%d=""' % n for n in range(1_000_000)) + b"/>"), REFUSED),
    "an attribute twice": (inside(b'<a b="1" b="2"/>'), REFUSED),
    "an attribute twice, by two prefixes": (inside(b'<a xmlns:p="u" xmlns:q="u" p:b="1" q:b="2"/>'), REFUSED),
    "a prefix that nobody declared": (inside(b"<p:a/>"), REFUSED),
    "a control character": (inside(b"<a>\x01</a>"), REFUSED),
    "a zero": (inside(b"<a>\x00</a>"), REFUSED),
    "two roots": (lambda raw: raw + b"<ClinicalDocument/>", REFUSED),
    "an end that is missing": (lambda raw: raw[:-20], REFUSED),
    "a text larger than the door": (inside(b"<a>" + b"x" * cda.MAX_BYTES + b"</a>"), REFUSED),
    "an attribute larger than the door": (inside(b'<a b="' + b"x" * cda.MAX_BYTES + b'"/>'), REFUSED),
    "another namespace": (lambda raw: raw.replace(b"urn:hl7-org:v3", b"urn:hl7-org:v2"), NO_CDA),
    "no namespace": (lambda raw: raw.replace(b' xmlns="urn:hl7-org:v3"', b""), NO_CDA),
    "two documents under one signature": (
        lambda raw: (
            b'<Signature xmlns="http://www.w3.org/2000/09/xmldsig#">' + raw[raw.index(ROOT) :] * 2 + b"</Signature>"
        ),
        NO_CDA,
    ),
    "a document inside another envelope": (lambda raw: b"<envelope>" + raw[raw.index(ROOT) :] + b"</envelope>", NO_CDA),
    "an id twice": (lambda raw: raw.replace(b"<title>", b'<id root="2.25.1"/><title>'), "id-repeated"),
    "an id in another namespace": (
        lambda raw: raw.replace(b'<id root="2.25.', b'<id xmlns="urn:x" root="2.25.', 1),
        "id-absent",
    ),
    "two patients": (
        lambda raw: raw.replace(b"</recordTarget>", b"<patientRole><id root='1.2'/></patientRole></recordTarget>"),
        "patient-repeated",
    ),
}  # fmt: skip

SCHEMA = b' xmlns:s="http://www.w3.org/2001/XMLSchema-instance" s:schemaLocation="u http://127.0.0.1:9/x"'
LET_BE: Mapping[str, Make] = {
    "a stylesheet that points outside": prolog('<?xml-stylesheet type="text/xsl" href="http://127.0.0.1:9/x.xsl"?>'),
    "an XInclude of a file": inside(b'<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="/etc/passwd"/>'),
    "a schema that points outside": lambda raw: raw.replace(ROOT, ROOT + SCHEMA, 1),
    "an xml:base": lambda raw: raw.replace(ROOT, ROOT + b' xml:base="http://127.0.0.1:9/"', 1),
    "elements that nobody knows": inside(b"<later>1</later>" * 50),
}  # fmt: skip
"""Nothing of these is followed, so nothing is refused for them (SM §3.4.2: what is unknown is ignored)."""

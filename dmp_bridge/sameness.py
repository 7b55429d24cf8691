"""Whether two files are the same document: the digest of its canonical form.

Promises: the ClinicalDocument alone counts, so that the same document bare, under a signature, in a self-presenting
stylesheet, with other line ends, quotes or comments, has one digest (exclusive canonical XML without comments).
Does not: say that two documents say the same.
"""

from __future__ import annotations

import hashlib

from lxml import etree

from certs.xml import XmlRefused, parse

_ROOT = "{urn:hl7-org:v3}ClinicalDocument"


def digest(raw: bytes) -> str:
    """Hexadecimal SHA-256; '' where there is no one ClinicalDocument."""
    try:
        root = parse(raw)
    except XmlRefused:
        return ""
    found = list(root.iter(_ROOT))
    if len(found) != 1:
        return ""
    # Exclusive: name spaces of what stands around it are not the document's.
    try:
        form = etree.tostring(found[0], method="c14n", exclusive=True, with_comments=False, with_tail=False)
    except etree.C14NError:  # a name space that is no absolute URI
        return ""
    return hashlib.sha256(form).hexdigest()

"""Whether a host holds what it said that it stored.

Promises: its entry and the bytes that it gives back are compared with what was sent; the first
contradiction is named. Does not: decide what follows from one (courier.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from dmp_bridge import ebrim
from dmp_bridge.dmp import DossierClient, Held
from dmp_bridge.model import Code, Document, FilingReason
from relay.model import Later, Never


def contradiction(
    client: DossierClient, document: Document, held: Sequence[Held], *, fresh: bool, masks: Sequence[Code] = ()
) -> str | Later:
    """'' where the host holds the document; the name of what is wrong; Later where it cannot be asked now.

    `fresh`: it was stored just now, so it must still be Approved, the patient's, and as hidden as it was sent."""
    entries = [each for each in held if each.unique_id == document.unique_id]
    if len(entries) != 1:
        return "no entry" if not entries else "several entries"
    wrong = _entry(entries[0], document) or (_fresh(entries[0], document, masks) if fresh else "")
    return wrong or _bytes(client, document)


def _entry(entry: Held, document: Document) -> str:
    if entry.sha1 != ebrim.sha1(document.raw):
        return "another hash"
    return "" if entry.size == len(document.raw) else "another size"


def _fresh(entry: Held, document: Document, masks: Sequence[Code]) -> str:
    ins = document.patient.ins
    if ins is None or _who(entry.patient_id) != _who(ebrim.patient_cx(ins)):
        return "another patient"
    if any(mask.code not in entry.confidentiality for mask in masks):
        return "not hidden"
    return "" if entry.approved else "not approved"


def _who(cx: str) -> list[str]:
    """Identifier and authority; the type code after them says nothing about who."""
    return cx.split("^")[:4]


def _bytes(client: DossierClient, document: Document) -> str | Later:
    given = client.fetch(document.unique_id)
    if isinstance(given, Later):
        return given
    if isinstance(given, Never):
        return "no document" if given.reason != FilingReason.HOST_WRONG else given.detail
    same = hashlib.sha256(given).digest() == hashlib.sha256(document.raw).digest()
    return "" if same else "other bytes"


def unconfirmed(trouble: Later | Never) -> Later | Never:
    """A host that stored, and cannot be read now, has refused nothing; one that contradicts itself has."""
    if isinstance(trouble, Never) and trouble.reason == FilingReason.HOST_WRONG:
        return trouble
    whole = isinstance(trouble, Later) and trouble.whole
    return Later(trouble.reason, f"not confirmed: {trouble.detail}", whole=whole)

"""What a document replaces, as its host knows it now: only the host knows the present entryUUID (spec/dossier.md §1.4).

Promises: a replaced entry is named only if it is there, once, and Approved; a host that answers references only is
asked by reference id (design §8). Does not: replace.
"""

from __future__ import annotations

from collections.abc import Sequence

from dmp_bridge import ebrim
from dmp_bridge.dmp import DossierClient
from dmp_bridge.model import Document, FilingReason
from relay.model import Later, Never


def replacements(client: DossierClient, documents: Sequence[Document]) -> tuple[ebrim.Replacement, ...] | Later | Never:
    """One for each document that replaces another; () where none does."""
    replacing = [each for each in documents if each.replaces]
    if not replacing:
        return ()
    if not client.profile.reads:
        return _located(client, replacing)
    held = client.find([each.replaces for each in replacing])
    if not isinstance(held, tuple):
        return held
    entries = {each.unique_id: each for each in held}
    if any(each.replaces not in entries for each in replacing):
        return Never(FilingReason.NOT_IN_DOSSIER, "what is replaced is not there")
    if not all(entries[each.replaces].approved for each in replacing):
        return Never(FilingReason.OLD_VERSION, "what is replaced was replaced already")
    return tuple(ebrim.Replacement(each.unique_id, entries[each.replaces].entry_id) for each in replacing)


def _located(client: DossierClient, replacing: Sequence[Document]) -> tuple[ebrim.Replacement, ...] | Later | Never:
    if not client.profile.norm.by_reference:
        return Never(FilingReason.RULE_CANNOT_TELL, "what is replaced cannot be read")
    found: list[ebrim.Replacement] = []
    for each in replacing:
        entries = client.locate(each.replaces, each.patient.ins) if each.patient.ins else ()
        if not isinstance(entries, tuple):
            return entries
        if len(entries) != 1:
            return Never(FilingReason.NOT_IN_DOSSIER, "what is replaced is not there")
        found.append(ebrim.Replacement(each.unique_id, entries[0]))
    return tuple(found)

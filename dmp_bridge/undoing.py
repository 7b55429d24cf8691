"""Takes back what was filed: the entry gets the status that deletion gives, and what it had replaced counts again.

Promises: only a filing of ours, within the time that policy gives, is taken back; the host is read afterwards where it
lets itself be read; asked twice it is done once; each is an event with who asked. Does not: remove bytes from a host
(no host of this kind does), or tell earlier recipients (carrying.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from dmp_bridge import ebrim
from dmp_bridge.dmp import DossierClient, Held
from dmp_bridge.model import Document, Filing, FilingReason, FilingState
from dmp_bridge.packing import UNDETERMINED
from dmp_bridge.patients import Writer
from relay.model import Done, Event, Journal, Later, Never

UNDONE = "taken-back"
TOO_LATE, NOT_FILED, NOT_OURS_NOW = "too-late", "not-filed", "changed-since"
DEPRECATED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Deprecated"

Answer: TypeAlias = Done | Later | Never


@dataclass(frozen=True)
class Asked:
    """Who asks, when, and how long after a filing that may be asked."""

    by: str
    at: datetime
    within: timedelta


@dataclass(frozen=True)
class Undoing:
    client: DossierClient
    store: Writer
    journal: Journal

    def undo(self, filing: Filing, document: Document, asked: Asked) -> Answer:
        """Never with one of the words above where policy or the dossier says no."""
        refused = refusal(filing, asked)
        if refused:
            return Never(FilingReason.HOST_FORBIDS, refused)
        entry = self._entry(document)
        if not isinstance(entry, str):
            return entry
        answer = self._delete(document, entry, asked) if entry else Done(document.unique_id, UNDONE)
        if not isinstance(answer, Done):
            return answer
        restored = self._restore(document, asked)
        if not isinstance(restored, Done):
            return restored
        self.store.write("filing.end", filing.tenant, id=filing.id, state=FilingState.UNDONE.value, entry_id=entry)
        facts = (("host", filing.host), ("document", document.unique_id), ("by", asked.by))
        self.journal.add(filing.tenant, [Event("dossier-undone", filing.letter_id, facts=facts)])
        return Done(document.unique_id, UNDONE)

    def _entry(self, document: Document) -> str | Later | Never:
        """The present entryUUID; '' where it is deleted already."""
        patient = document.patient.ins
        if not self.client.profile.reads and patient is not None:
            found = self.client.locate(document.unique_id, patient)
            return found if not isinstance(found, tuple) else next(iter(found), "")
        held = self._held(document.unique_id)
        if isinstance(held, Later | Never):
            return held
        if held is None:
            return Never(FilingReason.NOT_IN_DOSSIER, NOT_FILED)
        if held.status == self.client.profile.norm.deleted:
            return ""
        return held.entry_id if held.approved else Never(FilingReason.OLD_VERSION, NOT_OURS_NOW)

    def _held(self, unique_id: str) -> Held | Later | Never | None:
        held = self.client.find([unique_id])
        return next(iter(held), None) if isinstance(held, tuple) else held

    def _delete(self, document: Document, entry: str, asked: Asked) -> Answer:
        norm = self.client.profile.norm
        answer = self._set(document, entry, ebrim.APPROVED, norm.deleted, asked)
        if not isinstance(answer, Done) or not self.client.profile.reads:
            return answer
        held = self._held(document.unique_id)
        if isinstance(held, Later | Never):
            return held
        if held is None or held.status != norm.deleted:
            return Never(FilingReason.HOST_WRONG, "not deleted")
        return answer

    def _restore(self, document: Document, asked: Asked) -> Answer:
        """What the document had replaced is the current version again, where the host says what it holds."""
        if not document.replaces or not self.client.profile.reads:
            return Done(document.unique_id)
        held = self._held(document.replaces)
        if isinstance(held, Later | Never):
            return held
        if held is None or held.status != DEPRECATED:
            return Done(document.unique_id)
        return self._set(document, held.entry_id, DEPRECATED, ebrim.APPROVED, asked)

    def _set(self, document: Document, entry: str, old: str, new: str, asked: Asked) -> Answer:
        patient = document.patient.ins
        if patient is None:
            return Never(FilingReason.INS_ABSENT)
        return self.client.set_status(entry, old, new, self._lot(document, entry, new, asked.at), patient)

    def _lot(self, document: Document, entry: str, new: str, at: datetime) -> ebrim.Submission:
        """The same change at the same moment is the same lot."""
        told = "\0".join((document.unique_id, entry, new, at.isoformat()))
        number = int.from_bytes(hashlib.sha256(told.encode()).digest()[:16], "big")
        profile = self.client.profile
        return ebrim.Submission(f"2.25.{number}", profile.source_id, at, document.authors[0], UNDETERMINED)


def refusal(filing: Filing, asked: Asked) -> str:
    """'' where policy lets the filing be taken back."""
    if filing.state is not FilingState.FILED or filing.ended_at is None:
        return NOT_FILED
    return TOO_LATE if asked.at - filing.ended_at > asked.within else ""


def newest(filings: Sequence[Filing]) -> Filing | None:
    """The filing that may be taken back, among those of one document."""
    filed = [each for each in filings if each.state is FilingState.FILED]
    return filed[-1] if filed else None

"""Papers that a person brings to a page, and letters that wait for one: what they are, whose they are, and the mail
that is made of them. The work of workman, and who asks it.

Promises: what strangers wrote is parsed in the process apart alone; who asks gets values, or the name of why there are
none. Does not: believe what a paper says of its patient, keep a paper, or send.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from directory import address
from directory.model import Entry, Kind
from dmp_bridge import archive, candidates, cda, n1, packing, xdm
from dmp_bridge.model import Bad, Code, Document, FilingReason, Ins, InsStatus, Patient, Traits
from dmp_bridge.packing import Parcel
from dmp_bridge.workshop import Budget, Unanswered, Workshop
from relay.message import Malformed, scan

BUDGET = Budget(seconds=30, memory=1024 * 2**20, start_s=60)
_SENDER = ("display_name", "family_name", "given_name", "title", "rpps", "finess", "structure")


@dataclass(frozen=True, repr=False)
class Seen:
    """One document, as its header says."""

    unique_id: str
    type: Code
    title: str
    at: datetime
    author: str
    version: int
    patient: Patient


@dataclass(frozen=True, repr=False)
class Look:
    """What a paper, or a letter, holds."""

    kind: str
    """'documents', a media type that a CDA N1 can hold, or '' for neither."""
    documents: tuple[Seen, ...] = ()
    refused: tuple[Bad, ...] = ()
    """Why, where there is none, or for those that are broken."""


class Papers:
    """Threads may share it: questions wait for each other."""

    def __init__(self, budget: Budget = BUDGET) -> None:
        self._shop = Workshop("papers", budget=budget)

    def look(self, data: bytes) -> Look:
        """What one paper is."""
        return _look(self._shop.ask({"ask": "look"}, data))

    def letter(self, raw: bytes) -> Look:
        """The documents of a letter, as a courier finds them."""
        return _look(self._shop.ask({"ask": "letter"}, raw))

    def pack(self, contents: Sequence[bytes], parcel: Parcel, at: datetime) -> bytes | Bad:
        """As packing.pack, of CDA documents and XDM archives; of `parcel` sender, recipients, source, body and nil
        count."""
        told = {
            "ask": "pack",
            "at": at.isoformat(),
            "sizes": [len(each) for each in contents],
            "sender": {"address": str(parcel.sender.address), "kind": parcel.sender.kind.value}
            | {name: getattr(parcel.sender, name) for name in _SENDER},
            "to": [str(each) for each in parcel.recipients],
            "source": parcel.source_id,
            "body": parcel.body,
            "nil": parcel.nil,
        }
        answer = self._shop.ask(told, b"".join(contents))
        return answer["data"] if isinstance(answer, dict) and "data" in answer else _bad(answer)

    def close(self) -> None:
        self._shop.close()


def _bad(answer: Mapping[str, Any] | Unanswered) -> Bad:
    if isinstance(answer, Unanswered):
        return Bad(FilingReason.DOCUMENT_REFUSED, answer.why)
    return Bad(answer.get("reason", FilingReason.DOCUMENT_REFUSED), answer.get("detail", answer.get("surprise", "")))


def _look(answer: Mapping[str, Any] | Unanswered) -> Look:
    if isinstance(answer, Unanswered) or "kind" not in answer:
        return Look("", refused=(_bad(answer),))
    documents = tuple(_seen(each) for each in answer["documents"])
    return Look(answer["kind"], documents, tuple(Bad(*each) for each in answer["refused"]))


def _seen(told: Mapping[str, Any]) -> Seen:
    at, kind = datetime.fromisoformat(told["at"]), Code(**told["type"])
    return Seen(**{**told, "at": at, "type": kind, "patient": _patient(told["patient"])})


def _patient(told: Mapping[str, Any]) -> Patient:
    traits, born = told["traits"], told["traits"]["birth_date"]
    return Patient(
        ins=Ins(**told["ins"]) if told["ins"] else None,
        traits=Traits(**{**traits, "birth_date": date.fromisoformat(born) if born else None}),
        local_ids=tuple((root, value) for root, value in told["local_ids"]),
        ins_status=InsStatus(told["ins_status"]),
    )


# --- in the process apart ---------------------------------------------------------------------------------------


def craft() -> Callable[[dict[str, Any], bytes], dict[str, Any]]:
    asked: dict[str, Callable[[dict[str, Any], bytes], dict[str, Any]]] = {
        "look": lambda _, data: _looked(data),
        "letter": lambda _, data: _letter(data),
        "pack": _packed,
    }
    return lambda question, data: asked[question["ask"]](question, data)


def _looked(data: bytes) -> dict[str, Any]:
    if archive.looks_like_zip(data):
        held = xdm.read(data)
        return _told([held] if isinstance(held, Bad) else [*held.documents, *held.refused])
    if kind := "" if data.lstrip().startswith((b"<", b"\xef\xbb\xbf<")) else n1.kind_of(data):
        return {"kind": kind, "documents": [], "refused": []}
    return _told([cda.read(data)])


def _letter(raw: bytes) -> dict[str, Any]:
    try:
        return _told(candidates.documents(scan(raw)))
    except Malformed as malformed:
        return _told([Bad(FilingReason.NOT_A_DOCUMENT, malformed.reason)])


def _told(found: Sequence[Document | Bad]) -> dict[str, Any]:
    documents = [_shown(each) for each in found if isinstance(each, Document)]
    refused = [[str(each.reason), each.detail] for each in found if isinstance(each, Bad)]
    return {"kind": "documents" if documents else "", "documents": documents, "refused": refused}


def _shown(document: Document) -> dict[str, Any]:
    first = document.authors[0] if document.authors else None
    traits = document.patient.traits
    born = traits.birth_date.isoformat() if traits.birth_date else ""
    return {
        "unique_id": document.unique_id,
        "type": asdict(document.type),
        "title": document.title,
        "at": document.effective_time.isoformat(),
        "author": " ".join(filter(None, (first.given_name, first.family_name))) if first else "",
        "version": document.version,
        "patient": {**asdict(document.patient), "traits": {**asdict(traits), "birth_date": born}} | {"id": ""},
    }


def _packed(question: dict[str, Any], data: bytes) -> dict[str, Any]:
    contents, start = [], 0
    for size in question["sizes"]:
        contents.append(data[start : start + size])
        start += size
    documents = packing.read_each(contents)
    if isinstance(documents, Bad):
        return {"reason": str(documents.reason), "detail": documents.detail}
    told = dict(question["sender"])
    sender = Entry(**{**told, "address": address.parse(told["address"]), "kind": Kind(told["kind"])})
    to = tuple(map(address.parse, question["to"]))
    parcel = Parcel(documents, sender, to, question["source"], question["body"], question["nil"])
    mail = packing.pack(parcel, datetime.fromisoformat(question["at"]))
    return {"reason": str(mail.reason), "detail": mail.detail} if isinstance(mail, Bad) else {"data": mail}

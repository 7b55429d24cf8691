"""What people do in the register of patients and on the work list: looked at, decided, journalled.

Promises: an identity is shown only where somebody asks to see it, and that is journalled first; a reason that names
the patient is refused, since reasons stand in rows and in the journal; what a decision or a lifted opposition allows is
sent again at once. Does not: print, or write to the store itself (the spooler does).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from dmp_bridge import links, matching, oppositions, worklist
from dmp_bridge.model import FilingReason, Flag, Ins, Patient, Traits
from dmp_bridge.patients import Known, Register
from dmp_bridge.worklist import Decision, Entry
from gateway import app
from gateway.config import Settings
from relay import spool
from relay.journal import SpoolJournal
from relay.model import Event, Mode, State
from relay.spooler import StoreRefused

_REASON_MOST = 200
_DOSSIER = frozenset({Mode.DOSSIER, Mode.DOSSIER_SHOW})


class NotDone(Exception):
    """Why nothing was done; one sentence for the person at the keyboard."""

    def __init__(self, sentence: str, key: str = "") -> None:
        super().__init__(sentence)
        self.key = key
        """Of the sentence of the pages that says it."""


@dataclass(frozen=True, repr=False)
class Wanted:
    """By what somebody is looked for."""

    number: str = ""
    ins: str = ""
    name: str = ""
    first_name: str = ""
    born: date | None = None


# --- looking --------------------------------------------------------------------------------------------------------


def find(settings: Settings, wanted: Wanted) -> tuple[Known, ...]:
    """Those who could be meant, likeliest first; by number, the one who has it."""
    register, tenant = app.register(settings), settings.node.tenant
    if wanted.number:
        found: Sequence[Patient] = [_patient(settings, register, wanted.number)]
    else:
        ins = Ins(wanted.ins.replace(" ", "").upper(), _root(settings)) if wanted.ins else None
        traits = Traits(wanted.name, wanted.first_name, "", wanted.born)
        found = register.named(tenant, Patient(ins, traits))
    known = (register.known(tenant, each.id) for each in found)
    return tuple(each for each in known if each)


def _root(settings: Settings) -> str:
    return settings.dossier.ins_root if settings.dossier else ""


def reveal(settings: Settings, rows: Sequence[Known], by: str) -> None:
    """Journals who sees whose identity: `by` is an account, or who is logged in at the machine. Called before anything
    is shown."""
    events = [Event("patient-revealed", facts=(("patient", each.patient.id), ("by", by))) for each in rows]
    SpoolJournal(app.client(settings)).add(settings.node.tenant, events)


def as_json(known: Known, *, revealed: bool) -> dict[str, Any]:
    """One patient; his identity only where it is revealed."""
    told: dict[str, Any] = {
        "id": known.patient.id,
        "status": known.patient.ins_status.value,
        "source": known.source,
        "updated_at": known.updated_at.isoformat(timespec="seconds"),
        "rows": list(known.rows),
        "former": len(known.former),
        "flags": sorted(each.value for each in known.flags),
    }
    return told | _identity(known) if revealed else told


def _identity(known: Known) -> dict[str, Any]:
    traits, ins = known.patient.traits, known.patient.ins
    born = traits.birth_date.isoformat() if traits.birth_date else ""
    return {
        "ins": [ins.value, ins.root] if ins else None,
        "traits": {**asdict(traits), "birth_date": born},
        "numbers": [list(each) for each in known.patient.local_ids],
        "former_ins": [[each.value, each.root, until.isoformat(timespec="seconds")] for each, until in known.former],
    }


def history(settings: Settings, who: str) -> tuple[oppositions.Opposition, ...]:
    """All that this patient ever objected to."""
    return oppositions.of_patient(_reader(settings), settings.node.tenant, _known(settings, who).rows)


def linked(settings: Settings, who: str) -> tuple[links.Link, ...]:
    """All links to this patient, ended ones too."""
    return links.of_patient(_reader(settings), settings.node.tenant, _known(settings, who).rows)


def _known(settings: Settings, who: str) -> Known:
    register = app.register(settings)
    known = register.known(settings.node.tenant, _patient(settings, register, who).id)
    assert known is not None, "found a moment ago"
    return known


def _patient(settings: Settings, register: Register, who: str) -> Patient:
    """By his row's id (p:…), else by the establishment's own number."""
    tenant = settings.node.tenant
    by_id = who.startswith("p:")
    found = register.find(tenant, who) if by_id else register.numbered(tenant, app.local_root(settings), who)
    if found is None:
        raise NotDone("no patient of the register has this number: pli patients find", "work-no-patient")
    return found


def _row(settings: Settings, who: str) -> str:
    """The row itself, also where it is merged into another."""
    if who.startswith("p:"):
        return who
    return app.pseudonyms(settings).of(f"{app.local_root(settings)}^{who}")


def _reader(settings: Settings) -> Any:
    return app.reader(settings.database_url)


# --- acting ---------------------------------------------------------------------------------------------------------


def fit(why: str, patients: Sequence[Patient], scrub: Callable[[str], str]) -> str:
    """The reason as it may stand in a row. Raises NotDone for none, a long one, or one that names a patient."""
    text = " ".join(why.split())
    if not text or len(text) > _REASON_MOST:
        raise NotDone(f"say why, in at most {_REASON_MOST} characters", "work-why-missing")
    words = set(matching.plain(text).split())
    if scrub(text) != text or any(words & _names(each) for each in patients):
        raise NotDone("the reason names the patient: say it without, it stands in the journal", "work-why-names")
    return text


def _names(patient: Patient) -> set[str]:
    traits = patient.traits
    names = matching.plain(f"{traits.birth_name} {traits.first_given_name} {traits.given_names}").split()
    numbers = [value.upper() for _, value in patient.local_ids if len(value) > 3]
    return {each for each in (*names, *numbers) if len(each) > 2}


def merge(settings: Settings, prior: str, survivor: str, why: str, by: str) -> None:
    """`prior` is `survivor` from now on. Raises NotDone, StoreRefused."""
    register = app.register(settings)
    both = [_patient(settings, register, each) for each in (prior, survivor)]
    if both[0].id == both[1].id:
        raise NotDone("the two are one patient already")
    said = _said(settings, why, both, by)
    app.client(settings).write("patients.merge", settings.node.tenant, prior=both[0].id, survivor=both[1].id, **said)


def unmerge(settings: Settings, prior: str, why: str, by: str) -> None:
    said = _said(settings, why, [_patient(settings, app.register(settings), prior)], by)
    app.client(settings).write("patients.unmerge", settings.node.tenant, prior=_row(settings, prior), **said)


def unlink(settings: Settings, link: str, why: str, by: str) -> None:
    app.client(settings).write("patients.unlink", settings.node.tenant, link=link, **_said(settings, why, [], by))


def oppose(settings: Settings, who: str, flag: Flag, document: str, why: str, by: str) -> None:
    patient = _patient(settings, app.register(settings), who)
    told = {"patient_id": patient.id, "flag": flag.value, "document_id": document}
    app.client(settings).write("patients.oppose", settings.node.tenant, **told, **_said(settings, why, [patient], by))


def lift(settings: Settings, who: str, flag: Flag, document: str, why: str, by: str) -> tuple[int, int]:
    """How many oppositions were lifted, and how many documents that waited for it are sent again."""
    known = _known(settings, who)
    told = {"patient_ids": list(known.rows), "flag": flag.value, "document_id": document}
    said = _said(settings, why, [known.patient], by)
    lifted: int = app.client(settings).write("patients.lift", settings.node.tenant, **told, **said)
    return lifted, send_waiting(settings, known.patient.id, **said) if lifted else 0


def send_waiting(settings: Settings, patient_id: str, by: str, why: str) -> int:
    """What waited because of an opposition, and is not kept by another one, goes its way. How many documents."""
    tenant, sent, said = settings.node.tenant, 0, {"by": by, "why": why}
    register = app.register(settings)
    with _reader(settings).connect() as conn:
        rows = oppositions.family(conn, tenant, [patient_id])
    for each in worklist.waiting_for(_reader(settings), tenant, rows, FilingReason.OPPOSED):
        if register.flags(tenant, patient_id, each.document_id) & {Flag.FILING, Flag.NOT_VISIBLE}:
            continue
        answered = {"entry": each.id, "decision": Decision.ANSWERED.value, **said}
        app.client(settings).write("worklist.decide", tenant, **answered)
        sent += _send_again(settings, each, by)
    return sent


def _said(settings: Settings, why: str, patients: Sequence[Patient], by: str) -> dict[str, str]:
    return {"by": by, "why": fit(why, patients, app.pseudonyms(settings).scrub)}


# --- the work list --------------------------------------------------------------------------------------------------


def entry(settings: Settings, entry_id: str) -> Entry:
    found = (
        worklist.entry(_reader(settings), settings.node.tenant, entry_id)
        if re.fullmatch("[0-9a-f]+", entry_id)
        else None
    )
    if found is None:
        raise NotDone("no entry, or more than one, begins so: pli worklist")
    return found


def decide(
    settings: Settings, entry_id: str, decision: Decision, who: str, why: str, by: str, wait_s: float = 0
) -> bool:
    """True where the document is sent again; False where there is nothing to send. `who`: for CONFIRMED empty where
    there is one candidate. `by`: who decides. `wait_s`: so long it waits before it goes, and may be reopened. Raises
    NotDone, StoreRefused."""
    found = entry(settings, entry_id)
    patient_id = _whose(settings, found, decision, who)
    known = [_known(settings, each).patient for each in {*found.candidates, patient_id} - {""}]
    said = _said(settings, why, known, by)
    told = {"entry": found.id, "decision": decision.value, "patient_id": patient_id}
    app.client(settings).write("worklist.decide", settings.node.tenant, **told, **said)
    return decision is not Decision.REFUSED and bool(_send_again(settings, found, by, wait_s))


def reopen(settings: Settings, found: Entry, by: str) -> None:
    """Takes a decision back. Raises StoreRefused where what it sent has left."""
    app.client(settings).write("worklist.reopen", settings.node.tenant, entry=found.id, by=by)


def may_reopen(settings: Settings, found: Entry) -> bool:
    """A refusal sent nothing; anything else while its delivery waits."""
    if found.open or found.decision in ("", Decision.ANSWERED):
        return False
    held = spool.letter(_reader(settings), settings.node.tenant, found.letter_id)
    waiting = (each for each in (held[1] if held else ()) if each.state is State.QUEUED and not each.attempts)
    return found.decision == Decision.REFUSED or any(each.due_at and each.due_at > app.clock() for each in waiting)


def _whose(settings: Settings, found: Entry, decision: Decision, who: str) -> str:
    if decision is Decision.REFUSED:
        return ""
    if who:
        return _patient(settings, app.register(settings), who).id
    if decision is Decision.CONFIRMED and len(found.candidates) == 1:
        return found.candidates[0]
    raise NotDone(f"the entry has {len(found.candidates)} candidates: name one with --patient", "work-which")


def _send_again(settings: Settings, found: Entry, by: str, wait_s: float = 0) -> int:
    """The delivery to the dossier begins again, where it had failed."""
    held = spool.letter(_reader(settings), settings.node.tenant, found.letter_id)
    rows = [each for each in (held[1] if held else ()) if each.route.mode in _DOSSIER and each.state is State.FAILED]
    sent = 0
    for each in rows:
        try:
            spool.act(app.client(settings), settings.node.tenant, "resend", each.id, by=by, after_s=wait_s)
            sent += 1
        except StoreRefused:
            continue  # it goes again already, for another document of the letter
    return sent

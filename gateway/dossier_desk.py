"""What a person does with dossiers: looks a document up, fetches it, files again, takes back, records a choice of host.

Promises: each act is journalled with who did it (`by`: an account, or who is logged in at the machine), before or with
its answer; of what a host says no identity is shown. Does not: print (gateway.dossier_command),
nor decide what may be filed (the courier's rules do).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dmp_bridge import candidates, choices, ebrim, filings, verdicts
from dmp_bridge.dmp import Held
from dmp_bridge.model import Document, Filing, Patient
from dmp_bridge.undoing import Asked, Undoing, newest
from gateway import app, carrying, dossier_hosts
from gateway.config import Settings
from gateway.doors import replies
from relay import spool
from relay.journal import SpoolJournal
from relay.message import scan
from relay.model import Done, Event, Later, Letter, Mode, Never, Recipient


class NotDone(Exception):
    """Why nothing was done; one sentence for the person at the keyboard."""


@dataclass(frozen=True)
class Found:
    """One entry of a dossier, without its patient."""

    document: str
    entry: str
    status: str
    version: int
    size: int
    sha1: str
    confidentiality: tuple[str, ...]


def find(settings: Settings, by: str, *, document: str = "", patient: str = "", host: str = "") -> list[Found]:
    """Entries by uniqueId, or the Approved ones of a patient of the register (by his local identifier)."""
    told = dossier_hosts.section(settings, host)
    client = dossier_hosts.client(settings, told)
    _looked_up(settings, by, told.name, document or "patient")
    if document:
        held = client.find([document])
    else:
        ins = _patient(settings, patient).ins
        if ins is None:
            raise NotDone("ce patient n'a pas de matricule INS au registre")
        held = client.find_by_patient(ins)
    return [_shown(each) for each in _told(held)]


def fetch(settings: Settings, by: str, document: str, host: str = "") -> bytes:
    told = dossier_hosts.section(settings, host)
    _looked_up(settings, by, told.name, document)
    given = dossier_hosts.client(settings, told).fetch(document)
    if isinstance(given, Later | Never):
        raise NotDone(sentence(given))
    return given


def file_again(settings: Settings, by: str, letter_id: str) -> Recipient:
    """Hands the letter's dossier row to the courier again, whatever kept it out before."""
    _, rows = _letter(settings, letter_id)
    waiting = [each for each in rows if each.route.mode is Mode.DOSSIER]
    if not waiting:
        raise NotDone("cette lettre n'a rien à déposer : aucun document n'y a été trouvé")
    spool.act(app.client(settings), settings.node.tenant, "resend", waiting[0].id, by=by)
    return waiting[0]


def undo(settings: Settings, by: str, document_id: str) -> Done:
    """Takes back the deposit of one document, and asks its earlier recipients to delete it. Raises NotDone."""
    tenant, reader = settings.node.tenant, app.reader(settings.database_url)
    for name, told in dossier_hosts.sections(settings).items():
        filing = newest(filings.of_document(reader, tenant, name, document_id))
        if filing is None:
            continue
        letter, _ = _letter(settings, filing.letter_id)
        document = _document(settings, letter, filing)
        undoing = Undoing(
            dossier_hosts.client(settings, told), app.client(settings), SpoolJournal(app.client(settings))
        )
        answer = undoing.undo(filing, document, Asked(by, app.clock(), dossier_hosts.undo_within(told)))
        if isinstance(answer, Later | Never):
            raise NotDone(UNDO_WORDS.get(answer.detail) or sentence(answer))
        carrying.deleted(settings, told, letter, document)
        return answer
    raise NotDone(UNDO_WORDS["not-filed"])


UNDO_WORDS = {
    "not-filed": "aucun dépôt de ce document n'est de nous, ou il est déjà retiré",
    "too-late": "le délai pendant lequel un dépôt peut être retiré est passé (dossier.undo_hours)",
    "changed-since": "l'entrée a été remplacée ou modifiée depuis : retirez d'abord la version suivante",
}


def choose(settings: Settings, by: str, patient: str, host: str, since: datetime | None) -> datetime:
    """Records which host a patient chose; counts from the next deposit after `since` on."""
    known = dossier_hosts.section(settings, host)
    row = _patient(settings, patient)
    at = since or app.clock()
    told = {"patient_id": row.id, "host": known.name, "since": at.isoformat(), "by": by}
    app.client(settings).write("choice.put", settings.node.tenant, **told)
    return at


def chosen(settings: Settings, patient: str) -> tuple[choices.Choice, ...]:
    row = _patient(settings, patient)
    return choices.of_patient(app.reader(settings.database_url), settings.node.tenant, row.id)


def sentence(answer: Later | Never) -> str:
    """French: what the host's code means, else what the reason does."""
    return verdicts.sentence(answer.detail.rpartition(" ")[2]) or replies.sentence(answer.reason)


# --- parts ------------------------------------------------------------------------------------------------------


def _told(held: tuple[Held, ...] | Later | Never) -> tuple[Held, ...]:
    if isinstance(held, Later | Never):
        raise NotDone(sentence(held))
    return held


def _shown(held: Held) -> Found:
    status = held.status.rpartition(":")[2]
    told = (held.unique_id, held.entry_id, status, held.version, held.size, held.sha1)
    return Found(*told, confidentiality=held.confidentiality)


def _patient(settings: Settings, local_id: str) -> Patient:
    root = settings.dossier.local_root if settings.dossier else ""
    row = app.pseudonyms(settings).of(f"{root or settings.node.establishment}^{local_id}")
    found = app.register(settings).find(settings.node.tenant, row)
    if found is None:
        raise NotDone("aucun patient du registre ne porte cet identifiant (pli patients find)")
    return found


def _letter(settings: Settings, letter_id: str) -> tuple[Letter, tuple[Recipient, ...]]:
    held = spool.letter(app.reader(settings.database_url), settings.node.tenant, letter_id)
    if held is None:
        raise NotDone(f"aucune lettre {letter_id} ici (pli trace)")
    return held


def _document(settings: Settings, letter: Letter, filing: Filing) -> Document:
    """As the letter brought it: its body is still kept, or nothing can be said in its author's name."""
    try:
        raw = carrying.body(settings, letter)
    except OSError:
        raise NotDone("le corps de la lettre n'est plus conservé : le dépôt ne peut plus être retiré d'ici") from None
    found = candidates.documents(scan(raw))
    wanted = [each for each in found if isinstance(each, Document) and each.unique_id == filing.document_id]
    if not wanted or ebrim.sha1(wanted[0].raw) != filing.sha1:
        raise NotDone("le document ne se retrouve pas dans la lettre qui l'a apporté")
    return wanted[0]


def _looked_up(settings: Settings, by: str, host: str, what: str) -> None:
    facts = (("by", by), ("host", host), ("document", what))
    SpoolJournal(app.client(settings)).add(settings.node.tenant, [Event("dossier-looked-up", facts=facts)])

"""Who is to be erased, and what of him is here: a mailbox by its address, a patient by his matricule.

Promises: a patient's letters are those from or to his own address, and those in whose documents he is the patient, for
which each body that is still kept is opened (each opening is in the journal); his rows of the register go too, once no
letter about him is under way; the report names letters and a pseudonym, never the person. Does not: erase
(relay.erasure, dmp_bridge.forgetting do), or find a patient whom a letter names in words only: the report says how many
letters hold no document that could be read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from directory.model import PATIENT_DOMAIN
from dmp_bridge import candidates, forgetting
from dmp_bridge.forgetting import Held
from dmp_bridge.model import Document
from gateway import app, carrying
from gateway.config import Settings
from relay import erasure
from relay.erasure import ERASED, Found, Kept
from relay.message import scan
from relay.store.bodies import BodyDamaged

Told = Callable[[int], None]
NOTHING, UNKNOWN = Kept(0, 0, published=False), Held()


@dataclass(frozen=True)
class Wanted:
    """What would be erased. `names`: what stands for each address from then on; `unread`: letters of which nobody can
    say whose they are."""

    whose: str
    kind: str
    found: tuple[Found, ...]
    names: dict[str, str]
    unread: int = 0
    mailbox: str = ""
    """In lower case; empty where it is about a patient."""
    beside: Kept = NOTHING
    register: Held = UNKNOWN
    """What the register of patients holds of him."""

    @property
    def waits(self) -> bool:
        """His rows of the register stay while a letter about him may still need them."""
        return self.register.any and any(each.kept_for for each in self.found)

    @property
    def going(self) -> tuple[Found, ...]:
        return tuple(each for each in self.found if not each.kept_for)


def mailbox(settings: Settings, address: str) -> Wanted:
    """Of a mailbox, in lower case."""
    address = address.strip().lower()
    name = app.pseudonyms(settings).of(address)
    reader, tenant = app.reader(settings.database_url), settings.node.tenant
    found = tuple(erasure.of_mailbox(reader, tenant, address))
    names = {address: f"{name.removeprefix('p:')}@{ERASED}"}
    return Wanted(name, "mailbox", found, names, 0, address, erasure.beside(reader, tenant, address))


def patient(settings: Settings, matricule: str, told: Told) -> Wanted:
    """Of a patient, by his matricule INS with or without its key. Raises KeeperDown."""
    names, reader, tenant = app.pseudonyms(settings), app.reader(settings.database_url), settings.node.tenant
    whose = names.of(matricule)
    own = {
        f"{local}@{PATIENT_DOMAIN}": names.address(f"{local}@{PATIENT_DOMAIN}")
        for local in {matricule.strip().lower(), matricule.strip().lower()[:13]}
    }
    found = {each.letter_id: each for address in own for each in erasure.of_mailbox(reader, tenant, address)}
    unread = 0
    for number, (each, letter) in enumerate(erasure.with_body(reader, tenant), 1):
        told(number)
        about = _patients(settings, letter)
        if about is None:
            unread += 1
        elif whose in {names.of(ins) for ins in about}:
            found[each.letter_id] = each
    about_him = tuple(sorted(found.values(), key=lambda one: one.received_at))
    return Wanted(whose, "patient", about_him, own, unread, register=forgetting.held(reader, tenant, whose))


def _patients(settings: Settings, letter: Any) -> set[str] | None:
    """Matricules in the documents of a letter; None where it holds no document that can be read."""
    try:
        read = candidates.documents(scan(carrying.body(settings, letter)))
    except (BodyDamaged, OSError):
        return None
    documents = [each for each in read if isinstance(each, Document)]
    return {each.patient.ins.value for each in documents if each.patient.ins} if documents else None


def erase(settings: Settings, wanted: Wanted, by: str) -> dict[str, Any]:
    """Erases, and answers the report."""
    why = {"by": by, "kind": wanted.kind, "whose": wanted.whose}
    store, client, tenant = app.bodies(settings), app.client(settings), settings.node.tenant
    done = erasure.erase(client, tenant, wanted.going, wanted.names, why, store.erase)
    if wanted.mailbox:
        erasure.forget(client, tenant, wanted.mailbox, why)
    elif not wanted.waits:
        forgetting.forget(client, tenant, wanted.whose, why)
    return report(wanted) | {"erased": done, "at": app.clock().isoformat(timespec="seconds")}


_OF_MAILBOX = ("journal rows that name the mailbox: its logins, its publication",)
_OF_PATIENT = (
    "rows of filings: which document, by its id and hash, was deposited where and when (the proof; no identity)",
    "journal rows that name his rows of the register by pseudonyms (who looked, who decided)",
    "the application that feeds the register, which may tell of him again",
)


def report(wanted: Wanted) -> dict[str, Any]:
    """JSON-able, without an identity."""
    return {
        "kind": wanted.kind,
        "whose": wanted.whose,
        "erased": 0,
        "letters": [each.letter_id for each in wanted.going],
        "kept": {each.letter_id: each.kept_for for each in wanted.found if each.kept_for},
        "unread": wanted.unread,
        "policies": wanted.beside.policies,
        "publications": wanted.beside.publications,
        "still_published": wanted.beside.published,
        "register": dict(wanted.register.rows),
        "register_waits": wanted.waits,
        "bore_the_matricule_once": wanted.register.formerly,
        "not_reached": [
            "mail delivered to mailboxes (doveadm expunge)",
            "what peers, patients' mailboxes and dossiers hold",
            "copies made before (pli backup)",
            *(_OF_MAILBOX if wanted.mailbox else _OF_PATIENT),
        ],
    }

"""What earlier recipients of a document get when it is replaced or taken back (payload §1.8, HL7v2 guide).

Promises: who had the old document and is not in the new letter gets that letter's own bytes, as its sender sent them;
of a deletion he gets a mail of ours that names the document by its identifier and no patient, and asks him to delete
it; asked twice nobody gets it twice, since the envelope's id is made from what it carries. Does not: go past the
intake, nor reach mailboxes that a recipient passed the document on to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

import structlog

from directory import address
from directory.address import BadAddress
from dmp_bridge import filings
from dmp_bridge.courier import DELETED, REPLACED
from dmp_bridge.model import Document
from gateway import app
from gateway.config import DossierSection, Settings
from relay import spool
from relay.intake import Intake
from relay.model import Addressee, Door, DoorProof, Envelope, Letter, Mode, Refusal, State

_log = structlog.get_logger(__name__)
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def carrier(settings: Settings, section: DossierSection, entry: Intake) -> Callable[[Letter, Document, str], None]:
    """What the dossier courier is given as `carry`."""

    def carry(letter: Letter, document: Document, what: str) -> None:
        if not section.tell_earlier or not letter.sender:
            return
        old = document.replaces if what == REPLACED else document.unique_id
        told = earlier(settings, section.name, letter, old)
        if told:
            _send(settings, entry, letter, document, what, told)

    return carry


def deleted(settings: Settings, section: DossierSection, letter: Letter, document: Document) -> None:
    """Whoever got a document that was taken back is asked to delete it, the letter's own recipients too."""
    if not section.tell_earlier or not letter.sender:
        return
    told = [
        *_addresses(settings, letter.tenant, letter.id),
        *earlier(settings, section.name, letter, document.unique_id),
    ]
    if told:
        _send(settings, app.intake(settings), letter, document, DELETED, tuple(dict.fromkeys(told)))


def earlier(settings: Settings, host: str, letter: Letter, document_id: str) -> tuple[str, ...]:
    """Whoever got the document in a letter of ours, and is not among this letter's recipients."""
    reader = app.reader(settings.database_url)
    brought = {each.letter_id for each in filings.of_document(reader, letter.tenant, host, document_id)}
    here = _addresses(settings, letter.tenant, letter.id, all_states=True)
    found: dict[str, None] = {}
    for letter_id in sorted(brought - {letter.id}):
        found |= dict.fromkeys(_addresses(settings, letter.tenant, letter_id))
    return tuple(each for each in found if each not in here)


def _addresses(settings: Settings, tenant: str, letter_id: str, *, all_states: bool = False) -> list[str]:
    held = spool.letter(app.reader(settings.database_url), tenant, letter_id)
    rows = held[1] if held else ()
    mail = [each for each in rows if each.route.mode not in (Mode.DOSSIER, Mode.DOSSIER_SHOW)]
    return [each.address for each in mail if all_states or each.state is State.DONE]


def _send(
    settings: Settings, entry: Intake, letter: Letter, document: Document, what: str, told: tuple[str, ...]
) -> None:
    to = [each for each in (_addressee(entry, one) for one in told) if each is not None]
    if not to:
        return
    store = app.bodies(settings)
    raw = body(settings, letter) if what == REPLACED else _deletion(settings, letter, document, to)
    kept = store.put(raw)
    sender = address.parse(letter.sender)
    envelope = Envelope(
        id=_id(letter, document, what, told),
        tenant=letter.tenant,
        door=Door.COMMAND,
        sender=sender,
        addressees=tuple(to),
        proof=DoorProof(),
        received_at=app.clock(),
    )
    answer = entry.accept(envelope, raw, kept)
    if isinstance(answer, Refusal):
        if answer.certain:
            store.erase(kept)
        _log.warning("dossier-not-carried", letter=letter.id, reason=answer.reason)


def body(settings: Settings, letter: Letter) -> bytes:
    """A letter's bytes. Raises OSError where they are not kept any more."""
    keys = app.keeper_client(settings)
    return app.bodies(settings).read(letter.body, lambda wrapped: keys.unwrap(wrapped, letter.id))


def _addressee(entry: Intake, one: str) -> Addressee | None:
    try:
        answer = entry.check_recipient(address.parse(one), Door.COMMAND)
    except BadAddress:
        return None
    return None if isinstance(answer, Refusal) else answer


def _deletion(settings: Settings, letter: Letter, document: Document, to: list[Addressee]) -> bytes:
    """No patient, no title: the identifier is all that the reader's software needs."""
    mail = EmailMessage(policy=SMTP)
    mail["Date"] = format_datetime(app.clock())
    mail["From"] = letter.sender
    mail["To"] = ", ".join(str(each.address) for each in to)
    mail["Subject"] = "Demande de suppression d'un document"
    mail["Message-ID"] = f"<deleted.{letter.id}@{settings.node.hostname}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5
    mail.set_content(
        "Bonjour,\n\nUn document qui vous a été adressé a été retiré par son auteur. Merci de le supprimer de vos "
        f"dossiers.\n\nIdentifiant du document : {document.unique_id}\n\n"
        "A document that was sent to you was taken back by its author. Please delete it.\n",
        cte="quoted-printable",
    )
    return mail.as_bytes()


def _id(letter: Letter, document: Document, what: str, told: tuple[str, ...]) -> str:
    """26 characters, as a letter's id; the same for the same message."""
    parts = "\0".join((letter.tenant, letter.id, document.unique_id, what, *sorted(told)))
    number = int.from_bytes(hashlib.sha256(parts.encode()).digest()[:16], "big")
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))

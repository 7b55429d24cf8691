"""Letters composed here: documents packed as a health-document mail, then handed to the intake like any other.

Promises: the same refusals as at the submission door, in a sentence; nothing is sent unless the node has it in custody.
Does not: bypass the intake, nor send for a mailbox that is not of this node.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from directory import address
from directory.model import Address, Entry, Found
from dmp_bridge import packing
from dmp_bridge.model import Bad
from gateway import app
from gateway.config import Settings
from gateway.doors.replies import sentence
from relay.intake import Intake
from relay.model import Addressee, Door, DoorProof, Envelope, Receipt, Refusal, new_id


class NotSent(Exception):
    """Why the letter was not taken; one sentence for the person at the keyboard."""


def send(
    settings: Settings, files: Sequence[Path], sender: str, recipients: Sequence[str], *, subject: str, text: str
) -> Receipt:
    """Packs `files` and gives the letter to the intake. Raises NotSent."""
    intake = app.intake(settings)
    author = _author(intake, sender)
    addressees = tuple(_addressee(intake, one) for one in recipients)
    raw = _packed(settings, files, author, addressees, subject, text)
    return _accepted(settings, intake, author.address, addressees, raw)


def _author(intake: Intake, sender: str) -> Entry:
    found = intake.directory.find(_parsed(sender))
    if not isinstance(found, Found):
        raise NotSent(f"{sender} has no entry in the directory, or the directory does not answer")
    refusal = intake.check_sender(found.entry.address, DoorProof(), Door.COMMAND)
    if refusal:
        raise NotSent(_why(sender, refusal))
    return found.entry


def _addressee(intake: Intake, one: str) -> Addressee:
    answer = intake.check_recipient(_parsed(one), Door.COMMAND)
    if isinstance(answer, Refusal):
        raise NotSent(_why(one, answer))
    return answer


def _parsed(text: str) -> Address:
    try:
        return address.parse(text)
    except address.BadAddress as error:
        raise NotSent(f"'{text}' is not a mail address: {error}") from None


def _packed(
    settings: Settings, files: Sequence[Path], author: Entry, to: Sequence[Addressee], subject: str, text: str
) -> bytes:
    packed = packing.pack(
        files,
        sender=author,
        recipients=[each.address for each in to],
        at=app.clock(),
        nil=settings.node.product_number,
        subject=subject,
        text=text,
    )
    if isinstance(packed, Bad):
        raise NotSent(f"{packed.detail or packed.reason}: name a CDA document (XML) or a PDF")
    return packed


def _accepted(
    settings: Settings, intake: Intake, sender: Address, to: tuple[Addressee, ...], raw: bytes
) -> Receipt:
    at = app.clock()
    envelope = Envelope(new_id(at), settings.node.tenant, Door.COMMAND, sender, to, DoorProof(), at)
    bodies = app.bodies(settings)
    try:
        body = bodies.put(raw)
    except OSError as error:
        raise NotSent(f"the letter could not be written to disk: {error.strerror}; nothing was sent") from None
    answer = intake.accept(envelope, raw, body)
    if isinstance(answer, Refusal):
        bodies.erase(body)
        raise NotSent(_why(str(sender), answer))
    return answer


def _why(subject: str, refusal: Refusal) -> str:
    detail = f" ({refusal.detail})" if refusal.detail else ""
    return f"{subject}: {sentence(refusal.reason)}{detail}"

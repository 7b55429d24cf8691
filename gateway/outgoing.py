"""Letters composed here: documents packed as a health-document mail, then handed to the intake like any other.

Promises: the same refusals as at the submission door, in a sentence; nothing is sent unless the node has it in
custody; a bare PDF about a patient of the register becomes a CDA N1. Does not: bypass the intake, nor send for a
mailbox that is not of this node.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path

from directory import address
from directory.model import PATIENT_DOMAIN, Address, Entry, Found
from dmp_bridge import cda, codes, n1, packing
from dmp_bridge.model import Author, Bad, Code, Document, InsStatus, Patient
from gateway import app
from gateway.config import ConfigError, Settings
from gateway.doors.replies import sentence
from relay.intake import Intake
from relay.model import Addressee, Door, DoorProof, Envelope, Reason, Receipt, Refusal, new_id
from relay.spooler import StoreDown


class NotSent(Exception):
    """Why the letter was not taken; one sentence for the person at the keyboard."""

    def __init__(self, sentence: str, refusal: Refusal | None = None) -> None:
        super().__init__(sentence)
        self.refusal = refusal
        """Of the intake, where it refused."""


@dataclass(frozen=True, repr=False)
class About:
    """Whose a bare PDF is, and what it is."""

    patient: str = ""
    """The establishment's own identifier of a patient in the register (IPP); empty: the PDF is about nobody."""
    type_code: str = ""
    title: str = ""


@dataclass(frozen=True, repr=False)
class Paper:
    """A file as it was read."""

    name: str
    data: bytes


@dataclass(frozen=True, repr=False)
class To:
    """Whom a letter is for."""

    addresses: Sequence[str] = ()
    patients: Sequence[str] = ()
    """The establishment's own identifiers (IPP): each one's address is made of his qualified INS (ECO.2.2.6)."""
    final: bool = False
    """A patient cannot answer (ECO.2.2.8)."""


def send(settings: Settings, files: Sequence[Path], sender: str, to: To, about: About, text: str = "") -> Receipt:
    """Packs `files` and gives the letter to the intake. Raises NotSent."""
    papers = [Paper(file.name, file.read_bytes()) for file in files]
    with under_the_nodes_account(settings):
        return _sent(settings, papers, sender, to, about, text)


def _sent(settings: Settings, papers: Sequence[Paper], sender: str, to: To, about: About, text: str) -> Receipt:
    intake = app.intake(settings)
    author = _author(intake, sender)
    named = (*map(_parsed, to.addresses), *(_of_patient(settings, each) for each in to.patients))
    if to.final and not any(each.is_patient for each in named):
        raise NotSent("only a patient can be kept from answering: no recipient is one")
    addressees = tuple(_addressee(intake, author.address, each) for each in named)
    raw = _packed(settings, papers, Sending(author, named, text, to.final), about)
    at = app.clock()
    envelope = Envelope(new_id(at), settings.node.tenant, Door.COMMAND, author.address, addressees, DoorProof(), at)
    return accepted(settings, intake, envelope, raw)


@contextmanager
def under_the_nodes_account(settings: Settings) -> Iterator[None]:
    """Where root types, the node's own account writes the body, or its carrier could not read it; and asks the keeper,
    who answers nobody else. Afterwards it is root again. Not for a process with threads: they share the account."""
    try:
        owner = settings.paths.data.stat()
    except OSError as error:
        raise ConfigError(f"{settings.paths.data}: {error.strerror}; `pli serve` makes it") from None
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def _author(intake: Intake, sender: str) -> Entry:
    found = intake.directory.find(_parsed(sender))
    if not isinstance(found, Found):
        raise NotSent(f"{sender} has no entry in the directory, or the directory does not answer")
    refusal = intake.check_sender(found.entry.address, DoorProof(), Door.COMMAND)
    if refusal:
        raise NotSent(_why(sender, refusal))
    return found.entry


def _addressee(intake: Intake, author: Address, one: Address) -> Addressee:
    answer = intake.check_recipient(one, Door.COMMAND)
    if not isinstance(answer, Refusal):
        answer = intake.check_route(answer, author, 0) or answer
    if isinstance(answer, Refusal):
        raise NotSent(_why("this patient" if one.is_patient else str(one), answer))
    return answer


def _of_patient(settings: Settings, local_id: str) -> Address:
    """A patient's address starts from the register, never from what somebody typed (ECO.3.1.5)."""
    known = _patient(settings, local_id)
    if known.ins is None or known.ins_status is not InsStatus.QUALIFIED:
        raise NotSent("the INS of this patient is not qualified: there is no address to write to")
    return address.parse(f"{known.ins.value}@{PATIENT_DOMAIN}")


def _parsed(text: str) -> Address:
    try:
        return address.parse(text)
    except address.BadAddress as error:
        raise NotSent(f"'{text}' is not a mail address: {error}") from None


# --- packing ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Sending:
    """What stands on the outside of a letter, and its words."""

    author: Entry
    to: tuple[Address, ...]
    text: str = ""
    final: bool = False


def _packed(settings: Settings, papers: Sequence[Paper], sending: Sending, about: About) -> bytes:
    bare = [paper for paper in papers if _kind(paper, about)]
    if bare and not about.patient:
        if len(bare) < len(papers):
            raise NotSent("a PDF that names no patient cannot travel with health documents: name --patient and --type")
        return plain(sending, bare, about.title)
    documents = [wrapped(settings, paper, sending.author, about) for paper in bare]
    rest = packing.read_each([paper.data for paper in papers if paper not in bare])
    if isinstance(rest, Bad):
        raise NotSent(
            f"not a document that can be sent ({rest.detail or rest.reason}): name a CDA, an XDM zip or a PDF"
        )
    source = settings.dossier.source_id if settings.dossier else new_oid()
    author, to, text, nil = sending.author, sending.to, sending.text, settings.node.product_number
    parcel = packing.Parcel((*documents, *rest), author, to, source, text, nil, final=sending.final)
    packed = packing.pack(parcel, app.clock())
    if isinstance(packed, Bad):
        raise NotSent(f"{sentence(packed.reason)} ({packed.detail})" if packed.detail else sentence(packed.reason))
    return packed


def _kind(paper: Paper, about: About) -> str:
    """What of a bare paper a CDA N1 can hold: a PDF; with a patient named, a text, an RTF or an image too."""
    kind = n1.kind_of(paper.data)
    marked_up = paper.data.lstrip().startswith((b"<", b"\xef\xbb\xbf<"))
    return kind if kind == "application/pdf" or (about.patient and not marked_up) else ""


def plain(sending: Sending, pdfs: Sequence[Paper], title: str) -> bytes:
    """A free mail (payload §1.1): no archive, no X-MSS-INS."""
    at, author = app.clock(), sending.author
    mail = EmailMessage(policy=SMTP)
    mail["Date"] = format_datetime(at)
    mail["From"] = str(author.address)
    mail["To"] = ", ".join(map(str, sending.to))
    mail["Subject"] = title or "Document"
    mail["Message-ID"] = f"<{new_id(at)}@{author.address.domain}>"
    if sending.final:
        mail["X-MSS-MES"] = packing.NO_ANSWER
    mail.set_content(sending.text or "Bonjour,\n\nVeuillez trouver ci-joint un document.\n", cte="quoted-printable")
    for pdf in pdfs:
        mail.add_attachment(pdf.data, "application", "pdf", filename=pdf.name)
    return mail.as_bytes()


def wrapped(settings: Settings, paper: Paper, sender: Entry, about: About) -> Document:
    """A CDA N1 around a paper, for a sender that has none."""
    at = app.clock().replace(microsecond=0)
    if codes.class_of(about.type_code) is None:
        near = codes.nearest_type(Code(about.type_code, "", about.title)) or "e.g. 34112-3"
        raise NotSent(f"'{about.type_code}' is no known document type: name one with --type, perhaps {near}")
    system = codes.LOINC if about.type_code[:1].isdigit() else codes.TYPE_SYSTEM
    node = settings.node
    header = n1.N1Header(
        unique_id=new_oid(),
        set_id=new_oid(),
        type=Code(about.type_code, system, codes.type_label(about.type_code) or about.title or "Compte rendu"),
        title=about.title or "Compte rendu",
        effective_time=at,
        patient=_patient(settings, about.patient),
        author=_writer(sender),
        facility=Code(node.facility, "1.2.250.1.71.4.2.4", node.facility),
        practice_setting=Code(node.practice_setting, "1.2.250.1.213.1.1.4.9", node.practice_setting),
        service_start=at,
    )
    read = cda.read(n1.wrap(paper.data, _kind(paper, about), header))
    if isinstance(read, Bad):
        raise NotSent(f"the paper could not be wrapped: {read.detail or read.reason}")
    return read


def _patient(settings: Settings, local_id: str) -> Patient:
    root = settings.dossier.local_root if settings.dossier else ""
    row = app.pseudonyms(settings).of(f"{root}^{local_id}")
    found = app.register(settings).find(settings.node.tenant, row)
    if found is None:
        raise NotSent("no patient of the register has this identifier: pli patients import FILE")
    return found


def _writer(sender: Entry) -> Author:
    if not sender.rpps:
        raise NotSent("a document is written by a person: send it from a mailbox with an RPPS number")
    return Author(f"8{sender.rpps}", sender.family_name, sender.given_name, f"1{sender.finess}", sender.structure)


def new_oid() -> str:
    """2.25 and a UUID: an OID that needs no registration (ITU-T X.667)."""
    return f"2.25.{uuid.uuid4().int}"


# --- custody ------------------------------------------------------------------------------------------------------


def accepted(settings: Settings, intake: Intake, envelope: Envelope, raw: bytes) -> Receipt:
    """In custody. Raises NotSent; StoreDown, where it may be in custody all the same: the same envelope asks again."""
    bodies = app.bodies(settings)
    try:
        body = bodies.put(raw)
    except OSError as error:
        raise NotSent(f"the letter could not be written to disk: {error.strerror}; nothing was sent") from None
    answer = intake.accept(envelope, raw, body)
    if isinstance(answer, Refusal):
        if answer.certain:
            bodies.erase(body)
        if answer.reason == Reason.STORE_DOWN:
            raise StoreDown(answer.detail)
        raise NotSent(_why(str(envelope.sender), answer), answer)
    return answer


def _why(subject: str, refusal: Refusal) -> str:
    detail = f" ({refusal.detail})" if refusal.detail else ""
    return f"{subject}: {sentence(refusal.reason)}{detail}"

"""What in a letter is a clinical document: the finder that the intake calls, and the reader that the
courier calls.

Promises: an XDM archive is known by its name (without case) and by its content, a bare CDA by its content;
automatic mail, and mail whose signature does not hold for all of it, has no candidate; at most one dossier
row per letter. Does not: open an archive on the way in, decide whether a document may be filed, or look
inside forwarded messages.
"""

from __future__ import annotations

import binascii
import codecs
from typing import TYPE_CHECKING

from dmp_bridge import cda, ebrim, xdm
from dmp_bridge.archive import lists_xdm, looks_like_zip, refuse
from dmp_bridge.model import Bad, Document, FilingReason, HostProfile
from dmp_bridge.printed import RULE, is_pdf
from relay.message import Malformed, Message, Part
from relay.model import INCOMING, Door, Envelope, Extra, Findings, Mode, Route, SignatureState, Verdict

if TYPE_CHECKING:
    from relay.intake import Finder

XDM_NAME = "ihe_xdm.zip"
MAX_DOCUMENTS = 100
_UNSOUND = {SignatureState.INVALID, SignatureState.PARTIAL}


def make_finder(profile: HostProfile | None, *, pictures: bool = False) -> Finder:
    """A finder for one dossier host; without a host nothing is ever found. `pictures`: a letter that holds a PDF and
    no document gets a row too, so that its pages are looked at later (dmp_bridge.printed), never on the way in."""

    def find(message: Message, envelope: Envelope, verdict: Verdict) -> Findings:
        if profile is None or not profile.enabled or not _may_qualify(envelope, verdict):
            return Findings()
        kinds = (_kind(part) for part in message.parts)
        kind = next((each for each in kinds if each), "")
        if not kind and pictures and any(map(is_pdf, message.parts)):
            kind = RULE.removeprefix("candidates.")
        return Findings(extras=(_extra(profile, envelope.door, kind),)) if kind else Findings()

    return find


def documents(message: Message) -> tuple[Document | Bad, ...]:
    """Every document of a letter, in order, or why one is refused; a document found twice counts once."""
    found: list[Document | Bad] = []
    for part in message.parts:
        kind = _kind(part)
        if kind:
            found += _open(part, kind)
    return _distinct(found)


def _may_qualify(envelope: Envelope, verdict: Verdict) -> bool:
    # payload §1.8: a refused report comes back with the documents attached; it must never be filed again.
    automatic = bool(verdict.automatic) or envelope.sender is None or envelope.door is Door.NOTICE
    return not automatic and verdict.signature not in _UNSOUND


def _extra(profile: HostProfile, door: Door, kind: str) -> Extra:
    # design §8: the sender's node files; what came from a peer is looked for and shown.
    shown = door in INCOMING and not profile.files_incoming
    mode = Mode.DOSSIER_SHOW if shown else Mode.DOSSIER
    return Extra(f"dossier:{profile.name}", Route(mode, profile.name, f"candidates.{kind}"), kind)


def _kind(part: Part) -> str:
    """'xdm', 'cda' or ''."""
    if part.is_multipart or part.type.startswith("message/"):
        return ""
    names = {part.filename.casefold(), part.raw_filename.casefold()}
    if XDM_NAME in names:
        return "xdm"
    content = _content(part) if _begins_well(part) else None
    if content is None:
        return ""
    if looks_like_zip(content):
        return "xdm" if lists_xdm(content) else ""
    return "cda" if b"ClinicalDocument" in content and cda.HL7.encode() in content else ""


def _begins_well(part: Part) -> bool:
    """Whether the first bytes are those of a zip or of XML: a large image is not decoded to be passed
    over."""
    head = part.body[:400]
    if part.encoding == "base64":
        head = b"".join(head.split())[:256]
        try:
            head = binascii.a2b_base64(head[: len(head) // 4 * 4])
        except binascii.Error:
            return False
    return looks_like_zip(head) or head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"<")


def _content(part: Part) -> bytes | None:
    try:
        return part.decode(cda.MAX_BYTES)
    except Malformed:
        return None


def _open(part: Part, kind: str) -> list[Document | Bad]:
    content = _content(part)
    if content is None:
        return [refuse("transfer-encoding")]
    if kind == "cda":
        return [cda.read(content)]
    archive = xdm.read(content)
    return [archive] if isinstance(archive, Bad) else [*archive.documents, *archive.refused]


def _distinct(found: list[Document | Bad]) -> tuple[Document | Bad, ...]:
    kept: dict[str, Document] = {}
    refused: list[Bad] = []
    for item in found:
        if isinstance(item, Bad):
            refused.append(item)
        elif kept.setdefault(item.unique_id, item).raw != item.raw:
            return (Bad(FilingReason.DOCUMENT_REFUSED, "one-id-two-documents"),)
    # R2 ECO.2.1.1: a mail concerns one patient, else whose it is would depend on who reads.
    if len({ebrim.main_id(document.patient) for document in kept.values()}) > 1:
        return (refuse("several-patients"),)
    if len(kept) > MAX_DOCUMENTS:
        return (refuse("too-many-documents"),)
    return (*kept.values(), *refused)

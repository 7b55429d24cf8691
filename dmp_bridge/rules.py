"""May this document go into this dossier? A table of small questions, each with three answers and a name.

Promises: every rule is asked and recorded; a rule that cannot tell says so and never counts as yes. Does
not: look anything up (the context holds it), send, or change a document.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from dmp_bridge import cda, codes
from dmp_bridge.model import Answer, Document, Doubtful, FilingReason, Flag, HostProfile, Match, Matched, Ruling


@dataclass(frozen=True, repr=False)
class Context:
    """All that the rules may look at."""

    document: Document
    match: Match
    profile: HostProfile
    institutions: frozenset[str] = field(default_factory=frozenset)
    """Struct_IdNat of the structures whose documents we may file ('1' + FINESS)."""
    incoming: bool = False
    """True: a peer sent it."""
    held_version: int | None = None
    """Highest version of this set that we know to be in the dossier."""
    schema: Callable[[bytes], bool] | None = None
    """Validates by schemas that the deployer installed; None where there are none."""


Verdict: TypeAlias = tuple[Answer, FilingReason | None]
Rule: TypeAlias = Callable[[Context], Verdict]

_YES: Verdict = (Answer.YES, None)


def _yes_or(holds: bool, reason: FilingReason) -> Verdict:
    return _YES if holds else (Answer.NO, reason)


def type_known(context: Context) -> Verdict:
    """No class, no entry: payload §2.4, the look-up fails loudly."""
    return _yes_or(codes.class_of(context.document.type.code) is not None, FilingReason.TYPE_UNKNOWN)


def identifier_plain(context: Context) -> Verdict:
    """Structuration minimale §3.5.5.4: the DMP takes an OID without extension."""
    return _yes_or("^" not in context.document.unique_id, FilingReason.DOCUMENT_REFUSED)


def header_complete(context: Context) -> Verdict:
    """What a document entry cannot do without (dossier §3.4)."""
    document = context.document
    needed = (
        document.facility,
        document.practice_setting,
        document.service_start,
        document.legal_authenticator,
    )
    return _yes_or(all(needed) and document.language == "fr-FR", FilingReason.DOCUMENT_REFUSED)


def body_known(context: Context) -> Verdict:
    """A structured body, or one of the media types of an N1 (payload §3.4)."""
    return _yes_or(codes.body_known(context.document.body_media_type), FilingReason.DOCUMENT_REFUSED)


def ins_present(context: Context) -> Verdict:
    return _yes_or(context.document.patient.ins is not None, FilingReason.INS_ABSENT)


def ins_well_formed(context: Context) -> Verdict:
    ins = context.document.patient.ins
    return _yes_or(ins is not None and cda.well_formed(ins), FilingReason.INS_INCOMPLETE)


def ins_of_this_host(context: Context) -> Verdict:
    """A test identity never enters a real host, nor a real one a test host."""
    ins = context.document.patient.ins
    return _yes_or(ins is not None and ins.root == context.profile.ins_root, FilingReason.INS_DIFFERS)


def patient_matched(context: Context) -> Verdict:
    return (Answer.NO, context.match.reason) if isinstance(context.match, Doubtful) else _YES


def not_opposed(context: Context) -> Verdict:
    """The patient may refuse that it is filed (CSP R1111-47); what he must hear first from a professional waits for the
    announcement (INVISIBLE_PATIENT, dossier §1.7). A patient who is not found has no say yet: no match, no filing."""
    flags = context.match.flags if isinstance(context.match, Matched) else frozenset()
    return _yes_or(not flags & {Flag.FILING, Flag.NOT_VISIBLE}, FilingReason.OPPOSED)


def author_ours(context: Context) -> Verdict:
    """Only the structure that wrote a document may file it (EX_2.1-1140), unless the region's profile says
    otherwise."""
    if context.incoming and context.profile.files_incoming:
        return _YES
    if not context.institutions:
        return Answer.CANNOT_TELL, FilingReason.RULE_CANNOT_TELL
    written_by = {author.institution_id for author in context.document.authors} - {""}
    return _yes_or(bool(written_by & context.institutions), FilingReason.NOT_OURS)


def not_masked(context: Context) -> Verdict:
    """A masking code in the document itself waits for a person; a code that no list holds cannot be
    judged."""
    code = context.document.confidentiality.code
    if codes.confidentiality(code) is None:
        return Answer.CANNOT_TELL, FilingReason.RULE_CANNOT_TELL
    return _yes_or(code in codes.BASIC_CONFIDENTIALITY, FilingReason.MASKED)


def latest_version(context: Context) -> Verdict:
    """Structuration minimale §3.5.5.10: never over an equal or higher version."""
    held = context.held_version
    return _yes_or(held is None or context.document.version > held, FilingReason.OLD_VERSION)


def schema_valid(context: Context) -> Verdict:
    """Schemas are others' and installed apart. Without them the answer is recorded, and holds back
    nothing."""
    if context.schema is None:
        return Answer.CANNOT_TELL, None
    return _yes_or(context.schema(context.document.raw), FilingReason.DOCUMENT_REFUSED)


RULES: tuple[tuple[str, Rule], ...] = (
    ("type-known", type_known),
    ("identifier-plain", identifier_plain),
    ("header-complete", header_complete),
    ("body-known", body_known),
    ("ins-present", ins_present),
    ("ins-well-formed", ins_well_formed),
    ("ins-of-this-host", ins_of_this_host),
    ("patient-matched", patient_matched),
    ("not-opposed", not_opposed),
    ("author-ours", author_ours),
    ("not-masked", not_masked),
    ("latest-version", latest_version),
    ("schema-valid", schema_valid),
)


def judge(context: Context) -> tuple[Ruling, ...]:
    """Every rule's answer, in the order of RULES."""
    return tuple(Ruling(name, *rule(context)) for name, rule in RULES)


def obstacle(rulings: Sequence[Ruling]) -> Ruling | None:
    """The first answer that keeps a document out of the dossier; a No comes before a cannot-tell. None:
    file it."""
    refused = [ruling for ruling in rulings if ruling.answer is Answer.NO]
    doubted = [ruling for ruling in rulings if ruling.answer is Answer.CANNOT_TELL and ruling.reason]
    return next(iter([*refused, *doubted]), None)

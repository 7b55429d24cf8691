"""May this document go into this dossier? A table of small questions, each with three answers and a name.

Promises: every rule is asked and recorded; a rule that cannot tell says so and never counts as yes. Does
not: look anything up (the context holds it), send, or change a document.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from dmp_bridge import cda, codes, header
from dmp_bridge.installed import Checked
from dmp_bridge.model import Answer, Document, Doubtful, FilingReason, Flag, HostProfile, Match, Matched, Ruling
from relay.model import SignatureState


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
    schema: Callable[[bytes], Checked] | None = None
    """Asks the schemas and schematrons that the deployer installed; None where there are none."""
    signature: SignatureState = SignatureState.NONE
    """Of the letter that brought the document."""


Verdict: TypeAlias = tuple[Answer, FilingReason | None] | tuple[Answer, FilingReason | None, str]
"""Answer, why, and what more there is to say: names and codes, never what a document says of a person."""
Rule: TypeAlias = Callable[[Context], Verdict]

_YES: Verdict = (Answer.YES, None)


def _yes_or(holds: bool, reason: FilingReason) -> Verdict:
    return _YES if holds else (Answer.NO, reason)


def type_known(context: Context) -> Verdict:
    """No class, no entry: payload §2.4, the look-up fails loudly, and names the type that was perhaps meant. A class
    that no dossier holds (a stylesheet's) is not filed either."""
    kind = context.document.type
    found = codes.class_of(kind.code)
    if found is None:
        return Answer.NO, FilingReason.TYPE_UNKNOWN, codes.nearest_type(kind)
    return _YES if codes.fileable(found.code) else (Answer.NO, FilingReason.TYPE_UNKNOWN, "not-fileable")


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


def header_valid(context: Context) -> Verdict:
    """The structuration minimale, clause by clause, by our own code (dmp_bridge.header)."""
    broken = header.errors(context.document.raw)
    return (Answer.NO, FilingReason.DOCUMENT_REFUSED, broken[0].rule) if broken else _YES


def body_known(context: Context) -> Verdict:
    """A structured body, or one of the media types of an N1 (payload §3.4)."""
    return _yes_or(codes.body_known(context.document.body_media_type), FilingReason.DOCUMENT_REFUSED)


def practice_known(context: Context) -> Verdict:
    """In which kind of care it was written: one of JDV_J04. That it is absent is said by header-complete."""
    setting = context.document.practice_setting
    return _yes_or(setting is None or codes.practice_known(setting), FilingReason.DOCUMENT_REFUSED)


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
    """The patient may refuse that it is filed (CSP R1111-47). What he must hear first from a professional is filed
    hidden from him where the host is told to do so (INVISIBLE_PATIENT, dossier §1.7), else it waits here: a host that
    refuses changes of attributes in our mode (the national one) could not be told to show it. Does not mask what was
    filed before. A patient who is not found has no say yet: no match, no filing."""
    flags = context.match.flags if isinstance(context.match, Matched) else frozenset()
    if Flag.FILING in flags or (Flag.NOT_VISIBLE in flags and not context.profile.hides):
        return Answer.NO, FilingReason.OPPOSED
    return (Answer.YES, None, "hidden-from-patient") if Flag.NOT_VISIBLE in flags else _YES


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


def signature_trusted(context: Context) -> Verdict:
    """What was signed must hold for all of it. Nothing signed is no objection: the sender's session vouched for it."""
    if context.signature in (SignatureState.INVALID, SignatureState.PARTIAL):
        return Answer.NO, FilingReason.SIGNATURE
    if context.signature is SignatureState.CANNOT_TELL:
        return Answer.CANNOT_TELL, FilingReason.RULE_CANNOT_TELL
    return (Answer.CANNOT_TELL, None, "unsigned") if context.signature is SignatureState.NONE else _YES


def action_files(context: Context) -> Verdict:
    """What its archive asks for: a deletion is never filed as a document; a replacement says what it replaces
    (payload §2.6)."""
    document = context.document
    if document.action == "D":
        return Answer.NO, FilingReason.HOST_FORBIDS, "deletion"
    replacing = bool(document.replaces) or document.version > 1
    return (
        _YES if document.action == "" or replacing else (Answer.NO, FilingReason.DOCUMENT_REFUSED, "replaces-nothing")
    )


def schema_valid(context: Context) -> Verdict:
    """Schemas are others' and installed apart (`pli cda install`). Without them, or where their process gave no
    answer, nobody can tell: that holds back where the host's norm asks for it, and is recorded elsewhere."""
    held = FilingReason.RULE_CANNOT_TELL if context.profile.norm.schema_required else None
    if context.schema is None:
        return Answer.CANNOT_TELL, held, "not-installed"
    checked = context.schema(context.document.raw)
    if checked.answer is Answer.CANNOT_TELL:
        return Answer.CANNOT_TELL, held, checked.why
    return (Answer.NO, FilingReason.DOCUMENT_REFUSED, checked.why) if checked.answer is Answer.NO else _YES


def host_allows(context: Context) -> Verdict:
    """What the profile of this host rules out, whoever wrote the document (design §8)."""
    profile = context.profile
    if not profile.enabled:
        return Answer.NO, FilingReason.HOST_FORBIDS, "disabled"
    if context.incoming and not profile.files_incoming:
        return Answer.NO, FilingReason.HOST_FORBIDS, "incoming"
    return _YES


RULES: tuple[tuple[str, Rule], ...] = (
    ("type-known", type_known),
    ("identifier-plain", identifier_plain),
    ("header-complete", header_complete),
    ("header-valid", header_valid),
    ("body-known", body_known),
    ("practice-known", practice_known),
    ("ins-present", ins_present),
    ("ins-well-formed", ins_well_formed),
    ("ins-of-this-host", ins_of_this_host),
    ("patient-matched", patient_matched),
    ("not-opposed", not_opposed),
    ("author-ours", author_ours),
    ("not-masked", not_masked),
    ("latest-version", latest_version),
    ("signature-trusted", signature_trusted),
    ("action-files", action_files),
    ("host-allows", host_allows),
    ("schema-valid", schema_valid),
)
"""The costly one last. Each is asked through this table, so that a test can switch one off and see what goes wrong."""


def judge(context: Context) -> tuple[Ruling, ...]:
    """Every rule's answer, in the order of RULES."""
    return tuple(Ruling(name, *rule(context)) for name, rule in RULES)


def obstacle(rulings: Sequence[Ruling]) -> Ruling | None:
    """The first answer that keeps a document out of the dossier; a No comes before a cannot-tell. None:
    file it."""
    refused = [ruling for ruling in rulings if ruling.answer is Answer.NO]
    doubted = [ruling for ruling in rulings if ruling.answer is Answer.CANNOT_TELL and ruling.reason]
    return next(iter([*refused, *doubted]), None)


def told(ruling: Ruling) -> str:
    """'type-known: 11502-2 …' for a record and for a person; without content of the document."""
    return f"{ruling.rule}: {ruling.detail}" if ruling.detail else ruling.rule


def facts(rulings: Sequence[Ruling]) -> tuple[tuple[str, str], ...]:
    """Each rule's answer as it is kept and shown: 'yes', 'no: 11502-2 …', 'cannot-tell: unsigned'."""
    return tuple((each.rule, ": ".join(filter(None, (each.answer.value, each.detail)))) for each in rulings)

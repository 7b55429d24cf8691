"""Whose is it? A document's patient beside local ones, trait by trait: pure comparison, no store.

Promises: only a qualified INS that exactly one local patient bears now, with agreeing strict traits, is a match;
anything else is doubtful, with a reason and, for each candidate, what agrees, differs or is absent. Does not: look
anybody up, score its way to a match, or show a value.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dmp_bridge import cda
from dmp_bridge.model import Doubtful, FilingReason, InsStatus, Match, Matched, Patient, Traits

COMPULSORY = ("birth_name", "first_given_name", "birth_date", "sex")
"""Without these no identity is whole (RNIV; HL7 0533 905)."""
SHOWN_MOST = 8
"""Candidates before a person: more are no help."""

Evidence = tuple[tuple[str, str], ...]
_ALIKE = 0.7
"""Below this two names are not misspellings of one."""


@dataclass(frozen=True, repr=False)
class Candidate:
    """A local patient, and how he was found."""

    patient: Patient
    formerly: bool = False
    """He bore the document's matricule before (NIA become NIR, a correction)."""
    linked: bool = False
    """A person linked the sender's number to him."""
    numbered: bool = False
    """The document carries a local number of his."""


def unfit(patient: Patient) -> Doubtful | None:
    """What can be said without the register (payload §6): no INS 903, not whole 905."""
    if patient.ins is None:
        return Doubtful(FilingReason.INS_ABSENT, (("ins", "absent"),))
    if not cda.well_formed(patient.ins):
        return Doubtful(FilingReason.INS_INCOMPLETE, (("ins_key", "differs"),))
    absent = tuple((name, "absent") for name in COMPULSORY if not getattr(patient.traits, name))
    return Doubtful(FilingReason.INS_INCOMPLETE, absent) if absent else None


def among(patient: Patient, bearers: Sequence[Patient]) -> Match:
    """The one bearer of the matricule that it certainly is, or the doubt (HL7 0533: 902 to 905)."""
    if not bearers:
        return Doubtful(FilingReason.PATIENT_UNKNOWN, (("ins", "absent"),))
    same = [each for each in bearers if each.ins == patient.ins]
    if not same:
        # The number is known under another root, or with another key.
        return Doubtful(FilingReason.INS_DIFFERS, (("ins_root", "differs"),))
    if len(same) > 1:
        return Doubtful(FilingReason.PATIENT_NOT_UNIQUE, (("ins", "agrees"),))
    evidence = (("ins", "agrees"), *compared(patient.traits, same[0].traits))
    if not all(_suffices(name, answer) for name, answer in evidence):
        return Doubtful(FilingReason.INS_DIFFERS, evidence)
    if same[0].ins_status is not InsStatus.QUALIFIED:
        return Doubtful(FilingReason.INS_NOT_QUALIFIED, evidence)
    return Matched(same[0].id, evidence)


def _suffices(name: str, answer: str) -> bool:
    """Each must agree; the birth place may be unsaid on one side, never different."""
    return answer == "agrees" or (name == "birth_place" and answer == "absent")


# --- side by side ---------------------------------------------------------------------------------------------------


def beside(doubt: Doubtful, patient: Patient, candidates: Iterable[Candidate]) -> Doubtful:
    """The doubt with its candidates, the likeliest first, each with his own evidence."""
    ranked = sorted(candidates, key=lambda each: (-_likeness(patient, each), each.patient.id))[:SHOWN_MOST]
    sides = tuple(side(patient, each) for each in ranked)
    return replace(doubt, candidates=tuple(each.patient.id for each in ranked), sides=sides)


def together(found: Iterable[Candidate]) -> list[Candidate]:
    """Each patient once, with all the ways in which he was found."""
    known: dict[str, Candidate] = {}
    for each in found:
        held = known.get(each.patient.id, each)
        ways = {name: getattr(held, name) or getattr(each, name) for name in ("formerly", "linked", "numbered")}
        known[each.patient.id] = replace(held, **ways)
    return list(known.values())


def side(patient: Patient, candidate: Candidate) -> Evidence:
    """The evidence for one candidate."""
    ours = candidate.patient
    first = [("ins", "agrees" if patient.ins and patient.ins == ours.ins else _ins(patient, ours))]
    if candidate.formerly:
        first.append(("ins_formerly", "agrees"))
    if candidate.linked:
        first.append(("learned_link", "agrees"))
    if candidate.numbered:
        first.append(("local_number", "agrees"))
    status = "agrees" if ours.ins_status is InsStatus.QUALIFIED else "differs"
    return (*first, *compared(patient.traits, ours.traits), ("ins_qualified", status))


def _ins(patient: Patient, ours: Patient) -> str:
    return "absent" if patient.ins is None or ours.ins is None else "differs"


def _likeness(patient: Patient, candidate: Candidate) -> float:
    """An order for people to read in; nothing is ever decided by it."""
    known = side(patient, candidate)
    points = sum({"agrees": 2.0, "differs": -1.0}.get(answer, 0.0) for name, answer in known if name != "ins_qualified")
    ours, theirs = candidate.patient.traits, patient.traits
    for name in ("birth_name", "first_given_name"):
        points += difflib.SequenceMatcher(None, plain(getattr(theirs, name)), plain(getattr(ours, name))).ratio()
    return points


def worth_showing(patient: Patient, candidate: Candidate) -> bool:
    """Of those found by birth date or by name alone: someone who could be meant. A stranger born on the same day, or
    one of the same name born on another day of another year, is not."""
    if (
        candidate.formerly
        or candidate.linked
        or candidate.numbered
        or (patient.ins and patient.ins == candidate.patient.ins)
    ):
        return True
    theirs, ours = patient.traits, candidate.patient.traits
    if not theirs.birth_date or theirs.birth_date == ours.birth_date:
        return _alike(theirs, ours)
    return _one_slip(f"{theirs.birth_date:%Y%m%d}", f"{ours.birth_date:%Y%m%d}" if ours.birth_date else "")


def _alike(theirs: Traits, ours: Traits) -> bool:
    """One of the two names is nearly the same, also where they changed places."""
    names = (plain(theirs.birth_name), plain(theirs.first_given_name))
    held = (plain(ours.birth_name), plain(ours.first_given_name))
    pairs = (*zip(names, held, strict=True), *zip(names, reversed(held), strict=True))
    return any(one and other and difflib.SequenceMatcher(None, one, other).ratio() >= _ALIKE for one, other in pairs)


def _one_slip(one: str, other: str) -> bool:
    """Dates that differ by one digit, or by two that changed places (day and month too)."""
    if len(one) != len(other):
        return False
    wrong = sum(a != b for a, b in zip(one, other, strict=True))
    return wrong <= 1 or (wrong <= 4 and sorted(one) == sorted(other))


def compared(theirs: Traits, ours: Traits) -> Evidence:
    return tuple((name, _answer(getattr(theirs, name), getattr(ours, name))) for name in (*COMPULSORY, "birth_place"))


def _answer(theirs: object, ours: object) -> str:
    if not theirs or not ours:
        return "absent"
    return "agrees" if plain(str(theirs)) == plain(str(ours)) else "differs"


def plain(text: str) -> str:
    """A name as strict traits compare it: upper case, no accents, hyphens and apostrophes as spaces."""
    # Œ and Æ have no decomposition in Unicode.
    spelt = text.upper().replace("Œ", "OE").replace("Æ", "AE")
    letters = (c for c in unicodedata.normalize("NFKD", spelt) if not unicodedata.combining(c))
    return " ".join("".join(c if c.isalnum() else " " for c in letters).split())

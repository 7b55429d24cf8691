"""What the hospital's bus says of patients: ADT messages in the French profile (PAM-FR 2.11), read as notices.

Promises: an event that is taken is taken whole or refused with a code of HL7 table 0357 and the place; a status is
derived as the référentiel says (PID-32 with an official INS), and one that no one stated is not guessed; the consent of
ZFA is read, and a code that is unknown there is refused rather than passed over. Does not: write, or look anybody up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from dmp_bridge import cda
from dmp_bridge.enrolment import Notice
from dmp_bridge.hl7 import Acknowledged, Fault, Field, Malformed, Message, Segment, day, moment
from dmp_bridge.model import INS_ROOTS, Flag, Ins, InsStatus, Patient, Traits

PARIS = ZoneInfo("Europe/Paris")

IDENTITY = frozenset({"A01", "A03", "A04", "A05", "A08", "A28", "A31"})
"""Events that say who a patient is: admission, end of stay, registration, pre-admission, changes, and the same without
a stay (A28, A31)."""
MERGE = "A40"
EVENTS = IDENTITY | {MERGE}

# FR Core table 0445 (spec/dossier.md §6.2)
_PROVISIONAL = frozenset(
    {"VIDE", "PROV", "DOUB", "DOUA", "DOUT", "DPOT", "DESA", "CACH", "ANOM", "FICT", "USUR", "INVA"}
)
_VALIDATED = frozenset({"VALI"})
# ZFA-9, ZFA-11: informed and opposed (IO) or not (INO); informed and consenting (IC) or not (INC); not collected (NA)
_FEEDING: Mapping[str, bool | None] = {"IO": True, "INO": False, "NA": None, "NI": None, "": None}
_CONSULTING: Mapping[str, bool | None] = {"INC": True, "IC": False, "NA": None, "NI": None, "": None}

AHEAD_MOST = timedelta(hours=24)
VERSIONS = ("2.3", "2.4", "2.5", "2.6", "2.7", "2.8")


@dataclass(frozen=True)
class Profile:
    """What this node takes from its bus."""

    authorities: Mapping[str, str] = field(default_factory=dict)
    """Name or OID of an assigning authority -> the OID under which its numbers stand here."""
    processing: frozenset[str] = frozenset({"P"})
    """MSH-11: a test's message never changes a real register."""


class Refused(ValueError):
    """Why a message is not taken; never leaves `read`."""

    def __init__(self, code: str, fault: Fault) -> None:
        super().__init__(fault.words)
        self.answer = Acknowledged(code, fault)


def read(message: Message, profile: Profile, now: datetime) -> Notice | Acknowledged:
    """What the message says, or the answer that refuses it: AR for what this door does not take, AE for what it says
    wrongly."""
    try:
        event = _event(message, profile)
        return _of_today(_notice(message, event, profile), now)
    except Refused as refused:
        return refused.answer
    except Malformed as malformed:
        return Acknowledged("AE", Fault("102", "", f"not readable: {malformed.check}"))


def _event(message: Message, profile: Profile) -> str:
    kind, event = message.kind
    if kind != "ADT":
        raise Refused("AR", Fault("200", "MSH-9", "this door takes ADT alone"))
    if event not in EVENTS:
        raise Refused("AR", Fault("201", "MSH-9", "this event is not taken here"))
    if not message.header.field(12).value.startswith(VERSIONS):
        raise Refused("AR", Fault("203", "MSH-12", "this version is not taken here"))
    if message.header.field(11).value not in profile.processing:
        raise Refused("AR", Fault("202", "MSH-11", "messages of this processing id are not taken here"))
    if not message.control_id:
        raise Refused("AE", Fault("101", "MSH-10", "a message has a control id"))
    return event


def _notice(message: Message, event: str, profile: Profile) -> Notice:
    pids = list(message.each("PID"))
    if len(pids) != 1:
        # PAM-FR: one patient a message; of several nobody could say which was taken
        raise Refused("AE", Fault("100", "PID", "one PID a message"))
    patient = _patient(pids[0], profile)
    flags, flagged_at = _consent(message)
    return Notice(
        event=event,
        patient=patient,
        source=f"adt:{_application(message)}",
        said_at=_said_at(message),
        priors=tuple(_priors(message, profile, patient)) if event == MERGE else (),
        flags=flags,
        flagged_at=flagged_at,
        ins_source=_obtained(message),
    )


def _of_today(notice: Notice, now: datetime) -> Notice:
    """A message from the future would make every later one an older one."""
    latest = max(notice.said_at, notice.flagged_at or notice.said_at)
    if latest > now + AHEAD_MOST:
        raise Refused("AE", Fault("102", "MSH-7", "a moment in the future: look at the clocks"))
    return notice


def _application(message: Message) -> str:
    """MSH-3 and MSH-4: who speaks. Letters and digits alone, since it stands in rows."""
    told = "/".join(filter(None, (message.header.field(number).value for number in (3, 4))))
    return "".join(each if each.isalnum() or each in "-_./" else "_" for each in told)[:48]


def _said_at(message: Message) -> datetime:
    """MSH-7: which of two messages of one application is the later."""
    try:
        return moment(message.header.field(7).value, PARIS)
    except Malformed:
        raise Refused("AE", Fault("102", "MSH-7", "a message says when it was made")) from None


def _obtained(message: Message) -> str:
    """ZFD-5: how the identity was obtained (INSI, or by whom)."""
    segment = message.segment("ZFD")
    told = segment.field(5).value if segment else ""
    return told if told.isalnum() and len(told) <= 16 else ""


# --- who ------------------------------------------------------------------------------------------------------------


def _patient(pid: Segment, profile: Profile) -> Patient:
    ins, local_ids = _identifiers(pid.field(3), "PID-3", profile)
    if not local_ids:
        raise Refused("AE", Fault("101", "PID-3", "a patient has a number of the establishment (PI)"))
    traits = _traits(pid)
    status = status_of({each.component(1) for each in pid.field(32).repetitions}, ins)
    if status is InsStatus.QUALIFIED and not traits.complete:
        raise Refused("AE", Fault("101", "PID-5", "a qualified identity has its strict traits"))
    return Patient(ins, traits, local_ids, status)


def _identifiers(cx: Field, place: str, profile: Profile) -> tuple[Ins | None, tuple[tuple[str, str], ...]]:
    """CX: number, authority, type. An INS is one by its OID and its type (payload §4); social security numbers, visit
    numbers and what else there is are nobody's identity here."""
    matricules: set[Ins] = set()
    numbers: list[tuple[str, str]] = []
    for each in cx.repetitions:
        number, root, kind = each.component(1).strip(), each.component(4, 2), each.component(5)
        if kind == "INS" or root in INS_ROOTS:
            matricules.add(_ins(number, root, place))
        elif kind == "PI" and number:
            numbers.append((_root(each, profile), number))
    if len(matricules) > 1:
        raise Refused("AE", Fault("205", place, "two different INS"))
    return next(iter(matricules), None), tuple(dict.fromkeys(numbers))


def _ins(number: str, root: str, place: str) -> Ins:
    ins = Ins(number, root)
    if root not in INS_ROOTS:
        raise Refused("AE", Fault("103", place, "this OID is no INS authority"))
    if not cda.well_formed(ins):
        raise Refused("AE", Fault("102", place, "an INS has 15 characters and a key that holds"))
    return ins


def _root(cx: Field, profile: Profile) -> str:
    """Under which OID a number stands: as this node calls the authority, else as the authority does."""
    name, universal, kind = (cx.component(4, sub) for sub in (1, 2, 3))
    for called in (universal, name):
        if called and called in profile.authorities:
            return profile.authorities[called]
    if not (universal or name):
        raise Refused("AE", Fault("101", "PID-3", "a number has its authority"))
    return universal if kind == "ISO" else "/".join(filter(None, (name, universal)))


def _traits(pid: Segment) -> Traits:
    """PID-5: the birth name is the repetition of type L, its second component the first given name, its third all of
    them; PID-11: the birth place is the address of type BDL, its ninth component the COG code (PAM-FR)."""
    names = [each for each in pid.field(5).repetitions if each.component(7) in ("L", "")]
    if len(names) != 1:
        raise Refused("AE", Fault("101", "PID-5", "one birth name (type L)"))
    places = [each.component(9) for each in pid.field(11).repetitions if each.component(7) == "BDL"]
    try:
        born = day(pid.field(7).value)
    except Malformed:
        raise Refused("AE", Fault("102", "PID-7", "a birth date is YYYYMMDD")) from None
    sex = {"M": "M", "F": "F", "": ""}.get(pid.field(8).value, "UN")
    given = (names[0].component(1), names[0].component(2), names[0].component(3))
    return Traits(*given, born, sex, places[0] if places else "")


def status_of(codes: Set[str], ins: Ins | None) -> InsStatus:
    """Of FR Core table 0445. VALI with an official INS is qualified, without one validated; PROV with one is retrieved,
    without one provisional. A doubtful or fictitious identity is never above provisional."""
    if codes & _PROVISIONAL:
        return InsStatus.RETRIEVED if ins and codes == {"PROV"} else InsStatus.PROVISIONAL
    if codes & _VALIDATED:
        return InsStatus.QUALIFIED if ins else InsStatus.VALIDATED
    return InsStatus.UNSTATED


def _priors(message: Message, profile: Profile, survivor: Patient) -> Iterator[Patient]:
    """MRG-1 of A40: numbers that are the patient's too (ITI-30, merge)."""
    found = False
    for segment in message.each("MRG"):
        _, numbers = _identifiers(segment.field(1), "MRG-1", profile)
        for number in numbers:
            if number in survivor.local_ids:
                raise Refused("AE", Fault("204", "MRG-1", "a patient is not merged into himself"))
            found = True
            yield Patient(None, Traits(), (number,))
    if not found:
        raise Refused("AE", Fault("101", "MRG-1", "whom to merge"))


# --- what he refuses ------------------------------------------------------------------------------------------------


def _consent(message: Message) -> tuple[tuple[tuple[Flag, bool], ...], datetime | None]:
    """ZFA-9 with its date in ZFA-10: feeding; ZFA-11 with ZFA-12: consultation. What was not collected moves
    nothing."""
    segment = message.segment("ZFA")
    if segment is None:
        return (), None
    said = ((Flag.FILING, 9, _FEEDING), (Flag.CONSULTATION, 11, _CONSULTING))
    flags: list[tuple[Flag, bool]] = []
    for flag, number, table in said:
        code = segment.field(number).value
        if code not in table:
            raise Refused("AE", Fault("103", f"ZFA-{number}", "this consent is none that is known"))
        answer = table[code]
        flags += [] if answer is None else [(flag, answer)]
    times = [_when(segment, number) for number in (10, 12)]
    return tuple(flags), max((each for each in times if each), default=None)


def _when(segment: Segment, number: int) -> datetime | None:
    told = segment.field(number).value
    try:
        return moment(told, PARIS) if told else None
    except Malformed:
        raise Refused("AE", Fault("102", f"ZFA-{number}", "no moment")) from None

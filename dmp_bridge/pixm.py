"""What an application says of patients over HTTP: FHIR R4 Patient, in the manner of IHE's Patient Identity Feed FHIR
(PIXm, ITI-104), with the French identity of FR Core (INS, reliability, strict traits).

Promises: a patient is taken whole or refused with a reason and its place, in words of ours that hold no value of it;
numbers of other domains than the application's own are nobody's identity here; what changes a meaning and is not known
(modifierExtension, implicitRules) is refused, as FHIR asks. Does not: write, look anybody up, or read XML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from dmp_bridge import cda
from dmp_bridge.adt import AHEAD_MOST, status_of
from dmp_bridge.enrolment import Notice
from dmp_bridge.model import INS_ROOTS, Flag, Ins, InsStatus, Patient, Traits

EVENT = "ITI-104"
_FR_CORE = "https://hl7.fr/ig/fhir/core/StructureDefinition/"
RELIABILITY = f"{_FR_CORE}fr-core-identity-reliability"
GIVEN_NAMES = f"{_FR_CORE}fr-core-patient-birth-list-given-name"
INSEE_CODE = f"{_FR_CORE}fr-core-address-insee-code"
BIRTH_PLACE = "http://hl7.org/fhir/StructureDefinition/patient-birthPlace"
OPPOSITION = "urn:pli:patient-opposition"
"""What ZFA is on a hospital's bus: `flag` (valueCode), `opposed` (valueBoolean), `at` (valueDateTime)."""

_OID = "urn:oid:"
_SEXES = {"male": "M", "female": "F", "other": "UN", "unknown": "UN"}
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TEXT_MOST = 250
_LIST_MOST = 64
_NAMED_MOST = 512
"""Characters of the number that is asked for."""

Object = dict[str, Any]


@dataclass(frozen=True)
class Unfit:
    """Why a patient is not taken: English words of ours, and where (a path of FHIR)."""

    words: str
    at: str = ""


class Refused(ValueError):
    """Never leaves `read`."""

    def __init__(self, words: str, at: str = "") -> None:
        super().__init__(words)
        self.unfit = Unfit(words, at)


@dataclass(frozen=True)
class Speaker:
    """Which application speaks, and the domain whose source it is: numbers of any other are not its to state."""

    source: str
    domain: str
    """OID, or the URI of what is none."""


# --- JSON -----------------------------------------------------------------------------------------------------------


def document(data: bytes) -> Object | Unfit:
    """One JSON object (RFC 8259), each name once, in UTF-8."""
    try:
        read = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return Unfit("no JSON object, each name once, in UTF-8")
    return read if isinstance(read, dict) else Unfit("no JSON object, each name once, in UTF-8")


def _once(pairs: list[tuple[str, Any]]) -> Object:
    """Of two members of one name, readers take one or the other: neither is taken here."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name twice")
    return made


def _no_number(word: str) -> Any:
    raise ValueError(word)


# --- what is asked --------------------------------------------------------------------------------------------------


def asked(url: str) -> tuple[str, str] | Unfit:
    """(system, value) of `Patient?identifier=system|value`, as of a request and of a batch's entry (FHIR R4
    3.1.0.4.3, conditional update); nothing else may be asked."""
    parts = urlsplit(url) if len(url) <= _NAMED_MOST and url.isprintable() else None
    try:
        told = parse_qsl(parts.query, strict_parsing=True, max_num_fields=2, errors="strict") if parts else []
    except ValueError:
        told = []
    if not parts or parts.path != "Patient" or parts.scheme or parts.netloc or [name for name, _ in told] != _ASKED:
        return Unfit("asked is Patient?identifier=SYSTEM|VALUE", "request.url")
    system, bar, value = told[0][1].partition("|")
    return (system, value.strip()) if bar and system and value.strip() else Unfit("a number has its system", "url")


_ASKED = ["identifier"]


def read(resource: Object, named: tuple[str, str], speaker: Speaker, now: datetime) -> Notice | Unfit:
    """What the application says of the patient with the number `named`: (system, value)."""
    try:
        return _notice(resource, named, speaker, now)
    except Refused as refused:
        return refused.unfit


def _notice(resource: Object, named: tuple[str, str], speaker: Speaker, now: datetime) -> Notice:
    if resource.get("resourceType") != "Patient":
        raise Refused("a Patient is taken here", "resourceType")
    for unknown in ("implicitRules", "modifierExtension"):
        if unknown in resource:
            raise Refused("what changes the meaning is not known here", f"Patient.{unknown}")
    if root_of(named[0]) != speaker.domain:
        raise Refused("this application is not the source of that domain", "Patient.identifier")
    patient = _patient(resource, named, speaker.domain)
    said_at = _said_at(resource, now)
    survivor = _survivor(resource, speaker.domain)
    if survivor:
        if any(_extensions(resource, OPPOSITION)):
            raise Refused("who is replaced opposes nothing: say it of who survives", "Patient.extension")
        return _merge(patient, survivor, speaker, said_at)
    flags, flagged_at = _oppositions(resource, now)
    return Notice(EVENT, patient, speaker.source, said_at, flags=flags, flagged_at=flagged_at)


def root_of(system: str) -> str:
    """Under which a system's numbers stand: its OID, else its URI."""
    return system.removeprefix(_OID)


def _merge(prior: Patient, survivor: str, speaker: Speaker, said_at: datetime) -> Notice:
    """Resolve Duplicate Patient (ITI-104 §3.104.4.2): the surviving one is named by his number alone."""
    if (speaker.domain, survivor) in prior.local_ids:
        raise Refused("a patient is not merged into himself", "Patient.link")
    into = Patient(None, Traits(), ((speaker.domain, survivor),))
    return Notice(EVENT, into, speaker.source, said_at, priors=(prior,), named_only=True)


# --- who ------------------------------------------------------------------------------------------------------------


def _patient(resource: Object, named: tuple[str, str], domain: str) -> Patient:
    ins, numbers = _identifiers(resource, named, domain)
    traits = _traits(resource)
    status = status_of(_reliability(resource), ins)
    if status is InsStatus.QUALIFIED and not traits.complete:
        raise Refused("a qualified identity has its strict traits", "Patient")
    return Patient(ins, traits, numbers, status)


def _identifiers(
    resource: Object, named: tuple[str, str], domain: str
) -> tuple[Ins | None, tuple[tuple[str, str], ...]]:
    """An INS by its OID; a number of the domain by its type PI, or because it is the one that was asked for."""
    matricules: set[Ins] = set()
    numbers: list[tuple[str, str]] = []
    for each in _objects(resource, "identifier", "Patient"):
        system, value = _text(each, "system", "Patient.identifier"), _text(each, "value", "Patient.identifier")
        if _over(each):
            continue
        if root_of(system) in INS_ROOTS or _typed(each, "INS-NIR", "INS-NIA", "INS"):
            matricules.add(_ins(value, root_of(system)))
        elif root_of(system) == domain and value and (_typed(each, "PI") or value == named[1]):
            numbers.append((domain, value))
    if len(matricules) > 1:
        raise Refused("two different INS", "Patient.identifier")
    if (domain, named[1]) not in numbers:
        raise Refused("the number that is asked for is one of the patient's", "Patient.identifier")
    return next(iter(matricules), None), tuple(dict.fromkeys(numbers))


def _over(identifier: Object) -> bool:
    """One of the past: what was borne before stays known from the time when it was said."""
    period = identifier.get("period")
    return identifier.get("use") == "old" or (isinstance(period, dict) and "end" in period)


def _typed(identifier: Object, *codes: str) -> bool:
    kind = identifier.get("type")
    codings = _objects(kind, "coding", "Patient.identifier.type") if isinstance(kind, dict) else ()
    return any(each.get("code") in codes for each in codings)


def _ins(value: str, root: str) -> Ins:
    ins = Ins(value, root)
    if root not in INS_ROOTS:
        raise Refused("this OID is no INS authority", "Patient.identifier.system")
    if not cda.well_formed(ins):
        raise Refused("an INS has 15 characters and a key that holds", "Patient.identifier.value")
    return ins


def _traits(resource: Object) -> Traits:
    """The birth name is the one of use official, or of none (FR Core; ITI-104 leaves the use out)."""
    names = [each for each in _objects(resource, "name", "Patient") if each.get("use", "official") == "official"]
    if len(names) != 1:
        raise Refused("one birth name (use official)", "Patient.name")
    sex = _text(resource, "gender", "Patient")
    if sex and sex not in _SEXES:
        raise Refused("this gender is none of FHIR's", "Patient.gender")
    family, first, every = _name(names[0])
    return Traits(family, first, every, _born(resource), _SEXES.get(sex, ""), _birth_place(resource))


def _name(name: Object) -> tuple[str, str, str]:
    """Birth name, first given name, all of them."""
    given = [_plain(each, "Patient.name.given") for each in _list(name, "given", "Patient.name")]
    every = [_text(each, "valueString", "Patient.name.extension") for each in _extensions(name, GIVEN_NAMES)]
    whole = every[0] if every else " ".join(given) if len(given) > 1 else ""
    return _text(name, "family", "Patient.name"), given[0] if given else "", whole


def _born(resource: Object) -> date | None:
    told = _text(resource, "birthDate", "Patient")
    if not told:
        return None
    try:
        return date.fromisoformat(told if _DAY.fullmatch(told) else "")
    except ValueError:
        raise Refused("a birth date is YYYY-MM-DD", "Patient.birthDate") from None


def _birth_place(resource: Object) -> str:
    """The COG code in the address of birth."""
    for each in _extensions(resource, BIRTH_PLACE):
        for code in _extensions(_object(each, "valueAddress", "Patient.extension"), INSEE_CODE):
            coding = _object(code, "valueCoding", "Patient.extension")
            return _text(coding, "code", "Patient.extension.valueAddress")
    return ""


def _reliability(resource: Object) -> frozenset[str]:
    """Codes of FR Core 0445, which are those of PID-32."""
    parts = (part for each in _extensions(resource, RELIABILITY) for part in _extensions(each, "identityStatus"))
    codings = [_object(part, "valueCoding", "Patient.extension") for part in parts]
    return frozenset(_text(each, "code", "Patient.extension") for each in codings)


def _survivor(resource: Object, domain: str) -> str:
    """The number of whom this patient was found to be; '' where he stays himself."""
    links = [each for each in _objects(resource, "link", "Patient") if each.get("type") == "replaced-by"]
    if len(links) > 1:
        raise Refused("one patient survives", "Patient.link")
    if not links:
        if resource.get("active", True) is not True:
            raise Refused("who is not active is replaced by somebody", "Patient.active")
        return ""
    other = _object(_object(links[0], "other", "Patient.link"), "identifier", "Patient.link.other")
    system, value = (_text(other, name, "Patient.link.other") for name in ("system", "value"))
    if root_of(system) != domain or not value:
        raise Refused("who survives is named by a number of the same domain", "Patient.link.other")
    return value


# --- what he refuses, and when it was said --------------------------------------------------------------------------


def _oppositions(resource: Object, now: datetime) -> tuple[tuple[tuple[Flag, bool], ...], datetime | None]:
    flags: dict[Flag, bool] = {}
    times: list[datetime] = []
    for each in _extensions(resource, OPPOSITION):
        parts = {part.get("url"): part for part in _objects(each, "extension", "Patient.extension")}
        code, opposed = (parts.get(name, {}) for name in ("flag", "opposed"))
        flag, on = code.get("valueCode"), opposed.get("valueBoolean")
        if flag not in set(Flag) or not isinstance(on, bool) or Flag(flag) in flags or set(parts) - _PARTS:
            raise Refused("an opposition has a flag that is known, once, and whether it stands", "Patient.extension")
        flags[Flag(flag)] = on
        times += [_moment(parts["at"], "valueDateTime", "Patient.extension", now)] if "at" in parts else []
    return tuple(flags.items()), max(times, default=None)


_PARTS = {"flag", "opposed", "at"}


def _said_at(resource: Object, now: datetime) -> datetime:
    """meta.lastUpdated tells which of two words of one application is the later; without it, the order of arrival."""
    meta = _object(resource, "meta", "Patient") if "meta" in resource else {}
    return _moment(meta, "lastUpdated", "Patient.meta", now) if "lastUpdated" in meta else now


def _moment(held: Object, name: str, at: str, now: datetime) -> datetime:
    try:
        told = datetime.fromisoformat(_text(held, name, at))
        if told.tzinfo is None or told > now + AHEAD_MOST:
            raise ValueError("no zone, or ahead")
    except (ValueError, OverflowError):
        raise Refused("a moment has its zone, and is not in the future: look at the clocks", f"{at}.{name}") from None
    return told


# --- values ---------------------------------------------------------------------------------------------------------


def _text(held: Object, name: str, at: str) -> str:
    return _plain(held[name], f"{at}.{name}") if name in held else ""


def _plain(value: Any, at: str) -> str:
    """One line of text: no control character, no half of a surrogate."""
    if not isinstance(value, str) or len(value) > _TEXT_MOST or not value.isprintable():
        raise Refused(f"a text of one line, of at most {_TEXT_MOST} characters", at)
    return value.strip()


def _object(held: Object, name: str, at: str) -> Object:
    value = held.get(name)
    if not isinstance(value, dict):
        raise Refused("absent, or no object", f"{at}.{name}")
    return value


def _list(held: Object, name: str, at: str) -> list[Any]:
    value = held.get(name, [])
    if not isinstance(value, list) or len(value) > _LIST_MOST:
        raise Refused(f"a list of at most {_LIST_MOST}", f"{at}.{name}")
    return value


def _objects(held: Object, name: str, at: str) -> list[Object]:
    values = _list(held, name, at)
    if not all(isinstance(each, dict) for each in values):
        raise Refused("a list of objects", f"{at}.{name}")
    return values


def _extensions(held: Object, url: str) -> Iterator[Object]:
    return (each for each in _objects(held, "extension", "Patient") if each.get("url") == url)

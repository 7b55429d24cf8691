"""The door of the hospital's bus: HL7 v2 messages, what ADT says in them, and what is answered.

Promises: a message is split as a naive reader splits it, bytes kept; what is taken of it is whole; every answer can be
read, and names the message that it answers. Does not: know a store.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dmp_bridge import adt, cda, hl7
from dmp_bridge.enrolment import Notice
from dmp_bridge.hl7 import Acknowledged, Malformed, Message
from dmp_bridge.model import InsStatus
from tests.fuzz.promises import holds
from tests.fuzz.world import NOW

PROFILE = adt.Profile({"CHU-X": "2.25.77"}, frozenset("PDT"))
INS = "279035121518989^^^ASIP-SANTE-INS-NIR&1.2.250.1.213.1.4.10&ISO^INS^^20101207"
HEAD = r"MSH|^~\&|GAM|CHU-X|PLI|CHU-X|20240306111154||ADT^{}^ADT_A01|3975|P|2.5^FRA^2.11|||||FRA|{}|FR"
PID = f"PID|1||0003^^^CHU-X&000897406&N^PI~{INS}||PAT-TROIS^DOMINIQUE^DOMINIQUE MARIE^^^^L||19790328|F|||"
PID += "28 Av^^PARIS^^75007^FRA^H~^^^^^^BDL^^63220" + "|" * 21 + "VALI"
_WORDS = re.compile(r"[A-Za-z0-9 ,:()'-]+")


def messages(data: bytes) -> None:
    """dmp_bridge.hl7, dmp_bridge.adt."""
    try:
        found = hl7.read(data)
    except Malformed as malformed:
        holds(re.fullmatch(r"[a-z-]+", malformed.check), "a refusal is a name")
        _answered(hl7.header(data), Acknowledged("AE", hl7.Fault("100", "", malformed.check)))
        return
    _split(found, data)
    answer = adt.read(found, PROFILE, NOW)
    if isinstance(answer, Notice):
        _notice(answer)
        _answered(found, Acknowledged("AA"))
    else:
        holds(answer.code in ("AE", "AR") and answer.fault, "what is not taken is refused, and why")
        holds(answer.fault and _WORDS.fullmatch(answer.fault.words), "in words of ours")
        _answered(found, answer)


def _split(found: Message, data: bytes) -> None:
    """As a naive reader of the same bytes would: by line, then by the fourth byte."""
    holds(found.raw == data, "bytes are kept")
    lines = [each for each in data.decode(found.charset).replace("\n", "\r").split("\r") if each]
    joined = [_joined(each.fields, each.marks.field) for each in found.segments]
    holds(joined == lines, "segments and fields are those of the bytes")
    for segment in found.segments[1:]:
        for number in range(1, len(segment.fields)):
            _values(segment.field(number))


def _joined(fields: tuple[str, ...], mark: str) -> str:
    return mark.join((fields[0], *fields[2:])) if fields[0] == "MSH" else mark.join(fields)


def _values(field: hl7.Field) -> None:
    try:
        value = field.value
        repetitions = field.repetitions
    except Malformed:
        return
    holds(len(value) <= len(field.text), "nothing grows")
    holds(not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", value), "no control character in a value")
    holds(len(repetitions) <= hl7.MAX_REPETITIONS, "repetitions have a budget")


def _notice(notice: Notice) -> None:
    patient = notice.patient
    holds(patient.local_ids and all(root and value for root, value in patient.local_ids), "a patient has a number")
    holds(patient.ins is None or cda.well_formed(patient.ins), "an INS is one")
    qualified = patient.ins_status is InsStatus.QUALIFIED
    holds(not qualified or (patient.ins is not None and patient.traits.complete), "qualified is whole")
    holds(notice.said_at.tzinfo is not None and notice.said_at <= NOW + adt.AHEAD_MOST, "said in the past, in a zone")
    holds(notice.event in adt.EVENTS and (notice.event == adt.MERGE) == bool(notice.priors), "a merge names whom")


def _answered(message: Message | None, answer: Acknowledged) -> None:
    read = hl7.read(hl7.acknowledgement(message, answer, "1", NOW))
    told = read.segment("MSA")
    holds(told is not None and told.field(1).text == answer.code, "an answer says what it says")
    asked = message.header.field(10).text if message else ""
    same = told is not None and told.field(2).text == asked
    holds(same or not asked.isascii() or len(asked) > 250, "an answer names the message")
    holds((read.segment("ERR") is not None) == (answer.fault is not None), "a refusal says why")


def seeds() -> Iterator[bytes]:
    """Each event, each character set, each thing that a message of the bus may say."""
    zfa = "ZFA|ACTIF|20240306111154|||||||INO|20240306111154|IC|20240306111154"
    zfd = "ZFD|||Y|N|INSI|20211201|"
    for event in sorted(adt.EVENTS):
        more = ("MRG|0004^^^CHU-X^PI~0005^^^CHU-X^PI",) if event == adt.MERGE else (zfa, zfd)
        yield "\r".join((HEAD.format(event, "UNICODE UTF-8"), PID, *more, "")).encode()
    for named, charset in (("8859/1", "latin-1"), ("8859/15", "iso8859-15"), ("UNICODE UTF-8", "utf-8")):
        yield "\r".join((HEAD.format("A28", named), PID.replace("DOMINIQUE", "ZOÉ"), "")).encode(charset)
    yield "\r\n".join((HEAD.format("A31", ""), PID.replace("PAT", r"P\T\A\X54\\.br\T"), "")).encode()
    yield "\n".join((HEAD.format("A08", "ASCII"), PID.replace("VALI", "VALI~HOMD"), zfa.replace("INO", "IO"))).encode()
    yield rb"MSH#*!?%#A#B#C#D#20240306##ADT*A01#7#P#2.5" + b"\r"
    yield b"MSH|^~\\&|A|B|C|D|20240306||ORU^R01|9|T|2.3.1\r\r\r"

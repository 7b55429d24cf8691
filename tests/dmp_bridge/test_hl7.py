"""HL7 v2, read strictly: delimiters, character sets, escapes and budgets; and what is answered."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from dmp_bridge import hl7
from dmp_bridge.adt import PARIS

HEAD = r"MSH|^~\&|GAM|CHU-X|PLI|CHU-X|20240306111154||ADT^A01^ADT_A01|3975|P|2.5|||||FRA|UNICODE UTF-8"
PID = "PID|1||7^^^CHU-X&1.2.3&ISO^PI~8^^^X^AN||LE GOFF^ANNE^ANNE MARIE^^^^L~DUPONT^^^^^^D||19790328"


def message(*lines: str, head: str = HEAD, end: str = "\r") -> bytes:
    return end.join((head, *lines, "")).encode()


def refusal(data: bytes) -> str:
    with pytest.raises(hl7.Malformed) as refused:
        hl7.read(data)
    return refused.value.check


def test_positions_count_as_in_the_norm() -> None:
    """MSH-1 is the delimiter; fields, repetitions, components and subcomponents count from 1; the bytes stay."""
    data = message(PID)
    read = hl7.read(data)
    assert (read.raw, read.kind, read.control_id) == (data, ("ADT", "A01"), "3975")
    assert read.header.field(1).text == "|"
    pid = read.segment("PID")
    assert pid is not None
    local, visit = pid.field(3).repetitions
    assert (local.value, local.component(4), local.component(4, 2), local.component(5)) == ("7", "CHU-X", "1.2.3", "PI")
    assert (visit.value, visit.component(4, 2), visit.component(9)) == ("8", "", "")
    assert [each.component(7) for each in pid.field(5).repetitions] == ["L", "D"]
    assert (pid.field(40).text, pid.field(40).repetitions, read.segment("PV1")) == ("", (), None)


def test_other_delimiters_are_those_that_the_header_names() -> None:
    """A message is free to choose its marks; what is '|' elsewhere is text there."""
    read = hl7.read(b"MSH#*!?%#GAM#A|B##########\rPID#1##7*x%y\r")
    assert read.header.field(4).value == "A|B"
    pid = read.segment("PID")
    assert pid is not None
    assert pid.field(3).component(2, 2) == "y"


@pytest.mark.parametrize(
    "start",
    [b"", b"PID|1", b"MSHA^~\\&|", b"MSH|^^\\&|", b"MSH|^~|", b"MSH|^~\\&xyz|", b"MSH|^~\\a|", b"MSH|\xcb\x9c~\\&|"],
)
def test_a_header_that_names_no_delimiters_is_refused(start: bytes) -> None:
    """Missing, doubled, alphanumeric or non-ASCII marks: there is nothing to split by."""
    assert refusal(start + b"GAM\r") in ("no-header", "delimiters")


def test_segments_end_in_cr_and_a_file_may_end_them_in_lf() -> None:
    """CR is the norm's, CRLF a habit, LF a file's; a bare LF between CRs has two readings and is refused."""
    for end in ("\r", "\r\n", "\n"):
        assert [each.name for each in hl7.read(message(PID, end=end)).segments] == ["MSH", "PID"]
    assert refusal(message(PID + "\nPV1|1")) == "line-end"


@pytest.mark.parametrize(
    ("named", "charset"),
    [
        ("UNICODE UTF-8", "utf-8"),
        ("8859/1", "latin-1"),
        ("8859/15", "iso8859-15"),
        ("8859/15~UNICODE UTF-8", "iso8859-15"),
    ],
)
def test_msh_18_says_which_bytes_a_letter_is(named: str, charset: str) -> None:
    """The same name in each set; the first repetition holds for what is not escaped."""
    head = HEAD.replace("UNICODE UTF-8", named)
    data = f"{head}\rPID|1||7||LENÔTRE^ZOÉ\r".encode(charset)
    pid = hl7.read(data).segment("PID")
    assert pid is not None
    assert pid.field(5).component(1) == "LENÔTRE"


@pytest.mark.parametrize(
    ("named", "check"), [("UNICODE UTF-8", "charset"), ("", "charset"), ("EBCDIC", "charset-unknown")]
)
def test_bytes_of_another_set_are_refused(named: str, check: str) -> None:
    """Latin-1 that calls itself UTF-8, or nothing; and a set that nobody knows."""
    head = HEAD.replace("UNICODE UTF-8", named)
    assert refusal(f"{head}\rPID|1||7||LENÔTRE\r".encode("latin-1")) == check


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (r"A\F\B\S\C\T\D\R\E\E\F", r"A|B^C&D~E\F"),
        (r"\H\GRAS\N\ ET", "GRAS ET"),
        (r"LEN\XC394\TRE", "LENÔTRE"),
        (r"un\.br\deux", "un\ndeux"),
        ('""', ""),
    ],
)
def test_escapes_mean_what_the_norm_says(text: str, meant: str) -> None:
    """Delimiters, highlighting, bytes in hexadecimal; the null value is nothing."""
    pid = hl7.read(message(f"PID|1||{text}")).segment("PID")
    assert pid is not None
    assert pid.field(3).value == meant


@pytest.mark.parametrize("text", [r"A\F", r"A\Z9\B", r"\XC3\x", r"\X00\x", r"\C2842\x", r"A\B\C\D"])
def test_an_escape_that_means_nothing_is_refused(text: str) -> None:
    """Open, unknown, half a letter, a control character brought in by hexadecimal, a change of character set."""
    pid = hl7.read(message(f"PID|1||{text}")).segment("PID")
    assert pid is not None
    with pytest.raises(hl7.Malformed):
        _ = pid.field(3).value


@pytest.mark.parametrize(
    ("data", "check"),
    [
        (message("x" * hl7.MAX_BYTES), "size"),
        (message(*["NTE|1"] * hl7.MAX_SEGMENTS), "segments"),
        (message("PID" + "|" * hl7.MAX_FIELDS), "fields"),
        (message("PID|1\0"), "control-character"),
        (message("PID|1\x0b"), "control-character"),
        (message("pid|1"), "segment-name"),
        (message(HEAD), "one-header"),
    ],
)
def test_beyond_its_budgets_nothing_is_read(data: bytes, check: str) -> None:
    """Bytes, segments, fields, control characters, a second header."""
    assert refusal(data) == check


def test_repetitions_and_components_have_budgets_too() -> None:
    """Counted where a field is looked into, before it is taken apart."""
    pid = hl7.read(message("PID|1|" + "~" * hl7.MAX_REPETITIONS + "|" + "^" * hl7.MAX_COMPONENTS)).segment("PID")
    assert pid is not None
    with pytest.raises(hl7.Malformed, match="repetitions"):
        _ = pid.field(2).repetitions
    with pytest.raises(hl7.Malformed, match="components"):
        _ = pid.field(3).value


def test_times_are_whole_or_none() -> None:
    """A day; a year alone or a day 00 is none; a zone counts, else the sender's."""
    assert hl7.day("19790328") == date(1979, 3, 28)
    assert [hl7.day(text) for text in ("", "1979", "197903", "19790300")] == [None] * 4
    for text in ("19790231", "28/03/1979", "1979032x"):
        with pytest.raises(hl7.Malformed):
            hl7.day(text)
    assert hl7.moment("20240306111154", PARIS) == datetime(2024, 3, 6, 10, 11, 54, tzinfo=UTC)
    assert hl7.moment("20240306111154+0400", PARIS) == datetime(
        2024, 3, 6, 11, 11, 54, tzinfo=timezone(timedelta(hours=4))
    )
    with pytest.raises(hl7.Malformed):
        hl7.moment("2024", PARIS)


def test_an_acknowledgement_goes_back_to_who_spoke(now: datetime) -> None:
    """Sender and receiver change over, MSA-2 names the message; a fault has its code and place, in our own words."""
    read = hl7.read(message(PID))
    taken = hl7.read(hl7.acknowledgement(read, hl7.Acknowledged("AA"), "1", now))
    head = [taken.header.field(number).text for number in (3, 4, 5, 6, 9, 11, 12)]
    assert head == ["PLI", "CHU-X", "GAM", "CHU-X", "ACK^A01^ACK", "P", "2.5"]
    assert [each.fields for each in taken.each("MSA")] == [("MSA", "AA", "3975")]
    assert taken.segment("ERR") is None
    fault = hl7.Fault("101", "PID-3", "a patient | has ^ a number é")
    refused = hl7.read(hl7.acknowledgement(read, hl7.Acknowledged("AE", fault), "2", now)).segment("ERR")
    assert refused is not None
    assert (refused.field(2).text, refused.field(3).component(1), refused.field(4).value) == ("PID^3", "101", "E")


def test_what_is_no_message_is_answered_without_a_reference(now: datetime) -> None:
    """Nothing that was sent is repeated but by a header that can be read; what is not ASCII is left out."""
    answer = hl7.acknowledgement(hl7.header(b"\xff\xfe"), hl7.Acknowledged("AE"), "1", now)
    assert answer.endswith(b"MSA|AE|\r")
    broken = HEAD.encode() + b"\rPID|\xff\r"
    assert hl7.acknowledgement(hl7.header(broken), hl7.Acknowledged("AE"), "1", now).endswith(b"MSA|AE|3975\r")
    odd = hl7.read(message(head=HEAD.replace("3975", "n°1")))
    assert hl7.acknowledgement(odd, hl7.Acknowledged("AA"), "1", now).endswith(b"MSA|AA|\r")


@pytest.mark.corpus
def test_every_sample_of_the_corpus_is_read_or_names_its_fault(corpus: Path) -> None:
    """Of the published ER7 samples all are read but five, whose repetition mark is no ASCII character (U+02DC)."""
    files = sorted(path for path in (corpus / "hl7v2").rglob("*") if path.suffix in (".er7", ".hl7"))
    faults: dict[str, list[str]] = {}
    for path in files:
        try:
            assert hl7.read(path.read_bytes()).segments
        except hl7.Malformed as fault:
            faults.setdefault(fault.check, []).append(path.name)
            assert b"MSH|^\xcb\x9c\\&" in path.read_bytes()
    assert len(files) > 40
    assert {check: len(names) for check, names in faults.items()} == {"delimiters": 5}

"""What printed symbols say: strictly read, never qualified, and nothing where a format is broken."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from dmp_bridge import matrices
from dmp_bridge.matrices import MatrixKind
from dmp_bridge.model import Ins, InsStatus

GS = matrices.GS
MESSAGE = f"S1279035121518989S21.2.250.1.213.1.4.10S3DOMINIQUE MARIE-LOUISE{GS}S4PAT-TROIS{GS}S5FS628-03-1979S763220"
INS = matrices.INS_HEADER + MESSAGE
# Published by a reader of these symbols as a made-up test document.
HEALTH = f"DC04FR0000011E581E58B201FRF0DEPOTHPRIM{GS}F1NEG{GS}F201011955F3FF4945006{GS}F5NF6070420211010\x1fMRZICP"


def test_an_ins_datamatrix_is_read() -> None:
    """Matricule, OID and five traits (ANS, format datamatrix INS §5); its status stays unstated."""
    found = matrices.read(INS.encode())
    assert found is not None
    assert found.kind is MatrixKind.INS
    assert found.patient.ins == Ins("279035121518989", "1.2.250.1.213.1.4.10")
    assert found.patient.ins_status is InsStatus.UNSTATED
    traits = found.patient.traits
    assert (traits.birth_name, traits.first_given_name, traits.sex) == ("PAT-TROIS", "DOMINIQUE", "F")
    assert (traits.birth_date, traits.birth_place) == (date(1979, 3, 28), "63220")


def test_fields_come_in_any_order() -> None:
    """The last one needs no separator, wherever it stands."""
    moved = (
        matrices.INS_HEADER + f"S763220S628-03-1979S5FS21.2.250.1.213.1.4.8{GS}S1279035121518989S4PAT-TROIS{GS}S3ANNE"
    )
    found = matrices.read(moved.encode())
    assert found is not None
    assert found.patient.ins == Ins("279035121518989", "1.2.250.1.213.1.4.8")


@pytest.mark.parametrize(
    "broken",
    [
        INS.replace("IS01", "IS02"),
        INS.replace("279035121518989", "279035121518988"),
        INS.replace("1.2.250.1.213.1.4.10", "1.2.250.1.213.1.4.99"),
        INS.replace("S5F", "S5X"),
        INS.replace("28-03-1979", "31-02-1979"),
        INS.replace("S763220", ""),
        INS + "S763220",
        INS.replace("S763220", "S963220"),
        INS.replace("PAT-TROIS", " "),
        INS.replace("PAT-TROIS", "PAT\x1b[2J"),
        INS[:60],
        "(01)03400930000017(17)261231",
        "IS",
        "x" * 5000,
    ],
)
def test_a_broken_one_says_nothing(broken: str) -> None:
    """Another version, a wrong key, an unknown OID, sex or day, a field absent, twice, unknown or cut."""
    assert matrices.read(broken.encode()) is None


def test_a_2d_doc_is_read() -> None:
    """Header of version 4 and the identity fields of perimeter 01; its signature is not believed, nor kept."""
    found = matrices.read(HEALTH.encode())
    assert found is not None
    assert found.header == matrices.Header(4, "FR00", "0001", date(2021, 4, 8), date(2021, 4, 8), "B2", "01", "FR")
    assert found.patient.ins is None
    assert (found.patient.traits.birth_name, found.patient.traits.birth_date) == ("NEG", date(1955, 1, 1))


@pytest.mark.parametrize(
    ("text", "size"), [("DC01FR0000011E58FFFF01", 1), ("DC02FR0000011E58FFFF01", 2), ("DC03FR0000011E58FFFF0101", 3)]
)
def test_older_headers_are_shorter(text: str, size: int) -> None:
    """Versions 1 to 3 have no country, 1 and 2 no perimeter; FFFF is no date."""
    found = matrices.read(text.encode())
    assert found is not None
    assert found.header is not None
    assert (found.header.version, found.header.signed, found.header.country) == (size, None, "FR")


def test_a_field_of_unknown_size_ends_the_reading() -> None:
    """What stands behind it cannot be told apart; what stood before is kept."""
    found = matrices.read(f"DC04FR0000011E581E58B201FRF1NEG{GS}ZZ?F201011955".encode())
    assert found is not None
    assert (found.patient.traits.birth_name, found.patient.traits.birth_date) == ("NEG", None)


@pytest.mark.parametrize("text", ["DC05" + HEALTH[4:], "DC04FR00", HEALTH.replace("1E58", "1E5G"), "DC04" + "é" * 30])
def test_another_header_says_nothing(text: str) -> None:
    """A version to come, a cut one, a date that is none."""
    assert matrices.read(text.encode()) is None


def test_a_binary_header_is_read() -> None:
    """Version 4 in bytes: C40 in pairs, dates as the digits of one number."""
    day = (4_08_2021).to_bytes(3, "big")
    symbol = (
        b"\xdc\x04" + c40_of("FRA") + c40_of("FR0") + c40_of("000") + c40_of("001") + day + b"\xff\xff\xff\xb2\x00\x01"
    )
    found = matrices.read(symbol)
    assert found is not None
    assert found.header == matrices.Header(4, "FR00", "00001", date(2021, 4, 8), None, "B2", "01", "FRA")
    assert matrices.read(symbol[:18]) is None


def c40_of(three: str) -> bytes:
    """Three characters of the basic set in two bytes (ISO/IEC 16022 §5.2.5.2)."""
    values = [4 + int(each) if each.isdigit() else 14 + ord(each) - ord("A") for each in three]
    return (1600 * values[0] + 40 * values[1] + values[2] + 1).to_bytes(2, "big")


def test_c40_shifts() -> None:
    """Shift 2 gives punctuation, shift 3 small letters."""
    assert matrices.c40(c40_of("A1Z")) == "A1Z"
    assert (
        matrices.c40((1600 * 1 + 40 * 15 + 2 + 1).to_bytes(2, "big") + (1600 * 2 + 40 * 3 + 14 + 1).to_bytes(2, "big"))
        == ":b A"
    )


def test_no_identity_in_repr() -> None:
    """What is printed reaches no log line."""
    assert "279035121518989" not in repr(matrices.read(INS.encode()))


@settings(max_examples=150, deadline=None)
@given(some.integers(0, len(INS) - 1), some.binary(min_size=1, max_size=3))
def test_no_altered_byte_makes_a_surprise(at: int, change: bytes) -> None:
    """Whatever a symbol holds, the answer is one of ours or nothing."""
    for text in (INS, HEALTH):
        data = text.encode()
        found = matrices.read(data[:at] + change + data[at + 1 :])
        assert found is None or found.kind in MatrixKind

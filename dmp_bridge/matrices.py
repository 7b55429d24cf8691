"""What the symbols printed on a document say: the INS datamatrix, and a 2D-Doc's header and identity fields.

Promises: strict reading by our own code; an identity read here is never qualified and no signature is believed, so
that it can only be proposed to a person. Does not: read pictures, verify a 2D-Doc's signature, or file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from dmp_bridge import cda
from dmp_bridge.model import INS_ROOTS, Ins, Patient, Traits

GS, RS, US = "\x1d", "\x1e", "\x1f"
INS_HEADER = "IS01" + "0" * 22
"""ANS, format datamatrix INS 2.2 §3: marker, version, 22 characters in reserve."""
MOST = 4096


class MatrixKind(StrEnum):
    INS = "ins-datamatrix"
    TWO_D_DOC = "2d-doc"


@dataclass(frozen=True)
class Header:
    """Of a 2D-Doc (ANTS, spécifications techniques des codes à barres 2D-Doc 3.x §2)."""

    version: int
    authority: str
    certificate: str
    issued: date | None
    """None where the symbol says that there is no date (FFFF)."""
    signed: date | None
    document_type: str
    perimeter: str
    country: str


@dataclass(frozen=True, repr=False)
class Imprint:
    """One symbol. `patient` is what it prints, believed by nobody yet; not in repr()."""

    kind: MatrixKind
    patient: Patient
    header: Header | None = None


class _Unread(ValueError):
    """The symbol is not one of ours, or breaks its format; never leaves this file."""


def read(symbol: bytes) -> Imprint | None:
    """What a symbol says; None for any other Data Matrix (a drug's, a parcel's) and for a broken one."""
    if len(symbol) > MOST:
        return None
    try:
        if symbol[:1] == b"\xdc":
            return Imprint(MatrixKind.TWO_D_DOC, Patient(None, Traits()), _binary_header(symbol))
        text = symbol.decode("utf-8")
        if text.startswith("IS"):
            return _ins(text)
        return _two_d_doc(text) if text.startswith("DC") else None
    except (_Unread, UnicodeDecodeError):
        return None


# --- fields: two characters of name, then a value of fixed size, or one that a separator or its limit ends -------

_INS_FIELDS = {
    "S1": (15, 15), "S2": (19, 20), "S3": (1, 100), "S4": (1, 100), "S5": (1, 1), "S6": (10, 10), "S7": (5, 5),
}  # fmt: skip
"""Name to (least, most) characters; where they are equal no separator stands behind."""
_DOC_FIELDS = {
    "F0": (0, 60), "F1": (0, 38), "F2": (8, 8), "F3": (1, 1), "F4": (3, 7), "F5": (1, 1), "F6": (12, 12),
    "L0": (0, 80), "L1": (0, 80), "L2": (8, 8),
}  # fmt: skip
"""Of perimeter 01: those that say whose a document is, and those that stand between them."""


def _fields(text: str, known: dict[str, tuple[int, int]], *, open_ended: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        name = text[at : at + 2]
        if name not in known:
            # A field whose size we do not know hides where the next begins.
            if open_ended and name:
                return found
            raise _Unread("field-unknown")
        if name in found:
            raise _Unread("field-repeated")
        found[name], at = _value(text, at + 2, *known[name])
    return found


def _value(text: str, at: int, least: int, most: int) -> tuple[str, int]:
    end = min(at + most, len(text))
    if least != most:
        stops = [each for each in (text.find(GS, at, end), text.find(RS, at, end)) if each >= 0]
        end = min(stops, default=end)
    value = text[at:end]
    if len(value) < least or not all(each.isprintable() for each in value):
        raise _Unread("field-size")
    stopped = least != most and text[end : end + 1] in (GS, RS) if end < len(text) else False
    return value, end + stopped


# --- the INS datamatrix ------------------------------------------------------------------------------------------


def _ins(text: str) -> Imprint:
    if not text.startswith(INS_HEADER):
        raise _Unread("header")
    field = _fields(text[len(INS_HEADER) :], _INS_FIELDS, open_ended=False)
    if set(field) != set(_INS_FIELDS):
        raise _Unread("field-absent")
    ins = Ins(field["S1"].strip(), field["S2"].strip())
    if ins.root not in INS_ROOTS or not cda.well_formed(ins) or field["S5"] not in ("M", "F"):
        raise _Unread("ins")
    given = field["S3"].strip()
    traits = Traits(
        birth_name=field["S4"].strip(),
        first_given_name=given.split(" ")[0],
        given_names=given,
        birth_date=_day(field["S6"], r"(\d\d)-(\d\d)-(\d{4})"),
        sex=field["S5"],
        birth_place=field["S7"],
    )
    if not traits.complete:
        raise _Unread("trait-blank")
    return Imprint(MatrixKind.INS, Patient(ins, traits))


def _day(text: str, form: str) -> date:
    match = re.fullmatch(form, text)
    try:
        if match:
            return date(int(match[3]), int(match[2]), int(match[1]))
    except ValueError:
        pass
    raise _Unread("date")


# --- 2D-Doc ------------------------------------------------------------------------------------------------------

_EPOCH = date(2000, 1, 1)
_HEADER_SIZES = {1: 22, 2: 22, 3: 24, 4: 26}


def _two_d_doc(text: str) -> Imprint:
    header, size = _text_header(text)
    message = text[size:].partition(US)[0]
    field = _fields(message, _DOC_FIELDS, open_ended=True) if header.perimeter == "01" else {}
    born = field.get("F2") or field.get("L2")
    # Given names are separated by a slash in perimeter 01.
    given = (field.get("F0") or field.get("L1") or "").replace("/", " ").strip()
    traits = Traits(
        birth_name=(field.get("F1") or field.get("L0") or "").strip(),
        first_given_name=given.split(" ")[0],
        given_names=given,
        birth_date=_day(born, r"(\d\d)(\d\d)(\d{4})") if born else None,
        sex=field.get("F3", "") if field.get("F3") in ("M", "F") else "",
    )
    return Imprint(MatrixKind.TWO_D_DOC, Patient(None, traits), header)


def _text_header(text: str) -> tuple[Header, int]:
    """The header in C40 characters: DC, version, authority, certificate, two dates, type, perimeter, country."""
    if not re.fullmatch(r"DC0[1-4]", text[:4]):
        raise _Unread("version")
    version = int(text[2:4])
    size = _HEADER_SIZES[version]
    if len(text) < size or not re.fullmatch(r"[0-9A-Z]*", text[:size]):
        raise _Unread("header")
    perimeter = text[22:24] if version >= 3 else "01"
    country = text[24:26] if version >= 4 else "FR"
    dates = (_days(text[12:16]), _days(text[16:20]))
    return Header(version, text[4:8], text[8:12], *dates, text[20:22], perimeter, country), size


def _days(text: str) -> date | None:
    """Days since 1 January 2000 in four hexadecimal digits; FFFF: no date."""
    if not re.fullmatch(r"[0-9A-F]{4}", text):
        raise _Unread("date")
    return None if text == "FFFF" else _EPOCH + timedelta(days=int(text, 16))


def _binary_header(symbol: bytes) -> Header:
    """Version 4 in bytes: country, authority and certificate in C40, dates as MMDDYYYY, type, perimeter."""
    if len(symbol) < 19 or symbol[1] != 4:
        raise _Unread("header")
    names = c40(symbol[4:10])
    if len(names) < 5:
        raise _Unread("header")
    dates = (_packed_day(symbol[10:13]), _packed_day(symbol[13:16]))
    perimeter = f"{int.from_bytes(symbol[17:19], 'big'):02}"
    return Header(4, names[:4], names[4:], *dates, f"{symbol[16]:02X}", perimeter, c40(symbol[2:4]))


def _packed_day(three: bytes) -> date | None:
    """Month, day and year as the digits of one number; all ones: no date."""
    number = int.from_bytes(three, "big")
    if number == 0xFFFFFF:
        return None
    try:
        return date(number % 10_000, number // 1_000_000, number // 10_000 % 100)
    except ValueError:
        raise _Unread("date") from None


_SETS = (
    "\0\0\0 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "".join(map(chr, range(32))),
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_",
    "`abcdefghijklmnopqrstuvwxyz{|}~\x7f",
)


def c40(data: bytes) -> str:
    """Text in the C40 encoding (ISO/IEC 16022 §5.2.5): three characters in two bytes, 0 to 2 shift the next one."""
    values: list[int] = []
    for at in range(0, len(data) - 1, 2):
        pair = int.from_bytes(data[at : at + 2], "big") - 1
        values += [pair // 1600, pair // 40 % 40, pair % 40]
    out, shift = "", 0
    for value in values:
        if shift == 0 and value < 3:
            shift = value + 1
            continue
        table = _SETS[shift]
        if not 0 <= value < len(table):
            raise _Unread("c40")
        out, shift = out + table[value], 0
    return out

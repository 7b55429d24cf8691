"""The HL7 and ISO forms in which metadata writes its values (spec/dossier.md §8.3, "Types").

Promises: each function answers whether one value has its form; lengths are bounded. Does not: look anything
up.
"""

from __future__ import annotations

import re
from datetime import datetime

_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+\Z")
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_CX = re.compile(r"[^^&|~]{1,128}\^\^\^&([0-9.]+)&ISO(\^[A-Z0-9]{0,10})?\Z")
_LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*\Z")
_MEDIA = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\Z")
_TIME = re.compile(r"([0-9]{4}([0-9]{2}){0,5})\Z")
_TIME_FORMS = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_SHA1 = re.compile(r"[0-9a-fA-F]{40}\Z")
_PID = re.compile(r"PID-([0-9]{1,2})(\.[0-9]+)?\|")
_PID_REFUSED = {2, 4, 12, 19} | set(range(40, 100))


def is_oid(text: str, limit: int = 64) -> bool:
    return len(text) <= limit and _OID.match(text) is not None


def is_document_id(text: str) -> bool:
    """An OID, or an OID, '^' and an extension: 128 characters at most (IHE ITI TF-3 §4.2.3.2.26)."""
    root, caret, extension = text.partition("^")
    return len(text) <= 128 and is_oid(root) and (not caret or 1 <= len(extension) <= 16)


def is_uuid(text: str) -> bool:
    return _UUID.match(text) is not None


def is_cx(text: str) -> bool:
    """An identifier whose authority is an ISO universal id (IHE ITI TF-3 table 4.2.3.1.7-2)."""
    found = _CX.match(text)
    return found is not None and is_oid(found.group(1))


def is_local_cx(text: str) -> bool:
    """A CX of the source: roots that no standard gives out (3.4.5) are seen there, even in NIST's samples."""
    return _CX.match(text) is not None


def is_xcn(text: str) -> bool:
    """A person needs an identifier or a name; an authority without an identifier says nothing."""
    fields = text.split("^")
    identifier, names, authority = fields[0], fields[1:3], fields[8] if len(fields) > 8 else ""
    return bool((identifier or any(names)) and (identifier or not authority.strip("&ISO")))


def is_xon(text: str) -> bool:
    """An organisation needs a name; its identifier, an authority."""
    fields = text.split("^")
    number, authority = fields[9] if len(fields) > 9 else "", fields[5] if len(fields) > 5 else ""
    return bool(fields[0].strip()) and (not number or is_oid(number) or bool(authority))


def is_time(text: str) -> bool:
    """UTC, from the year to the second (DTM)."""
    if _TIME.match(text) is None or len(text) not in _TIME_FORMS:
        return False
    try:
        datetime.strptime(text, _TIME_FORMS[len(text)])
    except ValueError:
        return False
    return True


def is_language(text: str) -> bool:
    """RFC 5646 §2.1, as far as its shape goes."""
    return len(text) <= 35 and _LANGUAGE.match(text) is not None


def is_media_type(text: str) -> bool:
    """RFC 6838 §4.2"""
    return _MEDIA.match(text) is not None


def is_sha1(text: str) -> bool:
    return _SHA1.match(text) is not None


def is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16


def is_source_patient_info(text: str) -> bool:
    """PID fields that describe a patient; not those that identify him elsewhere (spec/dossier.md §8.3)."""
    found = _PID.match(text)
    return found is not None and int(found.group(1)) not in _PID_REFUSED

"""What the head of a letter says, for people: who wrote to whom, about what, when.

Promises: one line each, without what is not seen; addresses are read strictly, and a patient's, which is his identity,
is not shown (ECO.3.1.1); the prefix by which programs know a letter with documents is not either (ECO.3.1.3). Does not:
say whether it is true.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from directory import address
from directory.model import PATIENT_DOMAIN, Address
from dmp_bridge.prose import readable
from relay.fields import Field, decode_words

PEOPLE_MOST = 100
_IDENTITY = re.compile(rf"<?[^\s<>,@]*@{re.escape(PATIENT_DOMAIN)}>?", re.IGNORECASE)
_PREFIX = re.compile(r"XDM/1\.0/DDM\+\s*", re.IGNORECASE)


@dataclass(frozen=True, repr=False)
class Person:
    """Somebody whom a header names."""

    name: str
    address: str = ""
    """Empty of a patient, and where it cannot be read in one way."""
    patient: bool = False


def line(text: str, most: int = 320) -> str:
    """One line without what is not seen."""
    return " ".join(readable(text).split())[:most]


def subject(written: str) -> str:
    return line(_PREFIX.sub("", decode_words(written), count=1), 1000)


def moment(written: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(written)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None


def people(fields: Iterable[Field], name: str) -> tuple[Person, ...]:
    """Of every field of that name; one that cannot be read in one way is shown as written, without an address."""
    found: list[Person] = []
    for each in (field for field in fields if field.name.lower() == name.lower()):
        try:
            found += [_person(decode_words(shown), one) for shown, one in address.parse_list(each.strict)]
        except address.BadAddress:
            found.append(Person(line(_IDENTITY.sub("", decode_words(each.text)))))
    return tuple(found[:PEOPLE_MOST])


def _person(shown: str, one: Address) -> Person:
    patient = str(one).lower().endswith(f"@{PATIENT_DOMAIN}")
    return Person(line(shown), "" if patient else str(one), patient)

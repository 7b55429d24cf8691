"""The revoked serials of one CRL: found in its bytes, packed, asked in microseconds.

Promises: reads each entry of revokedCertificates once (RFC 5280 §5.1.2.6, §5.3) without making an object of it; keeps
of each its serial and one octet (its reason), sorted, so that 100,000 entries cost some 2 MB; what does not fit
the grammar is a ValueError. Does not: read the rest of the list (crl does), nor judge.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from certs import ber

REASONS = frozenset(range(11)) - {7}
"""RFC 5280 §5.3.1: CRLReason; 7 is not used."""
UNSPECIFIED, KEY_COMPROMISE, CA_COMPROMISE, HOLD, REMOVE = 0, 1, 2, 6, 8
MAX_SERIAL = 64
"""Octets. RFC 5280 §4.1.2.2 asks for 20 at most; some write longer ones."""

_REASON = b"\x06\x03\x55\x1d\x15"
_INVALIDITY_DATE = b"\x06\x03\x55\x1d\x18"
_HOLD_INSTRUCTION = b"\x06\x03\x55\x1d\x17"
_CERTIFICATE_ISSUER = b"\x06\x03\x55\x1d\x1d"
# An entry's extensions that are a reason alone, as nearly all are: these octets, then the reason.
_ONLY_REASON = bytes.fromhex("300c300a0603551d1504030a01")
_TIMES = frozenset({0x17, 0x18})
_TRUE = b"\x01\x01\xff"
_FALSE = b"\x01\x01\x00"


def octets(serial: int) -> bytes:
    """The content of a DER INTEGER: two's complement, as short as can be (X.690 §8.3.2)."""
    bits = serial.bit_length() if serial >= 0 else (-serial - 1).bit_length()
    return serial.to_bytes(bits // 8 + 1, "big", signed=True)


@dataclass(frozen=True)
class Serials:
    """The entries of one issuer. `len` counts them."""

    _by_width: dict[int, bytes]
    """Octets in a serial -> sorted records, each the serial and its reason."""

    def __len__(self) -> int:
        return sum(len(block) // (width + 1) for width, block in self._by_width.items())

    def reason(self, serial: int) -> int | None:
        """The CRLReason under which the list names `serial`; None if it does not name it."""
        wanted = octets(serial)
        width, step = len(wanted), len(wanted) + 1
        block = self._by_width.get(width, b"")
        count = len(block) // step
        at = bisect_left(range(count), wanted, key=lambda place: block[place * step : place * step + width])
        found = at < count and block.startswith(wanted, at * step)
        return block[at * step + width] if found else None

    def __contains__(self, serial: int) -> bool:
        return self.reason(serial) is not None


NONE = Serials({})


@dataclass(frozen=True)
class Entries:
    """All entries of a list: the CRL issuer's own certificates, and those of others (indirect CRLs)."""

    own: Serials
    others: tuple[tuple[int, Serials], ...] = ()
    """Of each certificateIssuer: the place of an entry that names it, and all entries under it (RFC 5280 §5.3.3)."""
    unknown: str = ""
    """An entry extension that is critical and unknown to us: the whole list must not be used (§5.3)."""


def read(revoked: bytes) -> Entries:
    """From the content of revokedCertificates. Raises ValueError on what is not a row of entries."""
    issuer, unknown = b"", ""
    records: dict[bytes, dict[int, list[bytes]]] = {b"": {}}
    places = {b"": 0}
    for place, (serial, extensions) in enumerate(_entries(revoked)):
        reason = UNSPECIFIED
        if extensions.startswith(_ONLY_REASON) and len(extensions) == len(_ONLY_REASON) + 1:
            reason = extensions[-1]
        elif extensions:
            reason, named, strange = _extensions(extensions)
            issuer, unknown = named or issuer, unknown or strange
            places.setdefault(issuer, place)
        if reason not in REASONS:
            raise ValueError("a reason that does not exist")
        records.setdefault(issuer, {}).setdefault(len(serial), []).append(serial + bytes([reason]))
    packed = {name: _packed(widths) for name, widths in records.items()}
    return Entries(packed.pop(b""), tuple((places[name], each) for name, each in packed.items()), unknown)


def _packed(widths: dict[int, list[bytes]]) -> Serials:
    return Serials({width: b"".join(sorted(rows)) for width, rows in widths.items()})


def _entries(revoked: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(serial's octets, the extensions' whole value or empty) of each entry."""
    at, end = 0, len(revoked)
    while at < end:
        # Entries are short: one octet of length each, else the long way
        if end - at < 2 or revoked[at] != 0x30:
            raise ValueError("not an entry")
        if (size := revoked[at + 1]) < 0x80:
            start = at + 2
        else:
            start, size = _long(revoked, at)
        if start + size > end:
            raise ValueError("an entry runs past the end")
        yield _entry(revoked, start, start + size)
        at = start + size


def _entry(revoked: bytes, at: int, end: int) -> tuple[bytes, bytes]:
    """serialNumber, revocationDate, crlEntryExtensions OPTIONAL."""
    if end - at < 5 or revoked[at] != 0x02 or not 0 < revoked[at + 1] <= MAX_SERIAL:
        raise ValueError("an entry without a serial")
    date = at + 2 + revoked[at + 1]
    if end - date < 2 or revoked[date] not in _TIMES or revoked[date + 1] > 0x7F:
        raise ValueError("an entry without a date")
    after = date + 2 + revoked[date + 1]
    if after > end:
        raise ValueError("an entry is cut short")
    return _shortest(revoked[at + 2 : date]), revoked[after:end]


def _shortest(serial: bytes) -> bytes:
    """Without octets that only repeat the sign, which DER forbids and some write."""
    while len(serial) > 1 and (serial[0], serial[1] >> 7) in ((0, 0), (0xFF, 1)):
        serial = serial[1:]
    return serial


def _long(revoked: bytes, at: int) -> tuple[int, int]:
    """(where the content starts, its size) of the value at `at`, whose length has several octets."""
    count = revoked[at + 1] & 0x7F
    if not 0 < count <= 4 or at + 2 + count > len(revoked):
        raise ValueError("a length is cut short or absurd")
    return at + 2 + count, int.from_bytes(revoked[at + 2 : at + 2 + count], "big")


def _extensions(value: bytes) -> tuple[int, bytes, str]:
    """(reason, certificateIssuer's GeneralNames or empty, what is critical and unknown or empty)."""
    reason, issuer, strange = UNSPECIFIED, b"", ""
    if value[0] != 0x30:
        raise ValueError("not extensions")
    for oid, critical, inner in map(_extension, ber.members(ber.content(value))):
        if oid == _REASON:
            reason = _enumerated(inner)
        elif oid == _CERTIFICATE_ISSUER:
            issuer = inner
        elif critical and oid not in (_INVALIDITY_DATE, _HOLD_INSTRUCTION):
            strange = oid.hex()
    return reason, issuer, strange


def _extension(value: bytes) -> tuple[bytes, bool, bytes]:
    parts: list[bytes] = list(ber.members(ber.content(value)))
    critical = _critical(parts[1:-1])
    if value[0] != 0x30 or len(parts) < 2 or parts[0][0] != 0x06 or parts[-1][0] != 0x04:
        raise ValueError("not an extension")
    return parts[0], critical, ber.content(parts[-1])


def _critical(between: Iterable[bytes]) -> bool:
    flags = list(between)
    if len(flags) > 1 or any(flag not in (_TRUE, _FALSE) for flag in flags):
        raise ValueError("not an extension")
    return _TRUE in flags


def _enumerated(value: bytes) -> int:
    if len(value) != 3 or value[:2] != b"\x0a\x01":
        raise ValueError("not a reason")
    return value[2]

"""The serials of a list: found in its bytes, packed, and the same as the library reads one by one."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509

from certs import ber, crl, serials

DATE = b"\x17\x0d251125093000Z"


@pytest.mark.parametrize("serial", [0, 1, 127, 128, 255, 256, -1, -128, -129, 2**64, 2**159 - 1, -(2**159)])
def test_a_serial_is_its_octets(serial: int) -> None:
    """Two's complement, as short as can be, negative ones too, which some authorities wrote; found among others."""
    written = serials.octets(serial)
    assert int.from_bytes(written, "big", signed=True) == serial
    near = [serials.octets(serial + step) for step in (-1, 1)]
    block = b"".join(ber.tlv(0x30, ber.tlv(2, each), DATE) for each in (*near, written))
    assert serial in serials.read(block).own
    assert serial not in serials.read(block[: -len(written) - 19]).own


def test_a_serial_with_needless_octets_is_the_same_serial() -> None:
    """Leading octets that only repeat the sign do not hide an entry."""
    entries = serials.read(ber.tlv(0x30, b"\x02\x03\x00\x00\x07", DATE) + ber.tlv(0x30, b"\x02\x02\xff\xfe", DATE))
    assert 7 in entries.own
    assert -2 in entries.own


@pytest.mark.parametrize(
    "junk",
    [
        b"\x30", b"\x31\x03\x02\x01\x01", b"\x30\x7f", b"\x30\x84\xff\xff\xff\xff", b"\x30\x80",
        ber.tlv(0x30, b"\x02\x00", DATE), ber.tlv(0x30, ber.tlv(2, b"a" * 65), DATE), ber.tlv(0x30, b"\x02\x01\x01"),
        ber.tlv(0x30, b"\x02\x01\x01\x17\x7f"), ber.tlv(0x30, b"\x02\x01\x01", DATE, b"\x05\x00"),
        ber.tlv(0x30, b"\x02\x01\x01", DATE, bytes.fromhex("300c300a0603551d1504030a0107")),
        ber.tlv(0x30, b"\x02\x01\x01", DATE, bytes.fromhex("300c300a0603551d1504030a01ff")),
        ber.tlv(0x30, b"\x02\x01\x01", DATE, b"\x30\x02\x30\x00"), ber.tlv(0x30, b"\x02\x01\x01", DATE, b"\x30"),
    ],
    ids=range(14),
)  # fmt: skip
def test_what_is_no_entry_is_refused(junk: bytes) -> None:
    """Whatever does not fit the grammar of revokedCertificates is a ValueError, never an empty list."""
    with pytest.raises(ValueError, match=r".+"):
        serials.read(junk)


def test_our_scan_reads_what_the_library_reads(office: Any) -> None:
    """Every serial and every reason, long serials and short ones, as cryptography reads them one by one."""
    reasons = [None, *(each for each in x509.ReasonFlags if each is not x509.ReasonFlags.remove_from_crl)]
    written = [
        x509.RevokedCertificateBuilder(1 + 7 ** (at % 50), office.at)
        if reason is None
        else x509.RevokedCertificateBuilder(3 ** (at + 1), office.at).add_extension(x509.CRLReason(reason), False)
        for at, reason in enumerate(reasons * 8)
    ]
    der = office.listing(*(each.build() for each in written))
    mine = crl.read(der).serials
    names = list(x509.ReasonFlags)
    for each in x509.load_der_x509_crl(der):
        stated = crl.extension(each.extensions, x509.CRLReason)
        code = 0 if stated is None else CODES[names[names.index(stated.reason)]]
        assert mine.reason(each.serial_number) == code
    assert len(mine) == len(written)


CODES = {reason: code for code, reason in enumerate([
    x509.ReasonFlags.unspecified, x509.ReasonFlags.key_compromise, x509.ReasonFlags.ca_compromise,
    x509.ReasonFlags.affiliation_changed, x509.ReasonFlags.superseded, x509.ReasonFlags.cessation_of_operation,
    x509.ReasonFlags.certificate_hold, None, x509.ReasonFlags.remove_from_crl, x509.ReasonFlags.privilege_withdrawn,
    x509.ReasonFlags.aa_compromise,
])}  # fmt: skip

"""Dates that cannot be: of the year 0, of month 13, of no zone, in letters, documents, archives and signatures."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime

import pytest

from certs import ber, cms, profiles
from certs.chain import TrustStore
from certs.model import Proof, Untrusted
from certs.throwaway import Pki
from directory import address
from directory.model import Entry, Kind
from dmp_bridge import cda, ebrim, packing, xdm
from dmp_bridge.model import Bad, Code, Document
from relay.message import scan

IMPOSSIBLE = ["00000101", "00000101000000+0100", "20261399000000+0100", "99991231235959-1200", "00010101000000+1400"]


def dated(report_xml: bytes, element: str, value: str) -> bytes:
    return re.sub(rf'(<{element} value=")[^"]*'.encode(), rf"\g<1>{value}".encode(), report_xml, count=1)


@pytest.mark.parametrize("value", IMPOSSIBLE)
def test_a_document_of_no_day_is_refused_by_name(report_xml: bytes, value: str) -> None:
    """An impossible effectiveTime is a named refusal, not a surprise."""
    assert cda.read(dated(report_xml, "effectiveTime", value)) == Bad(
        "dossier.document-refused", "effective-time-not-a-time"
    )


def test_a_document_of_the_year_1_has_whole_metadata(report_xml: bytes, now: datetime) -> None:
    """The twin: the first year that exists is written with four digits, as DTM asks (IHE ITI TF-3 §4.2.3.1.7)."""
    document = cda.read(dated(report_xml, "effectiveTime", "00010102"))
    assert isinstance(document, Document)
    content = Code("07", "1.2.250.1.213.2.2", "Consultation")
    lot = ebrim.Submission("2.25.1", "2.25.2", now, document.authors[0], content)
    assert document.patient.ins is not None
    entry = ebrim.submit_objects([document], lot, document.patient.ins)
    assert "00010102000000" in list(entry.itertext())


@pytest.mark.parametrize("date", ["Sat, 00 Jan 0000 00:00:00 +0000", "Mon, 99 Foo 9999 99:99:99 +9999", "", "\xe9"])
def test_a_letter_of_no_day_is_read(make_mail: Callable[..., bytes], date: str) -> None:
    """We decide nothing by Date: it stays as its sender wrote it."""
    raw = make_mail().replace(b"Wed, 25 Nov 2026 09:30:00 +0000", date.encode("latin-1"))
    assert scan(raw).raw == raw


def test_an_archive_of_no_day_is_read(report: Document, now: datetime) -> None:
    """DOS dates of day 0 and month 15 in a zip hurt nobody: they are not read."""
    sender = Entry(address.parse("a@tilleuls.mssante.fr"), Kind.PER, "Dr A")
    raw = packing.pack(packing.Parcel((report,), sender, (sender.address,), "2.25.2"), now)
    assert isinstance(raw, bytes)
    good = next(part for part in scan(raw).parts if part.type == "application/zip").decode()
    for field in (b"\0\0\0\0", b"\xff\xff\xff\xff"):
        odd = re.sub(rb"(PK\x03\x04.{6})....", lambda m: m[1] + field, good, flags=re.DOTALL)  # noqa: B023
        odd = re.sub(rb"(PK\x01\x02.{8})....", lambda m: m[1] + field, odd, flags=re.DOTALL)  # noqa: B023
        assert odd != good
        assert isinstance(xdm.read(odd), xdm.Archive)


@pytest.mark.parametrize("time", [b"00000101000000Z", b"99999999999999Z", b"20261125093000", b"", b"2026"])
def test_a_signature_of_no_day_is_no_surprise(now: datetime, time: bytes) -> None:
    """A signingTime that cannot be read makes the signature Untrusted; the answer is a Proof."""
    pki = Pki.create(now)
    who = pki.smime("a@lilas.mssante.example", "A", "LILAS", "1", key="p256")
    good = cms.sign(b"x", who.signer(), now)
    stated = re.search(rb"\x17\x0d\d{12}Z", good)
    assert stated is not None
    odd = good.replace(stated[0], ber.tlv(0x18, time[:13].ljust(13, b"0")))
    mine = TrustStore((pki.root.certificate,), (pki.authority.certificate,), None)  # type: ignore[arg-type]
    proof = cms.verify(odd, b"x", mine, profiles.SMIME, now)
    assert isinstance(proof, Proof)
    assert isinstance(proof.trust, Untrusted)

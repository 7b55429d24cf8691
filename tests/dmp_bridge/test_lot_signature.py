"""The signature over a lot: verified by libxmlsec and by the host, and refused by both once anything was changed."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import xmlsec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree
from signxml.verifier import SignatureConfiguration, XMLVerifier

from certs.throwaway import Pki
from certs.xml import parse
from dmp_bridge import ebrim, lot_signature
from dmp_bridge.host import seals
from dmp_bridge.host.names import Refused
from dmp_bridge.lot_signature import DS, Signed, sign_lot
from dmp_bridge.model import Document, FilingReason
from dmp_bridge.norms import LotSignature, norm
from dmp_bridge.standing import Standing
from relay.model import Done, Never

NOW = datetime.now(UTC).replace(microsecond=0)
LOT = "2.25.41"


def sealed(site: Any, report: Document, hashed: LotSignature = LotSignature.SHA256, **told: Any) -> bytes:
    documents = [Signed(report.unique_id, report.raw)]
    return sign_lot(LOT, told.get("documents", documents), hashed, told.get("signer", site.seal), NOW)


def holds(data: bytes, certificate: bytes) -> bool:
    """Whether libxmlsec, which knows nothing of ours, verifies the signature under the certificate's key.

    It opens what a manifest names: here that is empty, since the documents' digests are compared by another test."""
    root = etree.fromstring(data)
    xmlsec.tree.add_ids(root, ["Id"])
    context = xmlsec.SignatureContext()
    public = x509.load_der_x509_certificate(certificate).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    context.key = xmlsec.Key.from_memory(pem, xmlsec.KeyFormat.PEM)
    try:
        context.verify(root)
    except xmlsec.Error:
        return False
    return True


def altered(data: bytes, path: str, text: str) -> bytes:
    root = etree.fromstring(data)
    found = root.find(path, {"ds": DS, "xad": lot_signature.XADES})
    assert found is not None
    found.text = text
    return etree.tostring(root)


@pytest.fixture(autouse=True)
def oids_open() -> Iterator[None]:
    """libxmlsec opens a reference to an OID as an empty document, and nothing else."""
    xmlsec.cleanup_callbacks()
    xmlsec.register_callbacks(lambda uri: uri.startswith(b"urn:oid:"), lambda uri: [b"<x/>"], _fill, lambda _: None)
    yield
    xmlsec.cleanup_callbacks()
    xmlsec.register_default_callbacks()


def _fill(held: list[bytes], room: Any) -> int:
    data = held.pop() if held else b""
    room[: len(data)] = data
    return len(data)


def test_libxmlsec_verifies_it(site: Any, report: Document) -> None:
    """What we sign holds for a library that nobody here wrote."""
    assert holds(sealed(site, report), site.seal.certificate)


@pytest.mark.parametrize("hashed", [LotSignature.SHA1, LotSignature.SHA256])
def test_signxml_verifies_it(site: Any, report: Document, hashed: LotSignature) -> None:
    """Nor does signxml, which opens no manifest, mind by which hash documents are named; our signature is SHA-256."""
    certificate = x509.load_der_x509_certificate(site.seal.certificate)
    asked = SignatureConfiguration(location="./", expect_references=2)
    found = XMLVerifier().verify(sealed(site, report, hashed), x509_cert=certificate, expect_config=asked)
    assert isinstance(found, list)
    tags = [etree.QName(each.signed_xml).localname for each in found if each.signed_xml is not None]
    assert tags == ["Manifest", "SignedProperties"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (".//ds:Manifest/ds:Reference[2]/ds:DigestValue", "AAAA"),
        (".//xad:SigningTime", "2001-01-01T00:00:00Z"),
        ("ds:SignatureValue", base64.b64encode(bytes(256)).decode()),
    ],
)
def test_a_changed_one_does_not_hold(site: Any, report: Document, path: str, text: str) -> None:
    """A changed manifest, property or value is refused by libxmlsec and by the host alike."""
    data = altered(sealed(site, report), path, text)
    assert not holds(data, site.seal.certificate)
    with pytest.raises(Refused):
        seals.check(data, LOT, {report.unique_id: report.raw}, site.trust(), NOW)


def test_an_elliptic_key_signs_too(report: Document) -> None:
    """A seal with an EC key is verified by libxmlsec: r and s side by side."""
    signer = Pki.create(NOW).smime("a@b.test", "a", "o", "1", key="p256").signer()
    documents = [Signed(report.unique_id, report.raw)]
    assert holds(sign_lot(LOT, documents, LotSignature.SHA256, signer, NOW), signer.certificate)


@pytest.mark.parametrize("hashed", [LotSignature.SHA1, LotSignature.SHA256])
def test_its_manifest_names_each_document_by_its_canonical_digest(
    site: Any, report: Document, hashed: LotSignature
) -> None:
    """The digest of a document is that of its canonical form: another serialisation has it, another text has not."""
    root = parse(sealed(site, report, hashed))
    lot, document = root.findall(f".//{{{DS}}}Manifest/{{{DS}}}Reference")
    assert (lot.get("URI"), lot.findtext(f"{{{DS}}}DigestValue")) == (f"urn:oid:{LOT}", "AA==")
    assert document.get("URI") == f"urn:oid:{report.unique_id}"
    canonical = etree.tostring(parse(report.raw).getroottree(), method="c14n", with_comments=True)
    taken = hashlib.sha1 if hashed is LotSignature.SHA1 else hashlib.sha256
    assert base64.b64decode(document.findtext(f"{{{DS}}}DigestValue") or "") == taken(canonical).digest()


def test_the_host_verifies_it(site: Any, report: Document) -> None:
    """The host, written apart, takes it."""
    seals.check(sealed(site, report), LOT, {report.unique_id: report.raw}, site.trust(), NOW)


@pytest.mark.parametrize("case", ["another-lot", "another-document", "one-more", "stranger", "mailbox-less"])
def test_the_host_refuses_what_it_does_not_cover(site: Any, report: Document, case: str) -> None:
    """Another lot, other bytes, a document that was not signed, a signer that nobody knows."""
    lot, documents = LOT, {report.unique_id: report.raw}
    data = sealed(site, report)
    if case == "another-lot":
        lot = "2.25.42"
    elif case == "another-document":
        documents = {report.unique_id: report.raw.replace(b"IRM", b"XXX", 1)}
    elif case == "one-more":
        documents |= {"2.25.9": b"<x/>"}
    elif case == "stranger":
        stranger = Pki.create(NOW, "ELSEWHERE").seal("tilleuls.test", "o", "1").signer()
        data = sealed(site, report, signer=stranger)
    else:
        data = b"<x/>"
    with pytest.raises(Refused):
        seals.check(data, lot, documents, site.trust(), NOW)


# --- on the wire ------------------------------------------------------------------------------------------------


SEALED = replace(norm("regional"), lot_signature=LotSignature.SHA256)


def test_a_host_that_asks_for_seals_takes_a_sealed_lot(
    bridge: Any, dossier_host: Callable[..., str], site: Any, report: Document, lot: ebrim.Submission
) -> None:
    """The seal travels as one more document of the lot, signs it, and is found there under its own rules."""
    url = dossier_host("", 0, "--lot-signatures")
    told = Standing(SEALED, signer=lambda: site.seal, clock=lambda: datetime.now(UTC))
    made = bridge.client(url, standing=told)
    assert report.patient.ins is not None
    assert made.submit([report], lot, report.patient.ins) == Done(lot.unique_id, "filed")
    seal = told.seal([report], lot)
    assert seal is not None
    (held,) = made.find([seal.unique_id])
    assert set(held.confidentiality) == {"N", "MASQUE_PS", "INVISIBLE_PATIENT"}
    assert made.fetch(seal.unique_id) == seal.raw


def test_a_host_that_asks_for_seals_refuses_a_bare_lot(
    bridge: Any, dossier_host: Callable[..., str], report: Document, lot: ebrim.Submission
) -> None:
    """A lot without its signature is refused whole, and nothing of it is kept."""
    made = bridge.client(dossier_host("", 0, "--lot-signatures"))
    assert made.submit([report], lot, report.patient.ins) == Never(FilingReason.HOST_REFUSED, "InvalidDocumentContent")
    assert made.find([report.unique_id]) == ()


def test_without_the_check_a_bare_lot_would_pass(
    bridge: Any, dossier_host: Callable[..., str], report: Document, lot: ebrim.Submission, monkeypatch: Any
) -> None:
    """Switching the host's check off lets the bare lot in: the refusal is that check's."""
    monkeypatch.setattr("dmp_bridge.host.services._check_seal", lambda *_: None)
    made = bridge.client(dossier_host("", 0, "--lot-signatures"))
    assert isinstance(made.submit([report], lot, report.patient.ins), Done)

"""The signature over one lot of documents: XAdES 1.1.1 with a manifest of all its documents (spec/dossier.md §3.5).

Promises: SignedInfo by canonical XML 1.0 with comments and RSA-SHA256 or ECDSA-SHA256, through whoever holds the
seal's key; the manifest names the lot and each document by its OID, with the digest of its canonical form. Does not:
write the entry that describes it (ebrim.py), nor verify: a host does.

The norm's samples sign with rsa-sha1; the keeper releases nothing over SHA-1, so the signature itself never uses it.
The digests in the manifest follow the host's norm: over SHA-1 they find damage, and prove nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from lxml import etree

from certs.keys import Signer
from certs.xml import XmlRefused, parse
from dmp_bridge.norms import LotSignature

DS = "http://www.w3.org/2000/09/xmldsig#"
XADES = "http://uri.etsi.org/01903/v1.1.1#"
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments"
SOURCE = "1.2.840.10065.1.12.1.14"
"""ASTM E1762: the signature's purpose, 'Source'."""
MANIFEST, PROPERTIES = "IHEManifest", "SignedProperties"
DIGESTS = {LotSignature.SHA1: f"{DS}sha1", LotSignature.SHA256: "http://www.w3.org/2001/04/xmlenc#sha256"}
_SHA256 = DIGESTS[LotSignature.SHA256]
_METHODS = {False: "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            True: "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"}  # fmt: skip


@dataclass(frozen=True)
class Signed:
    """One document of the lot: its OID and its exact bytes, of XML or of something else."""

    unique_id: str
    raw: bytes = field(repr=False)
    is_xml: bool = True


def sign_lot(lot_id: str, documents: Sequence[Signed], hashed: LotSignature, signer: Signer, at: datetime) -> bytes:
    """The signature document, UTF-8. Raises what the signer raises, and XmlRefused on a document that is no XML."""
    certificate = x509.load_der_x509_certificate(signer.certificate)
    elliptic = isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    root = etree.Element(f"{{{DS}}}Signature", nsmap={"ds": DS}, Id="LotSignature")
    info = _add(root, "SignedInfo")
    value = _add(root, "SignatureValue")
    shown = _add(_add(root, "KeyInfo"), "X509Data")
    for der in (signer.certificate, *signer.chain):
        _add(shown, "X509Certificate").text = _text(der)
    manifest = _manifest(_add(root, "Object"), lot_id, documents, hashed)
    properties = _properties(_add(root, "Object"), signer.certificate, certificate, at)
    _purpose(_add(root, "Object"))
    _info(info, _METHODS[elliptic], manifest, properties)
    raw = signer.sign_digest(hashlib.sha256(canonical(info)).digest(), "sha256")
    value.text = _text(_bare(raw, certificate) if elliptic else raw)
    return bytes(etree.tostring(root, encoding="UTF-8", xml_declaration=True))


def canonical(element: etree._Element) -> bytes:
    """Canonical XML 1.0 with comments, of one element."""
    return bytes(etree.tostring(element, method="c14n", exclusive=False, with_comments=True, with_tail=False))


def document_digest(document: Signed, hashed: LotSignature) -> bytes:
    """Of the canonical form of XML, of the bytes of anything else (a DICOM object)."""
    data = document.raw
    if document.is_xml:
        data = _canonical_document(document.raw)
    if hashed is LotSignature.SHA1:
        return hashlib.sha1(data, usedforsecurity=False).digest()
    return hashlib.sha256(data).digest()


def _canonical_document(raw: bytes) -> bytes:
    try:
        tree = parse(raw).getroottree()
        return bytes(etree.tostring(tree, method="c14n", exclusive=False, with_comments=True))
    except etree.C14NError as error:  # a name space that is no absolute URI
        raise XmlRefused("the document has no canonical form") from error


# --- the parts -------------------------------------------------------------------------------------------------


def _info(info: etree._Element, method: str, manifest: etree._Element, properties: etree._Element) -> None:
    _add(info, "CanonicalizationMethod", Algorithm=C14N)
    _add(info, "SignatureMethod", Algorithm=method)
    for element, kind in ((manifest, f"{DS}Manifest"), (properties, f"{XADES}SignedProperties")):
        reference = _add(info, "Reference", URI=f"#{element.get('Id')}", Type=kind)
        digest = hashlib.sha256(canonical(element)).digest()
        _digested(reference, _SHA256, digest, canonical_form=True)


def _manifest(parent: etree._Element, lot_id: str, documents: Sequence[Signed], hashed: LotSignature) -> etree._Element:
    manifest = _add(parent, "Manifest", Id=MANIFEST)
    # The lot is named, not digested: the samples put this value in its place.
    lot = _add(manifest, "Reference", URI=f"urn:oid:{lot_id}")
    _add(lot, "DigestMethod", Algorithm=DIGESTS[hashed])
    _add(lot, "DigestValue").text = "AA=="
    for each in documents:
        reference = _add(manifest, "Reference", URI=f"urn:oid:{each.unique_id}")
        _digested(reference, DIGESTS[hashed], document_digest(each, hashed), canonical_form=each.is_xml)
    return manifest


def _digested(reference: etree._Element, method: str, digest: bytes, *, canonical_form: bool) -> None:
    if canonical_form:
        _add(_add(reference, "Transforms"), "Transform", Algorithm=C14N)
    _add(reference, "DigestMethod", Algorithm=method)
    _add(reference, "DigestValue").text = _text(digest)


def _properties(parent: etree._Element, der: bytes, certificate: x509.Certificate, at: datetime) -> etree._Element:
    qualifying = etree.SubElement(parent, f"{{{XADES}}}QualifyingProperties", nsmap={"xad": XADES})
    qualifying.set("Target", "#LotSignature")
    properties = _xades(qualifying, "SignedProperties")
    properties.set("Id", PROPERTIES)
    signature = _xades(properties, "SignedSignatureProperties")
    _xades(signature, "SigningTime").text = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    cert = _xades(_xades(signature, "SigningCertificate"), "Cert")
    digest = _xades(cert, "CertDigest")
    _xades(digest, "DigestMethod").set("Algorithm", _SHA256)
    _xades(digest, "DigestValue").text = _text(hashlib.sha256(der).digest())
    serial = _xades(cert, "IssuerSerial")
    _add(serial, "X509IssuerName").text = certificate.issuer.rfc4514_string()
    _add(serial, "X509SerialNumber").text = str(certificate.serial_number)
    _xades(_xades(signature, "SignaturePolicyIdentifier"), "SignaturePolicyImplied")
    return properties


def _purpose(parent: etree._Element) -> None:
    """In no name space, as the published sample has it: in ds, XML Signature 1.1 §5.2 asks for an element inside."""
    properties = etree.SubElement(parent, "SignatureProperties")
    held = etree.SubElement(properties, "SignatureProperty", Id="purpose", Target="#LotSignature")
    held.text = SOURCE


def _add(parent: etree._Element, name: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{DS}}}{name}", attributes)


def _xades(parent: etree._Element, name: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{XADES}}}{name}")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bare(signature: bytes, certificate: x509.Certificate) -> bytes:
    """XML Signature 1.1 §6.4.3: r and s side by side, each as long as the curve's order."""
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    size = (key.curve.key_size + 7) // 8
    return b"".join(number.to_bytes(size, "big") for number in decode_dss_signature(signature))

"""Verifies the signature over a lot (spec/dossier.md §3.5): written from the norm, apart from the client that signs.

Promises: SignedInfo holds under the key that it shows, whose certificate our anchors vouch for as a seal; it covers
the manifest and the signed properties; the manifest names this lot, and each of its documents once with the digest of
its canonical form. Does not: say that a document is true.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree

from certs.chain import TrustStore
from certs.model import Trusted
from certs.profiles import SEAL
from certs.xml import XmlRefused, parse
from dmp_bridge.host.names import Code, refuse

DS = "{http://www.w3.org/2000/09/xmldsig#}"
_TYPE = "http://www.w3.org/2000/09/xmldsig#Manifest"
_PROPERTIES = "http://uri.etsi.org/01903/v1.1.1#SignedProperties"
_C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315#WithComments"
_HASHES: Mapping[str, Callable[[bytes], bytes]] = {
    "http://www.w3.org/2001/04/xmlenc#sha256": lambda data: hashlib.sha256(data).digest(),
    # The norm's samples digest by SHA-1: it finds damage, it proves nothing.
    "http://www.w3.org/2000/09/xmldsig#sha1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
}
_SIGNED_BY = {
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256": rsa.RSAPublicKey,
    "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256": ec.EllipticCurvePublicKey,
}


def check(data: bytes, lot_id: str, documents: Mapping[str, bytes], trust: TrustStore, at: datetime) -> None:
    """`documents`: each one's bytes, by its uniqueId. Raises Refused, naming what does not hold."""
    try:
        root = parse(data)
    except XmlRefused as refusal:
        raise refuse(Code.INVALID_CONTENT, f"lot signature: {refusal}") from None
    info = root.find(f"{DS}SignedInfo")
    if root.tag != f"{DS}Signature" or info is None or len(list(root.iter(f"{DS}SignedInfo"))) != 1:
        raise refuse(Code.INVALID_CONTENT, "lot signature: not one ds:Signature")
    certificate = _certificate(root, trust, at)
    _check_value(root, info, certificate)
    covered = {str(each.get("Type")): _covered(root, each) for each in info.findall(f"{DS}Reference")}
    if set(covered) != {_TYPE, _PROPERTIES}:
        raise refuse(Code.INVALID_CONTENT, "lot signature: it covers something else than manifest and properties")
    _check_manifest(covered[_TYPE], lot_id, documents)


def _certificate(root: etree._Element, trust: TrustStore, at: datetime) -> x509.Certificate:
    shown = [_bytes(each) for each in root.findall(f"{DS}KeyInfo/{DS}X509Data/{DS}X509Certificate")]
    if not shown or not isinstance(trust.judge(shown[0], tuple(shown[1:]), SEAL, at), Trusted):
        raise refuse(Code.INVALID_CONTENT, "lot signature: not by a seal that is known here")
    return x509.load_der_x509_certificate(shown[0])


def _check_value(root: etree._Element, info: etree._Element, certificate: x509.Certificate) -> None:
    method, form = info.find(f"{DS}SignatureMethod"), info.find(f"{DS}CanonicalizationMethod")
    kind = _SIGNED_BY.get(str(method.get("Algorithm")) if method is not None else "")
    key = certificate.public_key()
    if form is None or form.get("Algorithm") != _C14N or kind is None or not isinstance(key, kind):
        raise refuse(Code.INVALID_CONTENT, "lot signature: an algorithm that is not taken here")
    value = root.find(f"{DS}SignatureValue")
    signature = _bytes(value) if value is not None else b""
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, _canonical(info), padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            half = len(signature) // 2
            pair = (int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))
            key.verify(encode_dss_signature(*pair), _canonical(info), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise refuse(Code.INVALID_CONTENT, "lot signature: it does not hold") from None


def _covered(root: etree._Element, reference: etree._Element) -> etree._Element:
    """The one element that a Reference of SignedInfo names, unchanged since it was signed."""
    name = str(reference.get("URI", ""))[1:]
    found = [each for each in root.iter(etree.Element) if each.get("Id") == name]
    if not name or len(found) != 1:
        raise refuse(Code.INVALID_CONTENT, "lot signature: a reference names no element, or several")
    if not _agrees(reference, _canonical(found[0])):
        raise refuse(Code.INVALID_CONTENT, "lot signature: what it covers was changed")
    return found[0]


def _check_manifest(manifest: etree._Element, lot_id: str, documents: Mapping[str, bytes]) -> None:
    references = manifest.findall(f"{DS}Reference")
    named = [str(each.get("URI", "")).removeprefix("urn:oid:") for each in references]
    if named[:1] != [lot_id] or sorted(named[1:]) != sorted(documents):
        raise refuse(Code.INVALID_CONTENT, "lot signature: the manifest names other documents than the lot")
    for reference, name in zip(references[1:], named[1:], strict=True):
        form = reference.find(f"{DS}Transforms/{DS}Transform")
        data = documents[name]
        if form is not None:
            data = _canonical_document(data)
        if not _agrees(reference, data):
            raise refuse(Code.INVALID_CONTENT, "lot signature: a document is not the one that was signed")


def _agrees(reference: etree._Element, data: bytes) -> bool:
    method, value = reference.find(f"{DS}DigestMethod"), reference.find(f"{DS}DigestValue")
    taken = _HASHES.get(str(method.get("Algorithm"))) if method is not None else None
    return taken is not None and value is not None and taken(data) == _bytes(value)


def _canonical(element: etree._Element) -> bytes:
    return bytes(etree.tostring(element, method="c14n", exclusive=False, with_comments=True, with_tail=False))


def _canonical_document(data: bytes) -> bytes:
    try:
        tree = parse(data).getroottree()
        return bytes(etree.tostring(tree, method="c14n", exclusive=False, with_comments=True))
    except (XmlRefused, etree.C14NError):
        raise refuse(Code.INVALID_CONTENT, "lot signature: a document has no canonical form") from None


def _bytes(element: etree._Element) -> bytes:
    try:
        return base64.b64decode("".join((element.text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise refuse(Code.INVALID_CONTENT, "lot signature: base64 that cannot be read") from None

"""The one XML door: every XML document from outside is read here, and enveloped XML signatures are made and
checked: over a whole document (the white list), or over one SAML assertion, wherever it stands.

Promises: no DTD (so no entity, no external subset), no network, nothing fetched; budgets on bytes, markup and
depth; a refusal is XmlRefused, with a reason that holds no content. From a signed document only the element
that the verifier rebuilt from the signed bytes is handed on. Processing instructions are tolerated and never
followed. Does not: validate against a schema, transform, keep white space from being content, nor look at what an
assertion says (its conditions and audience are its reader's).
"""

from __future__ import annotations

import base64
import binascii
import copy
import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from xml.parsers import expat

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree
from signxml.algorithms import (
    CanonicalizationMethod,
    DigestAlgorithm,
    SignatureConstructionMethod,
    SignatureMethod,
)
from signxml.exceptions import InvalidDigest, SignXMLException
from signxml.signer import XMLSigner
from signxml.verifier import SignatureConfiguration, XMLVerifier

from certs.chain import TrustStore
from certs.keys import Signer, SigningKey
from certs.model import Fault, Identity, Trust, Trusted, Untrusted
from certs.profiles import Profile

MAX_BYTES = 32 * 1024 * 1024
MAX_MARKUP = 500_000
"""'<' and '=' in the bytes:

more elements and attributes than any document of ours, and less than fills the memory.
"""
MAX_DEPTH = 100

_DS = "{http://www.w3.org/2000/09/xmldsig#}"
_EXCLUSIVE = CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0
_ENVELOPED = SignatureConstructionMethod.enveloped
_MAX_CERTIFICATES = 8
_WHOLE_DOCUMENT = frozenset({SignatureMethod.RSA_SHA256})
_ASSERTIONS = frozenset({SignatureMethod.RSA_SHA256, SignatureMethod.ECDSA_SHA256})
_SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"
_IDS = frozenset({"id", "assertionid"})
"""Attributes that some reader takes for an identifier, in any namespace and case."""
_TOO_DEEP = etree.XPath("boolean(" + "/*" * (MAX_DEPTH + 1) + ")")


class XmlRefused(ValueError):
    """The bytes are not XML that we read. The text says why, without content."""


# --- reading -----------------------------------------------------------------------------------------------


def parse(data: bytes, *, max_bytes: int = MAX_BYTES, max_markup: int = MAX_MARKUP) -> etree._Element:
    """The root element of a whole document, in any encoding it declares. Raises XmlRefused."""
    if len(data) > max_bytes:
        raise XmlRefused("the document is too large")
    if _has_more_markup(data, max_markup):
        raise XmlRefused("the document has too much markup")
    _refuse_dtd(data)
    try:
        root = etree.fromstring(data, _parser())
    except (etree.XMLSyntaxError, ValueError) as error:
        raise XmlRefused("the document is not well-formed") from error
    return _sober(root)


def _has_more_markup(data: bytes, most: int) -> bool:
    """Piece by piece, so that what is far beyond is not counted to its end."""
    counted = 0
    for start in range(0, len(data), 1 << 18):
        counted += data.count(b"<", start, start + (1 << 18)) + data.count(b"=", start, start + (1 << 18))
        if counted > most:
            return True
    return False


def _parser() -> etree.XMLParser:
    # huge_tree lifts libxml2's 10 MB limit on one text, which a PDF in base64 reaches; what that limit guards
    # against is refused before and after: DTD, size, markup, depth.
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=True,
        recover=False,
    )


def _sober(root: etree._Element) -> etree._Element:
    if root.getroottree().docinfo.internalDTD is not None or next(root.iter(etree.Entity), None) is not None:
        raise XmlRefused("the document has a DTD or an entity")
    if _TOO_DEEP(root.getroottree()):
        raise XmlRefused("the document is nested too deeply")
    return root


class _PrologRead(Exception):
    """The root element begins: what stands before it holds no DTD."""


def _refuse_dtd(data: bytes) -> None:
    """Reads the prolog with expat, which tells of a DOCTYPE before it has read any declaration in it."""
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _doctype
    parser.StartElementHandler = _root_begins
    try:
        for start in range(0, len(data), 4096):
            parser.Parse(data[start : start + 4096], False)
    except _PrologRead:
        return
    except XmlRefused:
        raise
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise XmlRefused("the document is not well-formed") from error
    raise XmlRefused("the document has no element")


def _doctype(*_: object) -> None:
    raise XmlRefused("the document has a DTD or an entity")


def _root_begins(*_: object) -> None:
    raise _PrologRead


# --- enveloped signatures ----------------------------------------------------------------------------------


def sign_enveloped(root: etree._Element, key: SigningKey, chain: Sequence[bytes]) -> bytes:
    """The document with a Signature as last child of its root (exclusive C14N, RSA-SHA256), in UTF-8.

    `chain`: DER, the signer's own certificate first; only that one is shown, as in the national white list.
    Raises ValueError where it does not belong to `key`, or the key is not RSA.
    """
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("an enveloped signature is made with an RSA key")
    certificate = x509.load_der_x509_certificate(chain[0])
    if _spki(certificate) != key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo):
        raise ValueError("the first certificate is not that of the key")
    signer = XMLSigner(
        method=_ENVELOPED,
        signature_algorithm=SignatureMethod.RSA_SHA256,
        digest_algorithm=DigestAlgorithm.SHA256,
        c14n_algorithm=_EXCLUSIVE,
    )
    signed = signer.sign(root, key=key, cert=[certificate])
    return bytes(etree.tostring(signed, encoding="UTF-8", xml_declaration=True))


def verify_enveloped(
    data: bytes, store: TrustStore, profile: Profile, at: datetime, *, max_bytes: int = MAX_BYTES
) -> tuple[etree._Element | None, Trust]:
    """The signed root without its Signature, and trust in who signed it; None unless Trusted.

    One Signature, as last child of the root, over the whole document; its first certificate is the signer's.
    """
    try:
        root = parse(data, max_bytes=max_bytes)
        signature = _signature(root)
        if root[-1] is not signature:
            raise _Unfit(Fault.BAD_ATTRIBUTES, "the signature is not the last child of the root")
        _refuse_other_shapes(signature, "", _WHOLE_DOCUMENT)
        return _judged(root, signature, _WHOLE_DOCUMENT, store, profile, at)
    except XmlRefused as refusal:
        return None, Untrusted(Fault.UNREADABLE, str(refusal), check="xml")
    except _Unfit as unfit:
        return None, Untrusted(unfit.fault, str(unfit), check="xml-signature-shape")


def _judged(
    root: etree._Element,
    signature: etree._Element,
    methods: frozenset[SignatureMethod],
    store: TrustStore,
    profile: Profile,
    at: datetime,
) -> tuple[etree._Element | None, Trust]:
    certificates = _certificates(signature)
    trust = store.judge(certificates[0], certificates[1:], profile, at)
    if not isinstance(trust, Trusted):
        return None, trust
    return _verified(root, certificates[0], methods, trust, at)


class _Unfit(Exception):
    """The signature is not of the one shape that we accept."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault


def _signature(root: etree._Element) -> etree._Element:
    """The only Signature: a second one is how signatures are wrapped."""
    found = list(root.iter(f"{_DS}Signature"))
    if not found:
        raise _Unfit(Fault.NO_SIGNER, "the document is not signed")
    if len(found) > 1:
        raise _Unfit(Fault.SEVERAL_SIGNERS, "the document holds several signatures")
    return found[0]


def _refuse_other_shapes(signature: etree._Element, uri: str, methods: frozenset[SignatureMethod]) -> None:
    info = signature.find(f"{_DS}SignedInfo")
    references = info.findall(f"{_DS}Reference") if info is not None else []
    if info is None or len(references) != 1 or references[0].get("URI") != uri:
        raise _Unfit(Fault.BAD_ATTRIBUTES, "the signature does not cover the whole of what it stands in")
    transforms = [each.get("Algorithm") for each in references[0].iterfind(f"{_DS}Transforms/{_DS}Transform")]
    method = info.find(f"{_DS}CanonicalizationMethod")
    # No other transform, above all no XPath or XSLT, may choose what is signed.
    if transforms != [_ENVELOPED.value, _EXCLUSIVE.value] or method is None:
        raise _Unfit(Fault.UNSUPPORTED, "the signature uses other transforms")
    if method.get("Algorithm") != _EXCLUSIVE.value:
        raise _Unfit(Fault.UNSUPPORTED, "the signature uses another canonical form")
    _refuse_weak(info, references[0], methods)


def _refuse_weak(info: etree._Element, reference: etree._Element, methods: frozenset[SignatureMethod]) -> None:
    signed = info.find(f"{_DS}SignatureMethod")
    digested = reference.find(f"{_DS}DigestMethod")
    if signed is None or signed.get("Algorithm") not in {each.value for each in methods}:
        raise _Unfit(Fault.WEAK_ALGORITHM, "the signature is not RSA with SHA-256, nor another that counts here")
    if digested is None or digested.get("Algorithm") != DigestAlgorithm.SHA256.value:
        raise _Unfit(Fault.WEAK_ALGORITHM, "the digest is not SHA-256")


def _certificates(signature: etree._Element) -> list[bytes]:
    """DER.

    The national list breaks its base64 lines with character references to CR: white space does not count.
    """
    shown = signature.findall(f"{_DS}KeyInfo/{_DS}X509Data/{_DS}X509Certificate")
    if not 0 < len(shown) <= _MAX_CERTIFICATES:
        raise _Unfit(Fault.NO_CERTIFICATE, "the signature shows no certificate, or too many")
    try:
        return [base64.b64decode("".join((each.text or "").split()), validate=True) for each in shown]
    except (binascii.Error, ValueError) as error:
        raise _Unfit(Fault.UNREADABLE, "a certificate is not base64") from error


def _verified(
    root: etree._Element, leaf: bytes, methods: frozenset[SignatureMethod], trust: Trusted, at: datetime
) -> tuple[etree._Element | None, Trust]:
    configuration = SignatureConfiguration(
        location="./",
        expect_references=1,
        signature_methods=methods,
        digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
        verification_time=at,
    )
    certificate = x509.load_der_x509_certificate(leaf)
    try:
        result = XMLVerifier().verify(root, x509_cert=certificate, expect_config=configuration, parser=_parser())
    except InvalidDigest:
        return None, _no(Fault.DIGEST_MISMATCH, "the document is not the one that was signed", trust.identity)
    except (SignXMLException, etree.LxmlError, UnsupportedAlgorithm, ValueError, TypeError) as error:
        return None, _no(Fault.BAD_SIGNATURE, f"the signature does not hold: {type(error).__name__}", trust.identity)
    # Only what the verifier rebuilt from the signed bytes is used, never the tree that was sent.
    signed = None if isinstance(result, list) else result.signed_xml
    if signed is None or signed.tag != root.tag:
        return None, _no(Fault.BAD_SIGNATURE, "another element was signed", trust.identity)
    return signed, trust


def _no(fault: Fault, detail: str, who: Identity) -> Untrusted:
    return Untrusted(fault, detail, who, "xml-signature")


def _spki(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


# --- SAML assertions ---------------------------------------------------------------------------------------


def sign_assertion(assertion: etree._Element, signer: Signer) -> bytes:
    """The assertion (SAML 2.0, with an ID and an Issuer) signed, UTF-8: Signature right after Issuer (Core §2.3.3).

    Exclusive C14N; SHA-256 with RSA or ECDSA, by the signer's key wherever it lies. Raises ValueError on what is no
    such assertion or already signed, and what the signer raises.
    """
    signed = copy.deepcopy(assertion)
    place = _after_issuer(signed)
    if signed.tag != f"{_SAML}Assertion" or not signed.get("ID") or place is None:
        raise ValueError("no SAML 2.0 assertion with ID and Issuer")
    if next(signed.iter(f"{_DS}Signature"), None) is not None:
        raise ValueError("the assertion is already signed")
    certificate = x509.load_der_x509_certificate(signer.certificate)
    info = _signed_info(signed, certificate)
    value = signer.sign_digest(hashlib.sha256(_canonical(info)).digest(), "sha256")
    signature = etree.Element(f"{_DS}Signature", nsmap={"ds": _DS[1:-1]})
    signature.append(info)
    etree.SubElement(signature, f"{_DS}SignatureValue").text = _base64(_bare(value, certificate))
    data = etree.SubElement(etree.SubElement(signature, f"{_DS}KeyInfo"), f"{_DS}X509Data")
    etree.SubElement(data, f"{_DS}X509Certificate").text = _base64(signer.certificate)
    signed.insert(place, signature)
    return bytes(etree.tostring(signed, encoding="UTF-8", xml_declaration=False, with_tail=False))


def _after_issuer(assertion: etree._Element) -> int | None:
    first = next(assertion.iterchildren(tag=etree.Element), None)
    return assertion.index(first) + 1 if first is not None and first.tag == f"{_SAML}Issuer" else None


def _signed_info(assertion: etree._Element, certificate: x509.Certificate) -> etree._Element:
    elliptic = isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    method = SignatureMethod.ECDSA_SHA256 if elliptic else SignatureMethod.RSA_SHA256
    info = etree.Element(f"{_DS}SignedInfo", nsmap={"ds": _DS[1:-1]})
    etree.SubElement(info, f"{_DS}CanonicalizationMethod", Algorithm=_EXCLUSIVE.value)
    etree.SubElement(info, f"{_DS}SignatureMethod", Algorithm=method.value)
    reference = etree.SubElement(info, f"{_DS}Reference", URI=f"#{assertion.get('ID')}")
    transforms = etree.SubElement(reference, f"{_DS}Transforms")
    for transform in (_ENVELOPED.value, _EXCLUSIVE.value):
        etree.SubElement(transforms, f"{_DS}Transform", Algorithm=transform)
    etree.SubElement(reference, f"{_DS}DigestMethod", Algorithm=DigestAlgorithm.SHA256.value)
    digest = hashlib.sha256(_canonical(assertion)).digest()
    etree.SubElement(reference, f"{_DS}DigestValue").text = _base64(digest)
    return info


def _canonical(element: etree._Element) -> bytes:
    return bytes(etree.tostring(element, method="c14n", exclusive=True, with_comments=False, with_tail=False))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bare(signature: bytes, certificate: x509.Certificate) -> bytes:
    """XML Signature 1.1 §6.4.3: r and s side by side, each as long as the curve's order; RSA stays as it is."""
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return signature
    size = (key.curve.key_size + 7) // 8
    return b"".join(number.to_bytes(size, "big") for number in decode_dss_signature(signature))


def verify_assertion(
    data: bytes, store: TrustStore, profile: Profile, at: datetime, *, max_bytes: int = MAX_BYTES
) -> tuple[etree._Element | None, Trust]:
    """The signed assertion of a document (itself, or in a response or SOAP header), without its Signature, and trust
    in who signed it; None unless Trusted.

    The document has one Assertion and one Signature, which stands in it right after Issuer and refers to its ID; no
    other element has that ID. The assertion is verified alone, cut out of what surrounds it.
    """
    try:
        root = parse(data, max_bytes=max_bytes)
        assertion = _assertion(root)
        signature = _signature(root)
        place = _after_issuer(assertion)
        if place is None or len(assertion) <= place or assertion[place] is not signature:
            raise _Unfit(Fault.BAD_ATTRIBUTES, "the signature does not follow the assertion's issuer")
        _refuse_other_shapes(signature, f"#{assertion.get('ID')}", _ASSERTIONS)
        alone = etree.fromstring(etree.tostring(assertion, with_tail=False), _parser())
        return _judged(alone, signature, _ASSERTIONS, store, profile, at)
    except XmlRefused as refusal:
        return None, Untrusted(Fault.UNREADABLE, str(refusal), check="xml")
    except _Unfit as unfit:
        return None, Untrusted(unfit.fault, str(unfit), check="xml-signature-shape")


def _assertion(root: etree._Element) -> etree._Element:
    """The only assertion, whose ID is its alone: a second one of either is how assertions are wrapped (XSW)."""
    found = list(root.iter(f"{_SAML}Assertion"))
    if len(found) != 1:
        raise _Unfit(Fault.BAD_ATTRIBUTES, "the document holds no assertion, or several")
    identifier = found[0].get("ID")
    if not identifier or list(_identifiers(root)).count(identifier) != 1:
        raise _Unfit(Fault.BAD_ATTRIBUTES, "the assertion has no ID, or shares it")
    return found[0]


def _identifiers(root: etree._Element) -> Iterable[str]:
    for element in root.iter(etree.Element):
        for name, value in element.attrib.items():
            if etree.QName(str(name)).localname.lower() in _IDS:
                yield str(value)

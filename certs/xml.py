"""The one XML door: every XML document from outside is read here, and enveloped XML signatures are made and
checked.

Promises: no DTD (so no entity, no external subset), no network, nothing fetched; budgets on bytes, markup and
depth; a refusal is XmlRefused, with a reason that holds no content. From a signed document only the element
that the verifier rebuilt from the signed bytes is handed on. Processing instructions are tolerated and never
followed. Does not: validate against a schema, transform, or keep white space from being content.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from xml.parsers import expat

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
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
from certs.keys import SigningKey
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
_TOO_DEEP = etree.XPath("boolean(" + "/*" * (MAX_DEPTH + 1) + ")")


class XmlRefused(ValueError):
    """The bytes are not XML that we read. The text says why, without content."""


# --- reading -----------------------------------------------------------------------------------------------


def parse(data: bytes, *, max_bytes: int = MAX_BYTES) -> etree._Element:
    """The root element of a whole document, in any encoding it declares. Raises XmlRefused."""
    if len(data) > max_bytes:
        raise XmlRefused("the document is too large")
    if data.count(b"<") + data.count(b"=") > MAX_MARKUP:
        raise XmlRefused("the document has too much markup")
    _refuse_dtd(data)
    try:
        root = etree.fromstring(data, _parser())
    except (etree.XMLSyntaxError, ValueError) as error:
        raise XmlRefused("the document is not well-formed") from error
    return _sober(root)


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
        certificates = _certificates(signature)
    except XmlRefused as refusal:
        return None, Untrusted(Fault.UNREADABLE, str(refusal))
    except _Unfit as unfit:
        return None, Untrusted(unfit.fault, str(unfit))
    trust = store.judge(certificates[0], certificates[1:], profile, at)
    if not isinstance(trust, Trusted):
        return None, trust
    return _verified(root, certificates[0], trust, at)


class _Unfit(Exception):
    """The signature is not of the one shape that we accept."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault


def _signature(root: etree._Element) -> etree._Element:
    """The only Signature, in its only place:

    a second one, or one elsewhere, is how signatures are wrapped.
    """
    found = list(root.iter(f"{_DS}Signature"))
    if not found:
        raise _Unfit(Fault.NO_SIGNER, "the document is not signed")
    if len(found) > 1:
        raise _Unfit(Fault.SEVERAL_SIGNERS, "the document holds several signatures")
    if root[-1] is not found[0]:
        raise _Unfit(Fault.BAD_ATTRIBUTES, "the signature is not the last child of the root")
    _refuse_other_shapes(found[0])
    return found[0]


def _refuse_other_shapes(signature: etree._Element) -> None:
    info = signature.find(f"{_DS}SignedInfo")
    references = info.findall(f"{_DS}Reference") if info is not None else []
    if info is None or len(references) != 1 or references[0].get("URI") != "":
        raise _Unfit(Fault.BAD_ATTRIBUTES, "the signature does not cover the whole document")
    transforms = [each.get("Algorithm") for each in references[0].iterfind(f"{_DS}Transforms/{_DS}Transform")]
    method = info.find(f"{_DS}CanonicalizationMethod")
    # No other transform, above all no XPath or XSLT, may choose what is signed.
    if transforms != [_ENVELOPED.value, _EXCLUSIVE.value] or method is None:
        raise _Unfit(Fault.UNSUPPORTED, "the signature uses other transforms")
    if method.get("Algorithm") != _EXCLUSIVE.value:
        raise _Unfit(Fault.UNSUPPORTED, "the signature uses another canonical form")
    _refuse_weak(info, references[0])


def _refuse_weak(info: etree._Element, reference: etree._Element) -> None:
    signed = info.find(f"{_DS}SignatureMethod")
    digested = reference.find(f"{_DS}DigestMethod")
    if signed is None or signed.get("Algorithm") != SignatureMethod.RSA_SHA256.value:
        raise _Unfit(Fault.WEAK_ALGORITHM, "the signature is not RSA with SHA-256")
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


def _verified(root: etree._Element, leaf: bytes, trust: Trusted, at: datetime) -> tuple[etree._Element | None, Trust]:
    configuration = SignatureConfiguration(
        location="./",
        expect_references=1,
        signature_methods=frozenset({SignatureMethod.RSA_SHA256}),
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
    return Untrusted(fault, detail, who)


def _spki(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

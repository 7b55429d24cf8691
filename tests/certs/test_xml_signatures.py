"""XML signatures: which are believed, and every way in which one is not."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureConstructionMethod
from signxml.signer import XMLSigner

from certs.chain import TrustStore
from certs.model import CannotTell, Fault, Trust, Trusted, Untrusted
from certs.profiles import WHITE_LIST_SIGNER
from certs.throwaway import Issued, Pki
from certs.xml import (
    parse,
    sign_enveloped,
    verify_enveloped,
)
from tests.certs.test_xml import DS, PLAIN

Check = Callable[[bytes], tuple[etree._Element | None, Trust]]


@pytest.fixture
def check(store: TrustStore, moment: datetime) -> Check:
    return lambda data: verify_enveloped(data, store, WHITE_LIST_SIGNER, moment)


def signed_by(who: Issued, document: bytes = PLAIN) -> bytes:
    return sign_enveloped(parse(document), who.key, (who.der, *who.chain))


def fault(answer: tuple[etree._Element | None, Trust]) -> Fault:
    root, trust = answer
    assert root is None, "what is not trusted is not handed on"
    assert isinstance(trust, Untrusted | CannotTell)
    return trust.fault


def test_a_signed_document_is_believed(check: Check, signer: Issued) -> None:
    """The verified root is handed on, without its Signature, and the signer is named."""
    root, trust = check(signed_by(signer))
    assert isinstance(trust, Trusted)
    assert "alb@test.pli.invalid" in trust.identity.addresses
    assert root is not None
    assert [child.text for child in root] == ["bonjour", "au revoir"]


def test_the_national_shape_of_base64_is_read(check: Check, signer: Issued) -> None:
    """Certificate lines that end with a character reference to CR, as in the national list, are read."""
    certificate = base64.b64encode(signer.der)
    broken = b"&#13;\n".join(certificate[i : i + 76] for i in range(0, len(certificate), 76))
    document = etree.fromstring(signed_by(signer))
    held = document.find(f".//{DS}X509Certificate")
    assert held is not None
    data = etree.tostring(document).replace((held.text or "").encode(), broken)
    assert b"&#13;" in data
    assert isinstance(check(data)[1], Trusted)


def test_an_altered_document_is_refused(check: Check, signer: Issued) -> None:
    """One changed letter is a digest that does not match."""
    assert fault(check(signed_by(signer).replace(b"bonjour", b"bonsoir"))) is Fault.DIGEST_MISMATCH


def test_an_altered_signature_is_refused(check: Check, signer: Issued) -> None:
    """A signature value of other bytes does not hold."""
    document = etree.fromstring(signed_by(signer))
    value = document.find(f".//{DS}SignatureValue")
    assert value is not None
    value.text = base64.b64encode(bytes(256)).decode()
    assert fault(check(etree.tostring(document))) is Fault.BAD_SIGNATURE


def test_an_unsigned_document_is_refused(check: Check) -> None:
    """No signature, no trust."""
    assert fault(check(PLAIN)) is Fault.NO_SIGNER


def test_a_stranger_s_signature_is_refused(check: Check, moment: datetime) -> None:
    """A right signature under another root is an unknown issuer's."""
    stranger = Pki.create(moment, "AUTRE").white_list_signer()
    assert fault(check(signed_by(stranger))) is Fault.UNKNOWN_ISSUER


def test_the_wrong_profile_is_refused(check: Check, pki: Pki) -> None:
    """A TLS server of the same authority signs no document."""
    server = pki.tls_server("mx.test", "PLI", "300000000000000")
    assert fault(check(signed_by(server))) is Fault.WRONG_USAGE


def test_an_expired_signer_is_refused(check: Check, pki: Pki, moment: datetime) -> None:
    """A certificate that ended before the moment of judgement is refused."""
    expired = pki.white_list_signer(not_before=moment - timedelta(days=9), not_after=moment - timedelta(days=1))
    assert fault(check(signed_by(expired))) is Fault.EXPIRED


def test_a_signature_around_another_element_is_refused(check: Check, signer: Issued) -> None:
    """Wrapping: the signed document moved inside another one, its signature with it, speaks for nothing."""
    inner = signed_by(signer).partition(b"?>")[2]
    forged = b'<list xmlns="urn:test"><name>faux</name>' + inner + b"</list>"
    assert fault(check(forged)) is Fault.BAD_ATTRIBUTES


def test_a_signature_with_a_moved_reference_is_refused(check: Check, signer: Issued) -> None:
    """Wrapping: a signature that covers an element by its Id, put under a root that says something else."""
    document = etree.fromstring(b'<list xmlns="urn:test" Id="x"><name>bonjour</name></list>')
    by_id = XMLSigner(
        method=SignatureConstructionMethod.enveloped,
        c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    ).sign(document, key=signer.key, cert=[signer.certificate], reference_uri="#x")
    signature = by_id[-1]
    forged = etree.fromstring(b'<list xmlns="urn:test"><name>faux</name></list>')
    forged.append(by_id)
    forged.append(signature)
    assert fault(check(etree.tostring(forged))) is Fault.BAD_ATTRIBUTES


def test_two_signatures_are_refused(check: Check, signer: Issued) -> None:
    """Which of two signatures counts is nobody's guess."""
    document = etree.fromstring(signed_by(signer))
    document.append(etree.fromstring(etree.tostring(document[-1])))
    assert fault(check(etree.tostring(document))) is Fault.SEVERAL_SIGNERS


def test_a_signature_that_is_not_last_is_refused(check: Check, signer: Issued) -> None:
    """What stands after the signature might be read by some and signed by none."""
    document = etree.fromstring(signed_by(signer))
    etree.SubElement(document, "name").text = "ajouté"
    assert fault(check(etree.tostring(document))) is Fault.BAD_ATTRIBUTES


def test_a_comment_does_not_split_what_is_read(check: Check, signer: Issued) -> None:
    """A comment put into a signed text counts in no signature, and is gone from what is handed on."""
    root, trust = check(signed_by(signer).replace(b"bonjour", b"bon<!-- x -->jour"))
    assert isinstance(trust, Trusted)
    assert root is not None
    assert root[0].text == "bonjour"


def test_another_transform_is_refused(check: Check, signer: Issued) -> None:
    """Only the enveloped signature and exclusive C14N may choose what is signed."""
    document = etree.fromstring(signed_by(signer))
    transforms = document.find(f".//{DS}Transforms")
    assert transforms is not None
    etree.SubElement(transforms, f"{DS}Transform", Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116")
    assert fault(check(etree.tostring(document))) is Fault.UNSUPPORTED


def test_sha_1_is_refused(check: Check, signer: Issued) -> None:
    """A digest by SHA-1 is weak, whatever it matches."""
    data = signed_by(signer).replace(DigestAlgorithm.SHA256.value.encode(), b"http://www.w3.org/2000/09/xmldsig#sha1")
    assert fault(check(data)) is Fault.WEAK_ALGORITHM


def test_a_signature_without_certificate_is_refused(check: Check, signer: Issued) -> None:
    """A key alone names nobody."""
    document = etree.fromstring(signed_by(signer))
    info = document.find(f".//{DS}KeyInfo")
    assert info is not None
    info.clear()
    assert fault(check(etree.tostring(document))) is Fault.NO_CERTIFICATE


def test_signing_with_an_elliptic_key_is_refused(pki: Pki) -> None:
    """The accepted shape is RSA with SHA-256;

    another key makes nothing rather than something that is refused.
    """
    other = pki.smime("a@b.test", "A", "PLI", "300000000000000", key="p256")
    with pytest.raises(ValueError, match="RSA"):
        signed_by(other)


def test_signing_with_another_s_certificate_is_refused(pki: Pki, signer: Issued) -> None:
    """The certificate shown is that of the key, or nothing is signed."""
    with pytest.raises(ValueError, match="key"):
        sign_enveloped(parse(PLAIN), pki.root.key, (signer.der,))

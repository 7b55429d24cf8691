"""Signed SAML assertions: what is handed on is what was signed, however it is wrapped."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import datetime

import pytest
from lxml import etree

from certs.chain import TrustStore
from certs.model import Fault, Trusted, Untrusted
from certs.profiles import SAML_SIGNER
from certs.throwaway import Issued, Pki
from certs.xml import (
    parse,
    sign_assertion,
    verify_assertion,
)
from tests.certs.test_xml import DS, PLAIN
from tests.certs.test_xml_signatures import Check, fault

SAML = "{urn:oasis:names:tc:SAML:2.0:assertion}"
ASSERTION = (
    b'<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_a1" Version="2.0">'
    b"<saml:Issuer>CN=HOPITAL A</saml:Issuer>\n<saml:Subject><saml:NameID>899700000001</saml:NameID></saml:Subject>"
    b"<saml:AttributeStatement><saml:Attribute Name='role'><saml:AttributeValue "
    b"xmlns:xs='http://www.w3.org/2001/XMLSchema' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' "
    b"xsi:type='xs:string'>m\xc3\xa9decin</saml:AttributeValue></saml:Attribute></saml:AttributeStatement>"
    b"</saml:Assertion>"
)


@pytest.fixture(scope="module")
def assertion(signer: Issued) -> etree._Element:
    return parse(sign_assertion(parse(ASSERTION), signer.signer()))


@pytest.fixture
def check_assertion(store: TrustStore, moment: datetime) -> Check:
    return lambda data: verify_assertion(data, store, SAML_SIGNER, moment)


def in_response(*parts: etree._Element) -> etree._Element:
    """A response around assertions, as a service receives it."""
    response = etree.Element("{urn:oasis:names:tc:SAML:2.0:protocol}Response", ID="_r1")
    response.extend(parts)
    return response


def subject(root: etree._Element | None) -> str | None:
    assert root is not None
    return root.findtext(f"{SAML}Subject/{SAML}NameID")


@pytest.mark.parametrize("key", ["rsa", "p256", "p384"])
def test_a_signed_assertion_is_believed(check_assertion: Check, pki: Pki, key: str) -> None:
    """Alone or inside a response, signed with RSA or ECDSA: what is handed on is the assertion without Signature."""
    who = pki.smime("vihf@hopital-a.test", "HOPITAL A", "HOPITAL A", "1750000001", key=key)
    signed = sign_assertion(parse(ASSERTION), who.signer())
    assert [child.tag for child in parse(signed)][:2] == [f"{SAML}Issuer", f"{DS}Signature"]
    for data in (signed, etree.tostring(in_response(parse(signed)))):
        root, trust = check_assertion(data)
        assert isinstance(trust, Trusted)
        assert trust.identity.common_name == "HOPITAL A"
        assert subject(root) == "899700000001"
        assert root is not None
        assert root.find(f".//{DS}Signature") is None


def test_a_signer_without_its_key_at_hand_signs_an_assertion(check_assertion: Check, signer: Issued) -> None:
    """Only a digest goes to the signer and only a signature comes back, as with the keeper."""
    asked: list[int] = []

    class Far:
        certificate, chain = signer.der, signer.chain

        def sign_digest(self, digest: bytes, hash_name: str, pss: bool = False) -> bytes:
            asked.append(len(digest))
            return signer.signer().sign_digest(digest, hash_name)

    signed = sign_assertion(parse(ASSERTION), Far())
    assert asked == [32]
    assert isinstance(check_assertion(signed)[1], Trusted)


def evil(assertion: etree._Element) -> etree._Element:
    """The attacker's own assertion, of another ID, unsigned."""
    forged = copy.deepcopy(assertion)
    forged.remove(forged[1])
    forged.set("ID", "_evil")
    name = forged.find(f"{SAML}Subject/{SAML}NameID")
    assert name is not None
    name.text = "000000000000"
    return forged


def parted(assertion: etree._Element) -> tuple[etree._Element, etree._Element]:
    """The signed assertion without its signature, and that signature."""
    bare = copy.deepcopy(assertion)
    signature = bare[1]
    bare.remove(signature)
    return bare, signature


def xsw1(signed: etree._Element) -> etree._Element:
    forged, (bare, signature) = evil(signed), parted(signed)
    signature.append(in_response(bare))
    return in_response(forged, signature)


def xsw2(signed: etree._Element) -> etree._Element:
    forged, (bare, signature) = evil(signed), parted(signed)
    return in_response(in_response(bare), signature, forged)


def xsw3(signed: etree._Element) -> etree._Element:
    return in_response(evil(signed), copy.deepcopy(signed))


def xsw4(signed: etree._Element) -> etree._Element:
    forged = evil(signed)
    forged.append(copy.deepcopy(signed))
    return in_response(forged)


def xsw5(signed: etree._Element) -> etree._Element:
    forged, (bare, signature) = evil(signed), parted(signed)
    forged.insert(1, signature)
    return in_response(forged, bare)


def xsw6(signed: etree._Element) -> etree._Element:
    forged, (bare, signature) = evil(signed), parted(signed)
    signature.append(bare)
    forged.insert(1, signature)
    return in_response(forged)


def xsw7(signed: etree._Element) -> etree._Element:
    extensions = etree.Element("{urn:oasis:names:tc:SAML:2.0:protocol}Extensions")
    extensions.append(evil(signed))
    return in_response(extensions, copy.deepcopy(signed))


def xsw8(signed: etree._Element) -> etree._Element:
    forged, (bare, signature) = evil(signed), parted(signed)
    etree.SubElement(signature, f"{DS}Object").append(bare)
    forged.insert(1, signature)
    return in_response(forged)


def same_id(signed: etree._Element) -> etree._Element:
    """Another element that claims the assertion's ID, in a form that other readers look for."""
    other = etree.Element("other", {"{urn:test}Id": "_a1"})
    return in_response(other, copy.deepcopy(signed))


def hidden_signature(signed: etree._Element) -> etree._Element:
    """The one assertion is the attacker's; what was signed is no assertion any more, but keeps its ID."""
    forged, (bare, signature) = evil(signed), parted(signed)
    bare.tag = f"{SAML}Advice"
    forged.insert(1, signature)
    forged.append(bare)
    return in_response(forged)


def moved_signature(signed: etree._Element) -> etree._Element:
    """The signature, right but at the end of the assertion, where no reader of SAML looks for it."""
    moved = copy.deepcopy(signed)
    moved.append(moved[1])
    return in_response(moved)


WRAPPED = (xsw1, xsw2, xsw3, xsw4, xsw5, xsw6, xsw7, xsw8, same_id, hidden_signature, moved_signature)


@pytest.mark.parametrize("wrap", WRAPPED, ids=lambda wrap: wrap.__name__)
def test_a_wrapped_assertion_is_refused(
    check_assertion: Check, assertion: etree._Element, wrap: Callable[[etree._Element], etree._Element]
) -> None:
    """The known wrappings of a signed assertion (XSW 1 to 8) and three more: none is believed or handed on."""
    root, trust = check_assertion(etree.tostring(wrap(assertion)))
    assert root is None
    assert isinstance(trust, Untrusted)
    assert trust.check == "xml-signature-shape"
    assert isinstance(check_assertion(etree.tostring(in_response(copy.deepcopy(assertion))))[1], Trusted)


@pytest.mark.parametrize(
    ("check", "missed"),
    [
        ("_assertion", {"xsw3", "xsw4", "xsw7", "same_id"}),
        ("_after_issuer", {"moved_signature"}),
    ],
)
def test_what_the_shape_does_not_refuse_is_still_not_the_attacker_s(
    check_assertion: Check,
    assertion: etree._Element,
    monkeypatch: pytest.MonkeyPatch,
    check: str,
    missed: set[str],
) -> None:
    """With one rule of shape switched off exactly its wrappings pass, and what is handed on is what was signed."""

    def first_signed(root: etree._Element) -> etree._Element:
        return next(each for each in root.iter(f"{SAML}Assertion") if each.find(f"{DS}Signature") is not None)

    def where_it_is(found: etree._Element) -> int:
        signature = found.find(f"{DS}Signature")
        return found.index(signature) if signature is not None else 0

    monkeypatch.setattr("certs.xml." + check, first_signed if check == "_assertion" else where_it_is)
    passed: set[str] = set()
    for wrap in (wrap for wrap in WRAPPED if wrap not in (xsw1, xsw2)):
        root, trust = check_assertion(etree.tostring(wrap(assertion)))
        if isinstance(trust, Trusted):
            passed.add(wrap.__name__)
            assert subject(root) == "899700000001"
    assert passed == missed


def test_an_altered_assertion_is_refused(check_assertion: Check, assertion: etree._Element) -> None:
    """A changed digit or ID is a signature that does not hold; a comment changes nothing that is read."""
    data = etree.tostring(assertion)
    assert fault(check_assertion(data.replace(b"899700000001", b"899700000002"))) is Fault.DIGEST_MISMATCH
    assert fault(check_assertion(data.replace(b"_a1", b"_a2"))) is Fault.BAD_SIGNATURE
    root, trust = check_assertion(data.replace(b"899700000001", b"8997<!-- x -->00000001"))
    assert isinstance(trust, Trusted)
    assert subject(root) == "899700000001"


def test_a_stranger_s_assertion_is_refused(check_assertion: Check, moment: datetime) -> None:
    """A right signature under another root, or none at all, is not believed."""
    stranger = Pki.create(moment, "AUTRE").white_list_signer()
    assert fault(check_assertion(sign_assertion(parse(ASSERTION), stranger.signer()))) is Fault.UNKNOWN_ISSUER
    assert fault(check_assertion(ASSERTION)) is Fault.NO_SIGNER
    assert fault(check_assertion(PLAIN)) is Fault.BAD_ATTRIBUTES


def test_what_is_no_assertion_is_not_signed(signer: Issued, assertion: etree._Element) -> None:
    """Without ID or Issuer, or signed already, nothing is signed; a whole assertion is."""
    without = (b' ID="_a1"', b"<saml:Issuer>CN=HOPITAL A</saml:Issuer>")
    for piece in without:
        with pytest.raises(ValueError, match="ID and Issuer"):
            sign_assertion(parse(ASSERTION.replace(piece, b"")), signer.signer())
    with pytest.raises(ValueError, match="ID and Issuer"):
        sign_assertion(parse(PLAIN), signer.signer())
    with pytest.raises(ValueError, match="already"):
        sign_assertion(assertion, signer.signer())
    assert sign_assertion(parse(ASSERTION), signer.signer())

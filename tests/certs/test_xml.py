"""The one XML door: what it refuses, within which budgets, and which signatures it believes."""

from __future__ import annotations

import base64
import copy
import resource
import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureConstructionMethod
from signxml.signer import XMLSigner

from certs.chain import TrustStore
from certs.model import CannotTell, Fault, Trust, Trusted, Untrusted
from certs.profiles import SAML_SIGNER, WHITE_LIST_SIGNER
from certs.throwaway import Issued, Pki
from certs.xml import (
    MAX_DEPTH,
    MAX_MARKUP,
    XmlRefused,
    parse,
    sign_assertion,
    sign_enveloped,
    verify_assertion,
    verify_enveloped,
)

DS = "{http://www.w3.org/2000/09/xmldsig#}"
PLAIN = b'<list xmlns="urn:test"><name>bonjour</name><name>au revoir</name></list>'


# --- reading -----------------------------------------------------------------------------------------------


def test_a_plain_document_is_read() -> None:
    """A document without any trick is read, in the encoding that it declares."""
    latin = "<?xml version='1.0' encoding='ISO-8859-1'?><a>éé</a>".encode("latin-1")
    assert parse(PLAIN).tag == "{urn:test}list"
    assert parse(latin).text == "éé"
    assert parse("<a>é</a>".encode("utf-16")).text == "é"


LAUGHS = (
    b'<!DOCTYPE a [<!ENTITY l0 "lol">'
    + b"".join(b'<!ENTITY l%d "%s">' % (i, b"&l%d;" % (i - 1) * 10) for i in range(1, 10))
    + b"]><a>&l9;</a>"
)
QUADRATIC = b'<!DOCTYPE a [<!ENTITY x "' + b"x" * 50_000 + b'">]><a>' + b"&x;" * 50_000 + b"</a>"
DTDS = {
    "billion-laughs": LAUGHS,
    "billion-laughs-in-an-attribute": LAUGHS.replace(b"<a>&l9;</a>", b"<a b='&l9;'/>"),
    "quadratic": QUADRATIC,
    "bare-doctype": b"<!DOCTYPE a><a/>",
    "external-subset": b'<!DOCTYPE a SYSTEM "file:///etc/hostname"><a/>',
    "parameter-entity": b'<!DOCTYPE a [<!ENTITY % p SYSTEM "file:///etc/hostname">%p;]><a/>',
    "utf-16": "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>".encode("utf-16"),
    "after-a-long-comment": b"<!--" + b"-x" * 10_000 + b"--><!DOCTYPE a><a/>",
    "undeclared-entity": b"<a>&unknown;</a>",
}


@pytest.mark.parametrize("name", DTDS)
def test_a_dtd_or_an_entity_is_refused(name: str) -> None:
    """No DTD is read, hence no entity: laughs and quadratic growth are refused before anything grows."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(XmlRefused):
        parse(DTDS[name])
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 * 1024, "more than 64 MiB were used for a refusal"


def test_the_refusal_of_a_dtd_is_named() -> None:
    """The reason says that it was the DTD, and repeats nothing of the document."""
    with pytest.raises(XmlRefused, match="DTD") as refused:
        parse(DTDS["billion-laughs"])
    assert "lol" not in str(refused.value)


def test_an_external_entity_reads_no_file(tmp_path: Path) -> None:
    """XXE: an entity that names a file is refused, and its text appears nowhere."""
    secret = tmp_path / "secret"
    secret.write_text("le-secret")
    with pytest.raises(XmlRefused) as refused:
        parse(f'<!DOCTYPE a [<!ENTITY x SYSTEM "{secret.as_uri()}">]><a>&x;</a>'.encode())
    assert "le-secret" not in str(refused.value)


@pytest.fixture
def listener() -> socket.socket:
    """A listening socket, to see whether anybody calls."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0)
    return server


def test_nothing_is_fetched(listener: socket.socket) -> None:
    """A stylesheet instruction, a schema location and an XInclude that point outside are read and never
    followed.
    """
    where = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
    document = (
        f'<?xml-stylesheet type="text/xsl" href="{where}"?>'
        f'<a xmlns:xi="http://www.w3.org/2001/XInclude" xmlns:s="http://www.w3.org/2001/XMLSchema-instance" '
        f's:noNamespaceSchemaLocation="{where}"><xi:include href="{where}"/></a>'
    )
    with listener:
        root = parse(document.encode())
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert root.getprevious() is not None, "the instruction is kept, not followed"
    assert len(root) == 1


def test_an_external_dtd_is_not_fetched(listener: socket.socket) -> None:
    """A document type that points outside is refused without a call."""
    where = f"http://127.0.0.1:{listener.getsockname()[1]}/x.dtd"
    with listener:
        with pytest.raises(XmlRefused):
            parse(f'<!DOCTYPE a SYSTEM "{where}"><a/>'.encode())
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("over", [0, 1])
def test_depth_has_a_budget(over: int) -> None:
    """The deepest allowed nesting is read; one more is refused, and so is very much more."""
    depth = MAX_DEPTH + over
    document = b"<a>" * depth + b"</a>" * depth
    if not over:
        assert parse(document).tag == "a"
        return
    with pytest.raises(XmlRefused, match="deep"):
        parse(document)
    with pytest.raises(XmlRefused):
        parse(b"<a>" * 100_000 + b"</a>" * 100_000)


def test_size_has_a_budget() -> None:
    """As many bytes as allowed are read; one more is refused before it is parsed."""
    assert parse(PLAIN, max_bytes=len(PLAIN)).tag == "{urn:test}list"
    with pytest.raises(XmlRefused, match="large"):
        parse(PLAIN, max_bytes=len(PLAIN) - 1)


def test_markup_has_a_budget() -> None:
    """Elements and attributes are counted before a tree of them is built."""
    assert len(parse(b"<a>" + b"<b/>" * 1000 + b"</a>")) == 1000
    with pytest.raises(XmlRefused, match="markup"):
        parse(b"<a>" + b"<b/>" * MAX_MARKUP + b"</a>")
    with pytest.raises(XmlRefused, match="markup"):
        parse(b"<a " + b" ".join(b'b%d=""' % i for i in range(MAX_MARKUP)) + b"/>")


def test_a_long_text_is_no_attack() -> None:
    """A text beyond libxml2's usual 10 MB, such as a PDF in base64, is read."""
    assert len(parse(b"<a>" + b"x" * 12_000_000 + b"</a>").text or "") == 12_000_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"   ",
        b"<a>",
        b"<a></b>",
        b"<a/><b/>",
        b"text",
        b"<a>\xff</a>",
        b"\x00\x01",
        b"<?xml encoding='x'?><a/>",
    ],
)
def test_what_is_not_xml_is_refused(data: bytes) -> None:
    """Bytes that are no well-formed document are a refusal, never another exception."""
    with pytest.raises(XmlRefused):
        parse(data)


@pytest.mark.corpus
def test_every_published_cda_sample_is_read(corpus: Path) -> None:
    """All published CDA samples pass the door: budgets refuse attacks, not documents."""
    samples = sorted((corpus / "cda" / "ExemplesCDA").rglob("*.xml"))
    assert len(samples) > 50
    for sample in samples:
        parse(sample.read_bytes())


# --- signatures --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def moment() -> datetime:
    return datetime.fromisoformat("2026-11-25T09:30:00+00:00")


@pytest.fixture(scope="module")
def pki(moment: datetime) -> Pki:
    return Pki.create(moment)


@pytest.fixture(scope="module")
def signer(pki: Pki) -> Issued:
    return pki.white_list_signer()


@pytest.fixture(scope="module")
def store(pki: Pki, moment: datetime, tmp_path_factory: pytest.TempPathFactory) -> TrustStore:
    folder = tmp_path_factory.mktemp("trust")
    pki.write_trust(folder, moment)
    return TrustStore.load(folder)


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


# --- SAML assertions ---------------------------------------------------------------------------------------

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

"""Whose word a signature is: ours and that of others, altered, beside something unsigned, of the wrong shape."""

from __future__ import annotations

import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.chain import TrustStore
from certs.throwaway import SIGNS_FOR_GOOD, Issued, Pki, Shape
from relay import smime
from relay.message import Message, scan
from relay.model import SignatureState, Signer
from tests.relay.test_smime import DOMAIN, FROM, Mail


@pytest.fixture(scope="module")
def seal(pki: Pki) -> Issued:
    return pki.seal(DOMAIN, "IMAGERIE DES LILAS", "1750000001")


def own(pki: Pki, name: str, organisation: str, unit: str) -> Issued:
    """A certificate for signing mail that names no address."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "FR"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            *([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit)] if unit else []),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    return pki.issue(subject, Shape(usage=SIGNS_FOR_GOOD, eku=(ExtendedKeyUsageOID.EMAIL_PROTECTION,)))


def judged(letter: bytes, trust: TrustStore, at: datetime) -> tuple[SignatureState, Signer | None, str]:
    verdict = smime.judge(scan(letter), trust, at)
    return verdict.signature, verdict.signer, verdict.fault


def test_whose_word_a_valid_signature_is(
    pki: Pki, mailbox: Issued, seal: Issued, trust: TrustStore, today: datetime, make_mail: Mail
) -> None:
    """The mailbox's, its establishment's, or the author's own, which names no address: three verdicts, three
    names."""
    raw = make_mail()
    other = own(pki, "Paul DURAND", "CLINIQUE DU PARC", "")
    answers = [
        smime.judge(scan(smime.sign(raw, each.signer(), today)), trust, today) for each in (mailbox, seal, other)
    ]
    assert [each.signer for each in answers] == [Signer.MAILBOX, Signer.ESTABLISHMENT, Signer.AUTHOR]
    assert [each.signer_name for each in answers] == ["Marie MARTIN", "IMAGERIE DES LILAS", "Paul DURAND"]
    assert all(each.signature is SignatureState.VALID for each in answers)


def test_an_organisation_without_a_mail_address_seals_and_never_signs(
    pki: Pki, trust: TrustStore, today: datetime, make_mail: Mail
) -> None:
    """IGC-Santé's ORG SIGN has no rfc822Name: its OU is a national identifier; a name for the domain is told apart."""
    raw = make_mail()
    for name, told in ((DOMAIN, ()), ("logiciel", ("seal.names-no-domain",))):
        issued = own(pki, name, "IMAGERIE DES LILAS", "1750000001")
        verdict = smime.judge(scan(smime.sign(raw, issued.signer(), today)), trust, today)
        assert (verdict.signature, verdict.signer) == (SignatureState.VALID, Signer.ESTABLISHMENT)
        assert (verdict.signer_name, verdict.findings) == ("IMAGERIE DES LILAS", told)


@pytest.mark.parametrize(
    "written",
    [
        " marie.martin@lilas.mssante.example",
        "marie.martin@lilas.mssante.example ",
        "Marie.Martin@lilas.mssante.example",
        "marie.martin@sub.lilas.mssante.example",
        "domain-signing-authority@sub.lilas.mssante.example",
        "xdomain-signing-authority@lilas.mssante.example",
        '"marie.martin"@lilas.mssante.example',
    ],
)
def test_an_address_that_is_not_exactly_the_authors_is_never_valid(
    pki: Pki, trust: TrustStore, today: datetime, make_mail: Mail, written: str
) -> None:
    """RFC 8550 §3, CVE-2026-2748: addresses are compared whole, after a strict parse; the holder is named."""
    odd = pki.smime(written, "Quelqu'un", "AILLEURS", "1750000009")
    state, signer, fault = judged(smime.sign(make_mail(), odd.signer(), today), trust, today)
    assert state is not SignatureState.VALID
    assert (signer in (None, Signer.AUTHOR), fault) == (True, "wrong-name")


def test_the_domain_of_an_address_is_compared_without_case(
    pki: Pki, trust: TrustStore, today: datetime, make_mail: Mail
) -> None:
    """The twin, RFC 5280 §7.5: host parts without case, local parts exactly."""
    same = pki.smime("marie.martin@LILAS.mssante.example", "Marie MARTIN", "LILAS", "1750000001")
    assert judged(smime.sign(make_mail(), same.signer(), today), trust, today)[1] is Signer.MAILBOX


def test_two_authors_have_no_mailbox_that_signs_for_both(mailbox: Issued, trust: TrustStore, today: datetime) -> None:
    """Several addresses in From, or a second From, are a finding, and nobody's signature stands for them."""
    for fields in (f"From: {FROM}, x@y.example\r\n", f"From: {FROM}\r\nFrom: x@y.example\r\n"):
        letter = smime.sign(fields.encode() + b"\r\nhello\r\n", mailbox.signer(), today)
        verdict = smime.judge(scan(letter), trust, today)
        assert (verdict.signature, verdict.signer_name) == (SignatureState.PARTIAL, "Marie MARTIN")
        assert "from.not-one" in verdict.findings


def openssl_signs(content: bytes, issued: Issued, folder: Path, *options: str) -> bytes:
    """`openssl cms -sign -stream`-less: a letter as Thunderbird's like would send it."""
    cert, key = issued.write(folder, "signer")
    body = folder / "content"
    body.write_bytes(content)
    chain = folder / "chain.pem"
    chain.write_bytes(cert.read_bytes().split(b"-----END CERTIFICATE-----\n", 1)[1])
    command = [
        "openssl",
        "cms",
        "-sign",
        "-in",
        str(body),
        "-signer",
        str(cert),
        "-inkey",
        str(key),
        "-crlfeol",
    ]
    made = subprocess.run([*command, "-certfile", str(chain), *options], capture_output=True, check=True).stdout
    return f"From: {FROM}\r\nSubject: s\r\n".encode() + made.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


CONTENT = b"Content-Type: text/plain\r\n\r\nbonjour\r\n"


@pytest.mark.parametrize("options", [(), ("-md", "sha384"), ("-nodetach",), ("-nosmimecap",)])
def test_we_verify_what_openssl_signs(
    mailbox: Issued, trust: TrustStore, today: datetime, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Clear and opaque signatures of another maker."""
    letter = openssl_signs(CONTENT, mailbox, tmp_path, *options)
    assert judged(letter, trust, today + timedelta(minutes=1))[:2] == (SignatureState.VALID, Signer.MAILBOX)


@pytest.mark.parametrize(
    ("options", "state", "check"),
    [
        (("-noattr",), SignatureState.INVALID, "attributes-there"),
        (("-nodetach", "-econtent_type", "1.2.3.4"), SignatureState.CANNOT_TELL, "content-type-allowed"),
        (("-nocerts",), SignatureState.INVALID, "certificate-there"),
    ],
)
def test_what_the_strict_policy_does_not_take(
    mailbox: Issued,
    trust: TrustStore,
    today: datetime,
    tmp_path: Path,
    options: tuple[str, ...],
    state: SignatureState,
    check: str,
) -> None:
    """Without signed attributes, with content of another type, without a certificate: refused, and by name."""
    letter = openssl_signs(CONTENT, mailbox, tmp_path, *options)
    verdict = smime.judge(scan(letter), trust, today + timedelta(minutes=1))
    assert verdict.signature is state
    assert [each["check"] for each in verdict.evidence] == [check]


def test_an_altered_letter_of_openssl_is_invalid(
    mailbox: Issued, trust: TrustStore, today: datetime, tmp_path: Path
) -> None:
    """The twin."""
    letter = openssl_signs(CONTENT, mailbox, tmp_path).replace(b"bonjour", b"bonsoir")
    state, signer, fault = judged(letter, trust, today + timedelta(minutes=1))
    assert (state, signer, fault) == (SignatureState.INVALID, None, "digest-mismatch")


def test_a_signature_beside_something_unsigned_covers_a_part_only(
    mailbox: Issued, trust: TrustStore, today: datetime, make_mail: Mail
) -> None:
    """A footer or an attachment that nobody signed takes the word away from the whole."""
    signed = smime.sign(make_mail(), mailbox.signer(), today)
    inner = signed[signed.index(b"Content-Type: multipart/signed") :]
    letter = (
        f"From: {FROM}\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n".encode()
        + inner
        + b"\r\n--o\r\nContent-Type: text/plain\r\n\r\nfooter\r\n--o--\r\n"
    )
    assert judged(letter, trust, today)[:2] == (SignatureState.PARTIAL, None)


def test_a_second_content_type_takes_the_word_away(
    mailbox: Issued, trust: TrustStore, today: datetime, make_mail: Mail
) -> None:
    """Another reader might follow the other field and show what nobody signed."""
    signed = smime.sign(make_mail(), mailbox.signer(), today)
    letter = signed.replace(b"\r\n\r\n", b"\r\nContent-Type: text/html\r\n\r\n", 1)
    assert judged(letter, trust, today)[:2] == (SignatureState.PARTIAL, None)


TWO = b"--b\r\n\r\nx\r\n--b\r\nContent-Type: application/%s-signature\r\n\r\n%s\r\n--b--\r\n"


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (b"--b\r\n\r\nx\r\n--b--\r\n", SignatureState.INVALID),
        (TWO % (b"pkcs7", b"xx\r\n--b\r\n\r\na third"), SignatureState.INVALID),
        (TWO % (b"pkcs7", b"garbage"), SignatureState.INVALID),
        (TWO % (b"pgp", b"xx"), SignatureState.CANNOT_TELL),
    ],
)
def test_a_signature_of_the_wrong_shape_is_no_signature(
    trust: TrustStore, today: datetime, body: bytes, state: SignatureState
) -> None:
    """RFC 1847 §2.1: two parts, the second one the signature; another kind of signature we cannot tell."""
    letter = f"From: {FROM}\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n".encode() + body
    assert judged(letter, trust, today)[0] is state


def test_an_unsigned_letter_has_no_signature(trust: TrustStore, today: datetime, make_mail: Mail) -> None:
    """And no finding."""
    verdict = smime.judge(scan(make_mail()), trust, today)
    assert (verdict.signature, verdict.signer, verdict.findings) == (SignatureState.NONE, None, ())


def test_a_certificate_that_expired_or_has_the_wrong_use_signs_nothing(
    pki: Pki, trust: TrustStore, today: datetime, make_mail: Mail
) -> None:
    """The chain's answer is the letter's."""
    old = pki.smime(FROM, "M", "L", "1", not_before=today - timedelta(days=9), not_after=today - timedelta(days=1))
    server = pki.tls_server("mss.lilas.example", "LILAS", "1750000001")
    answers = [judged(smime.sign(make_mail(), each.signer(), today), trust, today) for each in (old, server)]
    assert [(state, fault) for state, _, fault in answers] == [
        (SignatureState.INVALID, "expired"),
        (SignatureState.INVALID, "wrong-usage"),
    ]


def test_our_own_fields_are_a_finding(mailbox: Issued, trust: TrustStore, today: datetime) -> None:
    """CVE-2026-27443: X-Pli-* from a stranger is told, outside and inside a signed part."""
    inside = (
        f"From: {FROM}\r\nX-Pli-Signature: valid\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        "--b\r\nX-Pli-Signer: mailbox\r\n\r\nx\r\n--b--\r\n"
    ).encode()
    assert smime.judge(scan(inside), trust, today).findings == ("own-field.outside", "own-field.inside")
    signed = scan(smime.sign(inside, mailbox.signer(), today))
    assert not signed.values("X-Pli-Signature")
    assert smime.judge(signed, trust, today).findings == ("own-field.inside",)


@pytest.mark.parametrize(
    ("kind", "sealed"),
    [
        ("multipart/signed; boundary=b", True),
        ("application/pkcs7-mime; smime-type=enveloped-data", True),
        ("application/x-pkcs7-mime", True),
        ("multipart/encrypted; boundary=b", True),
        ("multipart/mixed; boundary=b", False),
        ("text/plain", False),
    ],
)
def test_what_arrived_signed_or_encrypted_is_known(kind: str, sealed: bool) -> None:
    """Such a letter is passed on untouched."""
    message: Message = scan(f"Content-Type: {kind}\r\n\r\n".encode())
    assert smime.already_signed(message) is sealed

"""What a signature covers: trees as strangers build them, and what each is called."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates

from certs import cms, envelope
from certs.chain import TrustStore, identity
from certs.model import Fault, Proof, Untrusted
from certs.throwaway import Issued, Pki
from relay import coverage, smime
from relay.coverage import Kind
from relay.message import scan
from relay.model import SignatureState, Signer, Verdict

FROM = "marie.martin@lilas.mssante.example"
DOMAIN = "lilas.mssante.example"
Mail = Callable[..., bytes]


@pytest.fixture(scope="module")
def mailbox(pki: Pki) -> Issued:
    return pki.smime(FROM, "Marie MARTIN", "IMAGERIE DES LILAS", "1750000001")


@pytest.fixture(scope="module")
def seal(pki: Pki) -> Issued:
    return pki.seal(DOMAIN, "IMAGERIE DES LILAS", "1750000001")


@pytest.fixture(scope="module")
def closed(reader: Issued) -> bytes:
    return envelope.encrypt(b"Content-Type: text/plain\r\n\r\nsecret\r\n", [reader.der])


@pytest.fixture
def signed(mailbox: Issued, today: datetime, make_mail: Mail) -> bytes:
    return smime.sign(make_mail(), mailbox.signer(), today)


@pytest.fixture
def judged(trust: TrustStore, today: datetime) -> Callable[[bytes], Verdict]:
    return lambda letter: smime.judge(scan(letter), trust, today)


def again(letter: bytes, issued: Issued, at: datetime) -> bytes:
    """A second signature around the first, by a gateway or a list."""
    return smime.sign(letter, issued.signer(), at)


def inner_of(letter: bytes) -> bytes:
    """Its content as a part: Content-Type and all that follows."""
    return letter[letter.index(b"Content-Type: ") :]


def mixed(*parts: bytes) -> bytes:
    body = b"".join(b"--o\r\n" + part + b"\r\n" for part in parts)
    return f"From: {FROM}\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n".encode() + body + b"--o--\r\n"


def pkcs7(kind: str, data: bytes, main: str = "application/pkcs7-mime") -> bytes:
    head = f"Content-Type: {main}; smime-type={kind}; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return head.encode() + base64.encodebytes(data).replace(b"\n", b"\r\n")


def headed(part: bytes) -> bytes:
    return f"From: {FROM}\r\nSubject: s\r\n".encode() + part


# --- what is covered ----------------------------------------------------------------------------------------


def test_one_signature_over_all(signed: bytes, trust: TrustStore, today: datetime) -> None:
    """The plain case: one clear signature, one signer, the whole; what it covers is the payload."""
    found = coverage.of(scan(signed), trust, today)
    (only,) = found.covered
    assert (only.path, only.kind, only.whole, len(only.proofs)) == ("", Kind.CLEAR, True, 1)
    assert (found.doubts, found.findings) == ((), ())
    assert found.payload is not None
    assert found.payload.path == "1"


def test_a_signature_beside_something_else_is_not_over_the_whole(
    signed: bytes, trust: TrustStore, today: datetime, judged: Callable[[bytes], Verdict]
) -> None:
    """The twin: a footer beside it; the path says which part is signed."""
    letter = mixed(inner_of(signed), b"Content-Type: text/plain\r\n\r\nfooter")
    (only,) = coverage.of(scan(letter), trust, today).covered
    assert (only.path, only.whole, only.proofs[0].valid) == ("1", False, True)
    verdict = judged(letter)
    assert (verdict.signature, verdict.fault) == (SignatureState.PARTIAL, "smime.covers-a-part")


def test_signed_in_signed_needs_both(
    signed: bytes, seal: Issued, mailbox: Issued, today: datetime, judged: Callable[[bytes], Verdict]
) -> None:
    """A gateway's seal around an author's signature: the mailbox speaks, and both must hold."""
    letter = again(signed, seal, today)
    verdict = judged(letter)
    assert (verdict.signature, verdict.signer) == (SignatureState.VALID, Signer.MAILBOX)
    assert verdict.findings == ("smime.signed-in-signed",)
    assert len(verdict.evidence) == 2
    broken = again(signed.replace(b"voici", b"voila"), seal, today)
    assert judged(broken).signature is SignatureState.INVALID


def test_a_list_that_wraps_and_signs_has_signed_the_whole(
    signed: bytes, seal: Issued, today: datetime, trust: TrustStore, judged: Callable[[bytes], Verdict]
) -> None:
    """Its footer beside the author's part is its own word: the seal speaks, the author's signature is a part."""
    letter = again(mixed(inner_of(signed), b"Content-Type: text/plain\r\n\r\nfooter"), seal, today)
    found = coverage.of(scan(letter), trust, today)
    assert [(each.path, each.whole) for each in found.covered] == [("", True), ("1.1", False)]
    assert (judged(letter).signature, judged(letter).signer) == (SignatureState.VALID, Signer.ESTABLISHMENT)


def test_a_broken_part_inside_a_signed_list_is_told(
    signed: bytes, seal: Issued, today: datetime, judged: Callable[[bytes], Verdict]
) -> None:
    """The twin: the part inside does not hold."""
    part = inner_of(signed).replace(b"voici", b"voila")
    letter = again(mixed(part, b"Content-Type: text/plain\r\n\r\nfooter"), seal, today)
    assert "smime.inner-not-valid" in judged(letter).findings


def test_a_letter_forwarded_inside_says_nothing_about_this_one(
    signed: bytes, judged: Callable[[bytes], Verdict]
) -> None:
    """message/rfc822 is another letter: its signature is not ours, not even a partial one."""
    letter = mixed(b"Content-Type: text/plain\r\n\r\nsee below", b"Content-Type: message/rfc822\r\n\r\n" + signed)
    assert judged(letter).signature is SignatureState.NONE


def test_opaque_is_opened_and_its_tree_walked(
    mailbox: Issued, seal: Issued, today: datetime, trust: TrustStore, make_mail: Mail
) -> None:
    """Opaque in opaque: '/' steps inside, and the payload is the innermost content."""
    letter = smime.sign_opaque(smime.sign_opaque(make_mail(), mailbox.signer(), today), seal.signer(), today)
    found = coverage.of(scan(letter), trust, today)
    assert [(each.path, each.kind, each.whole) for each in found.covered] == [
        ("1", Kind.OPAQUE, True),
        ("1/1", Kind.OPAQUE, True),
    ]
    assert all(proof.valid for each in found.covered for proof in each.proofs)
    assert found.payload is not None
    assert found.payload.type == "text/plain"


def test_layers_have_a_budget(
    mailbox: Issued, today: datetime, make_mail: Mail, judged: Callable[[bytes], Verdict]
) -> None:
    """Six signatures, one in the other: not opened to the end, and not valid."""
    letter = make_mail()
    for _ in range(coverage.LAYERS_MOST + 1):
        letter = smime.sign_opaque(letter, mailbox.signer(), today)
    verdict = judged(letter)
    assert (verdict.signature, verdict.fault) == (SignatureState.PARTIAL, "smime.too-many-layers")


# --- what is no signature -----------------------------------------------------------------------------------


def test_certificates_alone_sign_nothing(mailbox: Issued, judged: Callable[[bytes], Verdict]) -> None:
    """certs-only (RFC 8551 §3.8) is named."""
    bag = serialize_certificates([mailbox.certificate], Encoding.DER)
    verdict = judged(headed(pkcs7("certs-only", bag)))
    assert (verdict.signature, verdict.findings) == (SignatureState.NONE, ("smime.certs-only",))


def test_an_encrypted_letter_is_known_by_its_content(closed: bytes, trust: TrustStore, today: datetime) -> None:
    """With the right smime-type, without one, and with only a name left by a gateway (RFC 8551 §3.9)."""
    bare = pkcs7("x", closed).replace(b" smime-type=x;", b"")
    stripped = bare.replace(b"application/pkcs7-mime", b"application/octet-stream")
    for letter in (pkcs7("authEnveloped-data", closed), bare, stripped):
        found = coverage.of(scan(headed(letter)), trust, today)
        assert found.encrypted is found.payload is not None
        assert (found.covered, found.doubts, found.findings) == ((), (), ("smime.encrypted",))


def test_an_encrypted_part_beside_others_is_only_named(closed: bytes, trust: TrustStore, today: datetime) -> None:
    """The twin, EFAIL: such a part is never opened and merged with what stands around it."""
    letter = mixed(b"Content-Type: text/html\r\n\r\n<img src='", pkcs7("authEnveloped-data", closed))
    found = coverage.of(scan(letter), trust, today)
    assert found.encrypted is None
    assert found.findings == ("smime.encrypted-part",)


def test_a_signature_over_something_encrypted_is_over_ciphertext(
    closed: bytes, mailbox: Issued, today: datetime, trust: TrustStore, judged: Callable[[bytes], Verdict]
) -> None:
    """RFC 2634 §1.1: it says who sent the closed letter, and the name says that it is no more."""
    letter = smime.sign(headed(pkcs7("authEnveloped-data", closed)), mailbox.signer(), today)
    (only,) = coverage.of(scan(letter), trust, today).covered
    assert only.kind is Kind.TRIPLE
    assert "smime.covers-ciphertext" in judged(letter).findings


# --- findings that take the word away -----------------------------------------------------------------------


def changed(letter: bytes, old: bytes, new: bytes) -> bytes:
    assert old in letter
    return letter.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        (b'protocol="application/pkcs7-signature"', b'protocol="application/pgp-signature"', "smime.protocol"),
        (b'protocol="application/pkcs7-signature";', b"", "smime.protocol"),
        (b"micalg=sha-256", b"micalg=sha1", "smime.micalg"),
        (b"micalg=sha-256", b"micalg=sha-512", "smime.micalg"),
        (b"\r\n\r\n--pli", b"\r\nContent-Type: text/html\r\n\r\n--pli", "mime.repeated-field"),
        (b"Subject: ", b"Subject: another\r\nSubject: ", "header.repeated:Subject"),
        (b"Date: ", b"Date: Wed, 01 Jan 2020 00:00:00 +0000\r\nDate: ", "header.repeated:Date"),
        (b"From: ", b"From: x@y.example\r\nFrom: ", "from.not-one"),
    ],
)
def test_what_another_reader_may_read_otherwise_is_never_valid(
    signed: bytes, judged: Callable[[bytes], Verdict], old: bytes, new: bytes, finding: str
) -> None:
    """The signature holds, and the letter around it does not: PARTIAL, by name."""
    assert judged(signed).signature is SignatureState.VALID
    verdict = judged(changed(signed, old, new))
    assert verdict.signature is SignatureState.PARTIAL
    assert finding in verdict.findings


def test_words_after_the_closing_boundary(signed: bytes, judged: Callable[[bytes], Verdict]) -> None:
    """An epilogue that some readers show; an empty line there is nothing."""
    assert judged(signed + b"\r\n").signature is SignatureState.VALID
    verdict = judged(signed + b"call 0899 000 000\r\n")
    assert (verdict.signature, verdict.fault) == (SignatureState.PARTIAL, "smime.after-boundary")


@pytest.mark.parametrize("micalg", ["sha-256", "sha256", "SHA-256", "sha-256,sha-512", "rsa-sha256", "unheard-of", ""])
def test_a_micalg_that_does_not_lie_is_no_doubt(signed: bytes, judged: Callable[[bytes], Verdict], micalg: str) -> None:
    """RFC 8551 §3.5.3.2: old spellings, several, and names that we do not know."""
    verdict = judged(changed(signed, b"micalg=sha-256", f'micalg="{micalg}"'.encode()))
    assert verdict.signature is SignatureState.VALID


def test_old_names_are_told_and_hold(signed: bytes, judged: Callable[[bytes], Verdict]) -> None:
    """application/x-pkcs7-signature is what OpenSSL writes to this day."""
    verdict = judged(signed.replace(b"application/pkcs7-signature", b"application/x-pkcs7-signature"))
    assert (verdict.signature, verdict.findings) == (SignatureState.VALID, ("smime.old-name",))


def test_a_second_part_that_is_no_signature(signed: bytes, judged: Callable[[bytes], Verdict]) -> None:
    """By its type it signs nothing, whatever is in it."""
    verdict = judged(signed.replace(b"application/pkcs7-signature", b"application/pdf"))
    assert verdict.signature is SignatureState.CANNOT_TELL
    assert "smime.second-part" in verdict.findings


@pytest.mark.parametrize("said", ["enveloped-data", "certs-only", "compressed-data"])
def test_an_smime_type_that_lies(
    mailbox: Issued, today: datetime, make_mail: Mail, judged: Callable[[bytes], Verdict], said: str
) -> None:
    """Another reader goes by the smime-type and shows something else."""
    letter = smime.sign_opaque(make_mail(), mailbox.signer(), today)
    assert judged(letter).signature is SignatureState.VALID
    verdict = judged(changed(letter, b"smime-type=signed-data", f"smime-type={said}".encode()))
    assert (verdict.signature, verdict.fault) == (SignatureState.PARTIAL, "smime.type-contradicts")


def test_opaque_content_that_is_no_mime_entity(
    mailbox: Issued, today: datetime, judged: Callable[[bytes], Verdict]
) -> None:
    """What every reader would show in his own way."""
    data = cms.sign(b"\r\nno header at all\r\n", mailbox.signer(), today, inside=True)
    verdict = judged(headed(pkcs7("signed-data", data)))
    assert (verdict.signature, verdict.fault) == (SignatureState.PARTIAL, "smime.opaque-content")


def test_a_detached_signature_that_calls_itself_a_letter(
    mailbox: Issued, today: datetime, judged: Callable[[bytes], Verdict]
) -> None:
    """Nothing is inside, so nothing is signed."""
    data = cms.sign(b"Content-Type: text/plain\r\n\r\nx", mailbox.signer(), today)
    assert judged(headed(pkcs7("signed-data", data))).signature is SignatureState.INVALID


def test_a_sender_that_differs_is_told(
    mailbox: Issued, today: datetime, make_mail: Mail, judged: Callable[[bytes], Verdict]
) -> None:
    """A delegation, or the trick of readers who compare Sender: From decides, and the name is told."""
    sent = smime.sign(make_mail(Sender="secretariat@lilas.mssante.example"), mailbox.signer(), today)
    assert (judged(sent).signature, judged(sent).findings) == (SignatureState.VALID, ("sender.differs",))
    spoof = smime.sign(make_mail(From="anne@lilas.mssante.example", Sender=FROM), mailbox.signer(), today)
    verdict = judged(spoof)
    assert (verdict.signature, verdict.fault) == (SignatureState.PARTIAL, "wrong-name")
    assert {"sender.differs", "from.differs-from-certificate"} <= set(verdict.findings)


def test_several_signers_all_speak_or_none(
    mailbox: Issued, trust: TrustStore, today: datetime, signed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two trusted signers are VALID in the better name; one that fails takes the word from both."""
    real = cms.proofs
    other = Proof(Untrusted(Fault.REVOKED))

    def twice(*asked: Any) -> tuple[Proof, ...]:
        return real(*asked) * 2

    monkeypatch.setattr(cms, "proofs", twice)
    verdict = smime.judge(scan(signed), trust, today)
    assert (verdict.signature, verdict.findings) == (SignatureState.VALID, ("smime.several-signers",))
    monkeypatch.setattr(cms, "proofs", lambda *asked: (*real(*asked), other))
    assert smime.judge(scan(signed), trust, today).fault == "revoked"


def test_the_evidence_names_chain_and_lists(
    signed: bytes, pki: Pki, mailbox: Issued, judged: Callable[[bytes], Verdict]
) -> None:
    """JSON-able, and what a later judgement needs: fingerprints from the signer to the anchor, CRLs, algorithms."""
    (told,) = judged(signed).evidence
    assert json.loads(json.dumps(told)) == told
    assert told["answer"] == "trusted"
    assert told["chain"] == [identity(each).fingerprint for each in (mailbox.der, pki.authority.der, pki.root.der)]
    assert (told["digest"], told["signed_at"][:4]) == ("sha256", told["at"][:4])
    (refused,) = judged(signed.replace(b"voici", b"voila")).evidence
    assert (refused["answer"], refused["fault"]) == ("untrusted", "digest-mismatch")


def spoilt(name: str, signed: bytes, made: Callable[..., bytes]) -> bytes:
    """A letter that one check alone keeps from being VALID."""
    return {
        "contradicted": lambda: changed(signed, b"micalg=sha-256", b"micalg=sha-512"),
        "ends_early": lambda: signed + b"call 0899 000 000\r\n",
        "wrong_protocol": lambda: changed(signed, b'protocol="application/pkcs7-signature";', b""),
        "contradicts": lambda: changed(made(opaque=True), b"smime-type=signed-data", b"smime-type=certs-only"),
        "names_another": lambda: made(From="anne@lilas.mssante.example"),
        "header_doubts": lambda: changed(signed, b"Subject: ", b"Subject: another\r\nSubject: "),
    }[name]()


@pytest.mark.parametrize(
    ("module", "name", "silent"),
    [
        (coverage, "contradicted", False),
        (coverage, "ends_early", False),
        (coverage, "wrong_protocol", False),
        (coverage, "contradicts", False),
        (smime, "names_another", False),
        (smime, "header_doubts", ()),
    ],
)
def test_each_check_holds_back_its_own_letter(
    module: Any,
    name: str,
    silent: Any,
    signed: bytes,
    mailbox: Issued,
    today: datetime,
    make_mail: Mail,
    judged: Callable[[bytes], Verdict],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With that check switched off, and no other, the letter would be VALID."""

    def made(opaque: bool = False, **fields: str) -> bytes:
        return (smime.sign_opaque if opaque else smime.sign)(make_mail(**fields), mailbox.signer(), today)

    letter = spoilt(name, signed, made)
    assert judged(letter).signature is SignatureState.PARTIAL
    monkeypatch.setattr(module, name, lambda *asked: silent)
    assert judged(letter).signature is SignatureState.VALID

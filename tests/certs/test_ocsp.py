"""OCSP: what an answer is worth, by whom it may be signed, and that an answer to another question is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as library
from cryptography.x509.ocsp import OCSPCertStatus
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku

from certs import ber, crl, ocsp, revocation
from certs.revocation import Patience, Revocations, Standing
from certs.throwaway import Issued

HOUR = timedelta(hours=1)
RESPONDER = (x509.ExtendedKeyUsage([Eku.OCSP_SIGNING]), False)
NO_CHECK = (x509.OCSPNoCheck(), False)


@pytest.fixture(scope="session")
def leaf(office: Any) -> Issued:
    return office.leaf()


@pytest.fixture(scope="session")
def answered(office: Any, leaf: Issued) -> Callable[..., bytes]:
    """Makes an answer about `leaf`, good and for an hour unless told otherwise."""

    def make(
        signer: Issued | None = None,
        *,
        about: Issued = leaf,
        issuer: Issued = office.authority,
        status: OCSPCertStatus = OCSPCertStatus.GOOD,
        at: datetime = office.at,
        until: datetime | None = office.at + HOUR,
        nonce: bytes = b"",
        brings: Sequence[Issued] = (),
        extension: x509.ExtensionType | None = None,
        id_hash: hashes.HashAlgorithm | None = None,
        produced: datetime | None = None,
    ) -> bytes:
        signer = signer or office.authority
        revoked = at if status is OCSPCertStatus.REVOKED else None
        builder = library.OCSPResponseBuilder().add_response(
            about.certificate, issuer.certificate, id_hash or hashes.SHA256(), status, at, until, revoked, None
        )
        builder = builder.responder_id(library.OCSPResponderEncoding.HASH, signer.certificate)
        if brings:
            builder = builder.certificates([each.certificate for each in brings])
        if nonce:
            builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
        if extension is not None:
            builder = builder.add_extension(extension, critical=True)
        return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)

    return make


@pytest.fixture
def standing(office: Any, leaf: Issued) -> Callable[..., Standing]:
    """What the authority's certificate `leaf` is worth by these answers, and lists of the authority."""

    def ask(*answers: bytes, at: datetime = office.at, crls: Sequence[bytes] = (), patience: Any = None) -> Standing:
        held = Revocations(map(crl.read, crls), map(ocsp.read, answers), patience or Patience())
        above = (office.authority.certificate, office.root.certificate)
        return held.ask(leaf.certificate, above, at).standing

    return ask


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (OCSPCertStatus.GOOD, Standing.GOOD),
        (OCSPCertStatus.REVOKED, Standing.REVOKED),
        (OCSPCertStatus.UNKNOWN, Standing.UNKNOWN),
    ],
)
def test_an_answer_has_three_words(
    answered: Callable[..., bytes], standing: Callable[..., Standing], status: OCSPCertStatus, answer: Standing
) -> None:
    """Good is good, revoked is revoked, and what a responder does not know nobody knows by it."""
    assert standing(answered(status=status)) is answer


def test_an_answer_keeps_its_bytes_as_evidence(office: Any, leaf: Issued, answered: Callable[..., bytes]) -> None:
    """What was looked at is named by responder, serial and time, with its bytes and its digest."""
    der = answered()
    held = Revocations((), [ocsp.read(der)])
    told = held.ask(leaf.certificate, (office.authority.certificate, office.root.certificate), office.at)
    (seen,) = told.consulted
    assert (seen.kind, seen.der, seen.until, seen.stale) == ("ocsp", der, office.at + HOUR, False)
    assert f"#{leaf.certificate.serial_number:x}@" in seen.name


def test_an_answer_grows_stale(office: Any, answered: Callable[..., bytes], standing: Callable[..., Standing]) -> None:
    """Up to nextUpdate an answer vouches, then no more; within the grace of policy it still does."""
    late, second = office.at + HOUR, timedelta(seconds=1)
    assert standing(answered(), at=late) is Standing.GOOD
    assert standing(answered(), at=late + second) is Standing.STALE
    assert standing(answered(), at=late + second, patience=Patience(grace=HOUR)) is Standing.GOOD
    assert standing(answered(), at=late + HOUR + second, patience=Patience(grace=HOUR)) is Standing.STALE


def test_an_old_answer_is_stale_whatever_it_says(
    office: Any, answered: Callable[..., bytes], standing: Callable[..., Standing]
) -> None:
    """An answer that says it counts for ten years counts for policy's days: who replays it gains no more."""
    der = answered(until=office.at + timedelta(days=3650))
    assert standing(der, at=office.at + timedelta(days=7)) is Standing.GOOD
    assert standing(der, at=office.at + timedelta(days=8)) is Standing.STALE


def test_an_answer_without_an_end_counts_for_an_hour(
    office: Any, answered: Callable[..., bytes], standing: Callable[..., Standing]
) -> None:
    """Without nextUpdate newer word is always to be had: then policy's hour counts."""
    assert standing(answered(until=None), at=office.at + HOUR) is Standing.GOOD
    assert standing(answered(until=None), at=office.at + 2 * HOUR) is Standing.STALE


def test_revoked_stays_revoked_in_an_old_answer(
    office: Any, answered: Callable[..., bytes], standing: Callable[..., Standing]
) -> None:
    """A revocation is believed at once and for ever, also beside a list that does not know it yet."""
    der = answered(status=OCSPCertStatus.REVOKED)
    year = office.at + timedelta(days=90)
    assert standing(der, at=year) is Standing.REVOKED
    assert standing(der, crls=[office.listing()]) is Standing.REVOKED


def test_an_answer_about_another_certificate_says_nothing(
    office: Any, answered: Callable[..., bytes], standing: Callable[..., Standing], leaf: Issued
) -> None:
    """CertID must name issuer and serial: another serial, or the same serial of another issuer, is not ours."""
    assert standing(answered(about=office.leaf())) is Standing.UNKNOWN
    other = office.issue("TEST PLI AUTRE", issuer=office.root, authority=True)
    assert standing(answered(issuer=other)) is Standing.UNKNOWN


@pytest.mark.parametrize("id_hash", [hashes.SHA1(), hashes.SHA256()], ids=lambda each: each.name)  # noqa: S303
def test_a_certificate_is_found_by_either_hash(
    answered: Callable[..., bytes], standing: Callable[..., Standing], id_hash: hashes.HashAlgorithm
) -> None:
    """SHA-1 in CertID only finds a certificate; both hashes find it."""
    assert standing(answered(id_hash=id_hash)) is Standing.GOOD


def test_a_responder_speaks_for_the_issuer_that_named_it(
    office: Any, answered: Callable[..., bytes], standing: Callable[..., Standing]
) -> None:
    """A delegated responder of this very issuer counts; one without the usage, or of another issuer, does not."""
    good = office.issue("responder", RESPONDER, NO_CHECK, issuer=office.authority)
    plain = office.issue("responder", NO_CHECK, issuer=office.authority)
    foreign = office.issue("responder", RESPONDER, NO_CHECK, issuer=office.root)
    for signer, answer in ((good, Standing.GOOD), (plain, Standing.UNKNOWN), (foreign, Standing.UNKNOWN)):
        assert standing(answered(signer, brings=[signer])) is answer


def test_a_responder_that_expired_does_not_count(
    office: Any, answered: Callable[..., bytes], standing: Callable[..., Standing], office_at: Callable[..., Any]
) -> None:
    """What a responder signs before or after its certificate's time is worth nothing."""
    responder = office.issue("responder", RESPONDER, NO_CHECK, issuer=office.authority)
    signed = ocsp.read(answered(responder, brings=[responder]))
    assert ocsp.valid_at(responder.certificate, signed.produced_at)
    assert not ocsp.valid_at(responder.certificate, responder.certificate.not_valid_after_utc + HOUR)
    assert not ocsp.valid_at(responder.certificate, responder.certificate.not_valid_before_utc - HOUR)


def test_a_responder_must_itself_be_in_good_standing(
    office: Any, answered: Callable[..., bytes], standing: Callable[..., Standing]
) -> None:
    """Without ocsp-nocheck its own standing is asked: unknown or revoked, its word does not count."""
    responder = office.issue("responder", RESPONDER, issuer=office.authority)
    der = answered(responder, brings=[responder])
    assert standing(der) is Standing.UNKNOWN
    assert standing(der, crls=[office.listing()]) is Standing.GOOD


def test_a_revoked_responder_vouches_for_nobody(
    office: Any, leaf: Issued, answered: Callable[..., bytes], standing: Callable[..., Standing]
) -> None:
    """Its list is over for the leaf, but still names the responder: the answer does not count."""
    responder = office.issue("responder", RESPONDER, issuer=office.authority)
    later = office.at + timedelta(days=2)
    der = answered(responder, brings=[responder], at=later, until=later + HOUR)
    fresh, over = office.listing(at=later), office.listing(responder, at=office.at)
    assert standing(der, at=later, crls=[fresh]) is Standing.GOOD
    assert standing(der, at=later, crls=[over]) is Standing.STALE


def test_an_altered_answer_is_none(answered: Callable[..., bytes], standing: Callable[..., Standing]) -> None:
    """One bit of the signature changed, and nobody signed it."""
    der = answered()
    assert standing(der) is Standing.GOOD
    assert standing(der[:-1] + bytes([der[-1] ^ 1])) is Standing.UNKNOWN


def test_a_sha1_answer_does_not_count(
    office: Any, answered: Callable[..., bytes], standing: Callable[..., Standing]
) -> None:
    """SHA-1 under an answer makes it no answer, though the very key of the issuer made it."""
    der = answered()
    response = library.load_der_ocsp_response(der)
    sha256, sha1 = (bytes.fromhex(f"300{more}") for more in ("a06082a8648ce3d040302", "906072a8648ce3d0401"))
    signature = office.authority.key.sign(response.tbs_response_bytes, ec.ECDSA(hashes.SHA1()))  # noqa: S303
    basic = ber.tlv(0x30, response.tbs_response_bytes, sha1, ber.tlv(3, b"\0", signature))
    oid = bytes.fromhex("06092b0601050507300101")
    weak = ber.tlv(0x30, b"\x0a\x01\x00", ber.tlv(0xA0, ber.tlv(0x30, oid, ber.tlv(4, basic))))
    assert sha256 in der
    assert standing(weak) is Standing.UNKNOWN


def test_a_replayed_answer_is_refused(leaf: Issued, office: Any, answered: Callable[..., bytes]) -> None:
    """An answer to another question is known by its nonce; one without a nonce is left to its dates."""
    ours = ocsp.question(leaf.certificate, office.authority.certificate)
    theirs = ocsp.question(leaf.certificate, office.authority.certificate)
    assert ours.nonce != theirs.nonce
    assert ocsp.replayed(ours, ocsp.read(answered(nonce=ours.nonce))) == ""
    assert "nonce" in ocsp.replayed(ours, ocsp.read(answered(nonce=theirs.nonce)))
    assert ocsp.replayed(ours, ocsp.read(answered())) == ""


@pytest.mark.parametrize(
    "status", [each for each in library.OCSPResponseStatus if each is not library.OCSPResponseStatus.SUCCESSFUL]
)
def test_a_responder_that_gives_no_answer_gives_none(status: library.OCSPResponseStatus) -> None:
    """tryLater, unauthorized and the like are no answer, and are named."""
    der = library.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)
    with pytest.raises(ValueError, match=status.name.lower()):
        ocsp.read(der)


@pytest.mark.parametrize("junk", [b"", b"\x30\x00", b"<html>", b"\x30" * 70_000], ids=len)
def test_junk_is_no_answer(junk: bytes) -> None:
    """Bytes which are no OCSP answer, or too many, are a ValueError."""
    with pytest.raises(ValueError, match=r"OCSP answer"):
        ocsp.read(junk)


@pytest.mark.parametrize("brings", [True, False])
def test_whatever_one_byte_is_changed_to(
    office: Any, answered: Callable[..., bytes], standing: Callable[..., Standing], brings: bool
) -> None:
    """Each byte changed, in answer or responder's certificate: a ValueError or an answer, never a surprise; none of
    them says good who did not before."""
    responder = office.issue("responder", RESPONDER, NO_CHECK, issuer=office.authority)
    der = answered(responder, brings=[responder]) if brings else answered()
    for place in range(len(der)):
        for value in (0x00, 0x03, der[place] ^ 0x01, 0xFF):
            changed = der[:place] + bytes([value]) + der[place + 1 :]
            try:
                told = standing(changed)
            except ValueError:
                continue
            assert told in (Standing.GOOD, Standing.UNKNOWN)


def test_a_responder_of_an_odd_name_is_nobody(office: Any, leaf: Issued, answered: Callable[..., bytes]) -> None:
    """A name that the library cannot hold makes the answer unreadable, not the process end."""
    builder = library.OCSPResponseBuilder().add_response(
        leaf.certificate,
        office.authority.certificate,
        hashes.SHA256(),
        OCSPCertStatus.GOOD,
        office.at,
        None,
        None,
        None,
    )
    builder = builder.responder_id(library.OCSPResponderEncoding.NAME, office.authority.certificate)
    der = builder.sign(office.authority.key, hashes.SHA256()).public_bytes(Encoding.DER)
    text = bytes.fromhex("0603550403") + b"\x0c"
    assert text in der
    with pytest.raises(ValueError, match="OCSP answer"):
        ocsp.read(der.replace(text, text[:-1] + b"\x03"))


def test_something_critical_and_unknown_stops_an_answer(answered: Callable[..., bytes]) -> None:
    """RFC 6960 §4.4: a critical extension that we do not know."""
    private = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.250.1.999.1"), b"\x05\x00")
    with pytest.raises(ValueError, match="critical"):
        ocsp.read(answered(extension=private))


def test_several_certificates_in_one_answer(
    office: Any, leaf: Issued, of_two: bytes, standing: Callable[..., Standing]
) -> None:
    """Each certificate finds its own line in an answer of several."""
    read = ocsp.read(of_two)
    assert len(read.singles) == 2
    assert standing(of_two) is Standing.REVOKED


@pytest.fixture
def of_two(office: Any, leaf: Issued, answered: Callable[..., bytes]) -> bytes:
    """Good for somebody else, then revoked for `leaf`; put together by hand, since the library writes one line only."""
    other = library.load_der_ocsp_response(answered(about=office.leaf())).tbs_response_bytes
    mine = library.load_der_ocsp_response(answered(status=OCSPCertStatus.REVOKED)).tbs_response_bytes
    first, second = (list(ber.members(ber.content(each))) for each in (other, mine))
    place = next(at for at, part in enumerate(first) if part[0] == 0x30)
    rows = ber.tlv(0x30, ber.content(first[place]), ber.content(second[place]))
    tbs = ber.tlv(0x30, *first[:place], rows)
    signature = office.authority.key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    basic = ber.tlv(0x30, tbs, algorithm, ber.tlv(3, b"\0", signature))
    oid = bytes.fromhex("06092b0601050507300101")
    return ber.tlv(0x30, b"\x0a\x01\x00", ber.tlv(0xA0, ber.tlv(0x30, oid, ber.tlv(4, basic))))


@pytest.mark.parametrize(
    ("check", "off"),
    [
        ("fits", lambda *_: True),
        ("may_answer", lambda *_: True),
        ("signature_holds", lambda *_: True),
        ("not_to_be_checked", lambda *_: True),
    ],
)
def test_each_check_is_one_function(
    office: Any,
    answered: Callable[..., bytes],
    standing: Callable[..., Standing],
    monkeypatch: pytest.MonkeyPatch,
    check: str,
    off: Callable[..., bool],
) -> None:
    """With one check switched off, exactly what it refuses passes."""
    plain = office.issue("responder", NO_CHECK, issuer=office.authority)
    responder = office.issue("responder", RESPONDER, issuer=office.authority)
    der = answered()
    refused = {
        "fits": answered(issuer=office.issue("TEST PLI AUTRE", issuer=office.root, authority=True)),
        "may_answer": answered(plain, brings=[plain]),
        "signature_holds": der[:-1] + bytes([der[-1] ^ 1]),
        "not_to_be_checked": answered(responder, brings=[responder]),
    }
    monkeypatch.setattr(ocsp, check, off)
    passing = {name for name, each in refused.items() if standing(each) is Standing.GOOD}
    assert passing == {check}


def test_the_end_of_an_answer_is_a_rule(office: Any, answered: Callable[..., bytes]) -> None:
    """nextUpdate, but never more than policy's age."""
    (single,) = ocsp.read(answered()).singles
    assert revocation.answer_until(single, Patience()) == office.at + HOUR
    assert revocation.answer_until(single, Patience(answer_age=HOUR / 2)) == office.at + HOUR / 2

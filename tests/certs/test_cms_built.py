"""CMS signatures built by hand: what they say of themselves, who made them, and noise."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.asn1 import encode_der
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certs import algorithms, attributes, ber, cms, meter, profiles, revocation, signed, signers
from certs.chain import TrustStore
from certs.model import CannotTell, Fault, Proof, Trusted
from certs.revocation import Crls
from certs.throwaway import Issued, Pki, Shape

Openssl = Callable[..., subprocess.CompletedProcess[bytes]]
CONTENT = b"Content-Type: text/plain\r\n\r\nBonjour\r\n"


def fault(proof: Proof) -> Fault:
    assert not isinstance(proof.trust, Trusted)
    assert not proof.valid
    return proof.trust.fault


@pytest.fixture
def ask(store: TrustStore, now: datetime) -> Callable[..., Proof]:
    def verify(signature: bytes, content: bytes = CONTENT, at: datetime = now) -> Proof:
        return cms.verify(signature, content, store, profiles.SMIME, at)

    return verify


def test_a_content_inside_that_nobody_signed_is_refused(
    doctor: Issued, now: datetime, ask: Callable[..., Proof]
) -> None:
    """A sound signature beside the letter, with another letter put inside, is refused: a reader may show either."""
    for shown, holds in ((CONTENT, True), (b"another letter", False)):
        signature = rebuilt(doctor, now, inside=ber.tlv(0xA0, encode_der(shown)))
        proof = ask(signature)
        assert proof.valid is holds
    assert fault(proof) is Fault.DIGEST_MISMATCH


def test_no_signer_is_no_signature(doctor: Issued, ask: Callable[..., Proof], now: datetime) -> None:
    """A SignedData with certificates only proves nothing."""
    assert fault(ask(rebuilt(doctor, now, infos=()))) is Fault.NO_SIGNER


# --- what a message is ---


def test_kinds_have_names(doctor: Issued, now: datetime) -> None:
    """Each type of CMS by its name, from its bytes alone."""
    assert cms.kind(cms.sign(CONTENT, doctor.signer(), now)) == "signed-data"
    assert cms.kind(rebuilt(doctor, now, infos=())) == "certs-only"
    for last, name in (("7.1", "data"), ("7.3", "enveloped-data"), ("7.6", "encrypted-data"),
                       ("9.16.1.9", "compressed-data"), ("9.16.1.23", "authEnveloped-data"),
                       ("7.99", "content type 1.2.840.113549.1.7.99")):  # fmt: skip
        message = ber.tlv(0x30, algorithms.oid(f"1.2.840.113549.1.{last}"), ber.tlv(0xA0, ber.tlv(0x30)))
        assert cms.kind(message) == name
    assert cms.kind(b"junk") == cms.kind(b"") == "unreadable"


def test_a_certs_only_message_brings_certificates(
    doctor: Issued, now: datetime, tmp_path: Path, openssl: Openssl
) -> None:
    """RFC 8551 §3.8, as openssl writes it and as we build it; a signature is no such message."""
    certificate, _ = doctor.write(tmp_path, "doctor")
    openssl("crl2pkcs7", "-nocrl", "-certfile", certificate, "-outform", "DER", "-out", tmp_path / "certs.p7c")
    assert set(cms.certificates((tmp_path / "certs.p7c").read_bytes())) == {doctor.der, *doctor.chain}
    assert cms.certificates(rebuilt(doctor, now, infos=())) == (doctor.der,)
    for other in (cms.sign(CONTENT, doctor.signer(), now), b"junk", b"0\x00"):
        with pytest.raises(ValueError):  # noqa: PT011
            cms.certificates(other)


def test_one_pass_and_the_library_read_the_same(doctor: Issued, now: datetime) -> None:
    """DER is read by a library for speed, BER in one pass: of the same message both say the same."""
    for message in (
        cms.sign(CONTENT, doctor.signer(), now),
        cms.sign(CONTENT, doctor.signer(), now, "sha512", inside=True),
        rebuilt(doctor, now, infos=()),
        rebuilt(doctor, now, certificates=()),
    ):
        quick, whole = signed.der(message), signed.indefinite(message)
        assert replaced(quick) == replaced(whole)


def replaced(message: signed.Signed) -> object:
    inside = None if message.inside is None else b"".join(message.inside)
    return (message.digests, message.content_type, inside, message.certificates, message.signers)


# --- whom we trust, through a signature ---


def test_the_signer_must_be_trusted(
    pki: Pki, host: Issued, doctor: Issued, now: datetime, ask: Callable[..., Proof]
) -> None:
    """Expired, not yet valid, wrong usage, unknown root: a sound signature, and each its own reason."""
    day = timedelta(days=1)
    expired = pki.smime("a@b.mssante.fr", "A", "B", "1", key="p256", not_after=now - day / 48)
    early = pki.smime("a@b.mssante.fr", "A", "B", "1", key="p256", not_before=now + day)
    stranger = Pki.create(now, "STRANGER").smime("a@b.mssante.fr", "A", "B", "1", key="p256")
    for who, why in (
        (expired, Fault.EXPIRED),
        (early, Fault.NOT_YET_VALID),
        (host, Fault.WRONG_USAGE),
        (stranger, Fault.UNKNOWN_ISSUER),
    ):
        proof = ask(cms.sign(CONTENT, who.signer(), now))
        assert fault(proof) is why
        assert proof.trust.identity is not None
    assert ask(cms.sign(CONTENT, doctor.signer(), now)).valid


def test_a_revoked_signer_is_refused_and_without_lists_nobody_can_tell(store: TrustStore, now: datetime) -> None:
    """Revoked is Untrusted, a missing or stale list is CannotTell, for one and the same signature."""
    pki = Pki.create(now)
    who = pki.smime("a@b.mssante.fr", "A", "B", "1", key="p256")
    signature = cms.sign(CONTENT, who.signer(), now)

    def asked(crls: tuple[bytes, ...], at: datetime = now) -> Proof:
        lists = [crl for crl in map(revocation.read, crls) if crl is not None]
        mine = TrustStore((pki.root.certificate,), (), Crls(lists))
        return cms.verify(signature, CONTENT, mine, profiles.SMIME, at)

    fresh = pki.crls(now)
    assert asked(fresh).valid
    for proof, why in (
        (asked(()), Fault.REVOCATION_UNKNOWN),
        (asked(fresh, now + timedelta(days=30)), Fault.STALE_CRL),
    ):
        assert isinstance(proof.trust, CannotTell)
        assert proof.trust.fault is why
    pki.revoke(who)
    assert fault(asked(pki.crls(now))) is Fault.REVOKED


def test_a_weak_key_is_refused(pki: Pki, now: datetime, ask: Callable[..., Proof], doctor: Issued) -> None:
    """A sound signature with RSA 1024 is Untrusted."""
    weak = pki.issue(doctor.certificate.subject, Shape(bits=1024, eku=(Eku.EMAIL_PROTECTION,)))
    assert fault(ask(cms.sign(CONTENT, weak.signer(), now))) is Fault.WEAK_KEY


# --- what a signature says of itself, built by hand ---


def rebuilt(
    who: Issued,
    now: datetime,
    *,
    change: Callable[[list[bytes]], list[bytes]] = list,
    infos: tuple[bytes, ...] | None = None,
    certificates: tuple[bytes, ...] | None = None,
    bare: bytes | None = None,
    inside: bytes = b"",
) -> bytes:
    """A signature whose attributes were changed before it was made, by the rightful key."""
    attributes_ = change(list(attributes.compose(hashlib.sha256(CONTENT).digest(), who.der, now)))
    over = ber.set_of(*attributes_) if bare is None else bare
    signature = who.signer().sign_digest(hashlib.sha256(over).digest(), "sha256")
    info = ber.tlv(
        0x30,
        encode_der(1),
        ber.tlv(0x30, who.certificate.issuer.public_bytes(), encode_der(who.certificate.serial_number)),
        algorithms.digest_identifier("sha256"),
        b"" if bare is not None else ber.tlv(0xA0, *sorted(attributes_)),
        algorithms.signature_identifier(who.certificate, "sha256"),
        encode_der(signature),
    )
    data = ber.tlv(
        0x30,
        encode_der(1),
        ber.set_of(algorithms.digest_identifier("sha256")),
        ber.tlv(0x30, algorithms.oid(attributes.DATA), inside),
        ber.tlv(0xA0, *(certificates if certificates is not None else (who.der,))),
        ber.set_of(*((info,) if infos is None else infos)),
    )
    return ber.tlv(0x30, algorithms.oid("1.2.840.113549.1.7.2"), ber.tlv(0xA0, data))


CONTENT_TYPE, DIGEST, TIME, CERTIFICATE = (
    algorithms.oid(f"1.2.840.113549.1.9.{last}") for last in ("3", "4", "5", "16.2.47")
)


def without(kind: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda found: [each for each in found if kind not in each[:16]]


def with_value(kind: bytes, *values: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda found: [*without(kind)(found), ber.tlv(0x30, kind, ber.set_of(*values))]


def twice(kind: bytes) -> Callable[[list[bytes]], list[bytes]]:
    return lambda found: [*found, *(each for each in found if kind in each[:16])]


OTHER = encode_der(hashlib.sha256(b"another").digest())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (without(CONTENT_TYPE), Fault.BAD_ATTRIBUTES),
        (without(DIGEST), Fault.BAD_ATTRIBUTES),
        (twice(DIGEST), Fault.BAD_ATTRIBUTES),
        (twice(TIME), Fault.BAD_ATTRIBUTES),
        (with_value(CONTENT_TYPE, algorithms.oid("1.2.840.113549.1.7.3")), Fault.BAD_ATTRIBUTES),
        (with_value(DIGEST, OTHER), Fault.DIGEST_MISMATCH),
        (with_value(DIGEST, OTHER, encode_der(hashlib.sha256(CONTENT).digest())), Fault.BAD_ATTRIBUTES),
        (with_value(DIGEST), Fault.BAD_ATTRIBUTES),
        (with_value(TIME, b"\x17\x01x"), Fault.UNREADABLE),
        (with_value(CERTIFICATE, ber.tlv(0x30, ber.tlv(0x30, ber.tlv(0x30, OTHER)))), Fault.BAD_ATTRIBUTES),
        (with_value(CERTIFICATE, ber.tlv(0x30, ber.tlv(0x30))), Fault.BAD_ATTRIBUTES),
    ],
    ids=[
        "no contentType",
        "no messageDigest",
        "two messageDigests",
        "two signingTimes",
        "another contentType",
        "another digest",
        "two values",
        "no value",
        "unreadable time",
        "another certificate",
        "no certificate identifier",
    ],
)
def test_attributes_must_agree(
    doctor: Issued,
    now: datetime,
    ask: Callable[..., Proof],
    change: Callable[[list[bytes]], list[bytes]],
    why: Fault,
) -> None:
    """A signature made by the rightful key over wrong attributes is refused; unchanged it is trusted."""
    assert ask(rebuilt(doctor, now)).valid
    assert fault(ask(rebuilt(doctor, now, change=change))) is why


def test_unknown_attributes_and_absent_optional_ones_do_no_harm(
    doctor: Issued, now: datetime, ask: Callable[..., Proof]
) -> None:
    """signingTime and signingCertificateV2 may be absent, private attributes present."""
    private = with_value(algorithms.oid("1.2.250.1.999.2"), encode_der(1), encode_der(2))
    proof = ask(rebuilt(doctor, now, change=lambda found: private(without(TIME)(without(CERTIFICATE)(found)))))
    assert proof.valid
    assert proof.signing_time is None


def test_a_signing_time_in_the_future_is_refused(doctor: Issued, now: datetime, ask: Callable[..., Proof]) -> None:
    """Within a day of the judge's clock is forgiven, beyond is not."""
    assert ask(cms.sign(CONTENT, doctor.signer(), now + signers.SKEW)).valid
    late = cms.sign(CONTENT, doctor.signer(), now + signers.SKEW + timedelta(seconds=1))
    assert fault(ask(late)) is Fault.BAD_ATTRIBUTES


def test_attributes_are_no_content(doctor: Issued, now: datetime, store: TrustStore) -> None:
    """The signed attributes of a letter cannot be passed off as a signed content of their own."""

    def asked(signature: bytes, content: bytes) -> Proof:
        lenient = cms.Policy(without_attributes=True)
        return cms.verify(signature, content, store, profiles.SMIME, now, policy=lenient)

    assert asked(rebuilt(doctor, now, bare=CONTENT), CONTENT).valid
    passed_off = ber.set_of(*attributes.compose(hashlib.sha256(CONTENT).digest(), doctor.der, now))
    assert fault(asked(rebuilt(doctor, now, bare=passed_off), passed_off)) is Fault.BAD_ATTRIBUTES


def test_a_swapped_certificate_is_refused(pki: Pki, doctor: Issued, now: datetime, ask: Callable[..., Proof]) -> None:
    """A certificate of the same issuer and serial for another key does not fit the signature."""
    other = pki.issue(doctor.certificate.subject, Shape(key="p256", eku=(Eku.EMAIL_PROTECTION,)))
    swapped = same_serial(pki, other, doctor.certificate.serial_number)
    assert fault(ask(rebuilt(doctor, now, certificates=(swapped,)))) is Fault.BAD_ATTRIBUTES
    bound = without(CERTIFICATE)
    assert fault(ask(rebuilt(doctor, now, change=bound, certificates=(swapped,)))) is Fault.BAD_SIGNATURE


def same_serial(pki: Pki, like: Issued, serial: int) -> bytes:
    old = like.certificate
    builder = x509.CertificateBuilder(
        old.issuer,
        old.subject,
        like.key.public_key(),
        serial,
        old.not_valid_before_utc,
        old.not_valid_after_utc,
        list(old.extensions),
    )
    return builder.sign(pki.authority.key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_a_crowd_of_certificates_is_refused(doctor: Issued, now: datetime, ask: Callable[..., Proof]) -> None:
    """More certificates than an honest letter has are not read."""
    assert fault(ask(rebuilt(doctor, now, certificates=(doctor.der,) * 33))) is Fault.TOO_LARGE


def test_an_unsorted_set_of_certificates_is_read(
    pki: Pki, doctor: Issued, now: datetime, ask: Callable[..., Proof]
) -> None:
    """Senders do not sort: any order of certificates is read, with junk beside them."""
    for order in ((doctor.der, *doctor.chain), (*doctor.chain, doctor.der), (b"\x30\x00", doctor.der)):
        assert ask(rebuilt(doctor, now, certificates=order)).valid


def test_weak_hashes_are_not_signed_with(doctor: Issued, now: datetime) -> None:
    """We sign with SHA-2 only."""
    with pytest.raises(ValueError, match="sha1"):
        cms.sign(CONTENT, doctor.signer(), now, "sha1")


def test_signing_and_verifying_are_metered(doctor: Issued, now: datetime, ask: Callable[..., Proof]) -> None:
    """Both steps count themselves, once each."""
    before = {name: meter.totals().get(name, (0, 0.0))[0] for name in ("sign", "verify")}
    ask(cms.sign(CONTENT, doctor.signer(), now))
    assert {name: meter.totals()[name][0] - before[name] for name in before} == {"sign": 1, "verify": 1}


# --- noise ---


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_signature_never_crashes_nor_speaks_for_others(
    doctor: Issued, now: datetime, ask: Callable[..., Proof], data: st.DataObject
) -> None:
    """Whatever byte is changed, cut or added, the answer is a Proof, and another content is never proven."""
    whole = bytearray(rebuilt(doctor, now))
    place = data.draw(st.integers(0, len(whole) - 1))
    kind = data.draw(st.sampled_from(["change", "cut", "add"]))
    if kind == "change":
        whole[place] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del whole[place : place + data.draw(st.integers(1, 40))]
    else:
        whole[place:place] = data.draw(st.binary(min_size=1, max_size=40))
    proof = ask(bytes(whole))
    assert proof.trust is not None
    assert not ask(bytes(whole), b"another letter").valid


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=300))
def test_noise_is_untrusted(ask: Callable[..., Proof], noise: bytes) -> None:
    """Random bytes are unreadable."""
    assert fault(ask(noise)) in {Fault.UNREADABLE, Fault.UNSUPPORTED}

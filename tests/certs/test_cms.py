"""CMS signatures, both directions against openssl; each accepted signature has its refused twins."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
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
SAMPLE = b"This is some sample content."
"""The content of every object of RFC 9216."""


def fault(proof: Proof) -> Fault:
    assert not isinstance(proof.trust, Trusted)
    assert not proof.valid
    return proof.trust.fault


@pytest.fixture
def ask(store: TrustStore, now: datetime) -> Callable[..., Proof]:
    def verify(signature: bytes, content: bytes = CONTENT, at: datetime = now) -> Proof:
        return cms.verify(signature, content, store, profiles.SMIME, at)

    return verify


@pytest.fixture(scope="module")
def today() -> datetime:
    """openssl signs at its own clock's time, so what it signs is judged by an infrastructure of today."""
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def todays(today: datetime) -> Pki:
    return Pki.create(today, "TODAY")


@pytest.fixture(scope="module")
def author(todays: Pki) -> Issued:
    return todays.smime("jeanne.martin@hopital-a.mssante.fr", "JEANNE MARTIN", "HOPITAL A", "1750000001")


@pytest.fixture(scope="module")
def colleague(todays: Pki) -> Issued:
    return todays.smime("paul.durand@hopital-a.mssante.fr", "PAUL DURAND", "HOPITAL A", "1750000001", key="p256")


@pytest.fixture(scope="module")
def todays_store(todays: Pki, today: datetime, tmp_path_factory: pytest.TempPathFactory) -> TrustStore:
    folder = tmp_path_factory.mktemp("today")
    todays.write_trust(folder, today)
    return TrustStore.load(folder)


@pytest.fixture
def judged(todays_store: TrustStore, today: datetime) -> Callable[..., Proof]:
    """Asks about a signature made today."""

    def verify(signature: bytes, content: bytes = CONTENT) -> Proof:
        return cms.verify(signature, content, todays_store, profiles.SMIME, today)

    return verify


@pytest.fixture
def by_openssl(tmp_path: Path, openssl: Openssl) -> Callable[..., bytes]:
    """A signature that the openssl command made over CONTENT."""

    def sign(who: Issued, *options: str | Path) -> bytes:
        certificate, key = who.write(tmp_path, "signer")
        (tmp_path / "content").write_bytes(CONTENT)
        openssl(
            *("cms", "-sign", "-binary", "-outform", "DER", "-in", tmp_path / "content"),
            *("-signer", certificate, "-inkey", key, "-out", tmp_path / "signature", *options),
        )
        return (tmp_path / "signature").read_bytes()

    return sign


@pytest.mark.parametrize("key", ["rsa", "p256", "p384", "p521"])
@pytest.mark.parametrize("hash_name", ["sha256", "sha384", "sha512"])
def test_what_we_sign_holds_here_and_for_openssl(
    pki: Pki,
    doctor: Issued,
    now: datetime,
    trust_folder: Path,
    tmp_path: Path,
    openssl: Openssl,
    ask: Callable[..., Proof],
    key: str,
    hash_name: str,
) -> None:
    """Our detached signature is trusted here and verified by openssl, and by neither over another content."""
    who = doctor if key == "rsa" else pki.smime("a@b.mssante.fr", "A", "B", "1", key=key)
    signature = cms.sign(CONTENT, who.signer(), now, hash_name)
    proof = ask(signature)
    assert proof.valid
    assert (proof.signing_time, proof.digest_algorithm) == (now, hash_name)
    assert set(proof.certificates) == {who.der, *who.chain}
    assert fault(ask(signature, CONTENT + b"\r\n")) is Fault.DIGEST_MISMATCH
    (tmp_path / "signature").write_bytes(signature)
    anchor = trust_folder / "anchors" / "root.pem"
    for content, status in ((CONTENT, 0), (CONTENT + b"!", 4)):
        (tmp_path / "content").write_bytes(content)
        done = openssl(
            *("cms", "-verify", "-binary", "-inform", "DER", "-in", tmp_path / "signature"),
            *("-content", tmp_path / "content", "-CAfile", anchor, "-attime", str(int(now.timestamp()))),
            check=False,
        )
        assert done.returncode == status


SHAPES = (
    "",
    "-keyid",
    "-nodetach",
    "-nodetach -stream",
    "-md sha384",
    "-md sha512",
    "-cades",
    "-nosmimecap",
)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["author", "colleague"])
def test_what_openssl_signs_holds(
    request: pytest.FixtureRequest,
    by_openssl: Callable[..., bytes],
    judged: Callable[..., Proof],
    kind: str,
    shape: str,
) -> None:
    """Every shape that openssl writes, with RSA and ECDSA, is trusted over its content and over no other."""
    who: Issued = request.getfixturevalue(kind)
    signature = by_openssl(who, *shape.split())
    assert judged(signature).valid
    assert fault(judged(signature, CONTENT[:-1])) is Fault.DIGEST_MISMATCH


@pytest.mark.parametrize("kind", ["author", "colleague"])
def test_without_signed_attributes_only_by_policy(
    request: pytest.FixtureRequest,
    by_openssl: Callable[..., bytes],
    todays_store: TrustStore,
    today: datetime,
    kind: str,
) -> None:
    """RFC 5652 allows them; we take them where policy says so, and then over their own content only."""
    signature = by_openssl(request.getfixturevalue(kind), "-noattr")

    def asked(policy: cms.Policy, content: bytes = CONTENT) -> Proof:
        return cms.verify(signature, content, todays_store, profiles.SMIME, today, policy=policy)

    refused = asked(cms.STRICT).trust
    assert not isinstance(refused, Trusted)
    assert (refused.fault, refused.check) == (Fault.BAD_ATTRIBUTES, "attributes-there")
    lenient = cms.Policy(without_attributes=True)
    assert asked(lenient).valid
    assert fault(asked(lenient, CONTENT[:-1])) is Fault.BAD_SIGNATURE


def test_another_content_inside_is_refused(
    author: Issued, by_openssl: Callable[..., bytes], judged: Callable[..., Proof]
) -> None:
    """A signature that carries its own content proves that one only, whatever lies beside it."""
    signature = by_openssl(author, "-nodetach")
    assert cms.encapsulated(signature) == CONTENT
    assert judged(signature).valid
    assert fault(judged(signature, b"another letter")) is Fault.DIGEST_MISMATCH


def test_a_content_inside_that_nobody_signed_is_refused(
    doctor: Issued, now: datetime, ask: Callable[..., Proof]
) -> None:
    """A sound signature beside the letter, with another letter put inside, is refused: a reader may show either."""
    for shown, holds in ((CONTENT, True), (b"another letter", False)):
        signature = rebuilt(doctor, now, inside=ber.tlv(0xA0, encode_der(shown)))
        proof = ask(signature)
        assert proof.valid is holds
    assert fault(proof) is Fault.DIGEST_MISMATCH


def test_what_is_inside_is_shown_and_what_is_not_is_none(doctor: Issued, now: datetime) -> None:
    """A detached signature has nothing inside; junk is refused with ValueError."""
    assert cms.encapsulated(cms.sign(CONTENT, doctor.signer(), now)) is None
    with pytest.raises(ValueError, match="not CMS"):
        cms.encapsulated(b"junk")


def test_two_signers_are_refused(
    author: Issued,
    colleague: Issued,
    by_openssl: Callable[..., bytes],
    judged: Callable[..., Proof],
    tmp_path: Path,
) -> None:
    """Two signers, each of whom alone is trusted, are together Untrusted."""
    assert judged(by_openssl(author)).valid
    assert judged(by_openssl(colleague)).valid
    second, key = colleague.write(tmp_path, "second")
    both = by_openssl(author, "-signer", second, "-inkey", key)
    assert fault(judged(both)) is Fault.SEVERAL_SIGNERS


def test_no_signer_is_no_signature(author: Issued, doctor: Issued, ask: Callable[..., Proof], now: datetime) -> None:
    """A SignedData with certificates only proves nothing."""
    assert fault(ask(rebuilt(doctor, now, infos=()))) is Fault.NO_SIGNER


def test_sha1_is_refused(author: Issued, by_openssl: Callable[..., bytes], judged: Callable[..., Proof]) -> None:
    """SHA-1 in a signature is Untrusted by its name, also where everything else holds."""
    proof = judged(by_openssl(author, "-md", "sha1"))
    assert fault(proof) is Fault.WEAK_ALGORITHM
    assert proof.digest_algorithm == "sha1"


@pytest.mark.parametrize("salt", ["max", "digest", "20"])
@pytest.mark.parametrize("md", ["sha256", "sha384", "sha512"])
def test_what_openssl_signs_with_pss_holds(
    author: Issued, by_openssl: Callable[..., bytes], judged: Callable[..., Proof], md: str, salt: str
) -> None:
    """RSASSA-PSS (RFC 4056) with each hash and salt; over another content it does not hold."""
    pss = ("-md", md, "-keyopt", "rsa_padding_mode:pss", "-keyopt", f"rsa_pss_saltlen:{salt}")
    signature = by_openssl(author, *pss)
    assert judged(signature).valid
    assert fault(judged(signature, CONTENT[:-1])) is Fault.DIGEST_MISMATCH


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("-keyopt rsa_mgf1_md:sha1", Fault.WEAK_ALGORITHM),
        ("-keyopt rsa_mgf1_md:sha512", Fault.BAD_ATTRIBUTES),
        ("-keyopt rsa_pss_saltlen:0", Fault.WEAK_ALGORITHM),
        ("-keyopt rsa_mgf1_md:sha224", Fault.UNSUPPORTED),
    ],
)
def test_odd_pss_parameters_are_refused_by_name(
    author: Issued, by_openssl: Callable[..., bytes], judged: Callable[..., Proof], options: str, why: Fault
) -> None:
    """A weak or second hash, or hardly a salt: the signature holds for openssl, not for us."""
    proof = judged(by_openssl(author, "-keyopt", "rsa_padding_mode:pss", *options.split()))
    assert fault(proof) is why
    assert not isinstance(proof.trust, Trusted)
    assert proof.trust.check == "pss-parameters"


def test_a_signature_without_its_certificate_needs_one(
    author: Issued, by_openssl: Callable[..., bytes], todays_store: TrustStore, today: datetime, colleague: Issued
) -> None:
    """Looked up by issuer and serial number, it holds; what the look-up brings for another name does not count."""
    signature = by_openssl(author, "-nocerts")

    def asked(*found: bytes) -> Proof:
        return cms.verify(signature, CONTENT, todays_store, profiles.SMIME, today, lookup=lambda _: found)

    assert asked(colleague.der, author.der).valid
    assert fault(asked(colleague.der)) is Fault.NO_CERTIFICATE
    assert fault(asked()) is Fault.NO_CERTIFICATE


def test_the_looked_up_name_is_the_signers(
    author: Issued, by_openssl: Callable[..., bytes], todays_store: TrustStore, today: datetime
) -> None:
    """The look-up is told issuer and serial number, or the key identifier, whichever the signer wrote."""
    for options, expected in (
        ((), cms.SignerName(author.certificate.issuer.public_bytes(), author.certificate.serial_number)),
        (("-keyid",), cms.SignerName(key_identifier=ski(author))),
    ):
        asked: list[cms.SignerName] = []
        signature = by_openssl(author, "-nocerts", *options)

        def lookup(name: cms.SignerName, asked: list[cms.SignerName] = asked) -> list[bytes]:
            asked.append(name)
            return [author.der]

        assert cms.verify(signature, CONTENT, todays_store, profiles.SMIME, today, lookup=lookup).valid
        assert asked == [expected]


def ski(who: Issued) -> bytes:
    return who.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest


# --- inside, and beside ---


@pytest.mark.parametrize("key", ["rsa", "p256", "p384", "p521"])
@pytest.mark.parametrize("pss", [False, True])
def test_what_we_sign_opaque_holds_for_openssl(
    pki: Pki,
    store: TrustStore,
    now: datetime,
    tmp_path: Path,
    trust_folder: Path,
    openssl: Openssl,
    key: str,
    pss: bool,
) -> None:
    """The content travels inside; openssl shows it; PSS is a padding of RSA only."""
    who = pki.smime("a@b.mssante.fr", "A", "B", "1", key=key)
    if pss and key != "rsa":
        with pytest.raises(ValueError, match="PSS"):
            cms.sign(CONTENT, who.signer(), now, pss=True, inside=True)
        return
    message = cms.sign(CONTENT, who.signer(), now, pss=pss, inside=True)
    (proof,) = cms.proofs(message, None, store, profiles.SMIME, now)
    assert proof.valid
    assert cms.encapsulated(message) == CONTENT
    (tmp_path / "message").write_bytes(message)
    openssl(
        *("cms", "-verify", "-binary", "-inform", "DER", "-in", tmp_path / "message", "-out", tmp_path / "shown"),
        *("-CAfile", trust_folder / "anchors" / "root.pem", "-attime", str(int(now.timestamp()))),
    )
    assert (tmp_path / "shown").read_bytes() == CONTENT


def test_a_detached_signature_is_asked_about_a_content(doctor: Issued, now: datetime, store: TrustStore) -> None:
    """Without a content inside or beside there is nothing to prove."""
    (proof,) = cms.proofs(cms.sign(CONTENT, doctor.signer(), now), None, store, profiles.SMIME, now)
    assert fault(proof) is Fault.NO_CONTENT


def test_each_signer_has_an_answer(
    author: Issued,
    colleague: Issued,
    by_openssl: Callable[..., bytes],
    todays_store: TrustStore,
    today: datetime,
    tmp_path: Path,
) -> None:
    """Two signers are two proofs, each with its own name; together they are no single signature."""
    second, key = colleague.write(tmp_path, "second")
    both = by_openssl(author, "-signer", second, "-inkey", key)
    found = cms.proofs(both, CONTENT, todays_store, profiles.SMIME, today)
    assert all(each.valid for each in found)
    names = {each.trust.identity.common_name for each in found if isinstance(each.trust, Trusted)}
    assert names == {"JEANNE MARTIN", "PAUL DURAND"}


# --- what a message is ---


def test_kinds_have_names(author: Issued, doctor: Issued, now: datetime, tmp_path: Path, openssl: Openssl) -> None:
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


# --- the corpus of RFC 9216 ---


def lamps(corpus: Path, name: str) -> bytes:
    return (corpus / "cms" / "binary-files" / name).read_bytes()


@pytest.mark.corpus
@pytest.mark.parametrize("name", ["signedByAliceRSA.p7m", "signedByAliceRSAPSS.p7m"])
def test_alices_signatures_hold(corpus: Path, store: TrustStore, now: datetime, name: str) -> None:
    """Both hold, only her issuer is unknown; over another content, or changed, they do not."""
    signature, lenient = lamps(corpus, name), cms.Policy(without_attributes=True)

    def asked(message: bytes, content: bytes) -> Proof:
        return cms.verify(message, content, store, profiles.SMIME, now, policy=lenient)

    assert cms.encapsulated(signature) == SAMPLE
    assert fault(asked(signature, SAMPLE)) is Fault.UNKNOWN_ISSUER
    assert fault(asked(signature, SAMPLE + b" ")) is Fault.DIGEST_MISMATCH
    changed = signature[:-1] + bytes([signature[-1] ^ 1])
    assert fault(asked(changed, SAMPLE)) is Fault.BAD_SIGNATURE


@pytest.mark.corpus
def test_two_signers_without_their_certificates(corpus: Path, store: TrustStore, now: datetime) -> None:
    """Looked up, Alice's holds and Carlos's is named as later; not looked up, neither does."""
    message, lenient = lamps(corpus, "signedByAliceAndCarlosNoCerts.p7m"), cms.Policy(without_attributes=True)
    known = [(corpus / "cms/certs-and-keys" / f"lamps-{who}.crt").read_bytes() for who in ("alice", "carlos")]
    known = [
        x509.load_pem_x509_certificate(der).public_bytes(Encoding.DER) if der[:1] == b"-" else der for der in known
    ]

    def asked(lookup: cms.Lookup | None) -> list[Fault]:
        found = cms.proofs(message, None, store, profiles.SMIME, now, policy=lenient, lookup=lookup)
        return [fault(each) for each in found]

    assert sorted(asked(lambda _: known)) == sorted([Fault.UNKNOWN_ISSUER, Fault.UNSUPPORTED])
    assert Fault.NO_CERTIFICATE in asked(None)


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "why", "detail"),
    [
        ("signedByCarlosEd25519.p7m", Fault.UNSUPPORTED, "ed25519"),
        ("signedByCarlosDetached.p7m", Fault.UNSUPPORTED, "ed25519"),
        ("signedByAliceAndCarlosNoCerts.p7m", Fault.SEVERAL_SIGNERS, "2 signers"),
        ("encryptedKekri.p7m", Fault.UNSUPPORTED, "enveloped-data"),
        ("encryptedForBobAndDana.p7m", Fault.UNSUPPORTED, "enveloped-data"),
        ("encryptedForBobRSAOaep.p7m", Fault.UNSUPPORTED, "enveloped-data"),
        ("authEnvelopedForBobChaCha20Poly1305.p7m", Fault.UNSUPPORTED, "authEnveloped-data"),
        ("authEnvelopedForDanaX25519HKDF.p7m", Fault.UNSUPPORTED, "authEnveloped-data"),
    ],
)
def test_the_others_are_named(corpus: Path, ask: Callable[..., Proof], name: str, why: Fault, detail: str) -> None:
    """Objects of RFC 9216 that we cannot judge are answered by name, never by a crash."""
    proof = ask(lamps(corpus, name), SAMPLE)
    assert fault(proof) is why
    assert not isinstance(proof.trust, Trusted)
    assert proof.trust.detail == detail

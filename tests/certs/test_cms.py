"""CMS signatures, both directions against openssl; each accepted signature has its refused twins."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from certs import cms, profiles
from certs.chain import TrustStore
from certs.model import Fault, Proof, Trusted
from certs.throwaway import Issued, Pki

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

"""The ten objects of corpus/cms (people of RFC 9216): each verified, decrypted, or named as what comes later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key

from certs import cms, envelope, profiles
from certs.chain import TrustStore
from certs.envelope import Opened
from certs.model import CannotTell, Fault, Proof, Untrusted
from certs.openers import LocalOpener

pytestmark = pytest.mark.corpus

SAMPLE = b"This is some sample content."
AT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
LENIENT = cms.Policy(without_attributes=True)

# name: (kind, what each signer's answer is: the fault and the name of the check that says it)
# 'issuer' is the first check of the trust store, after the last one of the signature: the authority of RFC 9216 is not
# in the corpus, so the signature is as good as it can be.
VERIFIED = (Fault.UNKNOWN_ISSUER, "issuer")
LATER_ED25519 = (Fault.UNSUPPORTED, "known-algorithms")
SIGNED: Mapping[str, tuple[tuple[Fault, str], ...]] = {
    "signedByAliceRSA": (VERIFIED,),
    "signedByAliceRSAPSS": (VERIFIED,),
    "signedByAliceAndCarlosNoCerts": (LATER_ED25519, VERIFIED),
    "signedByCarlosDetached": (LATER_ED25519,),
    "signedByCarlosEd25519": (LATER_ED25519,),
}
# name: (kind, algorithm of the content, those of its recipients)
SEALED: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "authEnvelopedForBobChaCha20Poly1305": ("authEnveloped-data", "ChaCha20-Poly1305", ("rsa-oaep",)),
    "authEnvelopedForDanaX25519HKDF": (
        "authEnveloped-data", "aes-128-gcm", ("X25519, dhSinglePass-stdDH-hkdf-sha256-scheme, aes256-wrap",),
    ),
    "encryptedForBobAndDana": ("enveloped-data", "aes-128-cbc", ("rsa-oaep", "X25519, ecdh-sha256kdf, aes128-wrap")),
    "encryptedForBobRSAOaep": ("enveloped-data", "aes-128-cbc", ("rsa-oaep",)),
    "encryptedKekri": ("enveloped-data", "aes-192-cbc", ("kekri",)),
}  # fmt: skip
# (name, whose key): what is named as later
LATER = {
    ("authEnvelopedForBobChaCha20Poly1305", "bob"): "ChaCha20-Poly1305",
    ("authEnvelopedForDanaX25519HKDF", "dana"): "X25519",
    ("encryptedForBobAndDana", "dana"): "X25519",
    ("encryptedKekri", "bob"): "kekri",
}

Read = Callable[[str], bytes]


@pytest.fixture(scope="module")
def read(corpus: Path) -> Read:
    return lambda name: (corpus / "cms/binary-files" / f"{name}.p7m").read_bytes()


@pytest.fixture(scope="module")
def certificates(corpus: Path) -> Mapping[str, bytes]:
    """DER, by the person's name."""
    found = sorted((corpus / "cms/certs-and-keys").glob("*.crt"))
    loaded = {
        path.name.split("-")[1].split(".")[0]: x509.load_pem_x509_certificate(path.read_bytes()) for path in found
    }
    return {name: certificate.public_bytes(Encoding.DER) for name, certificate in loaded.items()}


@pytest.fixture(scope="module")
def openers(corpus: Path, certificates: Mapping[str, bytes]) -> Mapping[str, LocalOpener]:
    folder = corpus / "cms/certs-and-keys"
    keys = {name: load_der_private_key((folder / f"lamps-{name}.decrypt.p8.der").read_bytes(), None)
            for name in ("bob", "dana")}  # fmt: skip
    return {name: LocalOpener(certificates[name], key) for name, key in keys.items()}


def test_every_object_of_the_corpus_is_expected_to_be_something(corpus: Path) -> None:
    """None is passed over."""
    names = {path.stem for path in (corpus / "cms/binary-files").iterdir()}
    assert names == SIGNED.keys() | SEALED.keys()
    assert len(names) == 10


def _proofs(
    data: bytes, content: bytes | None, certificates: Mapping[str, bytes], policy: cms.Policy = LENIENT
) -> tuple[Proof, ...]:
    known = tuple(certificates.values())
    asked = None if cms.encapsulated(data) is not None else content
    return cms.proofs(data, asked, TrustStore(()), profiles.SMIME, AT, policy=policy, lookup=lambda name: known)


@pytest.mark.parametrize("name", SIGNED)
def test_a_signed_object_is_verified_or_its_algorithm_is_named(
    read: Read, certificates: Mapping[str, bytes], name: str
) -> None:
    """RSA and PSS signatures hold up to the missing authority; Ed25519 is named as what we do not read yet."""
    data = read(name)
    assert cms.kind(data) == "signed-data"
    inside = cms.encapsulated(data)
    assert inside == (None if name == "signedByCarlosDetached" else SAMPLE)
    found = _proofs(data, SAMPLE, certificates)
    assert tuple((each.trust.fault, each.trust.check) for each in found) == SIGNED[name]  # type: ignore[union-attr]
    for each in found:
        assert isinstance(each.trust, CannotTell if each.trust.fault is Fault.UNSUPPORTED else Untrusted)
        assert each.trust.detail == ("ed25519" if isinstance(each.trust, CannotTell) else each.trust.detail)


@pytest.mark.parametrize("name", [name for name, answers in SIGNED.items() if VERIFIED in answers])
def test_a_changed_content_is_refused_by_its_check(read: Read, certificates: Mapping[str, bytes], name: str) -> None:
    """The twin of each that is verified: one letter is another, and the digest or the signature does not hold."""
    data = read(name).replace(SAMPLE, SAMPLE.replace(b"some", b"sand"))
    answers = [each.trust for each in _proofs(data, None, certificates) if isinstance(each.trust, Untrusted)]
    assert [(each.fault, each.check) for each in answers] in (
        [(Fault.DIGEST_MISMATCH, "digest-agrees")],
        [(Fault.BAD_SIGNATURE, "signature-holds")],
    )


@pytest.mark.parametrize("name", ["signedByAliceRSA", "signedByAliceAndCarlosNoCerts"])
def test_without_attributes_only_by_policy(read: Read, certificates: Mapping[str, bytes], name: str) -> None:
    """Alice signs her content bare: the strict policy refuses that by name."""
    answers = [each.trust for each in _proofs(read(name), None, certificates, cms.STRICT)]
    refused = [each for each in answers if isinstance(each, Untrusted)]
    assert [each.check for each in refused] == ["attributes-there"]


def test_certificates_that_the_message_leaves_out_are_looked_up(read: Read, certificates: Mapping[str, bytes]) -> None:
    """Alice and Carlos sign without their certificates: without a look-up, nobody is known."""
    data = read("signedByAliceAndCarlosNoCerts")
    found = cms.proofs(data, None, TrustStore(()), profiles.SMIME, AT, policy=LENIENT)
    assert [each.trust.fault for each in found] == [Fault.UNSUPPORTED, Fault.NO_CERTIFICATE]  # type: ignore[union-attr]
    found = _proofs(data, None, certificates)
    assert [each.trust.identity.common_name for each in found] == ["Carlos Turing", "Alice Lovelace"]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", SEALED)
def test_a_sealed_object_is_read_without_a_key(read: Read, name: str) -> None:
    """Kind, algorithm and recipients, by their names."""
    kind, algorithm, recipients = SEALED[name]
    data = read(name)
    assert cms.kind(data) == kind
    assert envelope.algorithm(data) == algorithm
    assert tuple(each.algorithm for each in envelope.recipients(data)) == recipients


@pytest.mark.parametrize("name", ["encryptedForBobAndDana", "encryptedForBobRSAOaep"])
def test_what_is_for_bob_opens_with_his_key(read: Read, openers: Mapping[str, LocalOpener], name: str) -> None:
    """RSA-OAEP: the content comes out, and CBC vouches for nothing."""
    opened = envelope.decrypt(read(name), [openers["bob"]])
    assert isinstance(opened, Opened)
    assert (opened.content, opened.algorithm, opened.authenticated) == (SAMPLE, "aes-128-cbc", False)


def test_what_is_for_bob_opens_with_no_other_key(read: Read, openers: Mapping[str, LocalOpener]) -> None:
    """The twin: it names no certificate of Dana's; and under Bob's name another key opens nothing."""
    answer = envelope.decrypt(read("encryptedForBobRSAOaep"), [openers["dana"]])
    assert isinstance(answer, Untrusted)
    assert answer.fault is Fault.NOT_FOR_US
    stranger = LocalOpener(openers["bob"].certificate, openers["dana"].key)
    assert envelope.decrypt(read("encryptedForBobRSAOaep"), [stranger]) == envelope.CANNOT_OPEN


@pytest.mark.parametrize(("name", "who"), LATER)
def test_what_comes_later_is_named(read: Read, openers: Mapping[str, LocalOpener], name: str, who: str) -> None:
    """ChaCha20, X25519 and shared keys are recognised, and say so instead of failing."""
    answer = envelope.decrypt(read(name), [openers[who]])
    assert isinstance(answer, CannotTell)
    assert (answer.fault, answer.detail) == (Fault.UNSUPPORTED, LATER[name, who])

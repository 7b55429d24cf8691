"""The signatures of RFC 9216: held, refused or named, never a crash."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs import cms, profiles
from certs.chain import TrustStore
from certs.model import Fault, Proof, Trusted

SAMPLE = b"This is some sample content."
"""The content of every object of RFC 9216."""


def fault(proof: Proof) -> Fault:
    assert not isinstance(proof.trust, Trusted)
    assert not proof.valid
    return proof.trust.fault


@pytest.fixture
def ask(store: TrustStore, now: datetime) -> Callable[..., Proof]:
    def verify(signature: bytes, content: bytes = SAMPLE, at: datetime = now) -> Proof:
        return cms.verify(signature, content, store, profiles.SMIME, at)

    return verify


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

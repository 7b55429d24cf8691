"""`pli certs encrypt`, `decrypt` and `inspect`, and the sentences for every check and fault."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, pkcs12
from cryptography.x509 import ocsp

from certs import checks, signers
from gateway import certs_words
from tests.gateway.desk import CONTENT, Desk, answered, sealed_for_reader, wrong_use


@pytest.mark.parametrize(("options", "vouched"), [((), "intégrité garantie"), (("--cbc",), "EFAIL")])
def test_what_is_encrypted_opens_with_its_key(desk: Desk, options: tuple[str, ...], vouched: str) -> None:
    """A letter and a file; whether anything vouches for the content is said on standard error."""
    key = ("--key", desk.folder / "reader.key", "--cert", desk.folder / "reader.pem")
    done = desk("decrypt", sealed_for_reader(desk, "document.bin", *options), *key)
    assert (done.exit_code, done.stdout_bytes) == (0, CONTENT)
    assert vouched in done.stderr
    letter = sealed_for_reader(desk, "letter.eml", *options)
    assert b"Bonjour" not in letter.read_bytes()
    opened = desk("decrypt", letter, *key).stdout_bytes
    assert b"Bonjour." in opened
    # the letter as it reads: its author stands where he stood, so that a signature inside can be judged
    assert opened.split(b"\r\n", 1)[0] == letter.read_bytes().split(b"\r\n", 1)[0]
    assert opened.startswith(b"From: ")
    assert desk("decrypt", letter, *key, "--inner").stdout_bytes.startswith(b"Content-")


def test_another_key_opens_nothing(desk: Desk) -> None:
    """Exit code 1, no content; and what later versions read is exit code 3, by its name."""
    done = desk("decrypt", sealed_for_reader(desk, "document.bin"), *desk.key)
    assert (done.exit_code, done.stdout_bytes) == (1, b"")
    assert "chiffré pour quelqu'un d'autre" in done.stderr
    broken = bytearray(sealed_for_reader(desk, "document.bin").read_bytes())
    broken[-1] ^= 1
    key = ("--key", desk.folder / "reader.key", "--cert", desk.folder / "reader.pem")
    done = desk("decrypt", desk.path("broken.p7m", bytes(broken)), *key, "--lang", "en")
    assert (done.exit_code, done.stdout_bytes) == (1, b"")
    assert "does not open with this key" in done.stderr


@pytest.mark.corpus
def test_what_comes_later_is_exit_code_3(desk: Desk, corpus: Path) -> None:
    """Recognised, named, not opened."""
    later = corpus / "cms/binary-files/authEnvelopedForBobChaCha20Poly1305.p7m"
    keys = corpus / "cms/certs-and-keys"
    given = ("--key", keys / "lamps-bob.decrypt.p8.der", "--cert", keys / "lamps-bob.encrypt.crt")
    done = desk("decrypt", later, *given)
    assert (done.exit_code, done.stdout_bytes) == (3, b"")
    assert "ChaCha20-Poly1305" in done.stderr


def test_a_passphrase_comes_from_a_file(desk: Desk) -> None:
    """PKCS #12 with its passphrase in a file; another one opens nothing, and there is no option for the word itself."""
    sealed = pkcs12.serialize_key_and_certificates(
        b"", desk.reader.key, desk.reader.certificate, None, BestAvailableEncryption(b"un mot")
    )
    p12, word = desk.path("reader.p12", sealed), desk.path("word", b"un mot\n")
    message = sealed_for_reader(desk, "document.bin")
    assert desk("decrypt", message, "--p12", p12, "--passphrase-file", word).stdout_bytes == CONTENT
    assert "another passphrase" in wrong_use(desk("decrypt", message, "--p12", p12))
    wrong = desk.path("wrong", b"autre")
    assert "another passphrase" in wrong_use(desk("decrypt", message, "--p12", p12, "--passphrase-file", wrong))
    locked = desk.reader.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"un mot"))
    key = ("--key", desk.path("locked.key", locked), "--cert", desk.folder / "reader.pem", "--passphrase-file")
    assert desk("decrypt", message, *key, word).stdout_bytes == CONTENT
    assert "another passphrase" in wrong_use(desk("decrypt", message, *key, wrong))


def test_a_signed_letter_is_not_signed_again(desk: Desk) -> None:
    """What its author signed passes as it is."""
    assert "passes as it is" in wrong_use(desk("sign", desk.signed(), *desk.key))


# --- inspect -----------------------------------------------------------------------------------------------------


def test_a_letter_is_taken_apart_without_its_content(desk: Desk) -> None:
    """Parts, signer, algorithms and certificates; not a word of the letter."""
    done = desk("inspect", desk.signed(), "--json")
    assert done.exit_code == 0
    assert "Bonjour" not in done.stdout
    assert "essai" not in done.stdout
    signature = answered(done)[0]["parts"][-1]["cms"]
    assert (signature["content_type"], signature["content"]) == ("signed-data", "detached")
    assert signature["signers"][0]["signature"] == "rsaEncryption"
    assert "signingCertificateV2" in signature["signers"][0]["signed_attributes"]
    assert [each["subject"].partition(",")[0] for each in signature["certificates"]][-1] == "CN=JEANNE MARTIN"


def test_an_encrypted_object_names_its_recipients(desk: Desk) -> None:
    """Algorithm and recipients, as anybody can see."""
    told = answered(desk("inspect", sealed_for_reader(desk, "document.bin"), "--json"))[0]
    assert (told["content_type"], told["algorithm"]) == ("authEnveloped-data", "aes-256-gcm")
    assert told["recipients"][0]["serial"] == f"{desk.reader.certificate.serial_number:x}"
    assert told["recipients"][0]["algorithm"] == "ecdh-sha256kdf, aes256-wrap"


def test_certificates_lists_answers_and_requests_are_shown(desk: Desk) -> None:
    """Each by its own fields; one description for each object of a PEM file."""
    leaf, authority = answered(desk("inspect", desk.folder / "doctor.pem", "--json"))
    assert leaf["key"] == "RSA 2048"
    assert "digital_signature" in leaf["extensions"]["keyUsage (2.5.29.15) critical"]
    assert authority["extensions"]["basicConstraints (2.5.29.19) critical"] == {"ca": True, "path_length": 0}
    listing = answered(desk("inspect", desk.folder / "trust/crls/root.crl", "--json"))[0]
    assert (listing["kind"], listing["entries"], listing["next_update"][:10]) == ("crl", 0, "2026-12-02")
    question = ocsp.OCSPRequestBuilder().add_certificate(
        desk.doctor.certificate, desk.pki.authority.certificate, hashes.SHA256()
    )
    asked = desk.path("question.der", question.build().public_bytes(Encoding.DER))
    assert answered(desk("inspect", asked, "--json"))[0]["kind"] == "ocsp-question"
    unsuccessful = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    answer = desk.path("answer.der", unsuccessful.public_bytes(Encoding.DER))
    assert "status: try_later" in desk("inspect", answer).stdout
    request = x509.CertificateSigningRequestBuilder().subject_name(desk.doctor.certificate.subject)
    key = ec.generate_private_key(ec.SECP256R1())
    signed = desk.path("request.pem", request.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    told = answered(desk("inspect", signed, "--json"))[0]
    assert (told["kind"], told["key"], told["signature_holds"]) == ("request", "EC secp256r1", True)


def test_a_private_key_is_never_shown(desk: Desk) -> None:
    """A file with nothing but a key is nothing to look at."""
    assert "is no letter" in wrong_use(desk("inspect", desk.folder / "doctor.key"))


# --- the sentences -----------------------------------------------------------------------------------------------


def test_every_check_that_certs_names_has_its_sentence() -> None:
    """A new check, or one that is renamed, is told to people; those of decryption have one answer and stand apart."""
    root = Path(__file__).resolve().parent.parent.parent / "certs"
    judging = ("cms.py", "signers.py", "chain.py", "checks.py")
    found = {name for file in judging for name in re.findall(r'check="([a-z0-9-]+)"', (root / file).read_text())}
    found |= set(re.findall(r'\(Fault\.[A-Z_]+, "([a-z-]+)"\)', (root / "paths.py").read_text()))
    found |= set(re.findall(r'_(?:named|bad|misused)\(.*, "([a-z0-9-]+)"\)', (root / "signers.py").read_text()))
    found |= set(re.findall(r'_(?:named|bad|misused)\(.*, "([a-z0-9-]+)"\)', (root / "checks.py").read_text()))
    apart = {"single-signer", "path"}  # for callers that want one signer; OpenSSL's faults without a name
    assert found - apart == set(certs_words.CHECKS)


def _asked_by(function: Callable[..., object]) -> list[str]:
    """The checks that a function calls, in their order, by their names."""
    names = re.findall(r"(?:return|or|\()\s+([a-z0-9_]+)\(", inspect.getsource(function))
    return [name.replace("_", "-") for name in names]


def test_the_sentences_stand_in_the_order_in_which_the_checks_are_asked() -> None:
    """So that 'yes' is said only of what was really asked before the one that says no."""
    order = list(certs_words.CHECKS)
    of_signatures = _asked_by(signers.first_doubt)
    assert len(of_signatures) > 15
    assert [name for name in order if name in of_signatures] == of_signatures
    of_chains = [name for name in _asked_by(checks.first_doubt) if name != "end-use"]
    assert [name for name in order if name in of_chains] == of_chains
    assert order.index("signature-holds") < order.index("issuer") < order.index("critical-extensions")
    assert order[-1] == "not-revoked"


def test_every_fault_has_its_sentence() -> None:
    """In both languages."""
    from certs.model import Fault

    assert {fault.value for fault in Fault} == set(certs_words.FAULTS)

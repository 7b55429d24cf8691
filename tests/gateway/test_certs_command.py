"""`pli certs`: the real command on real files, each exit code, and the twin that is refused."""

from __future__ import annotations

import base64
import inspect
import json
import os
import random
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, pkcs12
from cryptography.x509 import ocsp

from certs import checks, signers
from certs.throwaway import Issued, Pki, Shape
from gateway import certs_words
from gateway.cli import pli
from gateway.config import Settings, load
from gateway.demo import stage
from gateway.demo.cast import RADIOLOGIST
from gateway.keeper import Keeper

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
AT = ("--at", "2026-11-25T09:31:00Z")
LETTER = (
    b"From: jeanne.martin@hopital-a.mssante.fr\r\nTo: paul@parc.example\r\nSubject: essai\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=us-ascii\r\n\r\nBonjour.\r\n"
)
CONTENT = b"un document quelconque\n"


@dataclass(frozen=True)
class Desk:
    """Files on an operator's desk: a trust folder, keys, a letter and a document."""

    folder: Path
    pki: Pki
    doctor: Issued
    reader: Issued

    def __call__(self, *arguments: object, stdin: bytes | None = None) -> Result:
        """Runs `pli certs …` in the folder."""
        return CliRunner().invoke(pli, ["--config", "absent.toml", "certs", *map(str, arguments)], input=stdin)

    def path(self, name: str, data: bytes | None = None) -> Path:
        path = self.folder / name
        if data is not None:
            path.write_bytes(data)
        return path

    @property
    def anchors(self) -> tuple[str, str]:
        return "--anchors", str(self.folder / "trust")

    @property
    def key(self) -> tuple[str, ...]:
        return "--key", str(self.folder / "doctor.key"), "--cert", str(self.folder / "doctor.pem")

    def signed(self, source: str = "letter.eml", *options: str) -> Path:
        """`source` signed by the doctor."""
        out = self.folder / f"signed-{'-'.join((source, *options)).replace('/', '_')}"
        if not out.exists():
            done = self("sign", self.folder / source, *self.key, *AT, *options, "--out", out)
            assert done.exit_code == 0, done.output
        return out


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("desk")
    pki = Pki.create(NOW)
    doctor = pki.smime("jeanne.martin@hopital-a.mssante.fr", "JEANNE MARTIN", "HOPITAL A", "1750000001")
    usage = frozenset({"key_agreement"})
    reader = pki.issue(
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "PAUL")]), Shape(key="p256", usage=usage)
    )
    pki.write_trust(folder / "trust", NOW)
    doctor.write(folder, "doctor")
    reader.write(folder, "reader")
    (folder / "letter.eml").write_bytes(LETTER)
    (folder / "document.bin").write_bytes(CONTENT)
    return Desk(folder, pki, doctor, reader)


def _told(done: Result) -> Any:
    return json.loads(done.stdout)


def _refused(done: Result) -> str:
    """The sentence of a wrong use."""
    assert done.exit_code == 2, done.output
    assert isinstance(done.exception, SystemExit), done.exception
    assert "Traceback" not in done.output
    return done.stderr


# --- verify ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [(), ("--opaque",), ("--hash", "sha512")])
def test_a_signed_letter_is_trusted(desk: Desk, options: tuple[str, ...]) -> None:
    """Exit code 0, who signed, and what the signature covers; French first."""
    done = desk("verify", desk.signed("letter.eml", *options), *desk.anchors, *AT)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("DE CONFIANCE (au 2026-11-25 09:31:00 UTC)\n")
    assert "signé par la boîte de JEANNE MARTIN" in done.stdout
    assert "couvre la lettre entière" in done.stdout
    assert "+ aucun certificat n'est révoqué : oui (not-revoked)" in done.stdout


def test_a_changed_letter_is_untrusted(desk: Desk) -> None:
    """Exit code 1; the check that says no stands where it was asked, and later ones were not asked."""
    changed = desk.path("changed.eml", desk.signed().read_bytes().replace(b"Bonjour", b"Bonsoir"))
    done = desk("verify", changed, *desk.anchors, *AT, "--json")
    assert done.exit_code == 1
    told = _told(done)
    assert (told["answer"], told["fault"]) == ("untrusted", "digest-mismatch")
    said = {each["check"]: each["answer"] for each in told["signatures"][0]["checks"]}
    assert (said["inside-agrees"], said["digest-agrees"], said["not-revoked"]) == ("yes", "no", "not-asked")


def test_without_lists_nobody_can_tell(desk: Desk) -> None:
    """Exit code 3: the root alone, no revocation list; what is missing is named, and with it the answer is there."""
    root = ("--anchors", str(desk.folder / "trust/anchors/root.pem"))
    done = desk("verify", desk.signed(), *root, *AT, "--lang", "en")
    assert done.exit_code == 3
    assert done.stdout.startswith("CANNOT TELL")
    assert "? no certificate is revoked: CANNOT TELL (not-revoked)" in done.stdout
    assert "missing: a current revocation list or OCSP answer: --crls FILE" in done.stdout
    lists = [each for name in ("root", "authority") for each in ("--crls", desk.folder / f"trust/crls/{name}.crl")]
    assert desk("verify", desk.signed(), *root, *AT, *lists).exit_code == 0


def test_an_expired_certificate_is_untrusted_at_that_moment_only(desk: Desk) -> None:
    """--at decides: later the certificate is over, and a moment is read with or without its zone."""
    late = desk("verify", desk.folder / "doctor.pem", *desk.anchors, "--at", "2036-01-01", "--json")
    assert late.exit_code == 1
    assert _told(late)["signatures"][0]["check"] == "validity"
    assert desk("verify", desk.folder / "doctor.pem", *desk.anchors, "--at", "2026-11-25T10:31:00+01:00").exit_code == 0


def test_a_stale_list_counts_only_within_a_grace(desk: Desk, tmp_path: Path) -> None:
    """Exit code 3 a day after nextUpdate; --grace lets it count, says so, and the evidence keeps it."""
    late = ("--at", (NOW + timedelta(days=8)).isoformat())
    given = (desk.folder / "doctor.pem", *desk.anchors, *late)
    doubt = desk("verify", *given)
    assert doubt.exit_code == 3
    assert "la liste de révocation est périmée" in doubt.stdout
    assert "une liste de révocation plus récente" in doubt.stdout
    kept = desk("evidence", *given, "--grace", "30", "--out", tmp_path / "kept")
    assert kept.exit_code == 0
    assert "périmée, admise par tolérance" in kept.stdout
    assert desk("verify", given[0], "--evidence", tmp_path / "kept").exit_code == 0


def _ocsp(desk: Desk, name: str, status: ocsp.OCSPCertStatus) -> Path:
    """The authority's own answer about the doctor."""
    authority, revoked_at = desk.pki.authority, NOW if status is ocsp.OCSPCertStatus.REVOKED else None
    builder = ocsp.OCSPResponseBuilder().add_response(
        desk.doctor.certificate, authority.certificate, hashes.SHA256(), status,
        NOW, NOW + timedelta(days=1), revoked_at, None,
    )  # fmt: skip
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, authority.certificate)
    return desk.path(name, builder.sign(authority.key, hashes.SHA256()).public_bytes(Encoding.DER))


def test_an_ocsp_answer_is_taken_among_the_lists(desk: Desk) -> None:
    """--crls takes answers too: a revoked certificate is untrusted by it, whatever the list says."""
    revoked = _ocsp(desk, "revoked.der", ocsp.OCSPCertStatus.REVOKED)
    done = desk("verify", desk.signed(), *desk.anchors, *AT, "--crls", revoked, "--json")
    assert done.exit_code == 1
    assert _told(done)["fault"] == "revoked"


def test_an_ocsp_answer_stands_for_a_list_and_in_the_evidence(desk: Desk, tmp_path: Path) -> None:
    """Without the authority's list its answer says good; the evidence keeps it, and without it nobody can tell."""
    root = ("--anchors", desk.folder / "trust/anchors/root.pem", "--crls", desk.folder / "trust/crls/root.crl")
    good = _ocsp(desk, "good.der", ocsp.OCSPCertStatus.GOOD)
    given = (desk.signed(), *root, *AT)
    assert desk("verify", *given).exit_code == 3
    assert desk("evidence", *given, "--crls", good, "--out", tmp_path / "kept").exit_code == 0
    assert [path.read_bytes() for path in (tmp_path / "kept/ocsp").iterdir()] == [good.read_bytes()]
    again = desk("verify", desk.signed(), "--evidence", tmp_path / "kept")
    assert again.exit_code == 0
    assert "consulté : ocsp " in again.stdout


def test_another_root_is_untrusted(desk: Desk) -> None:
    """Exit code 1: a chain to nobody we know."""
    other = Pki.create(NOW, "AUTRE").root
    root = desk.path("other.pem", other.certificate.public_bytes(Encoding.PEM))
    done = desk("verify", desk.signed(), "--anchors", root, *AT)
    assert done.exit_code == 1
    assert "émis par une autorité inconnue" in done.stdout


def test_an_unsigned_letter_is_untrusted(desk: Desk) -> None:
    """Nobody's word is no word."""
    done = desk("verify", desk.folder / "letter.eml", *desk.anchors, *AT)
    assert done.exit_code == 1
    assert "non signé" in done.stdout


def test_a_letter_signed_in_part_is_untrusted(desk: Desk) -> None:
    """What a list put beside the signed part is covered by nobody, and the answer says so."""
    signed = desk.signed().read_bytes()
    inner = signed[signed.index(b"Content-Type: multipart/signed") :]
    fields = LETTER.partition(b"Content-Type")[0]
    around = b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n' + inner
    more = b"\r\n--b\r\nContent-Type: text/plain\r\n\r\nbas de page\r\n--b--\r\n"
    done = desk("verify", desk.path("part.eml", fields + around + more), *desk.anchors, *AT)
    assert done.exit_code == 1
    assert "ne couvre qu'une partie de la lettre" in done.stdout
    assert "smime.covers-a-part" in done.stdout


Form = Callable[[bytes], bytes]


def _pem(der: bytes) -> bytes:
    return b"-----BEGIN PKCS7-----\n" + base64.encodebytes(der) + b"-----END PKCS7-----\n"


@pytest.mark.parametrize("form", [bytes, _pem, base64.encodebytes, base64.b64encode])
def test_a_detached_signature_is_read_in_every_form(desk: Desk, form: Form) -> None:
    """DER, PEM and base64 are one; another content is refused."""
    signature = desk.path("form.p7s", form(desk.signed("document.bin").read_bytes()))
    given = (signature, *desk.anchors, *AT, "--content")
    assert desk("verify", *given, desk.folder / "document.bin").exit_code == 0
    assert desk("verify", *given, desk.folder / "letter.eml").exit_code == 1


def test_an_opaque_signature_gives_its_content_only_when_trusted(desk: Desk) -> None:
    """--out is written for the trusted one, and not for its twin."""
    opaque = desk.signed("document.bin", "--opaque", "--pss")
    out = desk.folder / "inside.bin"
    assert desk("verify", opaque, *desk.anchors, *AT, "--out", out).exit_code == 0
    assert out.read_bytes() == CONTENT
    twin = desk.path("twin.p7m", opaque.read_bytes().replace(b"quelconque", b"quelconqua"))
    assert desk("verify", twin, *desk.anchors, *AT, "--out", desk.folder / "never.bin").exit_code == 1
    assert not (desk.folder / "never.bin").exists()


def test_standard_input_is_a_file_like_any_other(desk: Desk) -> None:
    """'-' reads it."""
    assert desk("verify", "-", *desk.anchors, *AT, stdin=desk.signed().read_bytes()).exit_code == 0
    assert desk("verify", "-", *desk.anchors, *AT, stdin=LETTER).exit_code == 1


def _by_openssl(desk: Desk, name: str, *options: str) -> Path:
    """The document, signed by another program; without attributes it claims no time."""
    files = ("-in", desk.folder / "document.bin", "-signer", desk.folder / "doctor.pem")
    command = ("openssl", "cms", "-sign", "-binary", "-noattr", *options, "-outform", "DER", *files)
    out = ("-inkey", desk.folder / "doctor.key", "-out", desk.folder / name)
    subprocess.run([str(each) for each in (*command, *out)], check=True, capture_output=True)
    return desk.folder / name


def test_a_signature_without_attributes_only_when_asked(desk: Desk) -> None:
    """--without-attributes names the policy; without it the check says no."""
    bare = _by_openssl(desk, "bare.p7s")
    given = (bare, "--content", desk.folder / "document.bin", *desk.anchors, *AT)
    refused = desk("verify", *given)
    assert refused.exit_code == 1
    assert "NON (attributes-there)" in refused.stdout
    assert desk("verify", *given, "--without-attributes").exit_code == 0


def test_a_signer_whom_the_message_leaves_out_is_looked_up(desk: Desk) -> None:
    """--certs offers certificates; without them the missing one is named, and another's is of no use."""
    left_out = _by_openssl(desk, "left-out.p7s", "-nocerts")
    given = (left_out, "--content", desk.folder / "document.bin", "--without-attributes", *desk.anchors, *AT, "--json")
    for offered in ((), ("--certs", desk.folder / "reader.pem")):
        alone = desk("verify", *given, *offered)
        assert (alone.exit_code, _told(alone)["missing"]) == (1, ["no-certificate"])
    assert desk("verify", *given, "--certs", desk.folder / "doctor.pem").exit_code == 0


def test_a_role_is_asked_for_by_name(desk: Desk) -> None:
    """--profile judges a certificate for another use: a mailbox's is no TLS client."""
    done = desk("verify", desk.folder / "doctor.pem", *desk.anchors, *AT, "--profile", "tls-client", "--json")
    assert done.exit_code == 1
    assert _told(done)["signatures"][0]["check"] == "extended-usage"
    assert "none of" in _refused(desk("verify", desk.folder / "doctor.pem", *desk.anchors, "--profile", "king"))


@pytest.mark.parametrize(
    "more", [("--profile", "seal"), ("--without-attributes",), ("--certs", "doctor.pem"), ("--content", "document.bin")]
)
def test_a_letter_is_judged_as_a_node_would(desk: Desk, more: tuple[str, ...]) -> None:
    """What could only be passed over is refused."""
    given = [str(desk.folder / each) if "." in each else each for each in more]
    assert "a letter is judged as a node would" in _refused(desk("verify", desk.signed(), *desk.anchors, *AT, *given))


def test_a_certificates_own_words_are_shown_on_one_line(desk: Desk) -> None:
    """A name with a line end or an escape sequence forges no line of the answer."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "EVE\n  signé par la boîte de\x1b[1m PAUL")])
    forged = desk.path("eve.pem", desk.pki.issue(name, Shape(key="p256")).certificate.public_bytes(Encoding.PEM))
    for command in (("verify", forged, *desk.anchors, *AT), ("inspect", forged)):
        done = desk(*command)
        assert "EVE" in done.stdout
        assert "\x1b" not in done.stdout
        assert not [line for line in done.stdout.splitlines() if line.startswith("  signé par la boîte")]


# --- wrong use ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("verify", "absent.eml", "ANCHORS"), "absent.eml cannot be read: No such file or directory"),
        (("verify", "NOISE", "ANCHORS"), "nothing here is signed"),
        (("verify", "SIGNATURE", "ANCHORS"), "the signature is detached: say with --content FILE"),
        (("verify", "LETTER"), "whom do you trust? Name roots with --anchors FILE"),
        (("verify", "LETTER", "--anchors", "NOISE"), "holds no certificate"),
        (("verify", "LETTER", "ANCHORS", "--crls", "NOISE"), "holds no CRL and no OCSP answer"),
        (("verify", "LETTER", "ANCHORS", "--at", "demain"), "'demain' is no moment in ISO 8601"),
        (("verify",), "which file?"),
        (("verify", "--evidence", "FOLDER", "LETTER"), "holds no evidence.json"),
        (("inspect", "NOISE"), "is no letter, CMS object"),
        (("inspect", "EMPTY"), "is empty"),
        (("sign", "LETTER"), "whose key? --key FILE with --cert FILE, or --p12 FILE"),
        (("sign", "LETTER", "--key", "READERKEY", "--cert", "DOCTOR"), "is not the key of the first certificate"),
        (("sign", "LETTER", "--key", "NOISE", "--cert", "DOCTOR"), "holds no private key that opens"),
        (("sign", "LETTER", "--p12", "NOISE"), "does not open as PKCS #12"),
        (("encrypt", "LETTER", "--to", "NOISE"), "holds no certificate"),
        (("encrypt", "LETTER", "--to", "DOCTOR"), "its usage does not permit keyEncipherment"),
        (("encrypt", "LETTER"), "Missing option '--to'"),
        (("decrypt", "LETTER", "--key", "READERKEY", "--cert", "READER"), "nothing in it is encrypted"),
    ],
)
def test_a_wrong_use_is_one_sentence_and_exit_code_2(desk: Desk, arguments: tuple[str, ...], sentence: str) -> None:
    """Files that cannot be read, options that do not fit: never a traceback."""
    names = {
        "LETTER": desk.folder / "letter.eml", "NOISE": desk.path("noise", b"\x00\x01bruit"),
        "EMPTY": desk.path("empty", b""), "SIGNATURE": desk.signed("document.bin"), "FOLDER": desk.folder,
        "DOCTOR": desk.folder / "doctor.pem", "READER": desk.folder / "reader.pem",
        "READERKEY": desk.folder / "reader.key",
    }  # fmt: skip
    given = [part for each in arguments for part in (desk.anchors if each == "ANCHORS" else (names.get(each, each),))]
    assert sentence in _refused(desk(*given))


# --- evidence ----------------------------------------------------------------------------------------------------


def test_evidence_gives_the_same_answer_later(desk: Desk, tmp_path: Path) -> None:
    """A folder with chain, lists and moment; the trust folder it came from is no longer needed, nor the present."""
    kept = desk("evidence", desk.signed(), *desk.anchors, *AT, "--out", tmp_path / "kept", "--json")
    assert kept.exit_code == 0
    again = desk("verify", desk.signed(), "--evidence", tmp_path / "kept", "--json")
    assert (again.exit_code, _told(again)) == (0, _told(kept))
    names = {path.relative_to(tmp_path / "kept").parts[0] for path in (tmp_path / "kept").rglob("*")}
    assert names == {"anchors", "intermediates", "crls", "evidence.json"}
    assert b"Bonjour" not in b"".join(path.read_bytes() for path in (tmp_path / "kept").rglob("*") if path.is_file())


def test_evidence_of_a_doubt_and_of_a_refusal_keep_it(desk: Desk, tmp_path: Path) -> None:
    """Exit codes 3 and 1 come again, with a copy of the file if that is wanted."""
    root = ("--anchors", str(desk.folder / "trust/anchors/root.pem"))
    assert desk("evidence", desk.signed(), *root, *AT, "--out", tmp_path / "doubt", "--with-file").exit_code == 3
    assert desk("verify", "--evidence", tmp_path / "doubt").exit_code == 3
    changed = desk.path("evidence.eml", desk.signed().read_bytes().replace(b"Bonjour", b"Bonsoir"))
    assert desk("evidence", changed, *desk.anchors, *AT, "--out", tmp_path / "no").exit_code == 1
    assert desk("verify", changed, "--evidence", tmp_path / "no").exit_code == 1
    assert "keeps no copy" in _refused(desk("verify", "--evidence", tmp_path / "no"))


def test_evidence_is_about_one_file(desk: Desk, tmp_path: Path) -> None:
    """Another letter, or a changed folder, is not the same question: it is refused, or the answer says so."""
    desk("evidence", desk.signed(), *desk.anchors, *AT, "--out", tmp_path / "kept")
    other = desk.path("other.eml", desk.signed().read_bytes() + b"\r\n")
    assert "is evidence about another file" in _refused(desk("verify", other, "--evidence", tmp_path / "kept"))
    for path in (tmp_path / "kept/crls").iterdir():
        path.unlink()
    done = desk("verify", desk.signed(), "--evidence", tmp_path / "kept", "--json")
    assert (done.exit_code, _told(done)["findings"]) == (3, ["evidence.answer-differs"])


# --- encrypt and decrypt -----------------------------------------------------------------------------------------


def _sealed(desk: Desk, source: str, *options: str) -> Path:
    out = desk.folder / f"sealed-{'-'.join((source, *options))}"
    done = desk("encrypt", desk.folder / source, "--to", desk.folder / "reader.pem", *options, "--out", out)
    assert done.exit_code == 0, done.output
    return out


@pytest.mark.parametrize(("options", "vouched"), [((), "intégrité garantie"), (("--cbc",), "EFAIL")])
def test_what_is_encrypted_opens_with_its_key(desk: Desk, options: tuple[str, ...], vouched: str) -> None:
    """A letter and a file; whether anything vouches for the content is said on standard error."""
    key = ("--key", desk.folder / "reader.key", "--cert", desk.folder / "reader.pem")
    done = desk("decrypt", _sealed(desk, "document.bin", *options), *key)
    assert (done.exit_code, done.stdout_bytes) == (0, CONTENT)
    assert vouched in done.stderr
    letter = _sealed(desk, "letter.eml", *options)
    assert b"Bonjour" not in letter.read_bytes()
    opened = desk("decrypt", letter, *key).stdout_bytes
    assert b"Bonjour." in opened
    # the letter as it reads: its author stands where he stood, so that a signature inside can be judged
    assert opened.split(b"\r\n", 1)[0] == letter.read_bytes().split(b"\r\n", 1)[0]
    assert opened.startswith(b"From: ")
    assert desk("decrypt", letter, *key, "--inner").stdout_bytes.startswith(b"Content-")


def test_another_key_opens_nothing(desk: Desk) -> None:
    """Exit code 1, no content; and what later versions read is exit code 3, by its name."""
    done = desk("decrypt", _sealed(desk, "document.bin"), *desk.key)
    assert (done.exit_code, done.stdout_bytes) == (1, b"")
    assert "chiffré pour quelqu'un d'autre" in done.stderr
    broken = bytearray(_sealed(desk, "document.bin").read_bytes())
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
    message = _sealed(desk, "document.bin")
    assert desk("decrypt", message, "--p12", p12, "--passphrase-file", word).stdout_bytes == CONTENT
    assert "another passphrase" in _refused(desk("decrypt", message, "--p12", p12))
    wrong = desk.path("wrong", b"autre")
    assert "another passphrase" in _refused(desk("decrypt", message, "--p12", p12, "--passphrase-file", wrong))
    locked = desk.reader.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"un mot"))
    key = ("--key", desk.path("locked.key", locked), "--cert", desk.folder / "reader.pem", "--passphrase-file")
    assert desk("decrypt", message, *key, word).stdout_bytes == CONTENT
    assert "another passphrase" in _refused(desk("decrypt", message, *key, wrong))


def test_a_signed_letter_is_not_signed_again(desk: Desk) -> None:
    """What its author signed passes as it is."""
    assert "passes as it is" in _refused(desk("sign", desk.signed(), *desk.key))


# --- inspect -----------------------------------------------------------------------------------------------------


def test_a_letter_is_taken_apart_without_its_content(desk: Desk) -> None:
    """Parts, signer, algorithms and certificates; not a word of the letter."""
    done = desk("inspect", desk.signed(), "--json")
    assert done.exit_code == 0
    assert "Bonjour" not in done.stdout
    assert "essai" not in done.stdout
    signature = _told(done)[0]["parts"][-1]["cms"]
    assert (signature["content_type"], signature["content"]) == ("signed-data", "detached")
    assert signature["signers"][0]["signature"] == "rsaEncryption"
    assert "signingCertificateV2" in signature["signers"][0]["signed_attributes"]
    assert [each["subject"].partition(",")[0] for each in signature["certificates"]][-1] == "CN=JEANNE MARTIN"


def test_an_encrypted_object_names_its_recipients(desk: Desk) -> None:
    """Algorithm and recipients, as anybody can see."""
    told = _told(desk("inspect", _sealed(desk, "document.bin"), "--json"))[0]
    assert (told["content_type"], told["algorithm"]) == ("authEnveloped-data", "aes-256-gcm")
    assert told["recipients"][0]["serial"] == f"{desk.reader.certificate.serial_number:x}"
    assert told["recipients"][0]["algorithm"] == "ecdh-sha256kdf, aes256-wrap"


def test_certificates_lists_answers_and_requests_are_shown(desk: Desk) -> None:
    """Each by its own fields; one description for each object of a PEM file."""
    leaf, authority = _told(desk("inspect", desk.folder / "doctor.pem", "--json"))
    assert leaf["key"] == "RSA 2048"
    assert "digital_signature" in leaf["extensions"]["keyUsage (2.5.29.15) critical"]
    assert authority["extensions"]["basicConstraints (2.5.29.19) critical"] == {"ca": True, "path_length": 0}
    listing = _told(desk("inspect", desk.folder / "trust/crls/root.crl", "--json"))[0]
    assert (listing["kind"], listing["entries"], listing["next_update"][:10]) == ("crl", 0, "2026-12-02")
    question = ocsp.OCSPRequestBuilder().add_certificate(
        desk.doctor.certificate, desk.pki.authority.certificate, hashes.SHA256()
    )
    asked = desk.path("question.der", question.build().public_bytes(Encoding.DER))
    assert _told(desk("inspect", asked, "--json"))[0]["kind"] == "ocsp-question"
    unsuccessful = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    answer = desk.path("answer.der", unsuccessful.public_bytes(Encoding.DER))
    assert "status: try_later" in desk("inspect", answer).stdout
    request = x509.CertificateSigningRequestBuilder().subject_name(desk.doctor.certificate.subject)
    key = ec.generate_private_key(ec.SECP256R1())
    signed = desk.path("request.pem", request.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
    told = _told(desk("inspect", signed, "--json"))[0]
    assert (told["kind"], told["key"], told["signature_holds"]) == ("request", "EC secp256r1", True)


def test_a_private_key_is_never_shown(desk: Desk) -> None:
    """A file with nothing but a key is nothing to look at."""
    assert "is no letter" in _refused(desk("inspect", desk.folder / "doctor.key"))


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


# --- for those who keep keys -------------------------------------------------------------------------------------


WANTED = (
    "--cn", "mss.lilas.example", "--organisation", "IMAGERIE DES LILAS", "--unit", "1750000001",
    "--department", "Paris (75)", "--host", "mss.lilas.example",
)  # fmt: skip


def test_a_request_comes_with_its_new_key(desk: Desk, tmp_path: Path) -> None:
    """Both are written, the key private; `inspect` shows what is asked for; nothing is ever replaced."""
    given = (*WANTED, "--kind", "p256", "--key", tmp_path / "new.key", "--out", tmp_path / "new.csr")
    assert desk("request", *given).exit_code == 0
    assert (tmp_path / "new.key").stat().st_mode & 0o777 == 0o600
    told = _told(desk("inspect", tmp_path / "new.csr", "--json"))[0]
    assert (told["key"], told["signature_holds"]) == ("EC secp256r1", True)
    assert told["subject"] == "CN=mss.lilas.example,OU=1750000001,O=IMAGERIE DES LILAS,ST=Paris (75),C=FR"
    key = (tmp_path / "new.key").read_bytes()
    assert "is there already" in _refused(desk("request", *given))
    assert (tmp_path / "new.key").read_bytes() == key


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (("--kind", "rsa1024"), "'rsa1024' is none of"),
        (("--country", "France"), "is no country"),
        (("--host", "hôte.example"), "is no host name in ASCII"),
        (("--address", "sans-arobase"), "is no mail address"),
        (("--passphrase-file", "absent"), "absent cannot be read"),
    ],
)
def test_a_request_that_no_authority_could_serve_is_refused(
    desk: Desk, tmp_path: Path, changed: tuple[str, str], sentence: str
) -> None:
    """One sentence, and no file is left."""
    given = (*WANTED, "--key", tmp_path / "no.key", "--out", tmp_path / "no.csr", *changed)
    assert sentence in _refused(desk("request", *given))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("at", "code", "levels"),
    [
        ("2026-11-26T09:30:00Z", 0, {"ok"}),
        ("2026-12-02T05:00:00Z", 1, {"ok", "urgent"}),
        ("2026-12-03T09:30:00Z", 1, {"ok", "over"}),
        ("2029-10-10T00:00:00Z", 1, {"ok", "soon", "over"}),
    ],
)
def test_what_expires_when_is_told(desk: Desk, at: str, code: int, levels: set[str]) -> None:
    """Certificates and lists of files and folders: fine, soon, urgent, over; the exit code asks for a person."""
    done = desk("watch", desk.folder / "doctor.pem", desk.folder / "trust", "--at", at, "--json")
    assert (done.exit_code, {each["level"] for each in _told(done)}) == (code, levels)


def test_what_cannot_be_watched_is_told(desk: Desk, tmp_path: Path) -> None:
    """Exit code 3 for a file that holds nothing to watch; one sentence for a file that is not there."""
    done = desk("watch", desk.path("noise", b"\x00\x01bruit"), *AT)
    assert done.exit_code == 3
    assert "ILLISIBLE" in done.stdout
    assert "absent.pem cannot be read" in _refused(desk("watch", "absent.pem"))
    assert "no such configuration file" in _refused(desk("watch"))


def test_ends_are_metrics_too(desk: Desk, tmp_path: Path) -> None:
    """--metrics writes the moments for Prometheus."""
    assert desk("watch", desk.folder / "reader.pem", *AT, "--metrics", tmp_path / "ends.prom").exit_code == 0
    end = int((desk.reader.certificate.not_valid_after_utc).timestamp())
    assert f'reader.pem#1"}} {end}' in (tmp_path / "ends.prom").read_text()
    nowhere = tmp_path / "ends.prom/below.prom"
    assert "cannot be written" in _refused(desk("watch", desk.folder / "reader.pem", "--metrics", nowhere))


def test_a_throwaway_infrastructure_is_judged_as_its_note_says(desk: Desk, tmp_path: Path) -> None:
    """Each specimen by `verify` under its role: trusted, or untrusted with the fault that the note names."""
    folder = tmp_path / "throwaway"
    assert desk("throwaway", folder, "--at", NOW.isoformat()).exit_code == 0
    rows = [line.split(None, 3) for line in (folder / "README.txt").read_text().splitlines()[4:] if line]
    assert {path.stem for path in (folder / "certificates").glob("*.pem")} == {name for name, *_ in rows}
    for name, profile, fault, _ in rows:
        given = (folder / f"certificates/{name}.pem", "--anchors", folder / "trust", "--profile", profile)
        done = desk("verify", *given, "--at", NOW.isoformat(), "--json")
        said = [each.get("fault", "trusted") for each in _told(done)["signatures"]]
        assert (done.exit_code, said) == (0 if fault == "trusted" else 1, [fault]), name
    assert {fault for _, _, fault, _ in rows} == {
        "trusted", "expired", "not-yet-valid", "revoked", "wrong-usage", "weak-algorithm", "weak-key", "unknown-issuer",
    }  # fmt: skip


def test_a_throwaway_infrastructure_replaces_nothing(desk: Desk, tmp_path: Path) -> None:
    """A folder that holds anything is refused."""
    (tmp_path / "mine").write_text("x")
    assert "is not empty" in _refused(desk("throwaway", tmp_path))
    assert "cannot be written" in _refused(desk("throwaway", tmp_path / "mine/below"))


# --- with a node -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of a complete node, made today; nothing of it runs."""
    return stage.build(tmp_path_factory.mktemp("node") / "demo", datetime.now(UTC)).seats["lilas"].config


@contextmanager
def _keeper_of(settings: Settings) -> Iterator[list[tuple[str, str]]]:
    """The node's keeper, answering in a thread; what it writes down."""
    written: list[tuple[str, str]] = []
    settings.keeper_socket.parent.mkdir(parents=True, exist_ok=True)
    keeper = Keeper(
        {settings.node.tenant: settings.keeper.folder}, settings.keeper_socket, frozenset({os.geteuid()}),
        lambda event, facts: written.append((event, facts["letter"])),
    )  # fmt: skip
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(target=keeper.serve, args=(stop, ready.set))
    thread.start()
    assert ready.wait(10)
    try:
        yield written
    finally:
        stop.set()
        thread.join()


def _with(config: Path, *arguments: object) -> Result:
    return CliRunner().invoke(pli, ["--config", str(config), "certs", *map(str, arguments)])


def test_a_node_offers_its_keepers_keys_and_its_anchors(node: Path, tmp_path: Path) -> None:
    """--from asks the keeper, which writes the release down; --config alone says whom to trust."""
    address = str(RADIOLOGIST.address)
    letter, signed = tmp_path / "letter.eml", tmp_path / "signed.eml"
    letter.write_bytes(LETTER.replace(b"jeanne.martin@hopital-a.mssante.fr", address.encode()))
    with _keeper_of(load(node)) as written:
        done = _with(node, "sign", letter, "--from", address, "--out", signed)
        assert done.exit_code == 0, done.output
        assert "no signing key of nobody@elsewhere.example" in _refused(
            _with(node, "sign", letter, "--from", "nobody@elsewhere.example")
        )
    assert written == [("key-used", "pli-certs")]
    trusted = _with(node, "verify", signed, "--json")
    assert (trusted.exit_code, _told(trusted)["answer"]) == (0, "trusted")
    root = next((load(node).trust.folder / "anchors").iterdir())
    assert _with(node, "verify", signed, "--anchors", root).exit_code == 3


def test_a_node_watches_its_own_files(node: Path) -> None:
    """Without files it is the node's: keys, TLS, trust, white list; all is well on its first day."""
    done = _with(node, "watch", "--json")
    assert done.exit_code == 0, done.output
    assert {"tls.certificate", "trust/white-list"} <= {each["name"] for each in _told(done)}
    assert _with(node, "watch", "--at", "2040-01-01").exit_code == 1


def test_a_node_opens_with_its_keepers_keys(node: Path, desk: Desk, tmp_path: Path) -> None:
    """--for asks the keeper for the mailbox's decryption keys; a mailbox without one is a sentence."""
    address, settings = str(RADIOLOGIST.address), load(node)
    usage, names = frozenset({"key_encipherment"}), (x509.RFC822Name(address),)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "RADIOLOGUE")])
    holder = desk.pki.issue(name, Shape(usage=usage, names=names))
    holder.write(settings.keeper.folder / "decrypt", "radiologue")
    certificate = holder.write(tmp_path, "radiologue")[0]
    sealed = tmp_path / "sealed.p7m"
    assert desk("encrypt", desk.folder / "document.bin", "--to", certificate, "--out", sealed).exit_code == 0
    with _keeper_of(settings) as written:
        opened = _with(node, "decrypt", sealed, "--for", address, "--out", tmp_path / "opened")
        assert (opened.exit_code, (tmp_path / "opened").read_bytes()) == (0, CONTENT)
        assert "no decryption key of nobody@elsewhere.example" in _refused(
            _with(node, "decrypt", sealed, "--for", "nobody@elsewhere.example")
        )
    assert "pli-certs" in {letter for _, letter in written}


def test_a_keeper_that_does_not_answer_is_one_sentence(node: Path, tmp_path: Path) -> None:
    """Exit code 2, and what to start."""
    letter = tmp_path / "letter.eml"
    letter.write_bytes(LETTER)
    said = _refused(_with(node, "sign", letter, "--from", str(RADIOLOGIST.address)))
    assert "keeper does not answer: start it with `pli serve`" in said


# --- whatever is typed -------------------------------------------------------------------------------------------


def _spoilt(data: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, taken out or put in."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5))):
        place = chance.randrange(len(found))
        found[place : place + chance.choice((0, 1, 1, 20))] = chance.randbytes(chance.choice((0, 1, 1, 8)))
    return bytes(found)


@pytest.mark.parametrize("seed", range(4))
def test_spoilt_files_have_an_answer_too(desk: Desk, seed: int) -> None:
    """Whatever a file holds, each command ends with one of the four exit codes and without a traceback."""
    chance = random.Random(seed)
    sources = [
        desk.signed(), desk.signed("document.bin", "--opaque", "--pss"), _sealed(desk, "document.bin"),
        _sealed(desk, "letter.eml"), desk.folder / "doctor.pem", desk.folder / "trust/crls/root.crl",
    ]  # fmt: skip
    key = ("--key", desk.folder / "reader.key", "--cert", desk.folder / "reader.pem")
    for source in sources * 3:
        data = _spoilt(source.read_bytes(), chance)
        for command in (("inspect", "-"), ("verify", "-", *desk.anchors, *AT), ("decrypt", "-", *key)):
            done = desk(*command, stdin=data)
            assert done.exit_code in (0, 1, 2, 3)
            assert done.exception is None or isinstance(done.exception, SystemExit), (command, data.hex())


# --- memory ------------------------------------------------------------------------------------------------------

LARGE = 25_000_000


def _peak(desk: Desk, *arguments: object) -> int:
    """Bytes that a process of its own held at most; it must succeed."""
    command = [sys.executable, "-m", "gateway", "certs", *map(str, arguments)]
    process = subprocess.Popen(command, cwd=desk.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return usage.ru_maxrss * 1024


def test_a_large_file_takes_twice_its_size_of_memory(desk: Desk, tmp_path: Path) -> None:
    """25 MB signed, verified, encrypted and decrypted: beside Python, the file and its result."""
    large, signed, sealed = tmp_path / "large.bin", tmp_path / "large.p7m", tmp_path / "large.enc"
    large.write_bytes(random.Random(1).randbytes(LARGE))
    key = ("--key", desk.folder / "reader.key", "--cert", desk.folder / "reader.pem")
    alone = _peak(desk, "verify", desk.signed(), *desk.anchors, *AT)
    asked = (
        ("sign", large, *desk.key, *AT, "--opaque", "--out", signed),
        ("verify", signed, *desk.anchors, *AT),
        ("encrypt", large, "--to", desk.folder / "reader.pem", "--out", sealed),
        ("decrypt", sealed, *key, "--out", tmp_path / "opened"),
    )
    taken = {arguments[0]: (_peak(desk, *arguments) - alone) / LARGE for arguments in asked}
    assert {name: round(times, 2) for name, times in taken.items() if times > 2.2} == {}
    assert (tmp_path / "opened").read_bytes() == large.read_bytes()

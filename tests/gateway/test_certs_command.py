"""`pli certs verify`: the real command on real files, each exit code, and the twin that is refused."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from certs.throwaway import Pki, Shape
from tests.gateway.desk import AT, CONTENT, LETTER, NOW, Desk, answered, wrong_use

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
    told = answered(done)
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
    assert answered(late)["signatures"][0]["check"] == "validity"
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
    assert answered(done)["fault"] == "revoked"


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
        assert (alone.exit_code, answered(alone)["missing"]) == (1, ["no-certificate"])
    assert desk("verify", *given, "--certs", desk.folder / "doctor.pem").exit_code == 0


def test_a_role_is_asked_for_by_name(desk: Desk) -> None:
    """--profile judges a certificate for another use: a mailbox's is no TLS client."""
    done = desk("verify", desk.folder / "doctor.pem", *desk.anchors, *AT, "--profile", "tls-client", "--json")
    assert done.exit_code == 1
    assert answered(done)["signatures"][0]["check"] == "extended-usage"
    assert "none of" in wrong_use(desk("verify", desk.folder / "doctor.pem", *desk.anchors, "--profile", "king"))


@pytest.mark.parametrize(
    "more", [("--profile", "seal"), ("--without-attributes",), ("--certs", "doctor.pem"), ("--content", "document.bin")]
)
def test_a_letter_is_judged_as_a_node_would(desk: Desk, more: tuple[str, ...]) -> None:
    """What could only be passed over is refused."""
    given = [str(desk.folder / each) if "." in each else each for each in more]
    assert "a letter is judged as a node would" in wrong_use(desk("verify", desk.signed(), *desk.anchors, *AT, *given))


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
    assert sentence in wrong_use(desk(*given))


# --- evidence ----------------------------------------------------------------------------------------------------


def test_evidence_gives_the_same_answer_later(desk: Desk, tmp_path: Path) -> None:
    """A folder with chain, lists and moment; the trust folder it came from is no longer needed, nor the present."""
    kept = desk("evidence", desk.signed(), *desk.anchors, *AT, "--out", tmp_path / "kept", "--json")
    assert kept.exit_code == 0
    again = desk("verify", desk.signed(), "--evidence", tmp_path / "kept", "--json")
    assert (again.exit_code, answered(again)) == (0, answered(kept))
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
    assert "keeps no copy" in wrong_use(desk("verify", "--evidence", tmp_path / "no"))


def test_evidence_is_about_one_file(desk: Desk, tmp_path: Path) -> None:
    """Another letter, or a changed folder, is not the same question: it is refused, or the answer says so."""
    desk("evidence", desk.signed(), *desk.anchors, *AT, "--out", tmp_path / "kept")
    other = desk.path("other.eml", desk.signed().read_bytes() + b"\r\n")
    assert "is evidence about another file" in wrong_use(desk("verify", other, "--evidence", tmp_path / "kept"))
    for path in (tmp_path / "kept/crls").iterdir():
        path.unlink()
    done = desk("verify", desk.signed(), "--evidence", tmp_path / "kept", "--json")
    assert (done.exit_code, answered(done)["findings"]) == (3, ["evidence.answer-differs"])

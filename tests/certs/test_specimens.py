"""The throw-away infrastructure with every way of being wrong, in files: each specimen judged as its note says."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from cryptography.x509.oid import ExtensionOID

from certs import keyfiles, profiles, specimens, throwaway
from certs.chain import TrustStore
from certs.model import Trusted, Untrusted
from certs.specimens import Collection, Specimen
from certs.throwaway import Pki

Openssl = Callable[..., subprocess.CompletedProcess[bytes]]
URLS = "http://crl.test.pli.invalid"
NAMES = (
    *(f"mail-{name}" for name in ("good", "good-p256", "good-p384", "good-p521", "good-pss", "other-address")),
    *("host-good", "host-other-name"),
    *(
        f"{sort}-{name}"
        for sort in ("mail", "host")
        for name in (
            "expired", "not-yet-valid", "revoked", "wrong-usage", "sha1", "rsa1024", "wrong-root", "with-urls",
        )
    ),
    *(f"decrypt-{name}" for name in ("rsa", "p256", "p384", "p521", "expired")),
    *("seal", "white-list", "client", "ocsp"),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(moment: datetime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("specimens")
    throwaway.write_all(found, moment, URLS)
    return found


@pytest.fixture(scope="module")
def made(moment: datetime, tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return specimens.write(tmp_path_factory.mktemp("made"), moment, URLS)


@pytest.fixture(scope="module")
def trusting(made: Collection, moment: datetime, tmp_path_factory: pytest.TempPathFactory) -> TrustStore:
    folder = tmp_path_factory.mktemp("trusting")
    made.pki.write_trust(folder, moment)
    return TrustStore.load(folder)


def one(made: Collection, name: str) -> Specimen:
    return next(each for each in made.specimens if each.name == name)


def test_the_family_is_complete(made: Collection) -> None:
    """Every specimen that is promised is there, and none that nobody asked for."""
    assert sorted(each.name for each in made.specimens) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_specimen_is_what_its_name_says(
    made: Collection, trusting: TrustStore, moment: datetime, name: str
) -> None:
    """A judge says of each what its note says: the good are trusted, each other has its one fault."""
    specimen = one(made, name)
    profile = profiles.named(specimen.profile)
    answer = trusting.judge(specimen.issued.der, specimen.issued.chain, profile, moment)
    if specimen.fault is None:
        assert isinstance(answer, Trusted), answer
    else:
        assert isinstance(answer, Untrusted)
        assert answer.fault is specimen.fault


def test_what_is_in_files_is_what_was_made(folder: Path, moment: datetime) -> None:
    """Each certificate lies beside its own key, which nobody else may read, and the trust folder is one."""
    found = dict(keyfiles.pairs(folder / "certificates"))
    assert sorted(found) == sorted(NAMES)
    for file in (*(folder / "certificates").glob("*.key"), folder / "authority.key"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    good = found["mail-good"]
    answer = TrustStore.load(folder / "trust").judge(good.der, good.chain, profiles.SMIME, moment)
    assert isinstance(answer, Trusted)


def test_the_note_names_every_specimen(folder: Path) -> None:
    """Who finds the folder reads that it is a test, and what each file must be judged to be."""
    note = (folder / "README.txt").read_text()
    assert note.startswith("Certificats de TEST")
    told = {line.split()[0]: line.split()[2] for line in note.splitlines() if line.split()[:1] and line[0].islower()}
    assert set(told) == set(NAMES)
    assert (told["mail-good"], told["mail-sha1"]) == ("trusted", "weak-algorithm")


def test_openssl_sees_the_same(made: Collection, moment: datetime, tmp_path: Path, openssl: Openssl) -> None:
    """openssl verify, with the CRLs, believes the good ones and refuses those whose fault it looks for."""
    made.pki.write_trust(tmp_path, moment)
    lists = tmp_path / "lists.pem"
    loaded = (x509.load_der_x509_crl(each.read_bytes()) for each in (tmp_path / "crls").iterdir())
    lists.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in loaded))
    said = {}
    for name in ("good", "good-pss", "good-p521", "expired", "not-yet-valid", "revoked", "wrong-root", "rsa1024"):
        pem, _ = one(made, f"mail-{name}").issued.write(tmp_path, name)
        told = openssl(
            "verify", "-attime", str(int(moment.timestamp())), "-crl_check_all", "-auth_level", "2",
            "-CAfile", tmp_path / "anchors" / "root.pem", "-untrusted", tmp_path / "intermediates" / "authority.pem",
            "-CRLfile", lists, pem, check=False,
        )  # fmt: skip
        said[name] = told.returncode == 0
    assert [name for name, good in said.items() if good] == ["good", "good-pss", "good-p521"]


def test_an_authority_signs_with_pss_and_with_sha1(made: Collection) -> None:
    """The PSS specimen is signed with PSS, the SHA-1 one with SHA-1, by the same authority; both signatures hold."""
    authority = made.pki.authority.certificate
    pss, old = (one(made, name).issued.certificate for name in ("mail-good-pss", "mail-sha1"))
    assert isinstance(pss.signature_algorithm_parameters, padding.PSS)
    assert pss.signature_hash_algorithm is not None
    assert old.signature_hash_algorithm is not None
    assert (pss.signature_hash_algorithm.name, old.signature_hash_algorithm.name) == ("sha256", "sha1")
    pss.verify_directly_issued_by(authority)
    public = authority.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    public.verify(old.signature, old.tbs_certificate_bytes, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303
    with pytest.raises(ValueError, match="RSA"):
        throwaway.with_sha1(old.tbs_certificate_bytes, one(made, "mail-good-p256").issued)


def test_addresses_are_named_only_where_asked(made: Collection, moment: datetime) -> None:
    """With a base of addresses a certificate names CRL, OCSP and issuer; without one it names none."""
    extensions = one(made, "mail-with-urls").issued.certificate.extensions
    points = extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert points[0].full_name == [x509.UniformResourceIdentifier(f"{URLS}/authority.crl")]
    access = extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert [each.access_location.value for each in access] == [f"{URLS}/ocsp", f"{URLS}/authority.cer"]
    with pytest.raises(x509.ExtensionNotFound):
        one(made, "mail-good").issued.certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints)


def test_keys_fit_their_use(made: Collection) -> None:
    """An encryption certificate takes keys or agrees on them, by its key's kind; an OCSP responder is exempt itself."""
    usages = {
        name: one(made, f"decrypt-{name}").issued.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        for name in ("rsa", "p256")
    }
    assert (usages["rsa"].key_encipherment, usages["rsa"].key_agreement) == (True, False)
    assert (usages["p256"].key_encipherment, usages["p256"].key_agreement) == (False, True)
    responder = one(made, "ocsp").issued.certificate.extensions
    assert list(responder.get_extension_for_class(x509.ExtendedKeyUsage).value) == [Eku.OCSP_SIGNING]
    assert responder.get_extension_for_oid(ExtensionOID.OCSP_NO_CHECK)


def test_few_rsa_keys_are_made(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """Seconds, not minutes: of the dear RSA keys only the authorities', the specimens', and five of other parties."""
    made: list[str] = []
    real = throwaway._key

    def counted(kind: str, bits: int) -> throwaway.Key:
        made.append(f"{kind}-{bits}")
        return real(kind, 64 * 16 if kind == "rsa" else bits)

    monkeypatch.setattr(throwaway, "_key", counted)
    specimens.collection(moment)
    assert made.count("rsa-2048") <= 5
    assert made.count("rsa-1024") == 2


def test_authorities_of_another_kind(moment: datetime) -> None:
    """Authorities on a curve, for who needs many infrastructures, issue too."""
    pki = Pki.create(moment, kind="p256")
    issued = pki.smime("a@b.example", "A", "B", "1", key="p384")
    issued.certificate.verify_directly_issued_by(pki.authority.certificate)

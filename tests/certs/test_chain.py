"""The trust store: each certificate that is trusted has a twin that is not, and a reason."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs import chain, profiles, revocation
from certs.chain import TrustStore
from certs.model import CannotTell, Fault, Trust, Trusted, Untrusted
from certs.profiles import Profile
from certs.revocation import Crls
from certs.throwaway import SIGNS, Issued, Pki, Shape

DAY = timedelta(days=1)
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


def fault(trust: Trust) -> Fault:
    assert not isinstance(trust, Trusted)
    return trust.fault


def store_of(pki: Pki, *ders: bytes) -> TrustStore:
    """A store with exactly these CRLs."""
    crls = [crl for crl in map(revocation.read, ders) if crl is not None]
    return TrustStore((pki.root.certificate,), (pki.authority.certificate,), Crls(crls))


def named(cn: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])


def sub_authority(parent: Issued, name: str, now: datetime, *extensions: x509.ExtensionType) -> Issued:
    """A CA under `parent`, with an EC key."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(
        parent.certificate.subject,
        named(name),
        key.public_key(),
        x509.random_serial_number(),
        now - DAY,
        now + DAY,
    ).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    certificate = builder.sign(parent.key, hashes.SHA256())
    return Issued(certificate, key, (certificate.public_bytes(Encoding.DER),))


def crl_of(issuer: Issued, now: datetime, *serials: int) -> bytes:
    builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, now, now + DAY)
    for serial in serials:
        builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, now).build())
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_a_mailbox_is_trusted_with_its_evidence(store: TrustStore, doctor: Issued, now: datetime) -> None:
    """A valid mailbox certificate is Trusted; the evidence names the chain, both CRLs and the moment."""
    trust = store.judge(doctor.der, doctor.chain, profiles.SMIME, now)
    assert isinstance(trust, Trusted)
    assert trust.identity == chain.identity(doctor.der)
    assert len(trust.evidence.chain) == 3
    assert trust.evidence.chain[0] == trust.identity.fingerprint
    assert [crl.rsplit("#", 1)[1] for crl in trust.evidence.crls] == ["1@2026-11-25T09:30:00Z"] * 2
    assert trust.evidence.at == now
    root = x509.load_der_x509_certificate(trust.evidence.certificates[-1])
    assert trust.evidence.certificates[:2] == (doctor.der, *doctor.chain)
    assert root.subject == root.issuer
    assert [each.name for each in trust.evidence.consulted] == list(trust.evidence.crls)
    assert all(each.kind == "crl" and len(each.digest) == 64 for each in trust.evidence.consulted)


def test_an_identity_reads_like_the_white_list(doctor: Issued) -> None:
    """The subject is written most specific first; address, organisation and unit are read as written."""
    who = chain.identity(doctor.der)
    assert who.subject == "CN=JEANNE MARTIN,OU=1750000001,O=HOPITAL A,ST=Paris (75),C=FR"
    assert who.addresses == ("jeanne.martin@hopital-a.mssante.fr",)
    assert (who.common_name, who.organisation, who.unit) == ("JEANNE MARTIN", "HOPITAL A", "1750000001")
    assert who.serial == doctor.certificate.serial_number


@pytest.mark.parametrize("junk", [b"", b"\x30\x00", b"-----BEGIN CERTIFICATE-----", b"\x30" * (64 * 1024 + 1)])
def test_unreadable_bytes_name_nobody(store: TrustStore, now: datetime, junk: bytes) -> None:
    """What is no certificate is Untrusted as unreadable, and identity refuses it with ValueError."""
    assert fault(store.judge(junk, (), profiles.SMIME, now)) is Fault.UNREADABLE
    with pytest.raises(ValueError, match="certificate"):
        chain.identity(junk)


def test_the_chain_may_come_with_the_letter(pki: Pki, store: TrustStore, doctor: Issued, now: datetime) -> None:
    """Without its intermediate a certificate leads nowhere; the stranger may bring it, beside any junk."""
    bare = replace(store, intermediates=())
    assert fault(bare.judge(doctor.der, (), profiles.SMIME, now)) is Fault.UNKNOWN_ISSUER
    brought = bare.judge(doctor.der, (b"junk", *pki.authority.chain), profiles.SMIME, now)
    assert isinstance(brought, Trusted)


def test_a_stranger_cannot_bring_an_anchor(store: TrustStore, now: datetime) -> None:
    """A whole infrastructure brought along, root included, stays untrusted."""
    other = Pki.create(now, "ANOTHER")
    leaf = other.smime("a@b.mssante.fr", "A", "B", "1750000002")
    extra = (*leaf.chain, other.root.der)
    assert fault(store.judge(leaf.der, extra, profiles.SMIME, now)) is Fault.UNKNOWN_ISSUER
    assert fault(store.judge(other.root.der, (), profiles.SMIME, now)) is Fault.UNKNOWN_ISSUER


def test_a_crowd_of_certificates_is_refused(store: TrustStore, doctor: Issued, now: datetime) -> None:
    """More hints than any honest letter has are not even read."""
    crowd = [doctor.der] * (chain.MAX_EXTRA + 1)
    assert fault(store.judge(doctor.der, crowd, profiles.SMIME, now)) is Fault.TOO_LARGE


@pytest.mark.parametrize(
    ("begins", "ends", "why"),
    [(-10 * DAY, -DAY, Fault.EXPIRED), (DAY, 10 * DAY, Fault.NOT_YET_VALID)],
)
def test_outside_its_time_a_certificate_is_refused(
    pki: Pki, store: TrustStore, now: datetime, begins: timedelta, ends: timedelta, why: Fault
) -> None:
    """Expired and not yet valid are two answers."""
    leaf = pki.smime("a@b.mssante.fr", "A", "B", "1", key="p256", not_before=now + begins, not_after=now + ends)
    assert fault(store.judge(leaf.der, (), profiles.SMIME, now)) is why


def test_the_moment_asked_about_decides(pki: Pki, store: TrustStore, now: datetime) -> None:
    """The same certificate is trusted inside its time and refused outside, by the moment passed in alone."""
    leaf = pki.smime("a@b.mssante.fr", "A", "B", "1", key="p256", not_after=now + DAY)
    assert isinstance(store.judge(leaf.der, (), profiles.SMIME, now), Trusted)
    assert fault(store.judge(leaf.der, (), profiles.SMIME, now + 2 * DAY)) is Fault.EXPIRED


def test_a_revoked_certificate_is_refused(now: datetime) -> None:
    """Revocation of the certificate, or of its authority, is Untrusted; its neighbour stays trusted."""
    pki = Pki.create(now)
    bad, good = (pki.smime(f"{name}@b.mssante.fr", name, "B", "1", key="p256") for name in ("bad", "good"))
    pki.revoke(bad)
    store = store_of(pki, *pki.crls(now))
    assert fault(store.judge(bad.der, (), profiles.SMIME, now)) is Fault.REVOKED
    assert isinstance(store.judge(good.der, (), profiles.SMIME, now), Trusted)
    pki.revoke(pki.authority)
    assert fault(store_of(pki, *pki.crls(now)).judge(good.der, (), profiles.SMIME, now)) is Fault.REVOKED


def test_a_revoked_certificate_stays_refused_by_a_stale_list(now: datetime) -> None:
    """A stale CRL cannot vouch any more, but what it named revoked is still revoked."""
    pki = Pki.create(now)
    leaf = pki.smime("a@b.mssante.fr", "A", "B", "1", key="p256")
    pki.revoke(leaf)
    old = pki.crls(now - 30 * DAY)
    store = store_of(pki, pki.crls(now)[0], old[1])
    assert fault(store.judge(leaf.der, (), profiles.SMIME, now)) is Fault.REVOKED


def test_without_a_fresh_list_nobody_can_tell(pki: Pki, doctor: Issued, now: datetime) -> None:
    """No CRL, the CRL of one level only, and a stale CRL are each CannotTell, never Trusted."""
    root, authority = pki.crls(now)
    for lists in ((), (root,), (authority,)):
        trust = store_of(pki, *lists).judge(doctor.der, (), profiles.SMIME, now)
        assert isinstance(trust, CannotTell)
        assert trust.fault is Fault.REVOCATION_UNKNOWN
    later = now + 8 * DAY
    stale = store_of(pki, root, authority).judge(doctor.der, (), profiles.SMIME, later)
    assert isinstance(stale, CannotTell)
    assert stale.fault is Fault.STALE_CRL
    assert isinstance(store_of(pki, *pki.crls(later)).judge(doctor.der, (), profiles.SMIME, later), Trusted)


def test_a_list_by_another_key_of_the_same_name_says_nothing(pki: Pki, doctor: Issued, now: datetime) -> None:
    """A CRL that another infrastructure signed under our authority's name is no CRL of ours."""
    impostor = Pki.create(now)
    root, _ = pki.crls(now)
    forged = impostor.crls(now)[1]
    trust = store_of(pki, root, forged).judge(doctor.der, (), profiles.SMIME, now)
    assert fault(trust) is Fault.REVOCATION_UNKNOWN


ROLES = {
    "smime": (profiles.SMIME, profiles.SEAL, profiles.WHITE_LIST_SIGNER),
    "host": (profiles.TLS_SERVER, profiles.TLS_CLIENT, profiles.TLS_PEER),
    "client": (profiles.TLS_CLIENT, profiles.TLS_PEER),
}
ALL = (*ROLES["smime"], *ROLES["host"])


@pytest.mark.parametrize("kind", ROLES)
@pytest.mark.parametrize("profile", ALL, ids=lambda profile: profile.name)
def test_a_certificate_plays_its_own_roles_only(
    pki: Pki, store: TrustStore, doctor: Issued, host: Issued, now: datetime, kind: str, profile: Profile
) -> None:
    """Mail certificates sign mail, host certificates shake hands, client certificates call: nothing else."""
    made: dict[str, Callable[[], Issued]] = {
        "smime": lambda: doctor,
        "host": lambda: host,
        "client": lambda: pki.auth_client("app.b.example", "B", "1"),
    }
    trust = store.judge(made[kind]().der, (), profile, now)
    if profile in ROLES[kind]:
        assert isinstance(trust, Trusted)
    else:
        assert fault(trust) is Fault.WRONG_USAGE


def test_an_authority_signs_no_mail(pki: Pki, store: TrustStore, now: datetime) -> None:
    """The issuing authority's own certificate is refused as the signer of a letter."""
    assert fault(store.judge(pki.authority.der, (), profiles.SMIME, now)) is Fault.WRONG_USAGE


def test_a_weak_rsa_key_is_refused(pki: Pki, store: TrustStore, now: datetime) -> None:
    """RSA 1024 is Untrusted, RSA 2048 is not."""
    shape = Shape(usage=SIGNS, eku=(ExtendedKeyUsageOID.EMAIL_PROTECTION,))
    weak = pki.issue(named("weak"), replace(shape, bits=1024))
    strong = pki.issue(named("strong"), shape)
    assert fault(store.judge(weak.der, (), profiles.SMIME, now)) is Fault.WEAK_KEY
    assert isinstance(store.judge(strong.der, (), profiles.SMIME, now), Trusted)


def test_an_unusual_curve_is_refused(pki: Pki, store: TrustStore, now: datetime) -> None:
    """P-384 is believed; secp256k1, which no norm of ours names, is not."""
    good = pki.smime("a@b.mssante.fr", "A", "B", "1", key="p384")
    assert isinstance(store.judge(good.der, (), profiles.SMIME, now), Trusted)
    odd = resigned(pki, good, hashes.SHA256(), ec.generate_private_key(ec.SECP256K1()).public_key())
    assert fault(store.judge(odd, (), profiles.SMIME, now)) is Fault.WEAK_KEY


def resigned(
    pki: Pki,
    like: Issued,
    digest: hashes.SHA256 | hashes.SHA384,
    key: PublicKey | None = None,
) -> bytes:
    """The same certificate under another hash, or for another key."""
    old = like.certificate
    builder = x509.CertificateBuilder(
        old.issuer,
        old.subject,
        key or like.key.public_key(),
        old.serial_number,
        old.not_valid_before_utc,
        old.not_valid_after_utc,
        list(old.extensions),
    )
    return builder.sign(pki.authority.key, digest).public_bytes(Encoding.DER)


def test_an_absurdly_large_key_is_refused(pki: Pki, store: TrustStore, doctor: Issued, now: datetime) -> None:
    """A key that would only cost us time is refused before it is used."""
    huge = rsa.RSAPublicNumbers(65537, (1 << 9000) + 1).public_key()
    trust = store.judge(resigned(pki, doctor, hashes.SHA256(), huge), (), profiles.SMIME, now)
    assert fault(trust) is Fault.TOO_LARGE


def test_sha1_is_refused(
    pki: Pki, store: TrustStore, doctor: Issued, now: datetime, with_sha1: Callable[[bytes, Issued], bytes]
) -> None:
    """A certificate signed with SHA-1 is Untrusted, by that name; with SHA-384 it is trusted."""
    old = with_sha1(doctor.certificate.tbs_certificate_bytes, pki.authority)
    assert fault(store.judge(old, (), profiles.SMIME, now)) is Fault.WEAK_ALGORITHM
    assert isinstance(store.judge(resigned(pki, doctor, hashes.SHA384()), (), profiles.SMIME, now), Trusted)


def test_a_path_too_long_is_refused(pki: Pki, store: TrustStore, now: datetime) -> None:
    """The issuing authority may not make authorities (pathLenConstraint 0)."""
    sub = sub_authority(pki.authority, "sub", now)
    leaf = replace(pki, authority=sub).smime("a@b.mssante.fr", "A", "B", "1", key="p256")
    assert fault(store.judge(leaf.der, (sub.der,), profiles.SMIME, now)) is Fault.CHAIN


def test_a_leaf_is_no_authority(pki: Pki, store: TrustStore, doctor: Issued, now: datetime) -> None:
    """A certificate issued by an end certificate is refused."""
    forged = replace(pki, authority=doctor).smime("a@b.mssante.fr", "A", "B", "1", key="p256")
    assert fault(store.judge(forged.der, (doctor.der,), profiles.SMIME, now)) is Fault.CHAIN


@pytest.mark.parametrize(("domain", "right"), [("b.mssante.fr", True), ("c.mssante.fr", False)])
def test_a_name_constraint_holds(pki: Pki, now: datetime, domain: str, right: bool) -> None:
    """An authority which is constrained to one mail domain vouches for that one only."""
    only = x509.NameConstraints([x509.RFC822Name("b.mssante.fr")], None)
    sub = sub_authority(pki.root, "constrained", now, only)
    leaf = replace(pki, authority=sub).smime(f"a@{domain}", "A", "B", "1", key="p256")
    trust = store_of(pki, *pki.crls(now), crl_of(sub, now)).judge(leaf.der, (sub.der,), profiles.SMIME, now)
    if right:
        assert isinstance(trust, Trusted)
    else:
        assert fault(trust) is Fault.NAME_CONSTRAINT


def test_a_changed_certificate_is_refused(store: TrustStore, doctor: Issued, now: datetime) -> None:
    """One changed bit of the issuer's signature is enough."""
    changed = doctor.der[:-1] + bytes([doctor.der[-1] ^ 1])
    trust = store.judge(changed, (), profiles.SMIME, now)
    assert isinstance(trust, Untrusted)
    assert trust.fault is Fault.BAD_SIGNATURE


def test_a_folder_with_junk_is_refused_by_name(trust_folder: Path, tmp_path: Path, moment: datetime) -> None:
    """A file that is no CRL or no certificate stops the loading and is named; other files are left."""
    pki = Pki.create(moment)
    pki.write_trust(tmp_path, moment)
    (tmp_path / "crls" / "readme.txt").write_text("not a list")
    TrustStore.load(tmp_path)
    (tmp_path / "crls" / "junk.crl").write_bytes(b"<html>403</html>")
    with pytest.raises(ValueError, match=r"junk\.crl"):
        TrustStore.load(tmp_path)
    (tmp_path / "crls" / "junk.crl").unlink()
    (tmp_path / "anchors" / "junk.pem").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"junk\.pem"):
        TrustStore.load(tmp_path)


def test_a_list_may_be_pem(pki: Pki, trust_folder: Path, tmp_path: Path, doctor: Issued, now: datetime) -> None:
    """CRLs are read in PEM as well as in DER, and given to a TLS library as PEM."""
    store = TrustStore.load(trust_folder)
    for name in ("anchors", "intermediates", "crls"):
        (tmp_path / name).mkdir()
    (tmp_path / "anchors" / "root.pem").write_text(store.anchors_pem())
    (tmp_path / "intermediates" / "a.pem").write_bytes(pki.authority.certificate.public_bytes(Encoding.PEM))
    for number, part in enumerate(store.crls_pem().split("-----END X509 CRL-----\n")[:-1]):
        (tmp_path / "crls" / f"{number}.pem").write_text(part + "-----END X509 CRL-----\n")
    assert isinstance(TrustStore.load(tmp_path).judge(doctor.der, (), profiles.SMIME, now), Trusted)


def test_a_store_is_shared_between_threads(pki: Pki, store: TrustStore, doctor: Issued, now: datetime) -> None:
    """Two moments asked about at once by many threads never mix."""
    moments = [now, now + 4 * 365 * DAY] * 50
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda at: store.judge(doctor.der, (), profiles.SMIME, at), moments))
    assert all(isinstance(answer, Trusted) for answer in answers[::2])
    assert {fault(answer) for answer in answers[1::2]} == {Fault.EXPIRED}

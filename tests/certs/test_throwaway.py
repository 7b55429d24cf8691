"""The throw-away infrastructure: shaped like the real one, believed by openssl, mistaken for nobody's."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs import chain
from certs.throwaway import Issued, Pki

Openssl = Callable[..., subprocess.CompletedProcess[bytes]]


def test_its_authorities_say_that_they_are_tests(pki: Pki) -> None:
    """No authority bears a name of IGC-Santé without the prefix."""
    for authority in (pki.root, pki.authority):
        assert chain.identity(authority.der).common_name.startswith("TEST PLI ")


def test_openssl_believes_it_until_it_is_revoked(pki: Pki, now: datetime, tmp_path: Path, openssl: Openssl) -> None:
    """openssl verifies a certificate with both CRLs checked, and refuses it once revoked."""
    fresh = Pki.create(now)
    leaf = fresh.smime("a@b.mssante.fr", "A", "B", "1", key="p256")
    assert _verified(fresh, leaf, now, tmp_path, openssl)
    fresh.revoke(leaf)
    assert not _verified(fresh, leaf, now, tmp_path, openssl)


def _verified(pki: Pki, leaf: Issued, now: datetime, folder: Path, openssl: Openssl) -> bool:
    pki.write_trust(folder, now)
    lists = folder / "all.pem"
    loaded = map(x509.load_der_x509_crl, pki.crls(now))
    lists.write_bytes(b"".join(crl.public_bytes(Encoding.PEM) for crl in loaded))
    certificate, _ = leaf.write(folder, "leaf")
    arguments = ("-CAfile", folder / "anchors" / "root.pem", "-untrusted", certificate, "-CRLfile", lists)
    when = ("-attime", str(int(now.timestamp())), "-purpose", "smimesign", "-x509_strict")
    return openssl("verify", "-crl_check_all", *arguments, *when, certificate, check=False).returncode == 0


def test_a_written_key_is_private(doctor: Issued, tmp_path: Path) -> None:
    """Certificate and key are written with mode 0600, also over files that were laxer."""
    (tmp_path / "d.key").write_text("old")
    (tmp_path / "d.key").chmod(0o644)
    certificate, key = doctor.write(tmp_path, "d")
    assert [path.stat().st_mode & 0o777 for path in (certificate, key)] == [0o600, 0o600]
    assert certificate.read_text().count("BEGIN CERTIFICATE") == 2


def test_a_seal_names_the_domains_authority(pki: Pki) -> None:
    """RFC 3183 §3.1: a domain's seal is the certificate of its domain-signing-authority."""
    seal = pki.seal("hopital-a.mssante.fr", "HOPITAL A", "1750000001")
    assert chain.identity(seal.der).addresses == ("domain-signing-authority@hopital-a.mssante.fr",)


def test_it_never_prints_a_key(doctor: Issued) -> None:
    """The representation of what was issued, and so any log of it, holds no key."""
    assert "key" not in repr(doctor)

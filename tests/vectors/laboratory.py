"""Keys, certificates and folders for the cross-checks: made once, known to each tool in its own form.

Promises: everything lies in one folder that is ours, with an NSS database and a GnuPG home of its own in it; the
agent that gpgsm starts is ended with it. Does not: run a case (tools), nor say what is expected (table).
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.chain import TrustStore
from certs.keys import LocalSigner
from certs.openers import LocalOpener
from certs.throwaway import Key, Pki
from gateway.demo.processes import new_folder

WORD = "vectors"
"""Of the PKCS #12 files and the tools' databases, which last as long as the run."""
KINDS = ("rsa", "p256", "p384", "p521")
_CURVES = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """Who signs and to whom is encrypted: one key of one kind, and its files."""

    name: str
    certificate: x509.Certificate
    key: Key
    pem: Path
    key_file: Path
    p12: Path
    authority: bytes

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def address(self) -> str:
        return f"{self.name}@vectors.example"

    def signer(self) -> LocalSigner:
        return LocalSigner(self.der, (self.authority,), self.key)

    def opener(self) -> LocalOpener:
        return LocalOpener(self.der, self.key)


@dataclass(frozen=True)
class Laboratory:
    folder: Path
    now: datetime
    people: Mapping[str, Person]
    store: TrustStore
    anchors: Path
    """The root, PEM."""
    chain: Path
    """Root and authority, PEM."""
    nss: Path
    gnupg: Path

    def fresh(self, name: str, content: bytes) -> Path:
        """A file in the folder; each name once a run."""
        path = self.folder / "cases" / name
        path.write_bytes(content)
        return path


@contextmanager
def laboratory() -> Iterator[Laboratory]:
    folder = new_folder("pli-v-")
    try:
        yield _made(folder)
    finally:
        _ended(folder)


def _made(folder: Path) -> Laboratory:
    # Other programs have no clock that we could set
    now = datetime.now(UTC)
    pki = Pki.create(now, "VECTORS")
    pki.write_trust(folder / "trust", now)
    people = {kind: _person(pki, kind, folder) for kind in KINDS}
    (folder / "cases").mkdir()
    root = folder / "trust/anchors/root.pem"
    chain = folder / "chain.pem"
    chain.write_bytes(root.read_bytes() + (folder / "trust/intermediates/authority.pem").read_bytes())
    lab = Laboratory(
        folder, now, people, TrustStore.load(folder / "trust"), root, chain, folder / "nss", folder / "gnupg"
    )
    _nss_database(lab, pki)
    _gnupg_home(lab, pki)
    return lab


def _person(pki: Pki, kind: str, folder: Path) -> Person:
    key: Key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(_CURVES[kind])
    issuer, now = pki.authority, pki.now
    name = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "VECTORS"), x509.NameAttribute(NameOID.COMMON_NAME, kind)]
    )
    builder = (
        x509.CertificateBuilder(
            issuer.certificate.subject, name, key.public_key(), x509.random_serial_number(),
            now - timedelta(minutes=10), now + timedelta(days=2),
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(f"{kind}@vectors.example")]), critical=False)
    )  # fmt: skip
    if kind == "rsa":
        # None on the others: gpgsm wants keyEncipherment of an EC key, which RFC 8813 §3 forbids
        permitted = {"digital_signature", "key_encipherment"}
        usage = x509.KeyUsage(**{each: each in permitted for each in _USAGES})
        builder = builder.add_extension(usage, critical=True)
    certificate = builder.sign(issuer.key, hashes.SHA256())
    pem, key_file, p12 = (folder / f"{kind}{ending}" for ending in (".pem", ".key", ".p12"))
    pem.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    sealed = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(2000)
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1())  # noqa: S303  # the form that every tool imports
        .build(WORD.encode())
    )
    p12.write_bytes(
        pkcs12.serialize_key_and_certificates(kind.encode(), key, certificate, [issuer.certificate], sealed)
    )
    return Person(kind, certificate, key, pem, key_file, p12, issuer.chain[0])


def run(command: Sequence[str | Path], data: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """One run of a foreign program, whatever its exit code."""
    told = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": "/nonexistent", **environment}
    return subprocess.run(list(map(str, command)), input=data, env=told, capture_output=True, check=False, timeout=60)


def must(command: Sequence[str | Path], data: bytes = b"", **environment: str) -> bytes:
    done = run(command, data, **environment)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done.stdout


# --- NSS -----------------------------------------------------------------------------------------------------


def _nss_database(lab: Laboratory, pki: Pki) -> None:
    lab.nss.mkdir(mode=0o700)
    must(["certutil", "-N", "-d", lab.nss, "--empty-password"])
    must(["certutil", "-A", "-d", lab.nss, "-n", "root", "-t", "C,C,C", "-i", lab.anchors])
    word = lab.fresh("nss-word", WORD.encode())
    for person in lab.people.values():
        must(["pk12util", "-i", person.p12, "-d", lab.nss, "-w", word, "-K", ""])


# --- GnuPG ---------------------------------------------------------------------------------------------------


def _gnupg_home(lab: Laboratory, pki: Pki) -> None:
    lab.gnupg.mkdir(mode=0o700)
    root = pki.root.certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303  # how gpgsm names certificates
    (lab.gnupg / "trustlist.txt").write_text(f"{root} S relax\n")
    (lab.gnupg / "gpg-agent.conf").write_text("allow-loopback-pinentry\ns2k-count 65536\ndisable-scdaemon\n")
    (lab.gnupg / "gpgsm.conf").write_text("disable-dirmngr\ndisable-crl-checks\n")
    must(["gpgsm", "--homedir", lab.gnupg, "--batch", "--import", lab.chain])
    for person in lab.people.values():
        if person.name == "rsa":
            must(gpgsm(lab, "--passphrase-fd", "0", "--import", person.p12), WORD.encode())
        else:
            must(gpgsm(lab, "--import", person.pem))
            _agent_key(lab, person)


def _agent_key(lab: Laboratory, person: Person) -> None:
    """gpgsm 2.2 ends with a segmentation fault on an EC key in PKCS #12: its agent is given the key in its own form."""
    assert isinstance(person.key, ec.EllipticCurvePrivateKey)
    listed = must(gpgsm(lab, "--with-colons", "--with-keygrip", "-k", person.address)).decode()
    grip = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("grp:"))
    point = person.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    secret = person.key.private_numbers().private_value.to_bytes((person.key.key_size + 7) // 8, "big")
    curve = f"NIST P-{person.key.key_size}".encode()
    parts = ((b"curve", curve), (b"q", point), (b"d", secret))
    told = b"".join(b"(%d:%s%d:%s)" % (len(name), name, len(value), value) for name, value in parts)
    keys = lab.gnupg / "private-keys-v1.d"
    keys.mkdir(mode=0o700, exist_ok=True)
    (keys / f"{grip}.key").write_bytes(b"(11:private-key(3:ecc" + told + b"))")


def gpgsm(lab: Laboratory, *arguments: str | Path) -> list[str | Path]:
    return ["gpgsm", "--homedir", lab.gnupg, "--batch", "--pinentry-mode", "loopback", *arguments]


def _ended(folder: Path) -> None:
    home = folder / "gnupg"
    if home.is_dir():
        run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"])
        for _ in range(50):  # it takes its sockets away by itself, while we take the folder away
            if not (home / "S.gpg-agent").exists():
                break
            time.sleep(0.1)
    shutil.rmtree(folder)

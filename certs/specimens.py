"""One specimen of each way in which a certificate can be right or wrong, in files: to try a gateway with.

Promises: each specimen differs from a good one in the one thing that its name says, and the note beside them says what
a judge must answer; everything hangs under authorities named "TEST PLI" and is made in seconds: RSA keys are reused.
Does not: stand on the serving path (an import contract says so), nor make what is not a certificate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku

from certs.model import Fault
from certs.throwaway import (
    SIGNS,
    SIGNS_FOR_GOOD,
    TAKES_KEYS,
    Issued,
    Key,
    Pki,
    Shape,
    subject,
    write_private,
    write_public,
)

ADDRESS = "anna.bernard@lilas.test.pli.invalid"
ELSEWHERE = "anna.bernard@parc.test.pli.invalid"
HOST = "mss.lilas.test.pli.invalid"
ORGANISATION, UNIT = "CLINIQUE DES LILAS", "1750000001"
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Specimen:
    name: str
    """Of its files: 'mail-expired'."""
    issued: Issued
    profile: str
    """By which it is judged (certs.profiles)."""
    fault: Fault | None
    """What a judge must say at the moment of its making; None: trusted."""
    word: str
    """What is particular about it, for people."""


@dataclass(frozen=True)
class Collection:
    """All specimens, and whom one must trust to judge them."""

    pki: Pki
    specimens: tuple[Specimen, ...]


def collection(now: datetime, urls: str = "") -> Collection:
    """In memory. `urls`: base of the addresses of lists and OCSP which one specimen of each sort names.

    The CRLs are not issued yet: what `pki.write_trust` writes revokes what must be.
    """
    maker = _Maker(now, urls)
    specimens = (*maker.mail(), *maker.hosts(), *maker.readers(), *maker.offices())
    for each in specimens:
        if each.fault is Fault.REVOKED:
            maker.pki.revoke(each.issued)
    return Collection(maker.pki, specimens)


def write(folder: Path, now: datetime, urls: str = "") -> Collection:
    """Into a folder: trust/ as TrustStore.load reads it, certificates/NAME.pem and .key, and README.txt."""
    made = collection(now, urls)
    made.pki.write_trust(folder / "trust", now)
    write_private(folder / "authority.key", made.pki.authority.key_pem)
    for each in made.specimens:
        each.issued.write(folder / "certificates", each.name)
    write_public(folder / "README.txt", _note(made, now).encode())
    return made


def _note(made: Collection, now: datetime) -> str:
    lines = [
        "Certificats de TEST, à jeter : ne faites confiance à rien de ce dossier.",
        "TEST certificates to throw away: trust nothing of this folder.",
        f"Made at {now.isoformat(timespec='seconds')}. What a judge must answer then:",
        "",
    ]
    rows = [f"{each.name:22} {each.profile:18} {each.fault or 'trusted':16} {each.word}" for each in made.specimens]
    return "\n".join([*lines, *rows, ""])


class _Maker:
    """Issues the specimens; `pki` has RSA authorities, `stranger` none that anybody trusts."""

    def __init__(self, now: datetime, urls: str) -> None:
        self.now, self.urls = now, urls
        self.pki = Pki.create(now, "PLI SPECIMENS")
        self.stranger = Pki.create(now, "PLI STRANGER", "p256")
        self.key: Key = rsa.generate_private_key(65537, 2048)

    def mail(self) -> Iterator[Specimen]:
        """Signers of letters."""
        shape = Shape(
            usage=SIGNS_FOR_GOOD, eku=(Eku.EMAIL_PROTECTION,), names=(x509.RFC822Name(ADDRESS),), key=self.key
        )
        made = self._series("mail", "smime", "ANNA BERNARD", shape)
        yield made("good", "RSA 2048, SHA-256", shape)
        for curve in ("p256", "p384", "p521"):
            yield made(f"good-{curve}", f"EC {curve}", replace(shape, key=curve))
        yield made("good-pss", "signed with RSA-PSS", replace(shape, signed="pss"))
        yield made("other-address", "names another mailbox", replace(shape, names=(x509.RFC822Name(ELSEWHERE),)))
        yield from self._wrong(made, shape, replace(shape, usage=TAKES_KEYS))

    def hosts(self) -> Iterator[Specimen]:
        """Hosts of operators."""
        names = (x509.DNSName(HOST),)
        shape = Shape(usage=SIGNS, eku=(Eku.SERVER_AUTH, Eku.CLIENT_AUTH), names=names, key=self.key)
        made = self._series("host", "tls-peer", HOST, shape)
        yield made("good", "RSA 2048, SHA-256", shape)
        other = replace(shape, names=(x509.DNSName("mss.parc.test.pli.invalid"),))
        yield made("other-name", "names another host: between operators the white list decides", other)
        yield from self._wrong(made, shape, replace(shape, eku=(Eku.EMAIL_PROTECTION,)))

    def _wrong(self, made: _Made, shape: Shape, misused: Shape) -> Iterator[Specimen]:
        now = self.now
        expired = replace(shape, not_before=now - 30 * DAY, not_after=now - DAY)
        yield made("expired", "ended yesterday", expired, Fault.EXPIRED)
        yield made("not-yet-valid", "begins tomorrow", replace(shape, not_before=now + DAY), Fault.NOT_YET_VALID)
        yield made("revoked", "its authority's CRL names it", shape, Fault.REVOKED)
        yield made("wrong-usage", "made for something else", misused, Fault.WRONG_USAGE)
        yield made("sha1", "signed with SHA-1", replace(shape, signed="sha1"), Fault.WEAK_ALGORITHM)
        yield made("rsa1024", "RSA 1024", replace(shape, key="rsa", bits=1024), Fault.WEAK_KEY)
        yield made("wrong-root", "of authorities with another root", shape, Fault.UNKNOWN_ISSUER, self.stranger)
        if self.urls:
            yield made("with-urls", "says where its CRL and OCSP are", replace(shape, urls=self.urls))

    def readers(self) -> Iterator[Specimen]:
        """To whom letters are encrypted."""
        for kind in ("rsa", "p256", "p384", "p521"):
            key = self.key if kind == "rsa" else kind
            issued = self.pki.encryption(ADDRESS, "ANNA BERNARD", ORGANISATION, UNIT, key)
            yield Specimen(f"decrypt-{kind}", issued, "encryption", None, f"opens letters, {kind}")
        window = {"not_before": self.now - 30 * DAY, "not_after": self.now - DAY}
        old = self.pki.encryption(ADDRESS, "ANNA BERNARD", ORGANISATION, UNIT, self.key, **window)
        yield Specimen("decrypt-expired", old, "encryption", Fault.EXPIRED, "still opens what was sent to it")

    def offices(self) -> Iterator[Specimen]:
        """Those who sign for a domain, a list, or an authority."""
        pki = self.pki
        seal = pki.seal("lilas.test.pli.invalid", ORGANISATION, UNIT)
        yield Specimen("seal", seal, "seal", None, "an establishment's seal (RFC 3183)")
        yield Specimen("white-list", pki.white_list_signer(), "white-list-signer", None, "signs the white list")
        yield Specimen("client", pki.auth_client("LILAS", ORGANISATION, UNIT), "tls-client", None, "a TLS client")
        yield Specimen("ocsp", pki.ocsp_responder(), "ocsp-signer", None, "answers for the authority (RFC 6960)")

    def _series(self, sort: str, profile: str, cn: str, good: Shape) -> _Made:
        def made(name: str, word: str, shape: Shape, fault: Fault | None = None, pki: Pki | None = None) -> Specimen:
            issued = (pki or self.pki).issue(subject(cn, ORGANISATION, UNIT), shape)
            return Specimen(f"{sort}-{name}", issued, profile, fault, word)

        return made


_Made = Callable[..., Specimen]

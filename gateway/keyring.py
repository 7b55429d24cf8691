"""The keeper's keys as they lie in its folder, and which of them is used now.

Promises: of several certificates for one address, new letters are signed with the one that is valid now and ends last,
so that a renewed one waits for its notBefore beside the old one; decryption keys are used however old they are, newest
first; a folder with a file that cannot be used is refused whole, naming the file. Does not: release anything (keeper).

The folder: mailbox/NAME.pem (chain, its own certificate first) with NAME.key, for rfc822Name addresses of mailboxes;
seal/ the same, for domain-signing-authority@DOMAIN (RFC 3183 §3.1); decrypt/ the same, for what is encrypted to
mailboxes; body.key (X25519), and body-*.key for those it replaced. Instead of NAME.pem and NAME.key a NAME.p12; an
encrypted key's passphrase lies in NAME.pass.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from certs import keyfiles
from certs.identities import identity
from certs.keyfiles import Pair
from certs.keys import SEAL_LOCAL_PART, LocalSigner, from_text, signer_of, to_text, unwrap_key, wrap_key
from certs.openers import LocalOpener
from relay.store.bodies import BODY_KEY, mark


@dataclass(frozen=True)
class Held:
    """One signing key with its name in the folder: what logs and journal call it."""

    name: str
    signer: LocalSigner = field(repr=False)
    begins: datetime
    ends: datetime

    @property
    def key(self) -> str:
        """What requests call it: SHA-256 of its certificate."""
        return hashlib.sha256(self.signer.certificate).hexdigest()

    def valid(self, at: datetime) -> bool:
        """RFC 5280 §4.1.2.5: both ends included."""
        return self.begins <= at <= self.ends


@dataclass(frozen=True)
class HeldOpener:
    """One decryption key with its name in the folder."""

    name: str
    opener: LocalOpener = field(repr=False)
    begins: datetime

    @property
    def key(self) -> str:
        return hashlib.sha256(self.opener.certificate).hexdigest()


@dataclass(frozen=True)
class KeyRing:
    """All keys of the folder at one moment."""

    mailboxes: Mapping[str, Sequence[Held]]
    """By rfc822Name, its domain in lower case."""
    seals: Mapping[str, Sequence[Held]]
    """By mail domain."""
    openers: Mapping[str, Sequence[HeldOpener]]
    """By rfc822Name, newest first."""
    by_key: Mapping[str, Held]
    opener_by_key: Mapping[str, HeldOpener]
    body: tuple[tuple[str, X25519PrivateKey], ...] = field(repr=False)
    """(name, key), the one in use first."""

    @staticmethod
    def load(folder: Path) -> KeyRing:
        """Raises ValueError naming the file that cannot be used, OSError where one cannot be read."""
        mailboxes, seals, openers = (
            _signers(folder / "mailbox"),
            _signers(folder / "seal"),
            _openers(folder / "decrypt"),
        )
        files = (folder / "body.key", *sorted(folder.glob("body-*.key"), reverse=True))
        return KeyRing(
            mailboxes=_by_address(mailboxes, _signs_as, _mailbox),
            seals=_by_address(seals, _signs_as, _sealed_domain),
            openers=_by_address(openers, lambda each: each.opener.certificate, _mailbox),
            by_key={held.key: held for held in (*mailboxes, *seals)},
            opener_by_key={held.key: held for held in openers},
            body=tuple((file.stem, _body_key(file)) for file in files),
        )

    def mailbox(self, address: str, at: datetime) -> Held | None:
        """Who signs for a mailbox at a moment."""
        return in_use(self.mailboxes.get(exact(address), ()), at)

    def seal(self, domain: str, at: datetime) -> Held | None:
        return in_use(self.seals.get(domain.lower(), ()), at)

    @property
    def body_public(self) -> bytes:
        """The public half of the body key in use, raw."""
        return self.body[0][1].public_key().public_bytes_raw()

    def rewrapped(self, wrapped: object) -> str | None:
        """A key in base64, wrapped again to the body key in use; None where it opens with none of ours."""
        for _, private in self.body:
            try:
                key = unwrap_key(private, from_text(wrapped))
            except ValueError:
                continue  # sealed to another of them, or to none
            # What follows the key says to which body key it is sealed (relay.store.bodies).
            return to_text(wrap_key(self.body_public, key[:BODY_KEY] + mark(self.body_public)))
        return None

    def opens(self, address: str) -> Sequence[HeldOpener]:
        return self.openers.get(exact(address), ())


def in_use(held: Iterable[Held], at: datetime) -> Held | None:
    """Of several certificates the one that is valid and ends last: what nobody would believe signs nothing."""
    return max((each for each in held if each.valid(at)), key=lambda each: each.ends, default=None)


def _signers(folder: Path) -> list[Held]:
    return [_held(f"{folder.name}/{name}", pair) for name, pair in keyfiles.pairs(folder)]


def _held(name: str, pair: Pair) -> Held:
    return Held(
        name, signer_of(pair, name), pair.certificate.not_valid_before_utc, pair.certificate.not_valid_after_utc
    )


def _openers(folder: Path) -> list[HeldOpener]:
    """Newest first."""
    found = [_opener(f"{folder.name}/{name}", pair) for name, pair in keyfiles.pairs(folder)]
    return sorted(found, key=lambda each: each.begins, reverse=True)


def _opener(name: str, pair: Pair) -> HeldOpener:
    if not isinstance(pair.key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError(f"{name} holds a key that is neither RSA nor EC")
    return HeldOpener(name, LocalOpener(pair.der, pair.key), pair.certificate.not_valid_before_utc)


T = TypeVar("T", Held, HeldOpener)


def _signs_as(held: Held) -> bytes:
    return held.signer.certificate


def _by_address(
    held: Iterable[T], certificate: Callable[[T], bytes], named: Callable[[str, str], str | None]
) -> Mapping[str, Sequence[T]]:
    """Each key under what its certificate's addresses name; one that names nothing is a mistake."""
    found: dict[str, list[T]] = {}
    for each in held:
        addresses = identity(certificate(each)).addresses
        names = {name for address in addresses if (name := named(*_parts(address)))}
        if not names:
            raise ValueError(f"the certificate of {each.name} names no address for this folder")
        for name in names:
            found.setdefault(name, []).append(each)
    return found


def exact(address: str) -> str:
    """RFC 5280 §7.5: the local part counts exactly, the domain without case."""
    return "@".join(_parts(address))


def _parts(address: str) -> tuple[str, str]:
    local, _, domain = address.rpartition("@")
    return local, domain.lower()


def _mailbox(local: str, domain: str) -> str | None:
    return f"{local}@{domain}" if local and local != SEAL_LOCAL_PART else None


def _sealed_domain(local: str, domain: str) -> str | None:
    return domain if local == SEAL_LOCAL_PART else None


def _body_key(file: Path) -> X25519PrivateKey:
    key = keyfiles.private_key(file)
    if not isinstance(key, X25519PrivateKey):
        raise ValueError(f"{file.name} holds a key that is not X25519")
    return key

"""A letter as bytes, signed and unsigned, whose reader has a key; and ways to spoil its sealed form."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

from certs.envelope import Recipe
from certs.openers import LocalOpener, Opener
from certs.throwaway import Issued, Pki, Shape
from relay import smime
from relay.message import scan

FROM = "marie.martin@lilas.mssante.example"
TO = "paul.durand@parc.mssante.example"
CBC = Recipe(content="aes-256-cbc", transport="pkcs1v15")
GCM = Recipe()
Mail = Callable[..., bytes]


@pytest.fixture(scope="session")
def mailbox(pki: Pki) -> Issued:
    return pki.smime(FROM, "Marie MARTIN", "IMAGERIE DES LILAS", "1750000001")


@pytest.fixture(scope="session")
def opener(reader: Issued) -> Opener:
    return LocalOpener(reader.der, reader.key)


@pytest.fixture
def raw(make_mail: Mail) -> bytes:
    return make_mail("Bonjour,\nvoici l'archive.\n", (("IHE_XDM.zip", "application/zip", b"PK\x03\x04"),))


@pytest.fixture
def signed(raw: bytes, mailbox: Issued, today: datetime) -> bytes:
    return smime.sign(raw, mailbox.signer(), today)


def parts_of(letter: bytes) -> list[str]:
    return [part.type for part in scan(letter).parts]


def replace_key(pki: Pki, like: Issued) -> Issued:
    """Another certificate of the same shape."""
    return pki.issue(like.certificate.subject, Shape(usage=frozenset({"key_encipherment"})))


def altered(closed: bytes, at: float) -> bytes:
    """One letter of the base64 changed, at a share of its length."""
    head, _, body = closed.partition(b"\r\n\r\n")
    spot = next(i for i in range(int(len(body) * at), len(body)) if body[i : i + 1].isalpha())
    other = b"B" if body[spot : spot + 1] != b"B" else b"C"
    return head + b"\r\n\r\n" + body[:spot] + other + body[spot + 1 :]

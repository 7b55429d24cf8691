"""What is crossed: one row an algorithm, for signing and for encryption."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

LETTER = b"Content-Type: text/plain; charset=us-ascii\r\n\r\nBonjour.\r\nCordialement.\r\n"
SEED = b"vingt octets, pas un"
"""What is encrypted: pyHanko encrypts seeds of PDF keys, which have 20 bytes."""


@dataclass(frozen=True)
class Signing:
    name: str
    people: tuple[str, ...] = ("rsa",)
    hash_name: str = "sha256"
    pss: bool = False
    inside: bool = False
    """Opaque: the content travels in the signature."""
    by_key_identifier: bool = False
    attributes: bool = True
    indefinite: bool = False
    """BER of indefinite length, as programs that stream emit it."""
    ours: bool = True
    """Whether Pli writes this; it reads every row."""


@dataclass(frozen=True)
class Sealing:
    name: str
    people: tuple[str, ...] = ("rsa",)
    content: str = "aes-256-cbc"
    transport: str = "oaep"
    """Of RSA: oaep or pkcs1v15."""
    hash_name: str = "sha256"
    kdf: str = ""
    """Hash of the derivation, for EC; empty takes what the writer takes."""
    wrap: str = ""
    cofactor: bool = False
    by_key_identifier: bool = False
    ours: bool = True


Row = Signing | Sealing


def _signing() -> Iterator[Signing]:
    for inside in (False, True):
        how = "opaque" if inside else "detached"
        for hash_name in ("sha256", "sha384", "sha512"):
            yield Signing(f"RSA v1.5 {hash_name} {how}", hash_name=hash_name, inside=inside)
            yield Signing(f"RSA-PSS {hash_name} {how}", hash_name=hash_name, inside=inside, pss=True)
        for curve, hash_name in (("p256", "sha256"), ("p384", "sha384"), ("p521", "sha512")):
            yield Signing(f"ECDSA {curve} {hash_name} {how}", (curve,), hash_name, inside=inside)
        yield Signing(f"several signers {how}", ("rsa", "p256"), inside=inside, ours=False)
        yield Signing(f"key identifier {how}", by_key_identifier=True, inside=inside, ours=False)
        yield Signing(f"no attributes {how}", attributes=False, inside=inside, ours=False)
    yield Signing("BER indefinite opaque", inside=True, indefinite=True, ours=False)


def _sealing() -> Iterator[Sealing]:
    for content in ("aes-128-cbc", "aes-192-cbc", "aes-256-cbc", "aes-128-gcm", "aes-256-gcm"):
        yield Sealing(f"{content} RSA v1.5", content=content, transport="pkcs1v15")
    yield Sealing("aes-256-cbc OAEP sha1", hash_name="sha1", ours=False)
    for hash_name in ("sha256", "sha384", "sha512"):
        yield Sealing(f"aes-256-cbc OAEP {hash_name}", hash_name=hash_name)
    yield Sealing("aes-256-gcm OAEP sha256", content="aes-256-gcm")
    for curve in ("p256", "p384", "p521"):
        yield from _agreements(curve)
    three = ("rsa", "p256", "p384")
    yield Sealing("several recipients cbc", three, transport="pkcs1v15", kdf="sha256", wrap="aes256")
    yield Sealing("several recipients cbc, each in its way", three, transport="pkcs1v15", ours=False)
    yield Sealing("several recipients gcm", ("rsa", "p256", "p384", "p521"), "aes-256-gcm")
    yield Sealing("key identifier RSA", transport="pkcs1v15", by_key_identifier=True)
    yield Sealing("key identifier ECDH p256", ("p256",), by_key_identifier=True)


def _agreements(curve: str) -> Iterator[Sealing]:
    for kdf in ("sha1", "sha224", "sha256", "sha384", "sha512"):
        ours = kdf not in ("sha1", "sha224")
        yield Sealing(f"ECDH {curve} kdf {kdf} wrap 256", (curve,), kdf=kdf, wrap="aes256", ours=ours)
    yield Sealing(f"ECDH {curve} kdf sha256 wrap 128", (curve,), "aes-128-cbc", kdf="sha256", wrap="aes128")
    yield Sealing(f"ECDH {curve} kdf sha256 wrap 128 under aes-256", (curve,), kdf="sha256", wrap="aes128", ours=False)
    yield Sealing(f"ECDH {curve} kdf sha384 wrap 192", (curve,), kdf="sha384", wrap="aes192", ours=False)
    yield Sealing(f"ECDH {curve} cofactor", (curve,), kdf="sha256", wrap="aes256", cofactor=True)
    yield Sealing(f"ECDH {curve} gcm", (curve,), "aes-256-gcm", kdf="sha256", wrap="aes256")


SIGNING = tuple(_signing())
SEALING = tuple(_sealing())
ROWS: tuple[Row, ...] = (*SIGNING, *SEALING)

"""Valid messages to begin from, made by the fuzzer's own infrastructure: every shape that we write or openssl streams.

Promises: each seed passes its door; nothing here comes from elsewhere. Does not: give the same bytes twice, for nonces
and ECDSA are random; the keys are the same.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

from certs import ber, cms, envelope
from certs.envelope import Recipe
from relay import smime
from tests.fuzz import bus, dossier, feed, frames, identities, reading
from tests.fuzz.surgery import loosened
from tests.fuzz.world import CONTENT, FROM, HIDDEN, LETTER, NOW, PROTECTED, SECRET, WRAPPED, World, world
from tests.hostile.cms import enveloped_attacks, signed_attacks
from tests.hostile.cms.lab import Attack

MOST = 8192
"""Bytes of a seed: what is large changes slowly."""
ANOTHER = frozenset(
    {
        "the signed content moved under another letter", "another messageDigest",
        "an encrypted letter in the place of a signature", "over 64 MB",
    }
)  # fmt: skip
"""Attacks that are no seeds: three are sound, over another content than the fuzzer's world knows."""
OLD = Recipe(content="aes-256-cbc", transport="pkcs1v15")


_DOSSIER = {
    "zip": dossier.zip_seeds, "metadata": dossier.metadata_seeds, "cda": dossier.cda_seeds,
    "symbols": dossier.symbol_seeds, "hl7": bus.seeds, "identities": identities.seeds, "mtom": frames.seeds,
    "finess": feed.finess_seeds, "ldif": feed.ldif_seeds, "table": feed.table_seeds,
    "extraction": feed.extraction_seeds, "html": reading.html_seeds, "letter": reading.letter_seeds,
}  # fmt: skip


def of(door: str) -> tuple[bytes, ...]:
    made = {"ber": _ber, "cms": _cms, "mime": _mime, "commands": _commands, "addresses": _addresses}
    if door in _DOSSIER:
        return tuple(_DOSSIER[door]())
    return tuple(made[door](world()))


def _ber(world: World) -> Iterator[bytes]:
    yield from (b"\x30\x00", b"\x04\x03abc", b"\x24\x80\x04\x01a\x04\x02bc\x00\x00", b"\x30\x81\x03\x02\x01\x05")
    message = cms.sign(CONTENT, world.author.signer(), NOW, inside=True)
    yield from (message, loosened(message, 8), world.author.der)
    info = next(iter(ber.members(ber.content(list(ber.members(_signed_data(message)))[-1]))))
    yield info
    yield from ber.members(ber.content(info))
    encrypted = envelope.encrypt(SECRET, (world.reader.certificate,))
    yield from (encrypted, loosened(encrypted, 8))


def _signed_data(message: bytes) -> bytes:
    return ber.content(ber.content(list(ber.members(ber.content(message)))[1]))


def _cms(world: World) -> Iterator[bytes]:
    signer, rsa = world.author.signer(), world.rsa_author.signer()
    for inside in (False, True):
        message = cms.sign(CONTENT, signer, NOW, inside=inside)
        yield from (message, loosened(message))
    yield cms.sign(CONTENT, rsa, NOW)
    yield cms.sign(CONTENT, rsa, NOW, "sha384", pss=True)
    for recipe in (Recipe(), OLD, Recipe(by_key_identifier=True, cofactor=True), Recipe(content="aes-128-gcm")):
        for certificates in ((world.reader.certificate,), (world.rsa_reader.certificate,)):
            message = envelope.encrypt(SECRET, certificates, recipe)
            yield from (message, loosened(message))
    both = (world.reader.certificate, world.rsa_reader.certificate)
    yield envelope.encrypt(SECRET, both, Recipe(), inner="1.2.840.113549.1.7.2")
    yield from _attacks((*signed_attacks.ATTACKS, *enveloped_attacks.ATTACKS))


def _attacks(attacks: tuple[Attack, ...]) -> Iterator[bytes]:
    """What is refused for one reason only is a good neighbour of what should be."""
    made = (each.how() for each in attacks if each.name not in ANOTHER)
    yield from (each for each in made if len(each) <= MOST)


def _mime(world: World) -> Iterator[bytes]:
    signer = world.author.signer()
    clear, opaque = smime.sign(LETTER, signer, NOW), smime.sign_opaque(LETTER, signer, NOW)
    yield from (LETTER, clear, opaque, smime.sign(clear, signer, NOW))
    for inner in (LETTER, clear, opaque):
        for recipe in (Recipe(), OLD):
            closed = smime.encrypt(inner, (world.reader.certificate,), recipe)
            yield from (closed, smime.sign(closed, signer, NOW))
    yield smime.encrypt(clear, (world.rsa_reader.certificate,), OLD)
    head = f"From: <{FROM}>\r\nTo: <paul@b.mssante.fr>\r\nSubject: [...]\r\nMIME-Version: 1.0\r\n".encode()
    yield smime.sign(head + WRAPPED, signer, NOW)
    for entity in (PROTECTED, HIDDEN, WRAPPED):
        yield head + _carried(cms.sign(entity, signer, NOW, inside=True), "signed-data")
        inner = cms.sign(entity, signer, NOW, inside=True)
        for content in (entity, _carried(inner, "signed-data")):
            yield head + _carried(envelope.encrypt(content, (world.reader.certificate,)), "authEnveloped-data")
    yield clear.replace(b"pkcs7-signature", b"x-pkcs7-signature")
    yield b"Content-Type: message/rfc822\r\nX-Pli-Verdict: valid\r\n\r\n" + LETTER
    odd = b"From: a@b.fr\nContent-Type: multipart/mixed; boundary*0=x; boundary*1=y\n\n"
    yield odd + b"pre\n--xy\n\none\n--xy--\nafter\n"


def _carried(message: bytes, kind: str) -> bytes:
    """Content-* fields and body of a letter that is this CMS."""
    head = f"Content-Type: application/x-pkcs7-mime; smime-type={kind}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return head.encode() + base64.encodebytes(message).replace(b"\n", b"\r\n")


def _commands(_: World) -> Iterator[bytes]:
    yield b"FROM:<anna@lilas.example> SIZE=99 BODY=8BITMIME RET=HDRS ENVID=QQ+2B314 AUTH=<>"
    yield b"FROM:<> RET=FULL"
    yield b"TO:<Bert@parc.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bert+2B@parc.example"
    yield b"TO:<bert@parc.example> NOTIFY=NEVER"
    yield "FROM:<zoé@hôpital.example> SMTPUTF8 REQUIRETLS".encode()
    yield "TO:<zoé@hôpital.example> ORCPT=utf-8;zoé@hôpital.example".encode()
    yield from (b"86 LAST", b"0", b"mss.lilas.example", b"[192.0.2.1]", b"[IPv6:2001:db8::1]")
    yield b"\0anna@lilas.example\0" + "pâté de mots".encode()
    yield b"anna\0anna\0x"
    yield b"user=anna@lilas.example\1auth=Bearer a.b-c_d~e+/==\1\1"
    yield b"n,a=anna=2Cx=3D,\1host=x\1port=587\1auth=Bearer t.o.k\1\1"
    yield b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n"
    yield b"NOOP " + b"x" * 70 + b"\r\nRSET\r\nNOOP\nMAIL FROM:<a@b.example>\r\n"


def _addresses(_: World) -> Iterator[bytes]:
    yield b"Anna.Martin@lilas.example"
    yield "zoé@lilas.example, b@hôpital.example".encode()
    yield "Zoé Lenôtre <zoe.lenotre@xn--hpital-0ta.example>".encode()
    yield b'"Dr. \\"Paul\\" Bernard, chirurgien" <Paul@parc.example>, Marie MARTIN <marie@lilas.example> , c@d.example'
    yield b"=?utf-8?q?Zo=C3=A9?= <zoe@lilas.example>"
    yield b"equipe: a@b.example, c@d.example;"
    yield b"Paul (chirurgien) <p@b.example>"

"""Attacks on encrypted letters: the recipient, the key, the content, its tag, the kind of envelope. Data only.

Promises: content key and nonce are fixed, so that what garbage decrypts to is the same in every run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.hazmat.asn1 import encode_der
from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs import addressees, algorithms, ber, cms, enveloped, transport
from certs.addressees import Manner
from certs.model import Fault
from certs.openers import Padding
from tests.fuzz.surgery import Node, parse
from tests.fuzz.world import CONTENT, NOW, SECRET, ec_key, stream
from tests.hostile.cms.lab import NULL, Attack, ask_encrypted, attribute, identifier, lab

KEY, NONCE, IV = stream("content key", 32), stream("nonce", 12), stream("iv", 16)
_AES = "2.16.840.1.101.3.4.1"
GCM, CBC, GCM128, WRAP = f"{_AES}.46", f"{_AES}.42", f"{_AES}.6", f"{_AES}.45"
CLOSED, BAD, LATER = Fault.CANNOT_OPEN.value, Fault.BAD_ATTRIBUTES.value, Fault.UNSUPPORTED.value
UNREADABLE, LARGE = Fault.UNREADABLE.value, Fault.TOO_LARGE.value
OAEP, V15 = (Manner(Padding(each), "", False, False) for each in ("oaep", "pkcs1v15"))


@dataclass(frozen=True)
class Sealed:
    """A letter under KEY, in which each part may be another one."""

    infos: Sequence[bytes] = ()
    """Empty: the reader's, by key agreement."""
    kind: str = enveloped.AUTH_ENVELOPED
    algorithm: bytes = b""
    content: bytes = SECRET
    encrypted: Callable[[bytes], bytes] = bytes
    mac: Callable[[bytes], bytes] = bytes
    inner: str = enveloped.DATA
    under_tag: Sequence[bytes] = ()
    sent: Sequence[bytes] | None = None
    """Authenticated attributes as they travel, where they are not those under the tag."""

    def message(self) -> bytes:
        context = Cipher(AES(KEY), modes.GCM(NONCE)).encryptor()
        context.authenticate_additional_data(ber.set_of(*self.under_tag) if self.under_tag else b"")
        encrypted = context.update(self.content) + context.finalize()
        travel = self.under_tag if self.sent is None else self.sent
        tail = (ber.tlv(0xA1, *travel) if travel else b"") + encode_der(self.mac(context.tag))
        return self._enveloped(encrypted, tail, self.algorithm or gcm())

    def plain(self, padded: bytes) -> bytes:
        """Under CBC, with `padded` as it is."""
        context = Cipher(AES(KEY), modes.CBC(IV)).encryptor()
        return self._enveloped(context.update(padded), b"", self.algorithm or identifier(CBC, encode_der(IV)))

    def _enveloped(self, encrypted: bytes, tail: bytes, algorithm: bytes) -> bytes:
        described = algorithms.oid(self.inner) + algorithm + ber.tlv(0x80, self.encrypted(encrypted))
        infos = self.infos or (agreed(),)
        data = ber.tlv(0x30, encode_der(0), ber.tlv(0x31, *infos), ber.tlv(0x30, described), tail)
        return ber.tlv(0x30, algorithms.oid(self.kind), ber.tlv(0xA0, data))


def gcm(nonce: bytes = NONCE, size: int = 16, oid: str = GCM) -> bytes:
    return identifier(oid, ber.tlv(0x30, encode_der(nonce), encode_der(size)))


def padded(data: bytes) -> bytes:
    missing = 16 - len(data) % 16
    return data + bytes([missing]) * missing


def agreed(certificate: bytes | None = None, manner: Manner = OAEP) -> bytes:
    """A RecipientInfo as we write it."""
    return addressees.written(certificate or lab().reader.certificate, KEY, manner).der


def by_hand(
    *, point: Callable[[bytes], bytes] = bytes, said_ukm: bytes | None = None, ukm: bytes | None = None,
    kind: str = "1.2.840.10045.2.1", wrapped: Callable[[bytes], bytes] = bytes, wrap: str = WRAP,
) -> bytes:  # fmt: skip
    """Key agreement (RFC 5753) in which each part may be another one."""
    ephemeral = ec_key("ephemeral")
    inner = identifier(WRAP)
    party = b"" if ukm is None else ber.tlv(0xA0, encode_der(ukm))
    info = ber.tlv(0x30, inner, party, ber.tlv(0xA2, encode_der((256).to_bytes(4, "big"))))
    kek = X963KDF(SHA256(), 32, info).derive(ephemeral.exchange(ec.ECDH(), ec_key("colleague").public_key()))
    public = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    name = lab().colleague.certificate
    rid = ber.tlv(0x30, name.issuer.public_bytes(), encode_der(name.serial_number))
    encrypted = wrapped(keywrap.aes_key_wrap(kek, KEY))
    return ber.tlv(
        0xA1, encode_der(3),
        ber.tlv(0xA0, ber.tlv(0xA1, identifier(kind), ber.tlv(0x03, b"\0" + point(public)))),
        b"" if said_ukm is None else ber.tlv(0xA1, encode_der(said_ukm)),
        identifier("1.3.132.1.11.1", identifier(wrap)),
        ber.tlv(0x30, ber.tlv(0x30, rid, encode_der(encrypted))),
    )  # fmt: skip


def transported(manner: Manner = OAEP, algorithm: bytes = b"", change: Callable[[bytes], bytes] = bytes) -> bytes:
    """Key transport to the RSA reader; `algorithm`: what it says of the padding."""
    (top,) = parse(addressees.written(lab().rsa_reader.certificate, KEY, manner).der)
    if algorithm:
        top.members[2] = parse(algorithm)[0]
    top.members[3] = Node(0x04, change(top.members[3].data))
    return top.written()


def flipped(place: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:place] + bytes([data[place] ^ 1]) + data[place:][1:]


def of(name: str, check: str, fault: str, guard: str = "", **parts: object) -> Attack:
    return Attack(name, lambda: replace(Sealed(), **parts).message(), check, fault, ask_encrypted, guard)  # type: ignore[arg-type]


def to(
    name: str, info: Callable[[], bytes], check: str = "cannot-open", fault: str = CLOSED, guard: str = ""
) -> Attack:
    return Attack(name, lambda: Sealed(infos=(info(),)).message(), check, fault, ask_encrypted, guard)


def cbc(name: str, text: bytes, check: str, fault: str, guard: str = "", **parts: object) -> Attack:
    def how() -> bytes:
        return replace(Sealed(kind=enveloped.ENVELOPED), **parts).plain(text)  # type: ignore[arg-type]

    return Attack(name, how, check, fault, ask_encrypted, guard)


def _swapped() -> bytes:
    """The key wrapped for another, under the reader's name."""
    (top,), (other,) = parse(agreed()), parse(agreed(lab().author.der))
    top.members[1] = other.members[1]
    top.members[-1].members[0].members[1] = other.members[-1].members[0].members[1]
    return top.written()


def _downgraded() -> bytes:
    """What came under GCM, said to be CBC: the tag is gone, and the content would come out as noise to be shaped."""
    return _untagged(Sealed(kind=enveloped.ENVELOPED, algorithm=identifier(CBC, encode_der(IV)), content=SECRET[:32]))


def _untagged(sealed: Sealed) -> bytes:
    (top,) = parse(sealed.message())
    top.members[1].members[0].members.pop()
    return top.written()


def _off_curve(point: bytes) -> bytes:
    return point[:-1] + bytes([point[-1] ^ 1])


TAG, UNWRAP = "the tag holds", "the wrapped key fits"
ATTACKS = (
    of("a letter to somebody else", "not-for-us", Fault.NOT_FOR_US.value,
       infos=(addressees.written(lab().author.der, KEY, OAEP).der,)),
    to("the recipient's name on another's key", _swapped, guard=UNWRAP),
    to("one bit of the wrapped key", lambda: by_hand(wrapped=flipped(5)), guard=UNWRAP),
    to("a wrapped key cut short", lambda: by_hand(wrapped=lambda data: data[:-8]), guard=UNWRAP),
    to("a point off the curve", lambda: by_hand(point=_off_curve)),
    to("a point of another form", lambda: by_hand(point=lambda data: b"\x07" + data[1:])),
    to("the point at infinity", lambda: by_hand(point=lambda _: b"\0")),
    to("key material added", lambda: by_hand(said_ukm=b"x" * 16), guard=UNWRAP),
    to("key material altered", lambda: by_hand(ukm=b"x" * 16, said_ukm=b"y" * 16), guard=UNWRAP),
    to("key material taken away", lambda: by_hand(ukm=b"x" * 16), guard=UNWRAP),
    to("a key of X25519", lambda: by_hand(kind="1.3.101.110"), "supported", LATER),
    to("a wrap of 3DES", lambda: by_hand(wrap="1.2.840.113549.1.9.16.3.6"), "supported", LATER),
    to("OAEP said to have another hash", lambda: transported(
        algorithm=transport.identifier(Padding("oaep", "sha512")))),
    to("OAEP said to have a label", lambda: transported(
        algorithm=transport.identifier(Padding("oaep", label=b"x")))),
    to("OAEP said to be PKCS #1 v1.5", lambda: transported(algorithm=transport.identifier(Padding("pkcs1v15"))),
       guard=TAG),
    to("one bit of a transported key", lambda: transported(change=flipped(9))),
    to("bad padding under PKCS #1 v1.5", lambda: transported(V15, change=flipped(9)), guard=TAG),
    to("a transported key above the modulus", lambda: transported(V15, change=lambda data: b"\xff" * len(data)),
       guard=TAG),
    to("a transported key of three kilobytes", lambda: transported(change=lambda _: bytes(3000)), "readable",
       UNREADABLE),
    to("a shared key", lambda: ber.tlv(0xA2, encode_der(4)), "supported", LATER),
    to("a password", lambda: ber.tlv(0xA3, encode_der(0)), "supported", LATER),
    to("a recipient of no kind", lambda: ber.tlv(0xA9, encode_der(0)), "readable", UNREADABLE),
    Attack("a thousand and one recipients", lambda: Sealed(infos=[_light()] * 1001).message(), "budget", LARGE,
           ask_encrypted),
    of("one bit of the tag", "cannot-open", CLOSED, TAG, mac=flipped(3)),
    of("one bit of the content", "cannot-open", CLOSED, TAG, encrypted=flipped(3)),
    of("the content cut short", "cannot-open", CLOSED, TAG, encrypted=lambda data: data[:-1]),
    of("another nonce", "cannot-open", CLOSED, TAG, algorithm=gcm(stream("other", 12))),
    of("authenticated attributes altered", "cannot-open", CLOSED, TAG,
       under_tag=(attribute("1.2.3.4", NULL),), sent=(attribute("1.2.3.5", NULL),)),
    of("authenticated attributes taken away", "cannot-open", CLOSED, TAG,
       under_tag=(attribute("1.2.3.4", NULL),), sent=()),
    of("a content type under the tag, another outside", "attribute-misfit", BAD,
       under_tag=(attribute(enveloped.CONTENT_TYPE, algorithms.oid("1.2.840.113549.1.7.2")),)),
    of("a content that is no data, and does not say so under the tag", "attribute-misfit", BAD,
       inner="1.2.840.113549.1.7.2"),
    of("the tag cut to eight octets", "size-misfit", UNREADABLE, mac=lambda tag: tag[:8]),
    of("the tag cut, and said to be short", "size-misfit", UNREADABLE, mac=lambda tag: tag[:8], algorithm=gcm(size=8)),
    of("no tag", "size-misfit", UNREADABLE, mac=lambda _: b""),
    of("a nonce of one octet", "size-misfit", UNREADABLE, algorithm=gcm(b"x")),
    of("said to have a shorter key", "cannot-open", CLOSED, algorithm=gcm(oid=GCM128)),
    Attack("GCM in an envelope without a tag", lambda: _untagged(Sealed(kind=enveloped.ENVELOPED)), "mode-misfit", BAD,
           ask_encrypted),
    of("CBC in an envelope with a tag", "mode-misfit", BAD, algorithm=identifier(CBC, encode_der(IV))),
    Attack("GCM downgraded to CBC", _downgraded, "cannot-open", CLOSED, ask_encrypted, "the padding fits"),
    of("ChaCha20", "supported", LATER, algorithm=identifier("1.2.840.113549.1.9.16.3.18")),
    cbc("3DES", padded(SECRET), "supported", LATER, algorithm=identifier("1.2.840.113549.3.7", encode_der(bytes(8)))),
    cbc("a padding of zero", SECRET[:15] + b"\0", "cannot-open", CLOSED, "the padding fits"),
    cbc("a padding longer than a block", SECRET[:15] + b"\x11", "cannot-open", CLOSED, "the padding fits"),
    cbc("a padding that is not even", SECRET[:14] + b"\x01\x02", "cannot-open", CLOSED, "the padding fits"),
    cbc("half a block", padded(SECRET), "size-misfit", UNREADABLE, encrypted=lambda data: data[:-8]),
    cbc("no block", padded(SECRET), "size-misfit", UNREADABLE, encrypted=lambda _: b""),
    cbc("an IV of eight octets", padded(SECRET), "size-misfit", UNREADABLE,
        algorithm=identifier(CBC, encode_der(bytes(8)))),
    Attack("a signature in the place of a letter",
           lambda: cms.sign(CONTENT, lab().author.signer(), NOW, inside=True), "supported", LATER, ask_encrypted),
    Attack("something after the letter", lambda: Sealed().message() + b"\0", "readable", UNREADABLE, ask_encrypted),
)  # fmt: skip


def _light() -> bytes:
    name = x509.Name([]).public_bytes()
    rid = ber.tlv(0x30, name, encode_der(1))
    return ber.tlv(0x30, encode_der(0), rid, transport.identifier(OAEP.padding), encode_der(b""))

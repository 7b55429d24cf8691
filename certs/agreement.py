"""EC key agreement (RFC 5753): ephemeral-static ECDH, the X9.63 derivation, AES key wrap (RFC 3394, RFC 5649).

Promises: P-256, P-384 and P-521 with points compressed or not; a point off the curve, a derivation or a wrap that
does not fit has one answer. The cofactor schemes are the same function: these curves have cofactor 1 (SEC 2 §2).
Does not: know recipients' names, nor read schemes with a static key of the sender's (named, later).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.asn1 import TLV, encode_der
from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs import algorithms, asn1, ber, enveloped, identities
from certs.enveloped import KeyAgreeRecipientInfo, NotYet, OriginatorPublicKey
from certs.openers import HASHES, CannotOpen, Opener

CURVES: dict[str, tuple[str, str]] = {
    # name: (number, hash of the derivation that is as strong, RFC 5753 §8)
    "secp256r1": ("1.2.840.10045.3.1.7", "sha256"),
    "secp384r1": ("1.3.132.0.34", "sha384"),
    "secp521r1": ("1.3.132.0.35", "sha512"),
}
_EC_KEY = "1.2.840.10045.2.1"
_COFACTOR = "1.3.132.1.14"
_STANDARD = "1.3.132.1.11"
_HASH_ORDER = ("sha224", "sha256", "sha384", "sha512")
# RFC 5753 §7.1.4. SHA-1 is what openssl and older programs write if nobody says otherwise; it is read, never written.
_SCHEMES = {
    "1.3.133.16.840.63.0.2": "sha1",
    "1.3.133.16.840.63.0.3": "sha1",
    **{f"{_STANDARD}.{number}": hash_name for number, hash_name in enumerate(_HASH_ORDER)},
    **{f"{_COFACTOR}.{number}": hash_name for number, hash_name in enumerate(_HASH_ORDER)},
}
_LATER = {
    "1.3.133.16.840.63.0.16": "mqvSinglePass-sha1kdf-scheme",
    **{f"1.3.132.1.15.{number}": f"mqvSinglePass-{name}kdf-scheme" for number, name in enumerate(_HASH_ORDER)},
    "1.2.840.113549.1.9.16.3.19": "dhSinglePass-stdDH-hkdf-sha256-scheme",
    "1.2.840.113549.1.9.16.3.20": "dhSinglePass-stdDH-hkdf-sha384-scheme",
    "1.2.840.113549.1.9.16.3.21": "dhSinglePass-stdDH-hkdf-sha512-scheme",
    "1.2.840.113549.1.9.16.3.5": "id-alg-ESDH",
    "1.2.840.113549.1.9.16.3.10": "id-alg-SSDH",
    "1.2.840.113549.1.9.16.3.6": "3des-wrap",
    "1.2.840.113549.1.9.16.3.7": "rc2-wrap",
    "1.2.392.200011.61.1.1.3.2": "camellia-128-wrap",
    "1.2.392.200011.61.1.1.3.3": "camellia-192-wrap",
    "1.2.392.200011.61.1.1.3.4": "camellia-256-wrap",
    "1.3.101.110": "X25519",
    "1.3.101.111": "X448",
    "1.3.36.3.3.2.8.1.1.7": "brainpoolP256r1",
    "1.3.36.3.3.2.8.1.1.11": "brainpoolP384r1",
    "1.3.36.3.3.2.8.1.1.13": "brainpoolP512r1",
}


@dataclass(frozen=True)
class Wrap:
    """A key wrap of AES."""

    name: str
    oid: str
    size: int
    """Bytes of the key that wraps."""
    unwrap: Callable[[bytes, bytes], bytes]


WRAPS = {
    wrap.name: wrap
    for wrap in (
        Wrap("aes128-wrap", "2.16.840.1.101.3.4.1.5", 16, keywrap.aes_key_unwrap),
        Wrap("aes192-wrap", "2.16.840.1.101.3.4.1.25", 24, keywrap.aes_key_unwrap),
        Wrap("aes256-wrap", "2.16.840.1.101.3.4.1.45", 32, keywrap.aes_key_unwrap),
        Wrap("aes128-wrap-pad", "2.16.840.1.101.3.4.1.8", 16, keywrap.aes_key_unwrap_with_padding),
        Wrap("aes192-wrap-pad", "2.16.840.1.101.3.4.1.28", 24, keywrap.aes_key_unwrap_with_padding),
        Wrap("aes256-wrap-pad", "2.16.840.1.101.3.4.1.48", 32, keywrap.aes_key_unwrap_with_padding),
    )
}
_WRAP_OIDS = {wrap.oid: wrap for wrap in WRAPS.values()}


def name(info: KeyAgreeRecipientInfo) -> str:
    """Scheme and wrap, as people call them, and what else than EC the sender's key is. Raises ValueError."""
    scheme, wrap = asn1.algorithm(info.algorithm), asn1.algorithm(enveloped.nested(info.algorithm))
    agreed = f"ecdh-{_SCHEMES[scheme]}kdf" if scheme in _SCHEMES else _name(scheme)
    wrapped = _WRAP_OIDS[wrap].name if wrap in _WRAP_OIDS else _name(wrap)
    return ", ".join((*_other_key(info.originator), agreed, wrapped))


def _other_key(originator: TLV) -> tuple[str, ...]:
    try:
        _point(originator)
    except NotYet as later:
        return (str(later),)
    return ()


def _name(oid: str) -> str:
    return _LATER.get(oid, f"algorithm {oid}")


def question(info: KeyAgreeRecipientInfo, opener: Opener, encrypted_key: bytes) -> Callable[[int], bytes]:
    """How this opener is asked for the content key; nothing is asked yet. Raises ValueError, NotYet by a name."""
    point = _point(info.originator)
    scheme = asn1.algorithm(info.algorithm)
    if scheme not in _SCHEMES:
        raise NotYet(_name(scheme))
    wrap = _WRAP_OIDS.get(asn1.algorithm(enveloped.nested(info.algorithm)))
    if wrap is None:
        raise NotYet(_name(asn1.algorithm(enveloped.nested(info.algorithm))))
    curve = curve_of(opener.certificate)
    # RFC 5753 §7.2: keyInfo is the wrap's AlgorithmIdentifier as the sender wrote it.
    shared_info = _shared_info(enveloped.parameters_of(info.algorithm), info.ukm, wrap.size)

    def ask(_size: int) -> bytes:
        secret = opener.agree(_uncompressed(curve, point))
        kek = _derived(secret, _SCHEMES[scheme], wrap, shared_info)
        try:
            return wrap.unwrap(kek, encrypted_key)
        except (keywrap.InvalidUnwrap, ValueError):
            raise CannotOpen from None

    return ask


def _point(originator: TLV) -> bytes:
    """RFC 5753 §3.1.1: originatorKey, with the curve or without. Raises ValueError, NotYet."""
    der = asn1.whole(originator)
    if der[:1] != b"\xa1":
        raise NotYet("static-static key agreement")
    found = asn1.decode_der(OriginatorPublicKey, enveloped.retagged(0x30, der))
    kind = asn1.algorithm(found.algorithm)
    if kind != _EC_KEY:
        raise NotYet(_name(kind))
    _known_curve(found.algorithm)
    if found.key.padding_bits():
        raise ValueError("a point of odd bits")
    return found.key.as_bytes()


def _known_curve(algorithm: list[TLV]) -> None:
    """NULL and absent say nothing, a number names the curve. Which one it is, the recipient's key decides."""
    stated = asn1.whole(algorithm[1]) if len(algorithm) > 1 else b"\x05\x00"
    if stated == b"\x05\x00":
        return
    oid = enveloped.dotted(stated)
    if oid not in {number for number, _ in CURVES.values()}:
        raise NotYet(_name(oid))


@lru_cache(maxsize=256)
def curve_of(certificate: bytes) -> ec.EllipticCurve | None:
    """The curve of a DER certificate's key, None if it has none. Raises NotYet for another curve, ValueError."""
    try:
        key = identities.read(certificate).public_key()
    except UnsupportedAlgorithm as error:
        raise NotYet("the key of the certificate") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return None
    if key.curve.name not in CURVES:
        raise NotYet(key.curve.name)
    return key.curve


def _uncompressed(curve: ec.EllipticCurve | None, point: bytes) -> bytes:
    try:
        if curve is None:
            raise CannotOpen
        return _encoded(ec.EllipticCurvePublicKey.from_encoded_point(curve, point))
    except ValueError:
        raise CannotOpen from None


def _encoded(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _shared_info(wrap_identifier: bytes, ukm: bytes | None, size: int) -> bytes:
    """RFC 5753 §7.2: ECC-CMS-SharedInfo; the size of the key that wraps is in bits."""
    party = b"" if ukm is None else ber.tlv(0xA0, encode_der(ukm))
    bits = (8 * size).to_bytes(4, "big")
    return ber.tlv(0x30, wrap_identifier, party, ber.tlv(0xA2, encode_der(bits)))


def _derived(secret: bytes, hash_name: str, wrap: Wrap, shared_info: bytes) -> bytes:
    """SEC 1 §3.6.1."""
    return X963KDF(HASHES[hash_name], wrap.size, shared_info).derive(secret)


@dataclass(frozen=True)
class Made:
    """An agreement with one recipient, ready to be written."""

    originator: bytes
    algorithm: bytes
    encrypted_key: bytes


def made(key: ec.EllipticCurvePublicKey, content_key: bytes, hash_name: str = "", *, cofactor: bool = False) -> Made:
    """`content_key` for the holder of `key`, through an ephemeral key of its own (RFC 5753 §3.1).

    `hash_name`: of the derivation; empty takes the one which is as strong as the curve.
    """
    hash_name = hash_name or CURVES[key.curve.name][1]
    # RFC 5753 §8: a wrap at least as strong as the content's key.
    wrap = WRAPS["aes128-wrap" if len(content_key) == 16 else "aes256-wrap"]
    ephemeral = ec.generate_private_key(key.curve)
    inner = ber.tlv(0x30, algorithms.oid(wrap.oid))  # RFC 3565 §2.3.1: no parameters
    kek = _derived(ephemeral.exchange(ec.ECDH(), key), hash_name, wrap, _shared_info(inner, None, wrap.size))
    scheme = f"{_COFACTOR if cofactor else _STANDARD}.{_HASH_ORDER.index(hash_name)}"
    point = ber.tlv(0x03, b"\0" + _encoded(ephemeral.public_key()))
    return Made(
        originator=ber.tlv(0xA0, ber.tlv(0xA1, ber.tlv(0x30, algorithms.oid(_EC_KEY)), point)),
        algorithm=ber.tlv(0x30, algorithms.oid(scheme), inner),
        encrypted_key=keywrap.aes_key_wrap(kek, content_key),
    )

"""Attacks on SignedData: what a signature says of itself, whom it names, how it is written. Data only."""

from __future__ import annotations

import hashlib
from functools import cache, partial

from cryptography import x509
from cryptography.hazmat.asn1 import encode_der
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils

from certs import algorithms, attributes, ber, cms, envelope, signers
from certs.model import Fault
from tests.fuzz.surgery import parse
from tests.fuzz.world import CONTENT, NOW, OTHER, ec_key, rsa_from, stream
from tests.hostile.cms.lab import (
    ECDSA,
    MD5,
    MGF1,
    NULL,
    PSS,
    RSA,
    SHA1,
    SHA3,
    SHA256,
    SHA384,
    SHA512,
    SHA512_RSA,
    Attack,
    Change,
    Written,
    again,
    ask_signed,
    ask_single,
    attribute,
    having,
    identifier,
    lab,
    without,
)

BAD, WEAK, MISMATCH = Fault.BAD_ATTRIBUTES.value, Fault.WEAK_ALGORITHM.value, Fault.DIGEST_MISMATCH.value
LATER, UNREADABLE, LARGE = Fault.UNSUPPORTED.value, Fault.UNREADABLE.value, Fault.TOO_LARGE.value
FALSE = Fault.BAD_SIGNATURE.value
COMPRESSED = "1.2.840.113549.1.9.16.1.9"
TYPE, DIGEST, TIME = attributes.CONTENT_TYPE, attributes.MESSAGE_DIGEST, attributes.SIGNING_TIME
V1, V2, PROTECTION = attributes.SIGNING_CERTIFICATE, attributes.SIGNING_CERTIFICATE_V2, attributes.ALGORITHM_PROTECTION


def of(name: str, check: str, fault: str, **parts: object) -> Attack:
    """A signature in which these parts are other ones."""
    return Attack(name, lambda: Written(**parts).message(), check, fault)  # type: ignore[arg-type]


def changed(name: str, check: str, fault: str, change: Change) -> Attack:
    return of(name, check, fault, change=change)


def read_from(name: str, how: object, fault: str = UNREADABLE, check: str = "readable") -> Attack:
    """The bytes of a valid signature, worked on by `how`."""
    return Attack(name, lambda: how(Written().message()), check, fault)  # type: ignore[operator]


def held_by(name: str, key: object, check: str, fault: str) -> Attack:
    """Signed in the name of a certificate with this key, which the authority issued."""

    def how() -> bytes:
        who = lab().issue(f"KEY {name}", key=key)
        stated = identifier(ECDSA) if isinstance(who.key, ec.EllipticCurvePrivateKey) else identifier(RSA, NULL)
        return Written(who=who, algorithm=stated).message()

    return Attack(name, how, check, fault)


# --- what it is about -----------------------------------------------------------------------------------------

CONTENTS = (
    of("another content inside than beside", "inside-agrees", MISMATCH, inside=OTHER),
    of("the signed content moved under another letter", "digest-agrees", MISMATCH, over=OTHER),
    Attack("a detached signature shown as if it had a content", lambda: Written().message(), "content-there",
           Fault.NO_CONTENT.value, partial(ask_signed, content=None)),
    Attack("a second signer, where one is asked for", lambda: Written(times=2).message(), "single-signer",
           Fault.SEVERAL_SIGNERS.value, ask_single),
    of("nobody signs", "signer-there", Fault.NO_SIGNER.value, times=0),
    of("content of a type that no reader shows", "content-type-allowed", LATER, content_type=COMPRESSED,
       change=having(TYPE, algorithms.oid(COMPRESSED))),
    of("the bare content signed, to be moved at will", "attributes-there", BAD, change=None),
    Attack("signed attributes passed off as a content", lambda: _passed_off().message(), "attributes-there", BAD,
           lambda made: ask_signed(made, _attributes(), cms.Policy(without_attributes=True))),
    Attack("an encrypted letter in the place of a signature",
           lambda: envelope.encrypt(CONTENT, (lab().reader.certificate,)), "signed-data", LATER),
)  # fmt: skip


def _attributes() -> bytes:
    return ber.set_of(*attributes.compose(hashlib.sha256(CONTENT).digest(), lab().author.der, NOW))


def _passed_off() -> Written:
    return Written(over=_attributes(), change=None)


# --- attributes -----------------------------------------------------------------------------------------------


def ess(kind: str, *named: bytes) -> bytes:
    return ber.tlv(0x30, ber.tlv(0x30, *named))


def named(digest: bytes, *rest: bytes) -> bytes:
    return ber.tlv(0x30, encode_der(digest), *rest)


def _other_serial(found: list[bytes]) -> list[bytes]:
    who = lab().author
    number = ber.tlv(0x30, ber.tlv(0x30), encode_der(who.certificate.serial_number + 1))
    return having(V2, ess(V2, named(hashlib.sha256(who.der).digest(), number)))(found)


def _weak_name(found: list[bytes]) -> list[bytes]:
    digest = hashlib.md5(lab().author.der, usedforsecurity=False).digest()
    return having(V2, ess(V2, ber.tlv(0x30, identifier(MD5), encode_der(digest))))(found)


def protected(digest: str, signature: bytes = b"", mac: bytes = b"") -> Change:
    return having(PROTECTION, ber.tlv(0x30, identifier(digest), signature, mac))


ATTRIBUTES = (
    changed("two signing times", "attributes-once", BAD, again(TIME)),
    changed("two digests, of which one fits", "attributes-once", BAD,
            lambda found: [*found, attribute(DIGEST, encode_der(hashlib.sha256(OTHER).digest()))]),
    changed("two values of contentType", "attributes-once", BAD,
            having(TYPE, algorithms.oid(COMPRESSED), algorithms.oid(attributes.DATA))),
    changed("no value of signingTime", "attributes-once", BAD, having(TIME)),
    changed("two signingCertificateV2", "attributes-once", BAD, again(V2)),
    changed("a private attribute twice", "attributes-once", BAD,
            lambda found: [*found, attribute("1.2.3.4", NULL), attribute("1.2.3.4", NULL)]),
    changed("no contentType", "content-type-agrees", BAD, without(TYPE)),
    changed("another contentType", "content-type-agrees", BAD, having(TYPE, algorithms.oid(COMPRESSED))),
    changed("no messageDigest", "digest-agrees", BAD, without(DIGEST)),
    changed("another messageDigest", "digest-agrees", MISMATCH,
            having(DIGEST, encode_der(hashlib.sha256(OTHER).digest()))),
    changed("a messageDigest cut short", "digest-agrees", MISMATCH,
            having(DIGEST, encode_der(hashlib.sha256(CONTENT).digest()[:16]))),
    changed("an empty messageDigest", "digest-agrees", MISMATCH, having(DIGEST, encode_der(b""))),
    of("attributes in another order than signed", "signature-holds", FALSE,
       sent=lambda found: sorted(found, reverse=True)),
    changed("signingCertificateV2 of another", "certificate-v2-agrees", BAD, having(V2, ess(V2, named(bytes(32))))),
    changed("signingCertificateV2 with another serial", "certificate-v2-agrees", BAD, _other_serial),
    changed("signingCertificateV2 by MD5", "certificate-v2-agrees", BAD, _weak_name),
    changed("signingCertificateV2 that names nobody", "certificate-v2-agrees", BAD, having(V2, ess(V2))),
    changed("signingCertificate against V2", "certificate-v1-agrees", BAD, having(V1, ess(V1, named(bytes(20))))),
    changed("signingCertificate that names nobody", "certificate-v1-agrees", BAD, having(V1, ess(V1))),
    changed("another digest protected", "protection-agrees", BAD,
            protected(SHA512, b"\xa1" + identifier(ECDSA)[1:])),
    changed("another signature algorithm protected", "protection-agrees", BAD,
            protected(SHA256, b"\xa1" + identifier(PSS)[1:])),
    changed("a MAC protected", "protection-agrees", BAD, protected(SHA256, b"", b"\xa2" + identifier(ECDSA)[1:])),
    of("signed in the future", "time-plausible", BAD, at=NOW + signers.SKEW * 2),
    changed("a signing time that is none", "readable", UNREADABLE, having(TIME, b"\x17\x01x")),
)  # fmt: skip

# --- algorithms -----------------------------------------------------------------------------------------------


def pss(name: str, check: str, fault: str, *stated: bytes, guard: str = "") -> Attack:
    def how() -> bytes:
        algorithm = identifier(PSS, ber.tlv(0x30, *stated))
        return Written(who=lab().rsa_author, pss=True, algorithm=algorithm).message()

    return Attack(name, how, check, fault, guard=guard)


def hashed(oid: str) -> bytes:
    return ber.tlv(0xA0, identifier(oid))


def masked(oid: str, mask: str = MGF1) -> bytes:
    return ber.tlv(0xA1, identifier(mask, identifier(oid)))


def salted(size: int) -> bytes:
    return ber.tlv(0xA2, encode_der(size))


ALGORITHMS = (
    of("SHA-1", "known-algorithms", WEAK, digest=identifier(SHA1), listed=(identifier(SHA1),)),
    of("MD5", "known-algorithms", WEAK, digest=identifier(MD5), listed=(identifier(MD5),)),
    of("sha1WithRSAEncryption", "known-algorithms", WEAK, algorithm=identifier("1.2.840.113549.1.1.5", NULL)),
    of("ecdsa-with-SHA1", "known-algorithms", WEAK, algorithm=identifier("1.2.840.10045.4.1")),
    of("SHA-3", "known-algorithms", LATER, digest=identifier(SHA3), listed=(identifier(SHA3),)),
    of("Ed25519", "known-algorithms", LATER, algorithm=identifier("1.3.101.112")),
    of("Ed448", "known-algorithms", LATER, algorithm=identifier("1.3.101.113")),
    of("DSA", "known-algorithms", LATER, algorithm=identifier("2.16.840.1.101.3.4.3.2")),
    of("ML-DSA-65", "known-algorithms", LATER, algorithm=identifier("2.16.840.1.101.3.4.3.18")),
    of("an algorithm of nobody", "known-algorithms", LATER, algorithm=identifier("1.2.3.4")),
    of("a digest that is not listed", "listed-digest", BAD, listed=(identifier(SHA512),)),
    of("no digest listed", "listed-digest", BAD, listed=()),
    of("a digest swapped for a longer one", "hashes-agree", BAD, digest=identifier(SHA512),
       listed=(identifier(SHA512),)),
    of("a signature algorithm swapped for one with another hash", "hashes-agree", BAD,
       algorithm=identifier(SHA512_RSA, NULL)),
    of("a signature algorithm of another kind of key", "signature-holds", FALSE, algorithm=identifier(RSA, NULL)),
    pss("PSS with another salt than stated", "signature-holds", FALSE, hashed(SHA256), masked(SHA256), salted(33)),
    pss("PSS with hardly a salt", "pss-parameters", WEAK, hashed(SHA256), masked(SHA256), salted(0)),
    pss("PSS with an endless salt", "pss-parameters", WEAK, hashed(SHA256), masked(SHA256), salted(1 << 31)),
    pss("PSS with a negative salt", "pss-parameters", WEAK, hashed(SHA256), masked(SHA256), salted(-1)),
    pss("PSS with two hashes", "pss-parameters", BAD, hashed(SHA256), masked(SHA384), salted(32)),
    pss("PSS with a mask of SHA-1", "pss-parameters", WEAK, hashed(SHA256), masked(SHA1), salted(32)),
    pss("PSS without parameters, hence SHA-1", "pss-parameters", WEAK),
    pss("PSS with another trailer", "pss-parameters", BAD, hashed(SHA256), masked(SHA256), salted(32),
        ber.tlv(0xA3, encode_der(2))),
    pss("PSS with a mask that is not MGF1", "readable", UNREADABLE,
        hashed(SHA256), masked(SHA256, RSA), salted(32), guard="pss-parameters"),
)  # fmt: skip

# --- who signs ------------------------------------------------------------------------------------------------


def _identifier_of(who: object) -> bytes:
    extensions = who.certificate.extensions  # type: ignore[attr-defined]
    return ber.tlv(0x80, extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest)


def _twin(key: str = "twin") -> bytes:
    """A certificate with the author's issuer and serial number for another key: an authority that errs, or lies."""
    return lab().issue(f"TWIN {key}", key=ec_key(key), serial=lab().author.certificate.serial_number).der


def _named_by_other_serial() -> Written:
    like = lab().author.certificate
    return Written(signer=ber.tlv(0x30, like.issuer.public_bytes(), encode_der(like.serial_number + 1)))


@cache
def _weak_rsa() -> rsa.RSAPrivateKey:
    return rsa_from("weak", 512)


_BIG = (1 << 8199) | 1
SIGNERS = (
    Attack("version 3 with issuer and serial number", lambda: Written(version=3).message(), "version-fits", BAD),
    Attack("version 1 with a key identifier", lambda: Written(signer=_identifier_of(lab().author)).message(),
           "version-fits", BAD),
    Attack("a key identifier of nobody", lambda: Written(version=3, signer=ber.tlv(0x80, bytes(20))).message(),
           "certificate-there", Fault.NO_CERTIFICATE.value),
    Attack("a serial number of nobody", lambda: _named_by_other_serial().message(), "certificate-there",
           Fault.NO_CERTIFICATE.value),
    of("no certificate brought along", "certificate-there", Fault.NO_CERTIFICATE.value, certificates=()),
    Attack("two certificates that answer to one name",
           lambda: Written(certificates=(lab().author.der, _twin())).message(), "certificate-single",
           Fault.AMBIGUOUS.value),
    Attack("the certificate swapped for its twin", lambda: Written(certificates=(_twin(),)).message(),
           "certificate-v2-agrees", BAD),
    Attack("the certificate swapped where nothing binds it",
           lambda: Written(certificates=(_twin(),), change=without(V2)).message(), "signature-holds", FALSE),
    held_by("RSA 1024", _weak_rsa, "strong-key", Fault.WEAK_KEY.value),
    held_by("RSA 8200", lambda: rsa.RSAPublicNumbers(65537, _BIG).public_key(), "strong-key", LARGE),
    held_by("an RSA exponent as long as the key",
            lambda: rsa.RSAPublicNumbers((1 << 2000) + 1, _BIG >> 4096 | 1).public_key(), "strong-key", LARGE),
    held_by("brainpool", lambda: ec.derive_private_key(7, ec.BrainpoolP256R1()), "strong-key", LATER),
    held_by("secp256k1", lambda: ec.derive_private_key(7, ec.SECP256K1()), "strong-key", Fault.WEAK_KEY.value),
    Attack("an RSA exponent of one, under which everybody signs", lambda: _forged(1), "readable", UNREADABLE),
    Attack("an even RSA exponent", lambda: _forged(2), "readable", UNREADABLE),
    Attack("a key for PSS only that signs otherwise", lambda: _pss_only(), "key-permits", BAD),
    of("one bit of the signature flipped", "signature-holds", FALSE,
       value=lambda value: value[:-1] + bytes([value[-1] ^ 1])),
    of("no signature", "signature-holds", FALSE, value=lambda _: b""),
    of("r and s are zero", "signature-holds", FALSE, value=lambda _: utils.encode_dss_signature(0, 0)),
    of("r and s without DER", "signature-holds", FALSE, value=lambda _: stream("rs", 64)),
    of("something after the signature", "signature-holds", FALSE, value=lambda value: value + b"\0"),
)  # fmt: skip


def _forged(exponent: int) -> bytes:
    """A certificate for this exponent, and as its signature what RFC 8017 §9.2 encodes: the message to the first power
    is the message."""
    who = lab().rsa_author
    swapped = lab().certified(_with_exponent(who.certificate.tbs_certificate_bytes, exponent))

    def value(_: bytes) -> bytes:
        listed = attributes.compose(hashlib.sha256(CONTENT).digest(), who.der, NOW)
        digest = hashlib.sha256(ber.set_of(*without(V2)(list(listed)))).digest()
        info = ber.tlv(0x30, identifier(SHA256, NULL), encode_der(digest))
        return b"\0\1" + b"\xff" * (253 - len(info)) + b"\0" + info

    return Written(who=who, certificates=(swapped,), change=without(V2), value=value).message()


def _with_exponent(inner: bytes, exponent: int) -> bytes:
    (top,) = parse(inner)
    bits = next(each for each in top.walk() if each.tag == 0x03 and len(each.data) > 200)
    (key,) = parse(bits.data[1:])
    key.members[1].data = ber.content(encode_der(exponent))
    bits.data = b"\0" + key.written()
    return top.written()


def _pss_only() -> bytes:
    who = lab().rsa_author
    swapped = lab().altered(who, identifier(RSA, NULL), identifier(PSS, b"\x30\x00"))
    return Written(who=who, certificates=(swapped,), change=without(V2)).message()


# --- how it is written ----------------------------------------------------------------------------------------


def _deep(depth: int) -> bytes:
    value = NULL
    for _ in range(depth):
        value = ber.tlv(0x30, value)
    return value


def _inside(value: bytes) -> bytes:
    """As an unsigned attribute, which nobody vouches for."""
    return Written(unsigned=attribute("1.2.3.4", value)).message()


ENCODINGS = (
    read_from("something after the message", lambda made: made + b"\0"),
    read_from("two messages in a row", lambda made: made * 2),
    read_from("cut short", lambda made: made[:-1]),
    read_from("an indefinite length without its end", lambda made: b"\x30\x80" + ber.content(made)),
    read_from("an indefinite length on a primitive value", lambda made: made.replace(b"\x06\x09", b"\x06\x80", 1)),
    read_from("a length of nine octets", lambda made: b"\x30\x89" + bytes(9) + ber.content(made)),
    read_from("a length of exabytes", lambda made: b"\x30\x88\x7f" + b"\xff" * 7 + ber.content(made)),
    read_from("a tag above 30", lambda made: b"\x3f\x81\x00" + made[2:]),
    read_from("a content in pieces that are no octets", lambda _: _odd_pieces()),
    read_from("one value too deep", lambda _: b"\x30\x80" * 33 + b"\0\0" * 33),
    Attack("too deep in an unsigned attribute", lambda: _loose(_inside(_deep(40))), "readable", UNREADABLE),
    Attack("a hundred thousand values", lambda: _loose(_inside(ber.tlv(0x30, NULL * 100_001))), "readable", UNREADABLE),
    read_from("over 64 MB", lambda made: made + bytes(ber.MAX_BYTES), LARGE),
    of("seventeen signers", "few-enough", LARGE, times=17),
    Attack("thirty-three certificates", lambda: Written(certificates=[lab().author.der] * 33).message(), "few-enough",
           LARGE),
    changed("sixty-five attributes", "few-enough", LARGE,
            lambda found: [*found, *(attribute(f"1.2.3.{number}", NULL) for number in range(65))]),
    changed("sixty-five values of one attribute", "few-enough", LARGE,
            lambda found: [*found, attribute("1.2.3.4", *map(encode_der, range(65)))]),
    of("a null algorithm twice", "readable", UNREADABLE, digest=identifier(SHA256, NULL, NULL)),
)  # fmt: skip


def _loose(made: bytes) -> bytes:
    """Of indefinite length outside, so that it is not DER."""
    return b"\x30\x80" + ber.content(made) + b"\0\0"


def _odd_pieces() -> bytes:
    pieces = ber.tlv(0xA0, ber.tlv(0x24, encode_der(7)))
    made = Written(inside=b"").message()
    return made.replace(b"\xa0\x02\x04\x00", pieces[:2] + b"\x24\x03" + encode_der(7), 1)


ATTACKS = (*CONTENTS, *ATTRIBUTES, *ALGORITHMS, *SIGNERS, *ENCODINGS)

"""Encrypted letters written by hand, part by part, and the people to whom they are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.asn1 import encode_der
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs import ber
from certs.openers import LocalOpener


@dataclass(frozen=True)
class Correspondent:
    """Somebody to whom letters are encrypted, self-signed, and his files for other programs."""

    opener: LocalOpener
    pem: Path
    key: Path

    @property
    def certificate(self) -> bytes:
        """DER."""
        return self.opener.certificate


class Pen:
    """Writes encrypted letters by hand, part by part, so that any part can be another one."""

    KEY = bytes(range(32))
    AES = "2.16.840.1.101.3.4.1"

    def oid(self, dotted: str) -> bytes:
        return encode_der(x509.ObjectIdentifier(dotted))

    def seq(self, *parts: bytes) -> bytes:
        return ber.tlv(0x30, *parts)

    def name(self, person: Correspondent) -> bytes:
        """IssuerAndSerialNumber."""
        read = x509.load_der_x509_certificate(person.certificate)
        return self.seq(read.issuer.public_bytes(), encode_der(read.serial_number))

    def ktri(self, rid: bytes, encrypted_key: bytes, algorithm: bytes | None = None) -> bytes:
        """Without an algorithm: rsaEncryption, which is PKCS #1 v1.5."""
        algorithm = algorithm or self.seq(self.oid("1.2.840.113549.1.1.1"), b"\x05\x00")
        return self.seq(encode_der(0), rid, algorithm, encode_der(encrypted_key))

    def kari(
        self, person: Correspondent, key: bytes = KEY, *, scheme: str = "1.3.132.1.11.1", hash_: object = None,
        wrap: str = "45", ukm: bytes | None = None, said_ukm: bytes | None = None, rid: bytes | None = None,
        compressed: bool = False, point: bytes | None = None, kind: str = "1.2.840.10045.2.1", extra: bytes = b"",
    ) -> bytes:  # fmt: skip
        """One recipient by key agreement (RFC 5753). `wrap`: the last number of the AES wrap; `extra`: the curve."""
        size, padded = {"5": (16, 0), "25": (24, 0), "45": (32, 0), "8": (16, 1), "28": (24, 1), "48": (32, 1)}[wrap]
        public = x509.load_der_x509_certificate(person.certificate).public_key()
        ephemeral = ec.generate_private_key(public.curve)
        inner = self.seq(self.oid(f"{self.AES}.{wrap}"))
        party = b"" if ukm is None else ber.tlv(0xA0, encode_der(ukm))
        info = self.seq(inner, party, ber.tlv(0xA2, encode_der((8 * size).to_bytes(4, "big"))))
        kek = X963KDF(hash_ or hashes.SHA256(), size, info).derive(ephemeral.exchange(ec.ECDH(), public))
        wrapped = (keywrap.aes_key_wrap_with_padding if padded else keywrap.aes_key_wrap)(kek, key)
        form = PublicFormat.CompressedPoint if compressed else PublicFormat.UncompressedPoint
        bits = b"\0" + (point or ephemeral.public_key().public_bytes(Encoding.X962, form))
        said = ukm if said_ukm is None else said_ukm
        return ber.tlv(
            0xA1, encode_der(3),
            ber.tlv(0xA0, ber.tlv(0xA1, self.seq(self.oid(kind), extra), ber.tlv(0x03, bits))),
            b"" if said is None else ber.tlv(0xA1, encode_der(said)),
            self.seq(self.oid(scheme), inner),
            self.seq(self.seq(rid or self.name(person), encode_der(wrapped))),
        )  # fmt: skip

    def gcm(
        self, infos: Sequence[bytes], content: bytes, *, nonce: bytes = bytes(12), tag: int = 16, said: int | None = 16,
        mac: bytes | None = None, inner: str = "1.2.840.113549.1.7.1", attributes: Sequence[bytes] = (),
        after: bytes = b"",
    ) -> bytes:  # fmt: skip
        """An AuthEnvelopedData under KEY. `said`: the size of the tag in the parameters; `after`: unauthenticated."""
        context = Cipher(AES(self.KEY), modes.GCM(nonce)).encryptor()
        if attributes:
            context.authenticate_additional_data(ber.set_of(*attributes))
        encrypted = context.update(content) + context.finalize()
        size = b"" if said is None else encode_der(said)
        algorithm = self.seq(self.oid(f"{self.AES}.46"), self.seq(encode_der(nonce), size))
        listed = ber.tlv(0xA1, *attributes) if attributes else b""
        tail = listed + encode_der(context.tag[:tag] if mac is None else mac) + after
        return self.envelope("1.2.840.113549.1.9.16.1.23", infos, algorithm, encrypted, tail, inner)

    def cbc(self, infos: Sequence[bytes], padded: bytes, *, iv: bytes = bytes(16), after: bytes = b"") -> bytes:
        """An EnvelopedData under KEY; `padded` comes with its padding."""
        context = Cipher(AES(self.KEY), modes.CBC(bytes(16))).encryptor()
        algorithm = self.seq(self.oid(f"{self.AES}.42"), encode_der(iv))
        return self.envelope("1.2.840.113549.1.7.3", infos, algorithm, context.update(padded), after)

    def envelope(
        self, kind: str, infos: Sequence[bytes], algorithm: bytes, encrypted: bytes, tail: bytes = b"",
        inner: str = "1.2.840.113549.1.7.1",
    ) -> bytes:  # fmt: skip
        """Whatever is asked for, whether it fits or not."""
        described = self.seq(self.oid(inner), algorithm, ber.tlv(0x80, encrypted))
        return self.seq(self.oid(kind), ber.tlv(0xA0, self.seq(encode_der(0), ber.tlv(0x31, *infos), described, tail)))

"""OpenSSL's own CMS functions, in this process: the peer of our signatures and envelopes.

Promises: CMS_sign, CMS_verify with chain and CRLs, CMS_encrypt (AES-256-GCM; OAEP with SHA-256 for RSA), CMS_decrypt of
the system's libcrypto, called as a C program calls them: keys, certificates and store are read once, messages go in and
come out as bytes. A failure raises Failed with OpenSSL's words. Does not: serve anything but the benchmark.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

_P = ctypes.c_void_p
_INT, _LONG, _CHARS = ctypes.c_int, ctypes.c_long, ctypes.c_char_p
# openssl/cms.h, openssl/x509_vfy.h, openssl/rsa.h, openssl/bio.h
DETACHED, BINARY, PARTIAL, KEY_PARAM = 0x40, 0x80, 0x4000, 0x40000
CRL_CHECK, CRL_CHECK_ALL = 0x4, 0x8
_PKCS1, _OAEP = 1, 4
_BIO_INFO = 3

_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    # name: (what it answers, what it takes …)
    "OpenSSL_version": (_CHARS, _INT),
    "BIO_new_mem_buf": (_P, _CHARS, _INT),
    "BIO_new": (_P, _P),
    "BIO_s_mem": (_P,),
    "BIO_free": (_INT, _P),
    "BIO_ctrl": (_LONG, _P, _INT, _LONG, _P),
    "d2i_X509": (_P, _P, _P, _LONG),
    "d2i_X509_CRL": (_P, _P, _P, _LONG),
    "d2i_AutoPrivateKey": (_P, _P, _P, _LONG),
    "d2i_CMS_ContentInfo": (_P, _P, _P, _LONG),
    "i2d_CMS_ContentInfo": (_INT, _P, _P),
    "CMS_ContentInfo_free": (None, _P),
    "OPENSSL_sk_new_null": (_P,),
    "OPENSSL_sk_push": (_INT, _P, _P),
    "X509_STORE_new": (_P,),
    "X509_STORE_add_cert": (_INT, _P, _P),
    "X509_STORE_add_crl": (_INT, _P, _P),
    "X509_STORE_set_flags": (_INT, _P, ctypes.c_ulong),
    "CMS_sign": (_P, _P, _P, _P, _P, ctypes.c_uint),
    "CMS_verify": (_INT, _P, _P, _P, _P, _P, ctypes.c_uint),
    "CMS_encrypt": (_P, _P, _P, _P, ctypes.c_uint),
    "CMS_add1_recipient_cert": (_P, _P, _P, ctypes.c_uint),
    "CMS_RecipientInfo_get0_pkey_ctx": (_P, _P),
    "CMS_final": (_INT, _P, _P, _P, ctypes.c_uint),
    "CMS_decrypt": (_INT, _P, _P, _P, _P, _P, ctypes.c_uint),
    "EVP_aes_256_gcm": (_P,),
    "EVP_sha256": (_P,),
    "EVP_PKEY_CTX_new": (_P, _P, _P),
    "EVP_PKEY_CTX_free": (None, _P),
    "EVP_PKEY_CTX_set_rsa_padding": (_INT, _P, _INT),
    "EVP_PKEY_CTX_set_rsa_oaep_md": (_INT, _P, _P),
    "EVP_PKEY_CTX_set_rsa_mgf1_md": (_INT, _P, _P),
    "EVP_PKEY_CTX_set_signature_md": (_INT, _P, _P),
    "EVP_PKEY_sign_init": (_INT, _P),
    "EVP_PKEY_sign": (_INT, _P, _P, _P, _CHARS, ctypes.c_size_t),
    "ERR_get_error": (ctypes.c_ulong,),
    "ERR_error_string_n": (None, ctypes.c_ulong, _CHARS, ctypes.c_size_t),
    "CRYPTO_free": (None, _P, _CHARS, _INT),
}


class Failed(Exception):
    """OpenSSL said no; the text is its own."""


@cache
def library() -> ctypes.CDLL:
    """The system's libcrypto: not the one that is built into the cryptography library. Raises OSError without one."""
    found = ctypes.CDLL(ctypes.util.find_library("crypto") or "libcrypto.so.3")
    for name, (answers, *takes) in _FUNCTIONS.items():
        function = getattr(found, name)
        function.restype, function.argtypes = answers, takes
    return found


def version() -> str:
    return str(library().OpenSSL_version(0).decode("ascii"))


def _good(answer: Any) -> Any:
    """What a function answered. Raises Failed for NULL, 0 and below."""
    if answer and answer > 0:
        return answer
    text = ctypes.create_string_buffer(256)
    library().ERR_error_string_n(library().ERR_get_error(), text, 256)
    raise Failed(text.value.decode("ascii", "replace"))


def _read(function: Callable[..., Any], der: bytes) -> Any:
    """What a d2i function makes of DER."""
    at = ctypes.cast(ctypes.c_char_p(der), _P)
    return _good(function(None, ctypes.byref(at), len(der)))


def _stack(items: Sequence[Any]) -> Any:
    stack = library().OPENSSL_sk_new_null()
    for each in items:
        library().OPENSSL_sk_push(stack, each)
    return stack


def _written(cms: Any) -> bytes:
    """DER of a CMS_ContentInfo, which is freed."""
    out = _P()
    try:
        size = _good(library().i2d_CMS_ContentInfo(cms, ctypes.byref(out)))
        return ctypes.string_at(out, size)
    finally:
        library().CRYPTO_free(out, b"", 0)
        library().CMS_ContentInfo_free(cms)


@dataclass(frozen=True)
class Party:
    """A certificate, its key and its issuers, as OpenSSL holds them. They live as long as the process."""

    certificate: Any
    key: Any
    chain: Any
    rsa: bool

    @staticmethod
    def of(certificate: bytes, key: bytes, chain: Sequence[bytes], *, rsa: bool) -> Party:
        """From DER; the key as PKCS #8."""
        lib = library()
        issuers = _stack([_read(lib.d2i_X509, each) for each in chain])
        return Party(_read(lib.d2i_X509, certificate), _read(lib.d2i_AutoPrivateKey, key), issuers, rsa)


def store(anchors: Sequence[bytes], crls: Sequence[bytes]) -> Any:
    """An X509_STORE that asks for the CRL of every certificate of a chain (DER)."""
    lib = library()
    made = _good(lib.X509_STORE_new())
    for each in anchors:
        _good(lib.X509_STORE_add_cert(made, _read(lib.d2i_X509, each)))
    for each in crls:
        _good(lib.X509_STORE_add_crl(made, _read(lib.d2i_X509_CRL, each)))
    _good(lib.X509_STORE_set_flags(made, CRL_CHECK | CRL_CHECK_ALL))
    return made


def sign(content: bytes, party: Party) -> bytes:
    """Detached, SHA-256, with OpenSSL's signed attributes."""
    lib = library()
    data = lib.BIO_new_mem_buf(content, len(content))
    try:
        return _written(_good(lib.CMS_sign(party.certificate, party.key, party.chain, data, DETACHED | BINARY)))
    finally:
        lib.BIO_free(data)


def verify(cms: bytes, content: bytes, trusted: Any) -> None:
    """Raises Failed where OpenSSL does not believe it."""
    lib = library()
    message, data = _read(lib.d2i_CMS_ContentInfo, cms), lib.BIO_new_mem_buf(content, len(content))
    try:
        _good(lib.CMS_verify(message, None, trusted, data, None, BINARY))
    finally:
        lib.BIO_free(data)
        lib.CMS_ContentInfo_free(message)


def encrypt(content: bytes, party: Party) -> bytes:
    lib = library()
    message = _good(lib.CMS_encrypt(None, None, lib.EVP_aes_256_gcm(), BINARY | PARTIAL))
    recipient = _good(lib.CMS_add1_recipient_cert(message, party.certificate, KEY_PARAM if party.rsa else 0))
    if party.rsa:
        context = _good(lib.CMS_RecipientInfo_get0_pkey_ctx(recipient))
        _good(lib.EVP_PKEY_CTX_set_rsa_padding(context, _OAEP))
        _good(lib.EVP_PKEY_CTX_set_rsa_oaep_md(context, lib.EVP_sha256()))
        _good(lib.EVP_PKEY_CTX_set_rsa_mgf1_md(context, lib.EVP_sha256()))
    data = lib.BIO_new_mem_buf(content, len(content))
    try:
        _good(lib.CMS_final(message, data, None, BINARY))
    finally:
        lib.BIO_free(data)
    return _written(message)


def decrypt(cms: bytes, party: Party) -> bytes:
    lib = library()
    message, out = _read(lib.d2i_CMS_ContentInfo, cms), lib.BIO_new(lib.BIO_s_mem())
    try:
        _good(lib.CMS_decrypt(message, party.key, party.certificate, None, out, BINARY))
        at = _P()
        size = lib.BIO_ctrl(out, _BIO_INFO, 0, ctypes.byref(at))
        return ctypes.string_at(at, size)
    finally:
        lib.BIO_free(out)
        lib.CMS_ContentInfo_free(message)


def sign_digest(digest: bytes, party: Party) -> bytes:
    """The key operation alone (SHA-256; PKCS #1 v1.5 for RSA)."""
    lib = library()
    context = _good(lib.EVP_PKEY_CTX_new(party.key, None))
    try:
        _good(lib.EVP_PKEY_sign_init(context))
        if party.rsa:
            _good(lib.EVP_PKEY_CTX_set_rsa_padding(context, _PKCS1))
        _good(lib.EVP_PKEY_CTX_set_signature_md(context, lib.EVP_sha256()))
        size, room = ctypes.c_size_t(1024), ctypes.create_string_buffer(1024)
        _good(lib.EVP_PKEY_sign(context, room, ctypes.byref(size), digest, len(digest)))
        return room.raw[: size.value]
    finally:
        lib.EVP_PKEY_CTX_free(context)

"""Bodies under another body key: the same content, the key wrapped again, and the first form still read."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from certs.keys import unwrap_key, wrap_key
from relay.store.bodies import (
    BODY_KEY,
    CHUNK,
    BodyDamaged,
    BodyStore,
    mark,
    open_bytes,
    rewrapped,
    seal_bytes,
    sealed_to,
    wrapped_in,
)

OLD, NEW = X25519PrivateKey.generate(), X25519PrivateKey.generate()
OLD_PUBLIC, NEW_PUBLIC = (each.public_key().public_bytes_raw() for each in (OLD, NEW))


def _with(private: X25519PrivateKey, wrapped: bytes) -> bytes:
    return unwrap_key(private, wrapped)


def _again(blob: bytes) -> bytes:
    """As the keeper does it."""
    key = unwrap_key(OLD, wrapped_in(blob))[:BODY_KEY]
    return rewrapped(blob, NEW_PUBLIC, wrap_key(NEW_PUBLIC, key + mark(NEW_PUBLIC)))


@pytest.mark.parametrize("size", [0, 1, CHUNK, 3 * CHUNK + 5])
def test_wrapped_again_it_opens_with_the_new_key_alone(tmp_path: Path, size: int) -> None:
    """The chunks stay byte for byte; the old key opens it no more, and the header says which one does."""
    store = BodyStore(tmp_path, OLD_PUBLIC, b"d" * 16)
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    ref = store.put(data)
    before = store.sealed(ref.name)
    store.replace(ref.name, _again(before))
    after = store.sealed(ref.name)
    assert (sealed_to(before), sealed_to(after)) == (mark(OLD_PUBLIC), mark(NEW_PUBLIC))
    assert after[-size - 16 :] == before[-size - 16 :]
    assert store.read(ref, lambda wrapped: _with(NEW, wrapped)) == data
    with pytest.raises(BodyDamaged):
        store.read(ref, lambda wrapped: _with(OLD, wrapped))
    assert store.fault(ref) == ""


def test_a_mark_that_lies_is_damage() -> None:
    """A header that names another body key than its wrapped key does is never opened: a rotation goes by the mark."""
    blob = seal_bytes(OLD_PUBLIC, b"letter")
    lying = blob[:3] + mark(NEW_PUBLIC) + blob[7:]
    with pytest.raises(BodyDamaged, match="another body key"):
        open_bytes(lying, lambda wrapped: _with(OLD, wrapped))


def _first_form(data: bytes) -> bytes:
    """A body of version 1, as it was written: no mark, the whole header authenticated with each chunk."""
    key = AESGCM.generate_key(256)
    wrapped = wrap_key(OLD_PUBLIC, key)
    header = struct.pack(">BH", 1, len(wrapped)) + wrapped
    return header + AESGCM(key).encrypt(struct.pack(">7xI?", 0, True), data, header)


def test_the_first_form_is_still_read() -> None:
    """It tells no key, and is not wrapped again but sealed anew; a changed header is damage."""
    blob = _first_form(b"letter")
    assert open_bytes(blob, lambda wrapped: _with(OLD, wrapped)) == b"letter"
    assert sealed_to(blob) == b""
    with pytest.raises(BodyDamaged, match="sealed anew"):
        rewrapped(blob, NEW_PUBLIC, b"")
    other = _first_form(b"other")
    with pytest.raises(BodyDamaged):
        open_bytes(blob[: len(blob) - 22] + other[-22:], lambda wrapped: _with(OLD, wrapped))


@pytest.mark.parametrize("cut", [1, 17])
def test_a_body_of_another_length_is_a_fault(tmp_path: Path, cut: int) -> None:
    """Seen without any key; so is one that is gone."""
    store = BodyStore(tmp_path, OLD_PUBLIC, b"d" * 16)
    ref = store.put(b"y" * 1000)
    assert store.fault(ref) == ""
    store.replace(ref.name, store.sealed(ref.name)[:-cut])
    assert store.fault(ref) == "the body has another length"
    store.erase(ref)
    assert store.fault(ref) == "the body is gone"

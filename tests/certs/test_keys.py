"""Signers, wrapped body keys and the client of the keeper, as far as they go without one."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs.frames import FrameTooLarge
from certs.keys import (
    HASHES,
    MAX_FRAME,
    WRAPPED_SIZE,
    KeeperClient,
    KeeperDown,
    from_text,
    load_signer,
    receive_frame,
    send_frame,
    unwrap_key,
    wrap_key,
)
from certs.throwaway import Issued, Pki


@pytest.fixture(scope="module", params=["rsa", "p256", "p384"])
def issued(request: pytest.FixtureRequest, pki: Pki) -> Issued:
    return pki.smime("a@b.example", "A", "PLI", "1750000001", key=request.param)


@pytest.mark.parametrize("hash_name", HASHES)
def test_a_local_signer_signs_a_digest(issued: Issued, hash_name: str) -> None:
    """Its signature over a digest verifies with the certificate's key, for RSA and both curves."""
    digest = hashlib.new(hash_name, b"letter").digest()
    signature = issued.signer().sign_digest(digest, hash_name)
    public, algorithm = issued.certificate.public_key(), Prehashed(HASHES[hash_name])
    if isinstance(public, rsa.RSAPublicKey):
        public.verify(signature, digest, padding.PKCS1v15(), algorithm)
    else:
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(signature, digest, ec.ECDSA(algorithm))


@pytest.mark.parametrize(("hash_name", "size"), [("sha1", 20), ("md5", 16), ("sha256", 31), ("SHA256", 32), ("", 0)])
def test_what_is_no_allowed_digest_is_not_signed(issued: Issued, hash_name: str, size: int) -> None:
    """A weak or unknown hash, or a digest of another size, is refused."""
    with pytest.raises(ValueError, match="hash"):
        issued.signer().sign_digest(bytes(size), hash_name)


def test_a_signer_is_read_from_files(issued: Issued, tmp_path: Path) -> None:
    """Chain and key in PEM make the signer that they were written from."""
    read = load_signer(*issued.write(tmp_path, "a"))
    assert (read.certificate, read.chain) == (issued.der, issued.chain)
    assert read.sign_digest(bytes(32), "sha256")


def test_a_signer_never_shows_its_key(issued: Issued) -> None:
    """Its printed form, as in a traceback, holds no key."""
    assert "key=" not in repr(issued.signer())


def test_another_s_key_is_refused(pki: Pki, issued: Issued, tmp_path: Path) -> None:
    """A key that is not the certificate's is refused, with the file's name."""
    chain, _ = issued.write(tmp_path, "a")
    _, key = pki.smime("b@b.example", "B", "PLI", "1750000001").write(tmp_path, "b")
    with pytest.raises(ValueError, match=r"b\.key is not the key"):
        load_signer(chain, key)


@pytest.mark.parametrize("spoilt", ["a.pem", "a.key"])
def test_an_unreadable_file_is_named(issued: Issued, tmp_path: Path, spoilt: str) -> None:
    """Which file is wrong is said; nothing of it is repeated."""
    chain, key = issued.write(tmp_path, "a")
    (tmp_path / spoilt).write_text("rubbish")
    with pytest.raises(ValueError, match=spoilt) as refused:
        load_signer(chain, key)
    assert "rubbish" not in str(refused.value)


def test_a_key_of_another_kind_is_refused(issued: Issued, tmp_path: Path) -> None:
    """An X25519 key is no certificate's here."""
    chain, key = issued.write(tmp_path, "a")
    other = X25519PrivateKey.generate()
    key.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ValueError, match=r"a\.key is not the key of"):
        load_signer(chain, key)


# --- wrapped keys ------------------------------------------------------------------------------------------


def test_a_wrapped_key_opens_with_the_private_half() -> None:
    """The private half opens what the public half sealed; each sealing is different."""
    private = X25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    wrapped = wrap_key(public, b"k" * 32)
    assert len(wrapped) == WRAPPED_SIZE
    assert wrapped != wrap_key(public, b"k" * 32)
    assert unwrap_key(private, wrapped) == b"k" * 32


def test_a_wrapped_key_opens_with_no_other_and_not_altered() -> None:
    """Another private key, each flipped byte, a cut and an empty value are refused alike."""
    private = X25519PrivateKey.generate()
    wrapped = wrap_key(private.public_key().public_bytes_raw(), b"k" * 32)
    altered = [wrapped[:i] + bytes([wrapped[i] ^ 1]) + wrapped[i + 1 :] for i in range(len(wrapped))]
    for each in (*altered, wrapped[:-1], wrapped + b"\0", b"", bytes(WRAPPED_SIZE)):
        with pytest.raises(ValueError, match="does not open"):
            unwrap_key(private, each)
    with pytest.raises(ValueError, match="does not open"):
        unwrap_key(X25519PrivateKey.generate(), wrapped)


def test_a_public_key_of_another_size_is_refused() -> None:
    """31 bytes are no public key."""
    with pytest.raises(ValueError, match="32 bytes"):
        wrap_key(bytes(31), b"k" * 32)


# --- the wire ----------------------------------------------------------------------------------------------


def test_frames_cross_a_socket() -> None:
    """What is sent is received, and the end before a frame is told apart from the end within one."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send_frame(ours, {"ask": "ping", "é": "à"})
        assert receive_frame(theirs) == {"ask": "ping", "é": "à"}
        ours.close()
        assert receive_frame(theirs) is None
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"\0\0\0\x09{}")
        ours.close()
        with pytest.raises(ConnectionError):
            receive_frame(theirs)


def test_large_frames_are_refused_on_both_sides() -> None:
    """The budget holds for what is sent and for what is announced."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(FrameTooLarge):
            send_frame(ours, {"a": "x" * MAX_FRAME})
        ours.sendall(struct.pack(">I", MAX_FRAME + 1))
        with pytest.raises(FrameTooLarge):
            receive_frame(theirs)


@pytest.mark.parametrize("text", [None, 7, "é", "A", "AA=A", ["AAAA"], "AA AA"])
def test_what_is_not_base64_is_refused(text: object) -> None:
    """Base64 is read strictly."""
    assert from_text("AAAA") == bytes(3)
    with pytest.raises(ValueError, match="base64"):
        from_text(text)


# --- a keeper that is not there ----------------------------------------------------------------------------


def test_without_a_keeper_everything_is_down(tmp_path: Path) -> None:
    """No socket, or one that nobody serves: KeeperDown, for every question."""
    (tmp_path / "left").touch()
    for name in ("absent", "left"):
        client = KeeperClient(tmp_path / name)
        for ask in (client.ping, lambda: client.signer_for("a@b", "1"), lambda: client.unwrap(b"x", "1")):  # noqa: B023
            with pytest.raises(KeeperDown):
                ask()


def test_a_silent_keeper_is_down(tmp_path: Path) -> None:
    """A keeper that takes the question and never answers is KeeperDown after the time given."""
    path = tmp_path / "keeper.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with pytest.raises(KeeperDown):
            KeeperClient(path, timeout=0.1).ping()


@pytest.mark.parametrize("answer", [b"\0\0\0\x02{}", b"\0\0\0\x02[]", b"\xff\xff\xff\xff", b"\0\0\0\x09{}", b""])
def test_a_keeper_that_answers_nonsense_is_down(tmp_path: Path, answer: bytes) -> None:
    """An answer that is not understood is no answer."""
    path = tmp_path / "keeper.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def reply() -> None:
            connection, _ = server.accept()
            with connection:
                receive_frame(connection)
                connection.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        with pytest.raises(KeeperDown):
            KeeperClient(path, timeout=5).ping()
        thread.join()

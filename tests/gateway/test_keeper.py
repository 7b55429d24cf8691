"""The keeper, asked for real over its socket: what it releases, to whom, and what it writes down."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from structlog.testing import capture_logs

from certs.keyfiles import private_key
from certs.keys import (
    MAX_FRAME,
    KeeperClient,
    KeeperDown,
    KeeperRefused,
    receive_frame,
    send_frame,
    unwrap_key,
    wrap_key,
)
from gateway.keeper import REWRAPPED_MOST, Keeper, peer_uid
from gateway.keyring import KeyRing
from relay.store.bodies import mark
from tests.gateway.vault import DIGEST, DOCTOR, DOMAIN, LETTER, MOMENT, Vault, connected, serving, write_body_key

# --- what is released --------------------------------------------------------------------------------------


def test_a_mailbox_s_key_signs(vault: Vault, client: KeeperClient) -> None:
    """A mailbox's signer shows its certificate and chain, and its signature verifies with them."""
    signer = client.signer_for(DOCTOR, LETTER)
    assert signer is not None
    assert signer.certificate == vault.doctor.der
    assert signer.chain == vault.doctor.chain
    public = vault.doctor.certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(signer.sign_digest(DIGEST, "sha256"), DIGEST, ec.ECDSA(Prehashed(hashes.SHA256())))


def test_a_mailbox_without_key_is_sealed_by_its_establishment(vault: Vault, client: KeeperClient) -> None:
    """An address without a key of its own gets the seal of its domain, however the domain is cased."""
    for address in (f"ris.apps@{DOMAIN}", f"ris.apps@{DOMAIN.upper()}"):
        signer = client.signer_for(address, LETTER)
        assert signer is not None
        assert signer.certificate == vault.seal.der
    public = vault.seal.certificate.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    public.verify(signer.sign_digest(DIGEST, "sha256"), DIGEST, padding.PKCS1v15(), Prehashed(hashes.SHA256()))


def test_an_address_elsewhere_has_no_key(client: KeeperClient) -> None:
    """Another domain, a subdomain or a patient's address has neither key nor seal here."""
    for address in ("a@autre.example", f"a@sous.{DOMAIN}", "x@patient.mssante.fr", "no-address"):
        assert client.signer_for(address, LETTER) is None
    assert client.seal_for("autre.example") is None


def test_local_parts_count_exactly(vault: Vault, client: KeeperClient) -> None:
    """RFC 5280 §7.5: a local part of another case is another mailbox; its domain seals instead."""
    signer = client.signer_for(DOCTOR.replace("marie", "MARIE"), LETTER)
    assert signer is not None
    assert signer.certificate == vault.seal.der


def test_the_seal_is_no_mailbox(vault: Vault, client: KeeperClient) -> None:
    """Writing as the domain's signing authority gets the seal as a seal, not as a person's key."""
    found = KeyRing.load(vault.folder)
    assert set(found.mailboxes) == {DOCTOR}
    assert set(found.seals) == {DOMAIN}
    assert client.seal_for(DOMAIN) is not None


def test_it_wraps_keys_again_and_hands_none_out(vault: Vault) -> None:
    """What is sealed to an older body key comes back sealed to the one in use, with its mark; what opens with none is
    told; one row of the journal for all of them."""
    (vault.folder / "body.key").rename(vault.folder / "body-1.key")
    fresh = write_body_key(vault.folder / "body.key")
    private = private_key(vault.folder / "body.key")
    assert isinstance(private, X25519PrivateKey)
    with serving(vault.keeper(), vault.socket) as client:
        assert client.body_key() == fresh
        again, nothing = client.rewrap([wrap_key(vault.body, b"k" * 32), b"x" * 80])
        with pytest.raises(KeeperRefused, match="up to"):
            client.rewrap([b""] * (REWRAPPED_MOST + 1))
    assert nothing is None
    assert again is not None
    assert unwrap_key(private, again) == b"k" * 32 + mark(fresh)
    assert [(event, facts["letter"]) for event, facts in vault.journal] == [("keys-rewrapped", "rotation of 2")]


def test_a_body_key_is_unwrapped(vault: Vault, client: KeeperClient) -> None:
    """What a door sealed with the public half is released; what was altered is refused."""
    wrapped = wrap_key(vault.body, b"k" * 32)
    assert client.unwrap(wrapped, LETTER) == b"k" * 32
    with pytest.raises(KeeperRefused):
        client.unwrap(wrapped[:-1] + bytes([wrapped[-1] ^ 1]), LETTER)
    with pytest.raises(KeeperRefused):
        client.unwrap(b"short", LETTER)


def test_a_replaced_body_key_still_opens(vault: Vault) -> None:
    """After a change of body key, old bodies open with the old one, new ones with the new one."""
    (vault.folder / "body.key").rename(vault.folder / "body-2025.key")
    fresh = write_body_key(vault.folder / "body.key")
    with serving(vault.keeper(), vault.socket) as client:
        assert client.unwrap(wrap_key(vault.body, b"o" * 32), LETTER) == b"o" * 32
        assert client.unwrap(wrap_key(fresh, b"n" * 32), LETTER) == b"n" * 32
    assert [facts["key"] for _, facts in vault.journal] == ["body-2025", "body"]


# --- what is written down ----------------------------------------------------------------------------------


def test_each_release_is_journalled(vault: Vault, client: KeeperClient) -> None:
    """Each signature and each opening is one event with the key's name, the letter and the user."""
    signer = client.signer_for(DOCTOR, LETTER)
    assert signer is not None
    assert vault.journal == [], "showing a certificate releases nothing"
    signer.sign_digest(DIGEST, "sha256")
    client.unwrap(wrap_key(vault.body, b"k" * 32), "01other")
    uid = str(os.geteuid())
    assert vault.journal == [
        ("key-used", {"key": "mailbox/martin", "letter": LETTER, "uid": uid}),
        ("unsealed", {"key": "body", "letter": "01other", "uid": uid}),
    ]


def test_nothing_is_released_without_the_journal(vault: Vault) -> None:
    """A journal that cannot be written means KeeperDown: try again, and nothing was handed out."""

    def full(event: str, facts: dict[str, str]) -> None:
        raise OSError("disk full")

    keeper = Keeper(vault.folder, vault.socket, frozenset({os.geteuid()}), full, lambda: MOMENT)
    with serving(keeper, vault.socket) as client:
        signer = client.signer_for(DOCTOR, LETTER)
        assert signer is not None
        with pytest.raises(KeeperDown):
            signer.sign_digest(DIGEST, "sha256")
        with pytest.raises(KeeperDown):
            client.unwrap(wrap_key(vault.body, b"k" * 32), LETTER)


def test_neither_log_nor_journal_holds_a_key(vault: Vault) -> None:
    """What is logged of releases and refusals holds names only: no key, digest, signature or wrapped key."""
    secret, keeper, uid = b"K" * 32, vault.keeper(), os.geteuid()
    wrapped = wrap_key(vault.body, secret)
    with capture_logs() as lines:
        with serving(keeper, vault.socket) as client:
            client.unwrap(wrapped, LETTER)
            with pytest.raises(KeeperRefused):
                client.unwrap(wrapped[::-1], LETTER)
        keeper.answer({"ask": "sign", "key": secret.decode()}, uid)
    written = repr(lines) + repr(vault.journal)
    assert "unsealed" in written
    for held in (secret, wrapped, wrapped[::-1]):
        for form in (held.hex(), repr(held)[2:-1], json.dumps(held.decode("latin-1"))[1:-1]):
            assert form not in written


# --- who may ask, and what ---------------------------------------------------------------------------------


def test_another_user_is_refused(vault: Vault) -> None:
    """A process of a user that is not allowed gets no answer, and the log says who it was."""
    with (
        capture_logs() as lines,
        serving(vault.keeper(frozenset({os.geteuid() + 1})), vault.socket) as client,
        pytest.raises(KeeperDown),
    ):
        client.unwrap(wrap_key(vault.body, b"k" * 32), LETTER)
    assert vault.journal == []
    refusals = [line for line in lines if line["event"] == "key-refused"]
    assert refusals
    assert refusals[0]["uid"] == os.geteuid()


def test_the_kernel_says_who_asks() -> None:
    """The user is read from the socket, not from what the asker says."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_uid(ours) == os.geteuid()


BAD_REQUESTS = {
    "unknown": {"ask": "export"},
    "nothing": {},
    "not-text": {"ask": ["sign"]},
    "no-key": {"ask": "sign", "key": "0" * 64, "digest": "AAAA", "hash": "sha256", "letter": LETTER},
    "no-letter": {"ask": "unwrap", "wrapped": "AAAA"},
    "empty-letter": {"ask": "unwrap", "wrapped": "AAAA", "letter": ""},
    "not-base64": {"ask": "unwrap", "wrapped": "é", "letter": LETTER},
    "number-for-text": {"ask": "mailbox", "address": 7},
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_a_bad_request_is_refused(vault: Vault, name: str) -> None:
    """A request that is not one of the five, or lacks something, is refused in words and released nothing."""
    answer = vault.keeper().answer(BAD_REQUESTS[name], os.geteuid())
    assert set(answer) == {"refused"}
    assert vault.journal == []


@pytest.mark.parametrize(("hash_name", "size"), [("sha256", 20), ("sha1", 20), ("md5", 16), ("sha256", 33)])
def test_a_digest_that_does_not_fit_is_refused(vault: Vault, client: KeeperClient, hash_name: str, size: int) -> None:
    """Weak hashes and digests of another size are not signed."""
    signer = client.signer_for(DOCTOR, LETTER)
    assert signer is not None
    with pytest.raises(KeeperRefused):
        signer.sign_digest(bytes(size), hash_name)
    assert vault.journal == []


def test_an_oversized_request_is_refused(vault: Vault, client: KeeperClient) -> None:
    """A frame that announces more than the budget is refused by its length alone; others go on."""
    with connected(vault.socket) as connection:
        connection.sendall(struct.pack(">I", MAX_FRAME + 1))
        assert receive_frame(connection) == {"refused": "the request is too large"}
        assert receive_frame(connection) is None, "the connection is ended"
    with pytest.raises(KeeperRefused, match="large"):
        client.unwrap(bytes(MAX_FRAME), LETTER)
    client.ping()


@pytest.mark.parametrize("data", [b"\xff\xfe", b"[]", b"1", b"{", b"[" * 50_000])
def test_a_frame_that_is_no_request_is_refused(vault: Vault, client: KeeperClient, data: bytes) -> None:
    """Garbage ends its connection with a word, and only that one."""
    with connected(vault.socket) as connection:
        connection.sendall(struct.pack(">I", len(data)) + data)
        assert receive_frame(connection) == {"refused": "the request is not understood"}
    client.ping()


def test_a_client_that_stops_halfway_hurts_nobody(vault: Vault, client: KeeperClient) -> None:
    """Half a frame, then silence or the end: others are answered meanwhile."""
    with connected(vault.socket) as silent, connected(vault.socket) as ended:
        silent.sendall(b"\0\0")
        ended.sendall(b"\0\0\0\x08{}")
        ended.close()
        client.ping()


def test_requests_are_answered_side_by_side(vault: Vault) -> None:
    """A release that waits for its journal does not hold up another asker."""
    held, entered = threading.Event(), threading.Event()

    def slow(event: str, facts: dict[str, str]) -> None:
        if facts["letter"] == "slow":
            entered.set()
            assert held.wait(10)

    wrapped, opened = wrap_key(vault.body, b"k" * 32), []
    keeper = Keeper(vault.folder, vault.socket, frozenset({os.geteuid()}), slow)
    with serving(keeper, vault.socket) as client:
        thread = threading.Thread(target=lambda: opened.append(client.unwrap(wrapped, "slow")))
        thread.start()
        assert entered.wait(10)
        assert client.unwrap(wrapped, "quick") == b"k" * 32
        assert opened == []
        held.set()
        thread.join()
    assert opened == [b"k" * 32]


def test_one_client_serves_many_threads(vault: Vault, client: KeeperClient) -> None:
    """Answers never cross between the threads of one client."""
    wrong: list[int] = []

    def ask(number: int) -> None:
        for turn in range(20):
            key = bytes([number, turn]) * 16
            if client.unwrap(wrap_key(vault.body, key), f"{number}-{turn}") != key:
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(vault.journal) == 240


def test_an_answer_follows_each_request_on_one_connection(vault: Vault, client: KeeperClient) -> None:
    """A kept connection carries one request after another."""
    client.ping()
    with connected(vault.socket) as connection:
        for _ in range(3):
            send_frame(connection, {"ask": "ping"})
            assert receive_frame(connection) == {"ok": "pong"}

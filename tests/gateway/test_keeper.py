"""The keeper, asked for real over its socket: what it releases, to whom, and what it writes down."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
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
from certs.throwaway import Issued, Pki
from gateway.keeper import REWRAPPED_MOST, Keeper, peer_uid
from gateway.keyring import KeyRing, in_use
from relay.store.bodies import mark

DOMAIN = "lilas.mssante.example"
DOCTOR = f"marie.martin@{DOMAIN}"
LETTER = "01letter"
DIGEST = hashlib.sha256(b"letter").digest()
MOMENT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)


def write_body_key(file: Path) -> bytes:
    """Writes a new body key; answers its public half."""
    key = X25519PrivateKey.generate()
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return key.public_key().public_bytes_raw()


@dataclass(frozen=True)
class Vault:
    """A keeper's folder, and what lies in it."""

    folder: Path
    doctor: Issued
    seal: Issued
    body: bytes
    journal: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        return self.folder / "keeper.sock"

    def keeper(self, uids: frozenset[int] = frozenset({os.geteuid()})) -> Keeper:
        return Keeper(
            self.folder, self.socket, uids, lambda event, facts: self.journal.append((event, facts)), lambda: MOMENT
        )


@pytest.fixture(scope="module")
def authority() -> Pki:
    return Pki.create(MOMENT)


@pytest.fixture(scope="module")
def doctor(authority: Pki) -> Issued:
    return authority.smime(DOCTOR, "MARIE MARTIN", "LILAS", "1750000001", key="p256")


@pytest.fixture(scope="module")
def seal(authority: Pki) -> Issued:
    return authority.seal(DOMAIN, "LILAS", "1750000001")


@pytest.fixture
def vault(tmp_path: Path, doctor: Issued, seal: Issued) -> Vault:
    doctor.write(tmp_path / "mailbox", "martin")
    seal.write(tmp_path / "seal", "lilas")
    return Vault(tmp_path, doctor, seal, write_body_key(tmp_path / "body.key"))


@contextmanager
def serving(keeper: Keeper, path: Path) -> Iterator[KeeperClient]:
    """The keeper answers in a thread; a client of it."""
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(target=keeper.serve, args=(stop, ready.set))
    thread.start()
    assert ready.wait(10)
    client = KeeperClient(path)
    try:
        yield client
    finally:
        client.close()
        stop.set()
        thread.join()


@pytest.fixture
def client(vault: Vault) -> Iterator[KeeperClient]:
    with serving(vault.keeper(), vault.socket) as client:
        yield client


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


@contextmanager
def connected(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        yield connection


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


# --- starting, reloading, ending ---------------------------------------------------------------------------


def test_a_client_finds_a_restarted_keeper(vault: Vault) -> None:
    """Connections kept from before a restart are replaced without the caller's noticing;

    without keeper: KeeperDown.
    """
    client = KeeperClient(vault.socket)
    with serving(vault.keeper(), vault.socket):
        client.ping()
    with pytest.raises(KeeperDown):
        client.ping()
    with serving(vault.keeper(), vault.socket):
        client.ping()
    client.close()


def test_a_second_keeper_does_not_take_the_socket(vault: Vault, client: KeeperClient) -> None:
    """Two keepers never serve one socket; a socket left behind by a killed one is taken over."""
    with pytest.raises(OSError, match="another keeper"):
        vault.keeper().serve(threading.Event())
    client.ping()


def test_a_left_over_socket_is_taken(vault: Vault) -> None:
    """A socket file that nobody serves is no obstacle."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(vault.socket))
    with serving(vault.keeper(), vault.socket) as client:
        client.ping()


def test_keys_are_read_again(vault: Vault, authority: Pki) -> None:
    """A key added to the folder is known after a reload; a broken one leaves the held keys in use."""
    keeper = vault.keeper()
    authority.smime(f"b@{DOMAIN}", "B", "LILAS", "1750000001", key="p256").write(vault.folder / "mailbox", "b")
    with serving(keeper, vault.socket) as client:
        assert client.signer_for(f"b@{DOMAIN}", LETTER).certificate == vault.seal.der  # type: ignore[union-attr]
        assert keeper.reload()
        assert client.signer_for(f"b@{DOMAIN}", LETTER).certificate != vault.seal.der  # type: ignore[union-attr]
        (vault.folder / "mailbox" / "b.key").write_text("rubbish")
        assert not keeper.reload()
        assert client.signer_for(f"b@{DOMAIN}", LETTER).certificate != vault.seal.der  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("day", "signs"),
    [(0, "older"), (2, "martin"), (8, "martin"), (365 * 3 + 5, None), (-1, None)],
    ids=["before the new one", "overlap", "near the end", "after all", "before all"],
)
def test_of_two_certificates_the_later_is_used_once_it_has_begun(
    tmp_path: Path, authority: Pki, day: int, signs: str | None
) -> None:
    """Around a renewal the certificate that is valid and ends last signs, the new one only from its notBefore on."""
    named = (DOCTOR, "MARIE MARTIN", "LILAS", "1750000001")
    older = authority.smime(*named, key="p256", not_after=MOMENT + timedelta(days=9))
    newer = authority.smime(*named, key="p256", not_before=MOMENT + timedelta(days=1))
    older.write(tmp_path / "mailbox", "older")
    newer.write(tmp_path / "mailbox", "martin")
    write_body_key(tmp_path / "body.key")
    ring = KeyRing.load(tmp_path)
    found = in_use(ring.mailboxes[DOCTOR], MOMENT + timedelta(days=day))
    assert (found and found.name) == (signs and f"mailbox/{signs}")
    assert {held.name for held in ring.by_key.values()} == {"mailbox/martin", "mailbox/older"}


def test_the_keeper_rolls_over_by_the_clock(vault: Vault, authority: Pki) -> None:
    """A running keeper begins with the new certificate at its notBefore, without being told."""
    begins = MOMENT + timedelta(days=1)
    ends = MOMENT + timedelta(days=4000)
    newer = authority.smime(
        DOCTOR, "MARIE MARTIN", "LILAS", "1750000001", key="p256", not_before=begins, not_after=ends
    )
    newer.write(vault.folder / "mailbox", "aa-newer")
    now = [begins - timedelta(seconds=1)]
    keeper = Keeper(vault.folder, vault.socket, frozenset({os.geteuid()}), lambda *_: None, lambda: now[0])
    with serving(keeper, vault.socket) as client:
        before = client.signer_for(DOCTOR, LETTER)
        now[0] = begins
        after = client.signer_for(DOCTOR, LETTER)
        assert before is not None
        assert after is not None
        assert (before.certificate, after.certificate) == (vault.doctor.der, newer.der)
        assert before.sign_digest(DIGEST, "sha256"), "begun with the old one, ended with it"


def spoil_key(vault: Vault) -> None:
    (vault.folder / "mailbox" / "martin.key").write_text("rubbish")


def spoil_body(vault: Vault) -> None:
    (vault.folder / "body.key").write_text("rubbish")


def exchange_keys(vault: Vault) -> None:
    vault.seal.write(vault.folder / "other", "x")
    (vault.folder / "other" / "x.key").rename(vault.folder / "mailbox" / "martin.key")


def seal_as_mailbox(vault: Vault) -> None:
    vault.seal.write(vault.folder / "mailbox", "lilas")


def mailbox_as_seal(vault: Vault) -> None:
    vault.doctor.write(vault.folder / "seal", "martin")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (spoil_key, "martin.key"),
        (spoil_body, "body.key"),
        (exchange_keys, "martin.key"),
        (seal_as_mailbox, "mailbox/lilas"),
        (mailbox_as_seal, "seal/martin"),
    ],
)
def test_a_folder_that_is_wrong_does_not_start(vault: Vault, spoil: Callable[[Vault], None], named: str) -> None:
    """A key that is unreadable, another certificate's or in the wrong folder ends the start with its file's
    name.
    """
    spoil(vault)
    with pytest.raises(ValueError, match=named):
        vault.keeper()


def test_a_folder_without_body_key_does_not_start(vault: Vault) -> None:
    """Without a body key nothing could be opened: the start says so."""
    (vault.folder / "body.key").unlink()
    with pytest.raises(FileNotFoundError):
        vault.keeper()


PROGRAM = textwrap.dedent(
    """
    import os, sys, threading
    from pathlib import Path
    from gateway.keeper import Keeper, run

    folder = Path(sys.argv[1])
    journal = (folder / "journal").open("a", buffering=1)
    keeper = Keeper(
        folder, folder / "keeper.sock", frozenset({os.geteuid()}),
        lambda event, facts: print(event, facts["key"], facts["letter"], file=journal),
    )
    run(keeper, threading.Event(), (folder / "ready").touch)
    """
)


def eventually(seen: Callable[[], object]) -> None:
    """Waits until `seen` answers something true."""
    until = time.monotonic() + 30
    while not seen():
        assert time.monotonic() < until, "not seen in time"
        time.sleep(0.02)


@contextmanager
def process(vault: Vault) -> Iterator[subprocess.Popen[bytes]]:
    """A keeper in a process of its own, killed at the end if it has not ended by itself."""
    running = subprocess.Popen([sys.executable, "-c", PROGRAM, str(vault.folder)], stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: vault.socket.exists() and (vault.folder / "ready").exists())
        yield running
    finally:
        running.kill()
        running.wait()


def test_the_process_reloads_and_ends_on_signals(vault: Vault, authority: Pki) -> None:
    """As its own process: SIGHUP reads the keys again, SIGTERM ends it cleanly and takes the socket away."""
    client = KeeperClient(vault.socket)
    with process(vault) as running:
        assert client.unwrap(wrap_key(vault.body, b"k" * 32), LETTER) == b"k" * 32
        new = authority.smime("c@autre.example", "C", "AUTRE", "1750000002", key="p256")
        new.write(vault.folder / "mailbox", "c")
        assert client.signer_for("c@autre.example", LETTER) is None
        running.send_signal(signal.SIGHUP)
        eventually(lambda: client.signer_for("c@autre.example", LETTER))
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    assert not vault.socket.exists()
    assert (vault.folder / "journal").read_text() == f"unsealed body {LETTER}\n"


def test_a_killed_process_leaves_no_obstacle(vault: Vault) -> None:
    """After SIGKILL the keeper starts again on the socket that was left behind."""
    with process(vault) as running:
        running.send_signal(signal.SIGKILL)
        running.wait()
    assert vault.socket.exists()
    with serving(vault.keeper(), vault.socket) as client:
        client.ping()


def test_an_answer_follows_each_request_on_one_connection(vault: Vault, client: KeeperClient) -> None:
    """A kept connection carries one request after another."""
    client.ping()
    with connected(vault.socket) as connection:
        for _ in range(3):
            send_frame(connection, {"ask": "ping"})
            assert receive_frame(connection) == {"ok": "pong"}

"""The keeper starting, reading its folder again, rolling over and ending."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from certs.keys import (
    KeeperClient,
    KeeperDown,
    wrap_key,
)
from certs.throwaway import Pki
from gateway.keeper import Keeper
from gateway.keyring import KeyRing, in_use
from tests.gateway.vault import DIGEST, DOCTOR, DOMAIN, LETTER, MOMENT, Vault, serving, write_body_key


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

"""A letter of 25 MB is signed, verified, encrypted and decrypted within twice its size of memory.

Each work runs in a process of its own, which measures itself: the most that was in memory while it worked (VmHWM of
proc(5), made to begin anew) less what was there before the letter came. So the letter is counted, and the answer too.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from certs import ber, cms, envelope, keyfiles, keys, profiles
from certs.chain import TrustStore
from certs.envelope import Opened, Recipe
from certs.openers import LocalOpener
from certs.throwaway import Pki, Shape

SIZE = 25 * 1024 * 1024
ALLOWED = SIZE // 16
"""Beside twice the letter: arenas and pages that malloc rounds up, the bounds of 25,000 pieces, what is parsed once.
A copy too many would be sixteen times as much."""
PIECE = 1000
"""Bytes, of a program that signs or encrypts while it reads."""
NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)


class Desk:
    """Somebody who signs, somebody who opens, and the anchors: read from a folder."""

    def __init__(self, folder: Path) -> None:
        self.store = TrustStore.load(folder / "trust")
        self.doctor = keys.load_signer(folder / "doctor.pem", folder / "doctor.key")
        reader = keyfiles.from_pem(folder / "reader.pem", folder / "reader.key")
        self.opener = LocalOpener(reader.der, reader.key)

    @staticmethod
    def write(folder: Path) -> None:
        pki = Pki.create(NOW)
        pki.write_trust(folder / "trust", NOW)
        doctor = pki.smime("jeanne.martin@hopital-a.mssante.fr", "JEANNE MARTIN", "HOPITAL A", "1750000001")
        doctor.write(folder, "doctor")
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "PAUL")])
        pki.issue(name, Shape(usage=frozenset({"key_encipherment"}))).write(folder, "reader")

    def sign(self, content: bytes) -> bytes:
        return cms.sign(content, self.doctor, NOW)

    def sign_inside(self, content: bytes) -> bytes:
        return cms.sign(content, self.doctor, NOW, inside=True)

    def verify(self, message: bytes, content: bytes | None = None) -> None:
        (proof,) = cms.proofs(message, content, self.store, profiles.SMIME, NOW)
        assert proof.valid, proof.trust

    def verify_detached(self, content: bytes) -> None:
        self.verify(self.sign(content), content)

    def encrypt_gcm(self, content: bytes) -> bytes:
        return envelope.encrypt(content, [self.opener.certificate])

    def encrypt_cbc(self, content: bytes) -> bytes:
        return envelope.encrypt(content, [self.opener.certificate], Recipe("aes-256-cbc"))

    def decrypt(self, message: bytes) -> Opened:
        answer = envelope.decrypt(message, [self.opener])
        assert isinstance(answer, Opened), answer
        return answer


def loosely(message: bytes) -> bytes:
    """The same in BER: no constructed value has a length, and what is long comes in pieces."""
    return b"".join(_loosely(message))


def _loosely(message: bytes) -> Iterator[bytes]:
    tag, inside = message[0], ber.content(message)
    if tag in (0x04, 0x80) and len(inside) > PIECE:
        yield bytes([tag | 0x20, 0x80])
        yield from (ber.tlv(0x04, inside[at : at + PIECE]) for at in range(0, len(inside), PIECE))
    elif tag & 0x20:
        yield bytes([tag, 0x80])
        for each in ber.members(inside):
            yield from _loosely(each)
    else:
        yield message
        return
    yield b"\0\0"


MADE: dict[str, Callable[[Desk, bytes], bytes]] = {
    "letter": lambda _, content: content,
    "signed": Desk.sign_inside,
    "signed.ber": lambda desk, content: loosely(desk.sign_inside(content)),
    "gcm": Desk.encrypt_gcm,
    "gcm.ber": lambda desk, content: loosely(desk.encrypt_gcm(content)),
    "cbc": Desk.encrypt_cbc,
    "cbc.ber": lambda desk, content: loosely(desk.encrypt_cbc(content)),
}
"""What a work begins with."""
WORKS: dict[str, tuple[str, Callable[[Desk, bytes], object]]] = {
    "sign detached": ("letter", Desk.sign),
    "sign opaque": ("letter", Desk.sign_inside),
    "verify detached": ("letter", Desk.verify_detached),
    "verify opaque": ("signed", Desk.verify),
    "verify opaque, indefinite": ("signed.ber", Desk.verify),
    "encrypt with GCM": ("letter", Desk.encrypt_gcm),
    "encrypt with CBC": ("letter", Desk.encrypt_cbc),
    "decrypt GCM": ("gcm", Desk.decrypt),
    "decrypt GCM, indefinite": ("gcm.ber", Desk.decrypt),
    "decrypt CBC": ("cbc", Desk.decrypt),
    "decrypt CBC, indefinite": ("cbc.ber", Desk.decrypt),
    "twice the letter, kept": ("letter", lambda _, content: [bytearray(content) for _ in range(2)]),
}
"""The last is what must not be: a work that keeps two copies beside what it was given."""


def letter(size: int) -> bytes:
    return b"Bonjour, voici le compte rendu.\r\n" * (size // 33)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("memory")
    Desk.write(made)
    desk, content = Desk(made), letter(SIZE)
    for name, make in MADE.items():
        (made / name).write_bytes(make(desk, content))
    return made


@pytest.mark.parametrize("work", list(WORKS)[:-1])
def test_within_twice_its_size(folder: Path, work: str) -> None:
    """The letter, the answer and all in between are at most twice the letter."""
    assert grown(folder, work) <= 2 * SIZE + ALLOWED


def test_a_copy_too_many_is_seen(folder: Path) -> None:
    """What keeps two copies beside the letter is over it: the measurement measures."""
    assert grown(folder, list(WORKS)[-1]) > 2 * SIZE + ALLOWED


def grown(folder: Path, work: str) -> int:
    """Bytes by which a process of its own grew at its peak."""
    command = [sys.executable, __file__, work, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout)


# --- in the process of its own -------------------------------------------------------------------------------


def main(work: str, folder: Path) -> None:
    desk, (given, do) = Desk(folder), WORKS[work]
    do(desk, MADE[given](desk, letter(SIZE // 1000)))  # what is loaded once is loaded now
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = peak()
    kept = do(desk, (folder / given).read_bytes())
    print(peak() - before)
    del kept


def peak() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

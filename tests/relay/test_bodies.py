"""Sealed bodies on a real disk: what is written is read, and nothing else ever is."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from certs.keys import WRAPPED_SIZE, KeeperDown, unwrap_key
from relay.model import BodyRef
from relay.store.bodies import CHUNK, MARK, BodyDamaged, BodyStore, open_bytes, seal_bytes

PRIVATE = X25519PrivateKey.generate()
PUBLIC = PRIVATE.public_key().public_bytes_raw()
HEADER = 3 + MARK + WRAPPED_SIZE + MARK
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 5 * CHUNK + 7]


def unwrap(wrapped: bytes) -> bytes:
    return unwrap_key(PRIVATE, wrapped)


@pytest.fixture
def store(tmp_path: Path) -> BodyStore:
    return BodyStore(tmp_path / "bodies", PUBLIC, b"d" * 32)


def files(store_folder: Path) -> list[Path]:
    return [path for path in store_folder.rglob("*") if path.is_file()]


def only(tmp_path: Path) -> Path:
    (file,) = files(tmp_path)
    return file


# --- written and read --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_a_body_is_read_as_it_was_written(store: BodyStore, size: int) -> None:
    """Any size, around each chunk border, comes back byte for byte."""
    data = os.urandom(size)
    ref = store.put(data)
    assert ref.size == size
    assert store.read(ref, unwrap) == data


@pytest.mark.parametrize("step", [1, 1000, CHUNK, CHUNK + 1])
def test_pieces_make_one_body(store: BodyStore, step: int) -> None:
    """However the bytes arrive, they make the same body."""
    data = os.urandom(3 * 1000 if step == 1 else 2 * CHUNK + 5)
    writer = store.writer()
    for start in range(0, len(data), step):
        writer.write(data[start : start + step])
    ref = writer.finish()
    assert store.read(ref, unwrap) == data
    assert ref.digest == store.put(data).digest, "the digest is of the content"


def test_nothing_readable_is_on_the_disk(store: BodyStore, tmp_path: Path) -> None:
    """Neither the content nor anything about it stands in the file or its name; the file is private."""
    ref = store.put(b"compte rendu " * 10_000)
    file = only(tmp_path)
    assert b"compte" not in file.read_bytes()
    assert file.name == ref.name
    assert file.stat().st_mode & 0o077 == 0
    assert store.put(b"compte rendu " * 10_000).name != ref.name


def test_digests_are_keyed(store: BodyStore, tmp_path: Path) -> None:
    """Two tenants' digests of the same letter have nothing in common."""
    other = BodyStore(tmp_path / "other", PUBLIC, b"e" * 32)
    assert store.put(b"x").digest != other.put(b"x").digest


def test_writers_do_not_disturb_each_other(store: BodyStore) -> None:
    """Bodies written at the same time by many threads each come back whole."""
    refs: dict[int, BodyRef] = {}

    def write(number: int) -> None:
        refs[number] = store.put(bytes([number]) * (CHUNK + number))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(store.read(refs[n], unwrap) == bytes([n]) * (CHUNK + n) for n in range(20))


# --- damage ------------------------------------------------------------------------------------------------


def damaged(store: BodyStore, ref: BodyRef) -> None:
    with pytest.raises(BodyDamaged):
        store.read(ref, unwrap)


@pytest.mark.parametrize("place", [0, 1, 3, HEADER - 1, HEADER, HEADER + CHUNK + 16, -1])
def test_an_altered_byte_is_damage(store: BodyStore, tmp_path: Path, place: int) -> None:
    """A flipped bit in version, header, any chunk or tag is found."""
    ref = store.put(os.urandom(2 * CHUNK))
    file = only(tmp_path)
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)
    damaged(store, ref)


def test_cut_longer_and_reordered_bodies_are_damage(store: BodyStore, tmp_path: Path) -> None:
    """A body cut anywhere, even at a chunk's border, or with chunks exchanged, repeated or added, is found."""
    ref = store.put(os.urandom(3 * CHUNK))
    file = only(tmp_path)
    whole = file.read_bytes()
    step = CHUNK + 16
    head, chunks = whole[:HEADER], [whole[i : i + step] for i in range(HEADER, len(whole), step)]
    spoilt = [whole[:n] for n in (0, 1, 2, HEADER - 1, HEADER, HEADER + 5, HEADER + step, HEADER + 2 * step)]
    spoilt += [head + b"".join(each) for each in (chunks[::-1], chunks + chunks[-1:], chunks[1:], chunks[:1] * 3)]
    spoilt += [whole + b"\0", whole[:-1]]
    for data in spoilt:
        file.write_bytes(data)
        damaged(store, ref)
    file.write_bytes(whole)
    assert len(store.read(ref, unwrap)) == 3 * CHUNK


def test_another_letter_s_body_is_damage(store: BodyStore, tmp_path: Path) -> None:
    """A whole, well-sealed body put in the place of another is not that other."""
    ref, other = store.put(b"a" * 100), store.put(b"b" * 100)
    folder = tmp_path / "bodies"
    (folder / other.name[:2] / other.name).replace(folder / ref.name[:2] / ref.name)
    damaged(store, ref)


def test_another_key_opens_nothing(store: BodyStore) -> None:
    """A keeper with another body key cannot open it, and that is said as damage, not as content."""
    ref = store.put(b"a")
    with pytest.raises(BodyDamaged):
        store.read(ref, lambda wrapped: unwrap_key(X25519PrivateKey.generate(), wrapped))


def test_a_keeper_that_is_down_is_no_damage(store: BodyStore) -> None:
    """A keeper that cannot be reached says nothing about the body: its exception passes."""

    def down(wrapped: bytes) -> bytes:
        raise KeeperDown

    with pytest.raises(KeeperDown):
        store.read(store.put(b"a"), down)


@pytest.mark.parametrize("name", ["", "..", "../../etc/hostname", "x" * 32, "0" * 31, "0" * 32 + "\n", "A" * 32])
def test_a_name_that_is_no_name_reaches_no_file(store: BodyStore, name: str) -> None:
    """A name from a damaged row never becomes a path."""
    ref = replace(store.put(b"a"), name=name)
    damaged(store, ref)
    with pytest.raises(BodyDamaged):
        store.erase(ref)


# --- leaving -----------------------------------------------------------------------------------------------


def test_an_aborted_body_leaves_nothing(store: BodyStore, tmp_path: Path) -> None:
    """A letter that was not accepted leaves no byte, whether aborted or left by an exception."""
    writer = store.writer()
    writer.write(os.urandom(2 * CHUNK))
    assert files(tmp_path)
    writer.abort()
    assert files(tmp_path) == []
    with pytest.raises(TypeError), store.writer() as writer:
        writer.write("text")  # type: ignore[arg-type]
    assert files(tmp_path) == []


def test_leaving_a_finished_body_keeps_it(store: BodyStore) -> None:
    """Aborting after the end is harmless."""
    with store.writer() as writer:
        writer.write(b"x")
        ref = writer.finish()
    writer.abort()
    assert store.read(ref, unwrap) == b"x"


def test_an_erased_body_is_gone(store: BodyStore, tmp_path: Path) -> None:
    """Erasing overwrites the wrapped key before the name goes, and erasing again is no error."""
    ref = store.put(b"x" * 1000)
    kept = tmp_path / "second-name"
    os.link(only(tmp_path), kept)
    store.erase(ref)
    assert not kept.read_bytes()[:HEADER].strip(b"\0"), "the key is gone even where the bytes can still be reached"
    kept.unlink()
    assert files(tmp_path) == []
    damaged(store, ref)
    store.erase(ref)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file of this process may grow beyond 100 kB: the same error path as a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_room_is_an_error_that_leaves_nothing(store: BodyStore, tmp_path: Path, small_disk: None) -> None:
    """A body for which there is no room is an OSError for the caller, and no file;

    a smaller one still fits.
    """
    with pytest.raises(OSError, match="File too large"):
        store.put(os.urandom(200_000))
    assert files(tmp_path) == []
    assert store.read(store.put(b"small"), unwrap) == b"small"


def test_a_full_disk_is_enospc(store: BodyStore) -> None:
    """The kernel's ENOSPC reaches the caller as it is, so that a door can answer 452."""
    writer = store.writer()
    writer._file.close()
    writer._file = os.fdopen(os.open("/dev/full", os.O_WRONLY), "wb", buffering=0)
    with pytest.raises(OSError, match="No space") as refused:
        writer.write(os.urandom(CHUNK + 1))
    assert refused.value.errno == errno.ENOSPC
    writer.abort()


PROGRAM = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from relay.store.bodies import BodyStore

    store = BodyStore(Path(sys.argv[1]), bytes.fromhex(sys.argv[2]), b"d" * 32)
    ref = store.put(b"kept" * 1000)
    print(ref.name, ref.size, ref.digest, flush=True)
    writer = store.writer()
    writer.write(os.urandom(300_000))
    os.kill(os.getpid(), signal.SIGKILL)
    """
)


def test_a_killed_writer_leaves_whole_bodies_only(store: BodyStore, tmp_path: Path) -> None:
    """After SIGKILL the answered body is whole, and the unfinished one is not under a body's name."""
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "bodies"), PUBLIC.hex()]
    words = subprocess.run(command, capture_output=True, text=True).stdout.split()
    ref = BodyRef(words[0], int(words[1]), words[2])
    assert store.read(ref, unwrap) == b"kept" * 1000
    assert sorted(path.suffix for path in files(tmp_path)) == ["", ".part"]


# --- small values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_a_small_value_is_sealed_the_same_way(size: int) -> None:
    """A sealed value opens to what it was, and two sealings differ."""
    data = os.urandom(size)
    blob = seal_bytes(PUBLIC, data)
    assert open_bytes(blob, unwrap) == data
    assert blob != seal_bytes(PUBLIC, data)


def test_an_altered_value_is_damage() -> None:
    """Every flipped byte, every cut and another key are found."""
    blob = seal_bytes(PUBLIC, b"279035121518989")
    spoilt = [blob[:i] + bytes([blob[i] ^ 1]) + blob[i + 1 :] for i in range(len(blob))]
    for data in (*spoilt, *(blob[:i] for i in range(len(blob))), blob + b"\0"):
        with pytest.raises(BodyDamaged):
            open_bytes(data, unwrap)
    with pytest.raises(BodyDamaged):
        open_bytes(blob, lambda wrapped: unwrap_key(X25519PrivateKey.generate(), wrapped))


@pytest.mark.parametrize(("public", "digest"), [(b"x" * 31, b"d" * 32), (PUBLIC, b"d" * 15)], ids=["public", "digest"])
def test_keys_of_another_size_are_refused(tmp_path: Path, public: bytes, digest: bytes) -> None:
    """A store is not opened with keys that cannot be keys."""
    with pytest.raises(ValueError, match="bytes"):
        BodyStore(tmp_path, public, digest)


# --- what a crash leaves -----------------------------------------------------------------------------------

LATER = datetime.now(UTC) + timedelta(days=1)


def test_a_sweep_erases_what_no_row_holds_and_what_was_never_finished(store: BodyStore, tmp_path: Path) -> None:
    """A body of a letter stays; one without a letter and a half-written one go."""
    held, orphan = store.put(b"held"), store.put(b"orphan")
    store.writer().write(b"half")
    assert store.sweep(lambda: [held.name], LATER) == 2
    assert [path.name for path in files(tmp_path)] == [held.name]
    assert store.read(held, unwrap) == b"held"
    with pytest.raises(BodyDamaged):
        store.read(orphan, unwrap)


def test_a_sweep_leaves_what_is_new_and_what_is_not_ours(store: BodyStore, tmp_path: Path) -> None:
    """A letter on its way has no row yet: its body is untouched; so is a file with another kind of name."""
    young = store.put(b"young")
    (tmp_path / "bodies" / "aa" / "lost+found").write_bytes(b"")
    with store.writer() as writer:
        writer.write(b"on its way")
        assert store.sweep(list, datetime.now(UTC) - timedelta(hours=1)) == 0
        ref = writer.finish()
    assert store.read(ref, unwrap) == b"on its way"
    assert store.sweep(lambda: [ref.name, young.name], LATER) == 0
    assert (tmp_path / "bodies" / "aa" / "lost+found").exists()


def test_rows_are_read_after_the_folder(store: BodyStore) -> None:
    """A letter kept while the sweep runs keeps its body."""
    ref = store.put(b"just in time")
    kept: list[str] = []

    def held() -> list[str]:
        kept.append(ref.name)
        return kept

    assert store.sweep(held, LATER) == 0
    assert store.read(ref, unwrap) == b"just in time"

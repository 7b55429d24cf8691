"""The streaming reader of DATA: where a letter ends, what spoils it, and what stays on the disk."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from certs.keys import unwrap_key
from gateway.doors.data import Incoming, Unstuffing, unstrict
from relay.model import BodyRef, Reason, Receipt, Refusal
from relay.store.bodies import BodyStore

SMUGGLERS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\n.\r",
    b"\r.\n",
    b"\r\r\n.",
    b"\r\n.\r\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
    b"\n\r\n.\n\r\n",
    b"\x00\n.\n",
]
"""What some server took for <CRLF>.<CRLF> (CVE-2023-51764 to -51766, CVE-2024-27305), and its neighbours."""


def fed(*chunks: bytes) -> tuple[bytes, Unstuffing]:
    unstuffing = Unstuffing()
    letter = b""
    for chunk in chunks:
        letter += unstuffing.feed(chunk)
    return letter, unstuffing


@pytest.mark.parametrize(
    ("wire", "letter"),
    [
        (b".\r\n", b""),
        (b"a\r\n.\r\n", b"a\r\n"),
        (b"..\r\n.\r\n", b".\r\n"),
        (b"a\r\n..b\r\n...\r\n.\r\n", b"a\r\n.b\r\n..\r\n"),
        (b".a\r\n.\r\n", b"a\r\n"),
        (b"\r\n\r\n.\r\n", b"\r\n\r\n"),
        (b"a\r\n..\r\n.\r\n", b"a\r\n.\r\n"),
    ],
)
def test_dots_are_undone_and_the_lone_dot_ends(wire: bytes, letter: bytes) -> None:
    """A line's first dot goes, a line of one dot is the end (RFC 5321 §4.5.2), whole or byte by byte."""
    for chunks in ([wire], [wire[i : i + 1] for i in range(len(wire))]):
        got, unstuffing = fed(*chunks)
        assert (got, unstuffing.ended, unstuffing.rest, unstuffing.fault) == (letter, True, b"", None)


def test_what_follows_the_end_is_kept_for_the_next_command() -> None:
    """Pipelined commands behind the end of data are handed back, whole (RFC 2920)."""
    _, unstuffing = fed(b"a\r\n.\r", b"\nRSET\r\nNOOP\r\n")
    assert unstuffing.rest == b"RSET\r\nNOOP\r\n"


@pytest.mark.parametrize("smuggler", SMUGGLERS)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_smuggling_never_ends_a_letter(smuggler: bytes, size: int) -> None:
    """CVE-2023-51764 and its kin: a look-alike of the end ends nothing, and spoils the whole letter."""
    wire = b"Subject: a\r\n\r\nfirst" + smuggler + b"MAIL FROM:<evil@a.example>\r\n.\r\n"
    _, unstuffing = fed(*(wire[i : i + size] for i in range(0, len(wire), size)))
    assert unstuffing.ended
    assert unstuffing.rest == b""
    assert unstuffing.fault in (Reason.BARE_LINE_END, Reason.MALFORMED)


_LINES = st.lists(st.sampled_from([b"", b".", b"..", b"a", b".b", b"c" * 70, "é".encode()]), max_size=12)


@given(_LINES, st.lists(st.integers(1, 9), min_size=1, max_size=40))
def test_chunks_do_not_matter(lines: list[bytes], cuts: list[int]) -> None:
    """Whatever the network does with the stream, the letter is the one that was stuffed."""
    letter = b"".join(line + b"\r\n" for line in lines)
    wire = b"".join(b"." * line.startswith(b".") + line + b"\r\n" for line in lines) + b".\r\nQUIT\r\n"
    chunks, at = [], 0
    while at < len(wire):
        step = cuts[len(chunks) % len(cuts)]
        chunks.append(wire[at : at + step])
        at += step
    unstuffing = Unstuffing()
    got, rest = b"", b""
    for chunk in chunks:
        if unstuffing.ended:
            rest += chunk
        else:
            got += unstuffing.feed(chunk)
    assert (got, unstuffing.rest + rest, unstuffing.fault) == (letter, b"QUIT\r\n", None)


@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"x", b"\r\n"]), max_size=30), st.integers(1, 5))
def test_any_bare_line_end_is_seen(pieces: list[bytes], size: int) -> None:
    """A letter is without fault exactly when each CR stands before a LF and each LF behind a CR."""
    wire = b"".join(pieces) + b"\r\n.\r\n"
    wire = wire[: (b"\r\n" + wire).find(b"\r\n.\r\n") + 3]
    _, unstuffing = fed(*(wire[i : i + size] for i in range(0, len(wire), size)))
    bare = b"\r" in (plain := wire.replace(b"\r\n", b"")) or b"\n" in plain
    assert unstuffing.ended
    assert (unstuffing.fault is Reason.BARE_LINE_END) == bare


# --- on the disk ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("piece", "reason"),
    [
        (b"a\rb\nc\r\n", Reason.BARE_LINE_END),  # without what stands between they would be a line end
        (b"a\nb\rc\r\n", Reason.BARE_LINE_END),
        (b"a\r\r\n\nb", Reason.BARE_LINE_END),
        (b"a\0b\r\n", Reason.MALFORMED),
        (b"a\r\nb\r\n", None),
        (b"a", None),
    ],
)
def test_a_cr_and_an_lf_that_stand_apart_are_no_line_end(piece: bytes, reason: Reason | None) -> None:
    """Each is bare, whatever lies between."""
    assert unstrict(piece) is reason


@given(st.binary(max_size=40) | st.text("ab\r\n\0", max_size=12).map(str.encode))
def test_strictness_is_what_counting_says(piece: bytes) -> None:
    """As many CR and LF as whole line ends, and no NUL: said the long way."""
    ends = piece.count(b"\r\n")
    strict = piece.count(b"\r") == piece.count(b"\n") == ends and b"\0" not in piece
    assert (unstrict(piece) is None) is strict


@pytest.fixture
def body_key() -> X25519PrivateKey:
    return X25519PrivateKey.generate()


@pytest.fixture
def bodies(tmp_path: Path, body_key: X25519PrivateKey) -> BodyStore:
    return BodyStore(tmp_path / "bodies", body_key.public_key().public_bytes_raw(), b"d" * 32)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def receipt(raw: bytes, body: BodyRef) -> Receipt | Refusal:
    return Receipt("letter")


def test_the_body_is_on_disk_before_the_intake_is_asked(
    tmp_path: Path, bodies: BodyStore, body_key: X25519PrivateKey
) -> None:
    """The intake gets the bytes and the reference of a body that can be read back already."""
    seen: list[bytes] = []

    def accept(raw: bytes, body: BodyRef) -> Receipt | Refusal:
        seen.extend([raw, bodies.read(body, lambda wrapped: unwrap_key(body_key, wrapped))])
        return Receipt("letter")

    incoming = Incoming(bodies, 1_000_000)
    incoming.take(b"a" * 300_000, None)
    incoming.seal()
    incoming.take(b"b" * 10, None)
    assert incoming.keep(accept) == Receipt("letter")
    assert seen == [b"a" * 300_000 + b"b" * 10] * 2
    incoming.drop()
    assert len(files(tmp_path)) == 1


def test_a_refused_letter_leaves_no_body(tmp_path: Path, bodies: BodyStore) -> None:
    """Twin: what the intake refuses is erased."""
    incoming = Incoming(bodies, 1000)
    incoming.take(b"a", None)
    no = Refusal(Reason.LOOP, permanent=True)
    assert incoming.keep(lambda raw, body: no) is no
    assert files(tmp_path) == []


def test_a_body_stays_when_the_store_may_have_its_row(tmp_path: Path, bodies: BodyStore) -> None:
    """Store down: the commit may have happened; the body is not taken from a letter in custody."""
    incoming = Incoming(bodies, 1000)
    incoming.take(b"a", None)
    incoming.keep(lambda raw, body: Refusal(Reason.STORE_DOWN, permanent=False))
    assert len(files(tmp_path)) == 1


def test_a_letter_cut_off_leaves_nothing(tmp_path: Path, bodies: BodyStore) -> None:
    """The connection is lost after a part was sealed: no body, and a late thread cannot keep it."""
    asked: list[bytes] = []
    incoming = Incoming(bodies, 1_000_000)
    incoming.take(b"a" * 300_000, None)
    incoming.seal()
    incoming.drop()
    answer = incoming.keep(lambda raw, body: asked.append(raw) or receipt(raw, body))
    assert isinstance(answer, Refusal)
    assert (asked, files(tmp_path)) == ([], [])


def test_over_size_is_a_fault_and_is_not_kept_in_memory(bodies: BodyStore) -> None:
    """Beyond the limit nothing more is collected."""
    incoming = Incoming(bodies, 10)
    incoming.take(b"a" * 10, None)
    assert incoming.fault is None
    incoming.take(b"a", None)
    assert (incoming.fault, incoming.waiting) == (Reason.TOO_LARGE, 10)


@dataclass
class FullDisk:
    """A disk that is full after some writes: a foreign thing that cannot be made to order."""

    number: int
    good: int
    log: list[str] = field(default_factory=list)

    def writer(self) -> FullDisk:
        return self

    def write(self, data: bytes) -> None:
        self.good -= 1
        if self.good < 0:
            raise OSError(self.number, "disk")

    def finish(self) -> BodyRef:
        raise OSError(self.number, "disk")

    def abort(self) -> None:
        self.log.append("abort")

    def erase(self, ref: BodyRef) -> None:
        self.log.append("erase")


@pytest.mark.parametrize(("number", "reason"), [(errno.ENOSPC, Reason.DISK_FULL), (errno.EIO, Reason.STORE_DOWN)])
@pytest.mark.parametrize("good", [0, 1])
def test_a_full_disk_is_a_temporary_refusal(number: int, reason: Reason, good: int) -> None:
    """No room while writing or while syncing: refused for now, nothing half-written stays."""
    disk = FullDisk(number, good)
    incoming = Incoming(disk, 1000)
    incoming.take(b"a", None)
    assert incoming.keep(receipt) == Refusal(reason, permanent=False)
    assert disk.log == ["abort"]


def test_a_full_disk_in_mid_letter_is_the_letters_fault() -> None:
    """The rest is read without being kept, then refused."""
    incoming = Incoming(FullDisk(errno.ENOSPC, 0), 1000)
    incoming.take(b"a", None)
    incoming.seal()
    assert incoming.fault is Reason.DISK_FULL

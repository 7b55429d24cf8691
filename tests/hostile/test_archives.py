"""Zips made to harm are refused by name, before anything grows; what is unusual and harmless is read.

Time and memory of each: `./dev bench refusals`.
"""

from __future__ import annotations

import io
import tracemalloc
import zipfile

import pytest

from dmp_bridge import archive, candidates, ebrim, xdm
from dmp_bridge.model import Bad, Code, Document, FilingReason
from tests.hostile.archive_attacks import ATTACKS, commented, files_of, nested, zipped

MOST_MEMORY = 64 * 2**20


@pytest.fixture(scope="module")
def made(request: pytest.FixtureRequest) -> dict[str, bytes]:
    """Attacks, each made once."""
    return {}


@pytest.fixture
def good(report: Document) -> bytes:
    """A sound archive."""
    lot = ebrim.Submission("2.25.1", "2.25.2", report.effective_time, report.authors[0], Code("97", "2.25.3"))
    written = xdm.write([report], lot)
    assert isinstance(written, bytes)
    return written


def peak(data: bytes) -> tuple[object, int]:
    """What the reader answers, and how many bytes it took at most while it did."""
    tracemalloc.start()
    try:
        return xdm.read(data), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_archive_is_refused_by_name(good: bytes, attack: str) -> None:
    """Each by the one rule that it breaks, within 64 MB."""
    make, rule = ATTACKS[attack]
    answer, most = peak(make(good))
    assert answer == Bad(FilingReason.ARCHIVE_REFUSED, rule)
    assert most < MOST_MEMORY


def test_the_archive_that_is_attacked_is_sound(good: bytes) -> None:
    """The twin of all of them: its document comes out."""
    answer, most = peak(good)
    assert isinstance(answer, xdm.Archive)
    assert len(answer.documents) == 1
    assert most < MOST_MEMORY


def test_zips_within_are_not_opened(good: bytes, report: Document) -> None:
    """Fifty zips deep, with a bomb at the heart: one entry of some kilobytes, that nobody lists."""
    found = xdm.read(nested(50)(good))
    assert isinstance(found, xdm.Archive)
    assert found.documents == (report,)


def test_a_zip_that_holds_itself_is_one_entry(good: bytes) -> None:
    """A quine grows only for who opens what he finds; here an archive inside an archive is bytes."""
    found = archive.unzip(zipped({"SELF.ZIP": good}))
    assert isinstance(found, archive.Entries)
    assert found.files == {"SELF.ZIP": good}


def test_a_comment_and_descriptors_are_no_harm(good: bytes) -> None:
    """What honest tools write: a comment, and sizes behind a streamed entry."""
    assert isinstance(xdm.read(commented(b"made by hand")(good)), xdm.Archive)

    class Pipe(io.RawIOBase):
        held = io.BytesIO()

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            return self.held.write(bytes(data))  # type: ignore[call-overload, no-any-return]

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as out:  # type: ignore[call-overload]
        for name, content in files_of(good).items():
            out.writestr(name, content)
    streamed = pipe.held.getvalue()
    assert streamed[6] & 8
    assert isinstance(xdm.read(streamed), xdm.Archive)


CHECKS = {
    "entries may overlap": (
        "_extents",
        {"a bomb of overlapping entries", "bytes between entries", "another format in front"},
    ),
    "any name is plain": ("_names", {"upwards", "one name in two cases", "a symbolic link", "bzip2"}),
    "any size is right": ("_sizes", {"a bomb of one entry", "a bomb in many entries"}),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("check", CHECKS)
def test_each_check_is_what_refuses(good: bytes, monkeypatch: pytest.MonkeyPatch, check: str) -> None:
    """Switched off, its attacks are no longer refused by its rule."""
    function, attacks = CHECKS[check]
    real = getattr(archive, function)

    def let_through(members: list[zipfile.ZipInfo], *rest: object) -> object:
        if function != "_extents":
            return None
        data = rest[0]
        assert isinstance(data, bytes)
        return [(each, archive._local(each, data)) for each in members]

    for attack in attacks:
        make, rule = ATTACKS[attack]
        data = make(good)
        monkeypatch.setattr(archive, function, let_through)
        assert archive.unzip(data) != archive.refuse(rule), attack
        monkeypatch.setattr(archive, function, real)
        assert archive.unzip(data) == archive.refuse(rule), attack


def test_a_name_leads_to_no_file(good: bytes) -> None:
    """The reader's answer holds bytes and ids; where an entry was called something stays inside."""
    found = xdm.read(good)
    assert isinstance(found, xdm.Archive)
    assert not hasattr(found.documents[0], "path")
    assert candidates.lists_xdm(good)

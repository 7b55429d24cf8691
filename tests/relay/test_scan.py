"""The malware scan: a real clamd says clean or infected; what it cannot do has a name, and a policy."""

from __future__ import annotations

import base64
import io
import socket
import struct
import threading
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.demo import clamd as real
from gateway.demo.processes import new_folder
from relay.model import Reason
from relay.scan import Act, CannotScan, Clamd, Clean, Infected, Scanned, Scanning, Unable

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def running() -> Iterator[real.Clamd]:
    server = real.Clamd(new_folder("pli-clamd-") / "c", most=1_000_000)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def scan(running: real.Clamd) -> Clamd:
    return Clamd(running.socket, lambda: NOW, own_signatures=True)


def mail(data: bytes, name: str = "piece.bin") -> bytes:
    """A letter with one attachment in base64."""
    head = (
        "From: ris@lilas.example\r\nTo: x@parc.example\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/mixed; boundary="q"\r\n\r\n--q\r\n\r\nBonjour\r\n--q\r\n'
        f"Content-Type: application/octet-stream; name={name}\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    )
    return head.encode() + base64.encodebytes(data).replace(b"\n", b"\r\n") + b"--q--\r\n"


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("piece.txt", data)
    return out.getvalue()


def plain(data: bytes) -> bytes:
    return b"From: ris@lilas.example\r\nSubject: x\r\n\r\n" + data + b"\r\n"


@pytest.mark.parametrize("hidden", [plain, mail, lambda data: mail(zipped(data), "IHE_XDM.zip")])
def test_eicar_is_found_wherever_it_lies(scan: Clamd, hidden: Callable[[bytes], bytes]) -> None:
    """Plain, in base64, in a zip in base64: infected, by name; its twin without it is clean."""
    answer = scan(hidden(real.EICAR))
    assert isinstance(answer, Infected)
    assert answer.name.startswith("Eicar-Test")
    assert isinstance(scan(hidden(b"rien de mal")), Clean)


def test_signatures_without_a_date_are_no_database(running: real.Clamd) -> None:
    """Where the operator does not say that he relies on his own, 'nothing found' means nothing; infected still does."""
    scan = Clamd(running.socket, lambda: NOW)
    answer = scan(plain(b"x"))
    assert isinstance(answer, CannotScan)
    assert answer.why is Unable.NO_DATABASE
    assert isinstance(scan(plain(real.EICAR)), Infected)
    state = scan.state()
    assert isinstance(state, CannotScan)
    assert state.why is Unable.NO_DATABASE


def test_nobody_there_is_down(tmp_path: Path) -> None:
    """No socket: down, for a letter and for who asks how it is."""
    scan = Clamd(tmp_path / "none.sock", lambda: NOW)
    assert scan(b"x") == CannotScan(Unable.DOWN)
    assert scan.state() == CannotScan(Unable.DOWN)


def test_a_letter_too_large_for_clamd_is_named(scan: Clamd) -> None:
    """clamd has a limit of its own; beyond it the answer is not 'clean'."""
    answer = scan(plain(b"x" * 1_500_000))
    assert isinstance(answer, CannotScan)
    assert answer.why is Unable.TOO_LARGE


# --- a clamd of which we say how old its signatures are, and one that lies ------------------------------------


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """A socket that answers VERSION and INSTREAM as told: no real one can be had with signatures of a given day."""
    listeners: list[socket.socket] = []

    def start(version: bytes, stream: bytes = b"stream: OK\0") -> Path:
        path = tmp_path / f"{len(listeners)}.sock"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        listeners.append(listener)
        threading.Thread(target=_answer, args=(listener, version, stream), daemon=True).start()
        return path

    yield start
    for each in listeners:
        each.close()


def _answer(listener: socket.socket, version: bytes, stream: bytes) -> None:
    while True:
        try:
            line, _ = listener.accept()
        except OSError:
            return
        with line:
            command = line.recv(10)
            if command.startswith(b"zVERSION"):
                line.sendall(version)
                continue
            while (size := struct.unpack(">I", line.recv(4, socket.MSG_WAITALL))[0]) > 0:
                line.recv(size, socket.MSG_WAITALL)
            line.sendall(stream)


def dated(at: datetime) -> bytes:
    return f"ClamAV 1.4.6/27500/{at:%a %b %d %H:%M:%S %Y}\0".encode()


def test_old_signatures_are_stale_and_fresh_ones_are_not(scripted: Callable[..., Path]) -> None:
    """A day either side of the limit; what stale signatures find is found all the same."""
    old, fresh = NOW - timedelta(days=4), NOW - timedelta(days=2)
    answer = Clamd(scripted(dated(old)), lambda: NOW)(b"x")
    assert isinstance(answer, CannotScan)
    assert answer.why is Unable.STALE
    assert isinstance(Clamd(scripted(dated(fresh)), lambda: NOW)(b"x"), Clean)
    assert isinstance(Clamd(scripted(dated(old), b"stream: Bad FOUND\0"), lambda: NOW)(b"x"), Infected)


@pytest.mark.parametrize(
    ("version", "stream", "why"),
    [
        (b"220 mail.example ESMTP\0", b"stream: OK\0", Unable.DOWN),
        (b"ClamAV 1.4.6", b"stream: OK\0", Unable.DOWN),
        (dated(NOW), b"stream: OK but odd\0", Unable.FAILED),
        (dated(NOW), b"Can't allocate memory ERROR\0", Unable.FAILED),
        (dated(NOW), b"", Unable.DOWN),
        (dated(NOW), b"x" * 9000, Unable.DOWN),
    ],
)
def test_what_is_no_answer_is_never_clean(
    scripted: Callable[..., Path], version: bytes, stream: bytes, why: Unable
) -> None:
    """Another service on that socket, half an answer, an error, an endless one: cannot tell, by name."""
    answer = Clamd(scripted(version, stream), lambda: NOW, timeout_s=5)(b"x")
    assert isinstance(answer, CannotScan)
    assert answer.why is why


def test_a_name_is_printable(scripted: Callable[..., Path]) -> None:
    """A signature's name reaches logs and screens; its control characters do not."""
    answer = Clamd(scripted(dated(NOW), b"stream: Bad\x1b[31m\nName FOUND\0"), lambda: NOW)(b"x")
    assert isinstance(answer, CannotScan | Infected)
    assert "\x1b" not in getattr(answer, "name", "")


# --- what policy makes of it --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scanned", "expected"),
    [
        (Clean("ClamAV 1"), "clean"),
        (Infected("Bad", "ClamAV 1"), (Reason.INFECTED, True)),
        (CannotScan(Unable.DOWN), (Reason.SCAN_UNABLE, False)),
        (CannotScan(Unable.NO_DATABASE), (Reason.SCAN_UNABLE, False)),
        (CannotScan(Unable.STALE), "unscanned:stale"),
    ],
)
def test_factory_policy(scanned: Scanned, expected: object) -> None:
    """Infected is refused for good, a clamd that is down delays, old signatures mark."""
    answer = Scanning(lambda _: scanned).judge(b"x")
    assert (answer if isinstance(answer, str) else (answer.reason, answer.permanent)) == expected


def test_policy_is_the_operators() -> None:
    """The same state, three acts."""
    answers = [
        Scanning(lambda _: CannotScan(Unable.DOWN), {Unable.DOWN: act}).judge(b"x")
        for act in (Act.DEFER, Act.REFUSE, Act.MARK)
    ]
    assert [each if isinstance(each, str) else each.permanent for each in answers] == [False, True, "unscanned:down"]

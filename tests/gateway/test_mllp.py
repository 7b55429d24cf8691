"""The hospital's bus over the wire: frames, acknowledgements, budgets, who may speak; and what the register holds."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hl7.client import MLLPClient
from pydantic import ValidationError

from certs import keys, tls
from certs.throwaway import Pki
from dmp_bridge import adt, hl7, patients, tables
from gateway import bus
from gateway.doors import mllp
from gateway.doors.mllp import BusSpec
from gateway.hl7_section import Hl7Section
from relay.pseudonym import Pseudonyms
from relay.spooler import SpoolClient, Spooler
from relay.store import bodies, migrations
from relay.store import tables as relay_tables
from relay.store.engine import reader_engine, writer_engine

TENANT = "tilleuls"
NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
ADT = (
    r"MSH|^~\&|GAM|CHU-X|PLI|CHU-X|20240306111154||ADT^A01^ADT_A01|3975|P|2.5^FRA^2.11|||||FRA|UNICODE UTF-8" + "\r"
    "PID|1||000003^^^CHU-X&1.2.3&ISO^PI~279035121518989^^^INS&1.2.250.1.213.1.4.10&ISO^INS||"
    "PAT-TROIS^DOMINIQUE^^^^^L||19790328|F" + "|" * 24 + "VALI\r"
).encode()


class Site:
    """A register with its spooler, and the bus's feed into it."""

    def __init__(self, folder: Path) -> None:
        private = X25519PrivateKey.generate()
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        names = Pseudonyms(b"k" * 32)
        url = f"sqlite:///{folder / 'store.db'}"
        migrations.upgrade(url, (relay_tables.metadata, tables.metadata))
        self.spooler = Spooler(writer_engine(url), folder / "spool", patients.WRITES, lambda: NOW)
        unseal = lambda blob: bodies.open_bytes(blob, lambda wrapped: keys.unwrap_key(private, wrapped))  # noqa: E731
        self.register = patients.Register(reader_engine(url), names, unseal)
        seal = lambda data: bodies.seal_bytes(public, data)  # noqa: E731
        self.feed = bus.Feed(TENANT, SpoolClient(folder / "spool"), names, seal, adt.Profile(), lambda: NOW)

    def known(self, number: str) -> Any:
        return self.register.numbered(TENANT, "1.2.3", number)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made, stop = Site(tmp_path_factory.mktemp("bus")), threading.Event()
    thread = threading.Thread(target=made.spooler.serve, args=(stop,))
    thread.start()
    assert made.spooler.ready.wait(10)
    yield made
    stop.set()
    thread.join(10)


@pytest.fixture
def opened(site: Site) -> Iterator[Callable[..., int]]:
    """Opens the door with what differs from the usual; answers its port."""
    stops: list[Callable[[], None]] = []

    def start(**told: Any) -> int:
        usual = {"answer": site.feed.answer, "too_large": site.feed.too_large, "allowed": LOOPBACK}
        spec = BusSpec(TENANT, "127.0.0.1", 0, **{**usual, **told})
        loop, ready, found = asyncio.new_event_loop(), threading.Event(), []
        ended = asyncio.Event()

        def listening(places: Any) -> None:
            found.extend(places)
            ready.set()

        thread = threading.Thread(target=loop.run_until_complete, args=(mllp.serve([spec], ended, listening),))
        thread.start()
        assert ready.wait(10)

        def stop() -> None:
            loop.call_soon_threadsafe(ended.set)
            thread.join(15)
            loop.close()

        stops.append(stop)
        return int(found[0][1])

    start.stop = lambda: stops.pop()()  # type: ignore[attr-defined]
    yield start
    while stops:
        stops.pop()()


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=15)


def framed(message: bytes) -> bytes:
    return b"\x0b" + message + b"\x1c\r"


def heard(client: socket.socket, most: int = 1) -> list[bytes]:
    """So many messages, or those before the other side ended."""
    data = b""
    while data.count(b"\x1c\r") < most:
        try:
            piece = client.recv(65536)
        except ConnectionResetError:
            break
        if not piece:
            break
        data += piece
    return [each.removeprefix(b"\x0b") for each in data.split(b"\x1c\r") if each]


def told(answer: bytes) -> tuple[str, str, str]:
    """MSA-1, MSA-2, and the code of ERR."""
    read = hl7.read(answer)
    msa, err = read.segment("MSA"), read.segment("ERR")
    assert msa is not None
    return msa.field(1).value, msa.field(2).value, err.field(3).value if err else ""


def another(number: str, message: bytes = ADT) -> bytes:
    return message.replace(b"000003", number.encode()).replace(b"3975", number.encode())


def test_a_message_is_acknowledged_once_it_is_in_the_register(site: Site, opened: Callable[..., int]) -> None:
    """AA, and the patient is there, qualified, on the disk of another connection."""
    with connected(opened()) as client:
        client.sendall(framed(another("W1")))
        assert told(*heard(client)) == ("AA", "W1", "")
    found = site.known("W1")
    assert (found.traits.birth_name, found.ins_status.value) == ("PAT-TROIS", "qualified")


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ((b"^PI~", b"^AN~"), ("AE", "W2", "101")),
        ((b"279035121518989", b"279035121518988"), ("AE", "W2", "102")),
        ((b"ADT^A01", b"ADT^A60"), ("AR", "W2", "201")),
        ((b"|P|2.5", b"|T|2.5"), ("AR", "W2", "202")),
        ((b"DOMINIQUE", b"DOMINIQUE\xff"), ("AE", "W2", "100")),
    ],
)
def test_what_is_refused_is_not_in_the_register(
    site: Site, opened: Callable[..., int], change: tuple[bytes, bytes], answer: tuple[str, str, str]
) -> None:
    """AE or AR with its code and the message's own id; nothing was written, and the connection goes on."""
    with connected(opened()) as client:
        client.sendall(framed(another("W2").replace(*change)))
        assert told(*heard(client)) == answer
        client.sendall(framed(another("W3")))
        assert told(*heard(client))[0] == "AA"
    assert site.known("W2") is None


def test_messages_are_answered_in_their_order(site: Site, opened: Callable[..., int]) -> None:
    """Twenty in one write, cut anywhere, with line ends between them: twenty answers, in order."""
    numbers = [f"Q{number:02}" for number in range(20)]
    stream = b"\r\n".join(framed(another(each)) for each in numbers)
    with connected(opened()) as client:
        for start in range(0, len(stream), 777):
            client.sendall(stream[start : start + 777])
        assert [told(each) for each in heard(client, 20)] == [("AA", number, "") for number in numbers]


def test_a_client_that_nobody_here_wrote_is_understood(site: Site, opened: Callable[..., int]) -> None:
    """python-hl7's MLLP client sends, and reads the acknowledgement."""
    with closing(MLLPClient("127.0.0.1", opened())) as client:
        answer = client.send_message(another("PY").decode())
    assert told(answer.strip(b"\x0b\x1c\r") + b"\r") == ("AA", "PY", "")
    assert site.known("PY") is not None


def test_who_is_not_allowed_is_let_go_unheard(site: Site, opened: Callable[..., int]) -> None:
    """Another network's address: nothing is read, nothing answered; and the check is what says so."""
    port = opened(allowed=(ipaddress.ip_network("192.0.2.0/24"),))
    with connected(port) as client:
        client.sendall(framed(another("NO")))
        assert heard(client) == []
    assert site.known("NO") is None
    assert mllp.allowed("192.0.2.7", (ipaddress.ip_network("192.0.2.0/24"),))
    assert mllp.allowed("::ffff:192.0.2.7", (ipaddress.ip_network("192.0.2.0/24"),))
    assert not mllp.allowed("", LOOPBACK)


def test_a_message_beyond_its_budget_is_refused_and_the_connection_ends(opened: Callable[..., int]) -> None:
    """AR 207 with the id that its header named; one byte below is read."""
    port = opened(max_bytes=len(another("B1")))
    with connected(port) as client:
        client.sendall(framed(another("B1")))
        assert told(*heard(client)) == ("AA", "B1", "")
        client.sendall(framed(another("B2") + b"NTE|1"))
        assert told(*heard(client)) == ("AR", "B2", "207")
        assert heard(client) == []


@pytest.mark.parametrize(
    "stream",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x0b" + ADT + framed(ADT), b"\x0b" + ADT, b"\x1c\r"],
    ids=["no frame", "a frame in a frame", "cut short", "an end alone"],
)
def test_a_stream_that_cannot_be_followed_ends_without_an_answer(opened: Callable[..., int], stream: bytes) -> None:
    """What was never ended, or never begun: nobody can tell what it says."""
    with connected(opened()) as client:
        client.sendall(stream)
        client.shutdown(socket.SHUT_WR)
        assert heard(client) == []


def test_who_is_slow_or_silent_is_let_go(opened: Callable[..., int]) -> None:
    """A message begun and not ended within its time; a connection on which nothing comes."""
    port = opened(message_s=0.3, idle_s=0.3)
    for begun in (b"\x0bMSH|", b""):
        with connected(port) as client:
            client.sendall(begun)
            assert heard(client) == []


def test_beyond_so_many_connections_the_next_is_let_go(opened: Callable[..., int]) -> None:
    """Those that are there go on."""
    port = opened(connections=1)
    with connected(port) as first:
        first.sendall(framed(another("C1")))
        assert told(*heard(first))[0] == "AA"
        with connected(port) as second:
            second.sendall(framed(another("C2")))
            assert heard(second) == []
        first.sendall(framed(another("C3")))
        assert told(*heard(first))[0] == "AA"


def test_a_stop_lets_the_message_in_hand_be_answered(site: Site, opened: Any) -> None:
    """It began before the stop: it is written, and acknowledged."""
    began, go = threading.Event(), threading.Event()

    def slow(data: bytes) -> bytes:
        began.set()
        assert go.wait(10)
        return site.feed.answer(data)

    port = opened(answer=slow)
    with connected(port) as client:
        client.sendall(framed(another("S1")))
        assert began.wait(10)
        stopping = threading.Thread(target=opened.stop)
        stopping.start()
        go.set()
        assert told(*heard(client)) == ("AA", "S1", "")
        stopping.join(15)
    assert site.known("S1") is not None


def test_a_store_that_does_not_answer_is_not_acknowledged(
    site: Site, opened: Callable[..., int], tmp_path: Path
) -> None:
    """AR 207, to be sent again; sent again, it is in."""
    away = replace(site.feed, client=SpoolClient(tmp_path / "nobody"))
    with connected(opened(answer=away.answer)) as client:
        client.sendall(framed(another("D1")))
        assert told(*heard(client)) == ("AR", "D1", "207")
    assert site.known("D1") is None
    with connected(opened()) as client:
        client.sendall(framed(another("D1")))
        assert told(*heard(client))[0] == "AA"


def test_what_is_lifted_is_sent_and_a_mistake_there_takes_nothing_back(site: Site) -> None:
    """The consent changes: who waits for it is told, once; the message is acknowledged even if that goes wrong."""
    heard_of: list[str] = []
    no, yes = (another("ZF") + f"ZFA|ACTIF||||||||{code}|20240306111154\r".encode() for code in ("IO", "INO"))
    feed = replace(site.feed, lifted=heard_of.append)
    for message in (no, yes, yes, no):
        assert told(feed.answer(message))[0] == "AA"
    assert heard_of == [site.known("ZF").id]
    broken = replace(site.feed, lifted=lambda _: 1 / 0)
    assert told(broken.answer(yes))[0] == "AA"


def test_tls_asks_for_a_certificate_that_is_vouched_for(site: Site, opened: Callable[..., int], tmp_path: Path) -> None:
    """With the application's certificate AA; without one, or in plain text, nothing."""
    pki = Pki.create(datetime.now(UTC))
    ours = pki.tls_server("localhost", "Tilleuls", "1750000018").write(tmp_path, "door")
    theirs = pki.auth_client("gam", "CHU X", "1750000026").write(tmp_path, "gam")
    pki.write_trust(tmp_path / "trust", datetime.now(UTC))
    known = tmp_path / "known.pem"
    anchors = sorted((tmp_path / "trust").rglob("*.pem"))
    known.write_bytes(
        b"".join(path.read_bytes() for path in anchors if path.parent.name in ("anchors", "intermediates"))
    )
    context = tls.context(bus.BUS_IN_KNOWN, ours, None, known)
    port = opened(tls=lambda: context)

    def speak(shown: tuple[Path, Path] | None) -> list[bytes]:
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.load_verify_locations(known)
        client.check_hostname = False
        if shown:
            client.load_cert_chain(*shown)
        with connected(port) as plain, client.wrap_socket(plain) as secured:
            secured.sendall(framed(another("TLS")))
            return heard(secured)

    with suppress(OSError, ssl.SSLError):  # TLS 1.3: the client may learn it only when it reads
        assert speak(None) == []
    with connected(port) as plain:
        plain.sendall(framed(another("TLS")))
        assert not any(b"MSA" in each for each in heard(plain))
    assert site.known("TLS") is None
    assert told(*speak(theirs)) == ("AA", "TLS", "")


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "0.0.0.0"},  # noqa: S104
        {"host": "10.1.2.3"},
        {"host": "bus.chu.example"},
        {"allowed": ("0.0.0.0/0",)},
        {"allowed": ("chu",)},
        {"clients": "ca.pem"},
    ],
)
def test_a_door_for_everybody_cannot_be_written(wrong: dict[str, Any]) -> None:
    """Outside loopback somebody is named, by network, and never the whole world."""
    with pytest.raises(ValidationError):
        Hl7Section(port=2575, **wrong)
    assert Hl7Section(port=2575, host="10.1.2.3", allowed=("10.1.2.0/24",)).networks


def test_no_value_of_a_message_is_in_the_log(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    """Taken, refused, unreadable, too large: event, answer and place alone."""
    wrong = [another("L1").replace(b"^PI~", b"^AN~"), another("L2").replace(b"1979", b"79x"), b"MSH|PAT-TROIS", ADT]
    answers = [site.feed.answer(each) for each in wrong] + [site.feed.too_large(another("L3"))]
    said = "".join(capfd.readouterr()) + repr(answers)
    assert said.count("hl7-answered") == 5
    secrets = ("PAT-TROIS", "DOMINIQUE", "279035121518989", "19790328", "000003")
    assert [each for each in secrets if each in said] == []

"""`pli certs` for those who keep keys: requests, ends, throw-away infrastructures, a node's keys, large files."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509

from certs.throwaway import Shape
from gateway.cli import pli
from gateway.config import Settings, load
from gateway.demo import stage
from gateway.demo.cast import RADIOLOGIST
from gateway.keeper import Keeper
from tests.gateway.desk import AT, CONTENT, LETTER, NOW, Desk, answered, sealed_for_reader, wrong_use

WANTED = (
    "--cn", "mss.lilas.example", "--organisation", "IMAGERIE DES LILAS", "--unit", "1750000001",
    "--department", "Paris (75)", "--host", "mss.lilas.example",
)  # fmt: skip


def test_a_request_comes_with_its_new_key(desk: Desk, tmp_path: Path) -> None:
    """Both are written, the key private; `inspect` shows what is asked for; nothing is ever replaced."""
    given = (*WANTED, "--kind", "p256", "--key", tmp_path / "new.key", "--out", tmp_path / "new.csr")
    assert desk("request", *given).exit_code == 0
    assert (tmp_path / "new.key").stat().st_mode & 0o777 == 0o600
    told = answered(desk("inspect", tmp_path / "new.csr", "--json"))[0]
    assert (told["key"], told["signature_holds"]) == ("EC secp256r1", True)
    assert told["subject"] == "CN=mss.lilas.example,OU=1750000001,O=IMAGERIE DES LILAS,ST=Paris (75),C=FR"
    key = (tmp_path / "new.key").read_bytes()
    assert "is there already" in wrong_use(desk("request", *given))
    assert (tmp_path / "new.key").read_bytes() == key


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (("--kind", "rsa1024"), "'rsa1024' is none of"),
        (("--country", "France"), "is no country"),
        (("--host", "hôte.example"), "is no host name in ASCII"),
        (("--address", "sans-arobase"), "is no mail address"),
        (("--passphrase-file", "absent"), "absent cannot be read"),
    ],
)
def test_a_request_that_no_authority_could_serve_is_refused(
    desk: Desk, tmp_path: Path, changed: tuple[str, str], sentence: str
) -> None:
    """One sentence, and no file is left."""
    given = (*WANTED, "--key", tmp_path / "no.key", "--out", tmp_path / "no.csr", *changed)
    assert sentence in wrong_use(desk("request", *given))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("at", "code", "levels"),
    [
        ("2026-11-26T09:30:00Z", 0, {"ok"}),
        ("2026-12-02T05:00:00Z", 1, {"ok", "urgent"}),
        ("2026-12-03T09:30:00Z", 1, {"ok", "over"}),
        ("2029-10-10T00:00:00Z", 1, {"ok", "soon", "over"}),
    ],
)
def test_what_expires_when_is_told(desk: Desk, at: str, code: int, levels: set[str]) -> None:
    """Certificates and lists of files and folders: fine, soon, urgent, over; the exit code asks for a person."""
    done = desk("watch", desk.folder / "doctor.pem", desk.folder / "trust", "--at", at, "--json")
    assert (done.exit_code, {each["level"] for each in answered(done)}) == (code, levels)


def test_what_cannot_be_watched_is_told(desk: Desk, tmp_path: Path) -> None:
    """Exit code 3 for a file that holds nothing to watch; one sentence for a file that is not there."""
    done = desk("watch", desk.path("noise", b"\x00\x01bruit"), *AT)
    assert done.exit_code == 3
    assert "ILLISIBLE" in done.stdout
    assert "absent.pem cannot be read" in wrong_use(desk("watch", "absent.pem"))
    assert "no such configuration file" in wrong_use(desk("watch"))


def test_ends_are_metrics_too(desk: Desk, tmp_path: Path) -> None:
    """--metrics writes the moments for Prometheus."""
    assert desk("watch", desk.folder / "reader.pem", *AT, "--metrics", tmp_path / "ends.prom").exit_code == 0
    end = int((desk.reader.certificate.not_valid_after_utc).timestamp())
    assert f'reader.pem#1"}} {end}' in (tmp_path / "ends.prom").read_text()
    nowhere = tmp_path / "ends.prom/below.prom"
    assert "cannot be written" in wrong_use(desk("watch", desk.folder / "reader.pem", "--metrics", nowhere))


def test_a_throwaway_infrastructure_is_judged_as_its_note_says(desk: Desk, tmp_path: Path) -> None:
    """Each specimen by `verify` under its role: trusted, or untrusted with the fault that the note names."""
    folder = tmp_path / "throwaway"
    assert desk("throwaway", folder, "--at", NOW.isoformat()).exit_code == 0
    rows = [line.split(None, 3) for line in (folder / "README.txt").read_text().splitlines()[4:] if line]
    assert {path.stem for path in (folder / "certificates").glob("*.pem")} == {name for name, *_ in rows}
    for name, profile, fault, _ in rows:
        given = (folder / f"certificates/{name}.pem", "--anchors", folder / "trust", "--profile", profile)
        done = desk("verify", *given, "--at", NOW.isoformat(), "--json")
        said = [each.get("fault", "trusted") for each in answered(done)["signatures"]]
        assert (done.exit_code, said) == (0 if fault == "trusted" else 1, [fault]), name
    assert {fault for _, _, fault, _ in rows} == {
        "trusted", "expired", "not-yet-valid", "revoked", "wrong-usage", "weak-algorithm", "weak-key", "unknown-issuer",
    }  # fmt: skip


def test_a_throwaway_infrastructure_replaces_nothing(desk: Desk, tmp_path: Path) -> None:
    """A folder that holds anything is refused."""
    (tmp_path / "mine").write_text("x")
    assert "is not empty" in wrong_use(desk("throwaway", tmp_path))
    assert "cannot be written" in wrong_use(desk("throwaway", tmp_path / "mine/below"))


# --- with a node -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of a complete node, made today; nothing of it runs."""
    return stage.build(tmp_path_factory.mktemp("node") / "demo", datetime.now(UTC)).seats["lilas"].config


@contextmanager
def _keeper_of(settings: Settings) -> Iterator[list[tuple[str, str]]]:
    """The node's keeper, answering in a thread; what it writes down."""
    written: list[tuple[str, str]] = []
    settings.keeper_socket.parent.mkdir(parents=True, exist_ok=True)
    keeper = Keeper(
        {settings.node.tenant: settings.keeper.folder}, settings.keeper_socket, frozenset({os.geteuid()}),
        lambda event, facts: written.append((event, facts["letter"])),
    )  # fmt: skip
    stop, ready = threading.Event(), threading.Event()
    thread = threading.Thread(target=keeper.serve, args=(stop, ready.set))
    thread.start()
    assert ready.wait(10)
    try:
        yield written
    finally:
        stop.set()
        thread.join()


def _with(config: Path, *arguments: object) -> Result:
    return CliRunner().invoke(pli, ["--config", str(config), "certs", *map(str, arguments)])


def test_a_node_offers_its_keepers_keys_and_its_anchors(node: Path, tmp_path: Path) -> None:
    """--from asks the keeper, which writes the release down; --config alone says whom to trust."""
    address = str(RADIOLOGIST.address)
    letter, signed = tmp_path / "letter.eml", tmp_path / "signed.eml"
    letter.write_bytes(LETTER.replace(b"jeanne.martin@hopital-a.mssante.fr", address.encode()))
    with _keeper_of(load(node)) as written:
        done = _with(node, "sign", letter, "--from", address, "--out", signed)
        assert done.exit_code == 0, done.output
        assert "no signing key of nobody@elsewhere.example" in wrong_use(
            _with(node, "sign", letter, "--from", "nobody@elsewhere.example")
        )
    assert written == [("key-used", "pli-certs")]
    trusted = _with(node, "verify", signed, "--json")
    assert (trusted.exit_code, answered(trusted)["answer"]) == (0, "trusted")
    root = next((load(node).trust.folder / "anchors").iterdir())
    assert _with(node, "verify", signed, "--anchors", root).exit_code == 3


def test_a_node_watches_its_own_files(node: Path) -> None:
    """Without files it is the node's: keys, TLS, trust, white list; all is well on its first day."""
    done = _with(node, "watch", "--json")
    assert done.exit_code == 0, done.output
    assert {"tls.certificate", "trust/white-list"} <= {each["name"] for each in answered(done)}
    assert _with(node, "watch", "--at", "2040-01-01").exit_code == 1


def test_a_node_opens_with_its_keepers_keys(node: Path, desk: Desk, tmp_path: Path) -> None:
    """--for asks the keeper for the mailbox's decryption keys; a mailbox without one is a sentence."""
    address, settings = str(RADIOLOGIST.address), load(node)
    usage, names = frozenset({"key_encipherment"}), (x509.RFC822Name(address),)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "RADIOLOGUE")])
    holder = desk.pki.issue(name, Shape(usage=usage, names=names))
    holder.write(settings.keeper.folder / "decrypt", "radiologue")
    certificate = holder.write(tmp_path, "radiologue")[0]
    sealed = tmp_path / "sealed.p7m"
    assert desk("encrypt", desk.folder / "document.bin", "--to", certificate, "--out", sealed).exit_code == 0
    with _keeper_of(settings) as written:
        opened = _with(node, "decrypt", sealed, "--for", address, "--out", tmp_path / "opened")
        assert (opened.exit_code, (tmp_path / "opened").read_bytes()) == (0, CONTENT)
        assert "no decryption key of nobody@elsewhere.example" in wrong_use(
            _with(node, "decrypt", sealed, "--for", "nobody@elsewhere.example")
        )
    assert "pli-certs" in {letter for _, letter in written}


def test_a_keeper_that_does_not_answer_is_one_sentence(node: Path, tmp_path: Path) -> None:
    """Exit code 2, and what to start."""
    letter = tmp_path / "letter.eml"
    letter.write_bytes(LETTER)
    said = wrong_use(_with(node, "sign", letter, "--from", str(RADIOLOGIST.address)))
    assert "keeper does not answer: start it with `pli serve`" in said


# --- whatever is typed -------------------------------------------------------------------------------------------


def _spoilt(data: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, taken out or put in."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5))):
        place = chance.randrange(len(found))
        found[place : place + chance.choice((0, 1, 1, 20))] = chance.randbytes(chance.choice((0, 1, 1, 8)))
    return bytes(found)


@pytest.mark.parametrize("seed", range(4))
def test_spoilt_files_have_an_answer_too(desk: Desk, seed: int) -> None:
    """Whatever a file holds, each command ends with one of the four exit codes and without a traceback."""
    chance = random.Random(seed)
    sources = [
        desk.signed(), desk.signed("document.bin", "--opaque", "--pss"), sealed_for_reader(desk, "document.bin"),
        sealed_for_reader(desk, "letter.eml"), desk.folder / "doctor.pem", desk.folder / "trust/crls/root.crl",
    ]  # fmt: skip
    key = ("--key", desk.folder / "reader.key", "--cert", desk.folder / "reader.pem")
    for source in sources * 3:
        data = _spoilt(source.read_bytes(), chance)
        for command in (("inspect", "-"), ("verify", "-", *desk.anchors, *AT), ("decrypt", "-", *key)):
            done = desk(*command, stdin=data)
            assert done.exit_code in (0, 1, 2, 3)
            assert done.exception is None or isinstance(done.exception, SystemExit), (command, data.hex())


# --- memory ------------------------------------------------------------------------------------------------------

LARGE = 25_000_000


def _peak(desk: Desk, *arguments: object) -> int:
    """Bytes that a process of its own held at most; it must succeed."""
    command = [sys.executable, "-m", "gateway", "certs", *map(str, arguments)]
    process = subprocess.Popen(command, cwd=desk.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return usage.ru_maxrss * 1024


def test_a_large_file_takes_twice_its_size_of_memory(desk: Desk, tmp_path: Path) -> None:
    """25 MB signed, verified, encrypted and decrypted: beside Python, the file and its result."""
    large, signed, sealed = tmp_path / "large.bin", tmp_path / "large.p7m", tmp_path / "large.enc"
    large.write_bytes(random.Random(1).randbytes(LARGE))
    key = ("--key", desk.folder / "reader.key", "--cert", desk.folder / "reader.pem")
    alone = _peak(desk, "verify", desk.signed(), *desk.anchors, *AT)
    asked = (
        ("sign", large, *desk.key, *AT, "--opaque", "--out", signed),
        ("verify", signed, *desk.anchors, *AT),
        ("encrypt", large, "--to", desk.folder / "reader.pem", "--out", sealed),
        ("decrypt", sealed, *key, "--out", tmp_path / "opened"),
    )
    taken = {arguments[0]: (_peak(desk, *arguments) - alone) / LARGE for arguments in asked}
    assert {name: round(times, 2) for name, times in taken.items() if times > 2.2} == {}
    assert (tmp_path / "opened").read_bytes() == large.read_bytes()

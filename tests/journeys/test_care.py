"""Care of a running node: another body key, a copy that lives elsewhere, evidence for others, and erasure."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.demo import looks, sample
from gateway.demo.cast import RADIOLOGIST, SURGEON
from gateway.demo.processes import new_folder
from gateway.demo.stage import Seat


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder that the node's own account may write to."""
    folder = new_folder("pli-care-")
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def _sent(world: Any) -> str:
    letter = str(world.submit(world.plain(str(RADIOLOGIST.address), str(SURGEON.address))))
    assert {state for state, _ in world.settled(world.lilas, letter).values()} == {"done"}
    return letter


def _ok(world: Any, seat: Seat, *words: str) -> str:
    done = world.pli(seat, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def _counted(world: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_ok(world, world.lilas, "keys", "show", "--json"))
    return found


def test_another_body_key_while_letters_go(world: Any) -> None:
    """Made, used and the old one destroyed, all with the node running: letters go before, between and after, what was
    sealed to the old key is sealed to the new one, and is opened with it."""
    _sent(world)
    before = _counted(world)
    assert before["older"] == 0
    assert before["by_key"][before["in_use"]] > 0
    assert "in use" in _ok(world, world.lilas, "keys", "rotate-body")
    _sent(world)
    now = _counted(world)
    assert now["in_use"] != before["in_use"]
    assert now["older"] == 0
    young = world.pli(world.lilas, "keys", "retire")
    assert (young.returncode, "too young" in young.stderr) == (2, True)
    assert "1 keys destroyed" in _ok(world, world.lilas, "keys", "retire", "--after", "0")
    _sent(world)
    opened = world.pli(world.lilas, "erase", "patient", "--ins", "299999999999999", "--json")
    assert json.loads(opened.stdout)["letters"] == []
    assert _ok(world, world.lilas, "verify").splitlines()[-1] == "ok"


def test_a_copy_of_the_running_node_lives_elsewhere(world: Any, elsewhere: Path) -> None:
    """Copied while it runs, restored into an empty folder, verified; then a letter goes through the node made of it."""
    _sent(world)
    copy = elsewhere / "copy"
    _ok(world, world.lilas, "backup", str(copy))
    seat = _seat(world.lilas, elsewhere / "node")
    _ok(world, seat, "restore", str(copy))
    assert _ok(world, seat, "verify").splitlines()[-1] == "ok"
    world.company.stop_node(world.lilas)
    try:
        world.company.start_node(seat)
        letter = world.submit(world.plain(str(RADIOLOGIST.address), str(SURGEON.address)), seat=seat)
        assert {state for state, _ in world.settled(seat, letter).values()} == {"done"}
        assert _ok(world, seat, "verify").splitlines()[-1] == "ok"
    finally:
        world.company.stop_node(seat)
        world.company.start_node(world.lilas)
    again = world.pli(seat, "restore", str(copy))
    assert (again.returncode, "already" in again.stderr) == (2, True)


def _seat(seat: Seat, folder: Path) -> Seat:
    """The same node with its data, its sockets and its log in another folder."""
    folder.mkdir()
    folder.chmod(0o777)
    text = seat.config.read_text()
    for name in ("data", "run", "pli.log"):
        assert f"{seat.folder}/{name}" in text
        text = text.replace(f"{seat.folder}/{name}", f"{folder}/{name}")
    moved = replace(seat, folder=folder)
    moved.config.write_text(text)
    return moved


def test_a_copy_that_was_changed_is_refused_and_a_lost_body_is_told(world: Any, elsewhere: Path) -> None:
    """A byte more in any file, and nothing is restored; a body that is gone after a restore is a fault of verify."""
    _sent(world)
    copy = elsewhere / "copy"
    _ok(world, world.lilas, "backup", str(copy))
    body = next((copy / "bodies").glob("??/*"))
    whole = body.read_bytes()
    body.write_bytes(whole + b"x")
    seat = _seat(world.lilas, elsewhere / "node")
    refused = world.pli(seat, "restore", str(copy))
    assert (refused.returncode, "was changed" in refused.stderr) == (2, True)
    assert not (elsewhere / "node/data/pli.sqlite").exists()
    body.write_bytes(whole)
    _ok(world, seat, "restore", str(copy))
    (elsewhere / "node/data/bodies" / body.relative_to(copy / "bodies")).unlink()
    told = world.pli(seat, "verify")
    assert (told.returncode, "the body is gone" in told.stdout) == (2, True)


def _openssl(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)


def _digest(path: Path) -> str:
    return _openssl("dgst", "-sha256", "-r", path).stdout.split()[0]


def test_a_third_party_checks_the_evidence_with_openssl(world: Any, elsewhere: Path) -> None:
    """The seal, each row's hash down to the letter's, and the trust decision's digest, by openssl alone; a changed row
    no longer fits."""
    mail = world.packed(world.report())
    world.settled(world.lilas, world.submit(mail))
    world.received(world.parc, SURGEON.address, looks.message_id(mail))
    letter = world.trail(world.parc, "--message-id", looks.message_id(mail))["letter"]
    world.settled(world.parc, letter)
    _ok(world, world.parc, "journal", "seal")
    out = elsewhere / "evidence"
    _ok(world, world.parc, "evidence", letter, "--out", str(out))
    told = json.loads((out / "evidence.json").read_text())
    (head,) = (out / "heads").glob("*.json")
    sealed = ["cms", "-verify", "-binary", "-inform", "DER", "-in", head.with_suffix(".p7s"), "-content", head,
              "-CAfile", out / "anchors.pem", "-purpose", "any", "-out", "/dev/null"]  # fmt: skip
    assert _openssl(*sealed).returncode == 0, _openssl(*sealed).stderr
    (dated,) = told["dated"]
    chain = out / "chain" / dated["chain"]
    said = json.loads(head.read_text())["heads"][dated["chain"]]
    assert _digest(chain / f"{said['number']}.json") == said["hash"]
    first = min(row["number"] for row in told["rows"])
    for number in range(first + 1, said["number"] + 1):
        assert json.loads((chain / f"{number}.json").read_text())["previous"] == _digest(chain / f"{number - 1}.json")
    (verified,) = (row for row in told["rows"] if row["event"] == "verified")
    assert verified["facts"]["evidence"] == _digest(out / "trust.json")
    assert verified["hash"] == _digest(chain / f"{verified['number']}.json")
    assert told["trust"][0]["chain"]
    assert "delivered" in [row["event"] for row in told["handed_over"]]
    changed = chain / f"{first}.json"
    changed.write_bytes(changed.read_bytes().replace(b"accepted", b"refused!"))
    assert json.loads((chain / f"{first + 1}.json").read_text())["previous"] != _digest(changed)


def test_hand_over_is_in_the_evidence_of_who_sent(world: Any) -> None:
    """With the peer's reply, the fingerprint of the certificate that it showed, and the white list that let it in."""
    letter = _sent(world)
    told = json.loads(_ok(world, world.lilas, "evidence", letter, "--json"))
    (row,) = told["handed_over"]
    assert row["event"] == "relayed"
    assert row["facts"]["reference"].startswith("250")
    shown = _openssl("x509", "-in", world.parc.tls[0], "-noout", "-fingerprint", "-sha256").stdout
    assert row["facts"]["peer"] == shown.partition("=")[2].strip().replace(":", "").lower()
    assert row["facts"]["white_list"]
    nobody = world.pli(world.lilas, "evidence", "01absent")
    assert (nobody.returncode, "no letter" in nobody.stderr) == (2, True)


def test_a_patients_letters_are_erased(world: Any, elsewhere: Path) -> None:
    """Shown first, then erased with a report that names nobody; the body is gone, he is in the register no more, other
    letters stay, the journal verifies."""
    ins = sample.PATIENT.ins.value
    letter = world.submit(world.packed(world.report()))
    world.settled(world.lilas, letter)
    other = _sent(world)
    bodies = world.lilas.folder / "data/bodies"
    before = {path.name for path in bodies.glob("??/*")}
    shown = world.pli(world.lilas, "erase", "patient", "--ins", ins, "--json")
    assert letter in json.loads(shown.stdout)["letters"]
    assert {path.name for path in bodies.glob("??/*")} == before
    file = elsewhere / "report.json"
    world.until(lambda: world.pli(world.lilas, "erase", "patient", "--ins", ins).returncode == 0, "none in custody")
    _ok(world, world.lilas, "erase", "patient", "--ins", ins, "--yes", "--report", str(file))
    report = json.loads(file.read_text())
    assert report["erased"] == len(report["letters"]) > 0
    assert letter in report["letters"]
    assert other not in report["letters"]
    assert ins not in file.read_text()
    assert len({path.name for path in bodies.glob("??/*")}) < len(before)
    again = json.loads(_ok(world, world.lilas, "erase", "patient", "--ins", ins, "--yes", "--json"))
    assert (again["erased"], again["letters"]) == (0, [])
    assert report["register"]["patients"] == 1
    assert set(again["register"].values()) == {0}
    assert world.pli(world.lilas, "patients", "find", "--ins", ins).returncode == 1
    looks.register(world.company)  # for those who come next
    assert world.pli(world.lilas, "patients", "find", "--ins", ins).returncode == 0
    assert _ok(world, world.lilas, "verify").splitlines()[-1] == "ok"
    assert "erased" in [step["event"] for step in world.trail(world.lilas, letter)["steps"]]

"""`pli quickstart` in folders of its own: what it asks, refuses, writes, leaves alone. The install is a journey."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import pytest
from click.testing import CliRunner, Result

from certs.keyfiles import private_key
from gateway import config
from gateway.cli import pli
from gateway.install import answers as answering
from gateway.install import kernel_clock, node_file, placing, surroundings
from gateway.install.kernel_clock import Kept
from gateway.install.layout import Layout
from gateway.install.placing import Fate, Ground, Piece

LILAS = {
    "name": "lilas",
    "organisation": "IMAGERIE DES LILAS",
    "establishment": "1930000017",
    "department": "Seine-Saint-Denis (93)",
    "domains": ["lilas.mssante.example", "radio-lilas.mssante.example"],
}
PARC = {
    "name": "parc",
    "organisation": "CLINIQUE DU PARC",
    "establishment": "1750000028",
    "department": "Paris (75)",
    "domains": ["parc.mssante.example"],
}
SAID = {"hostname": "mss.lilas.example", "administrator": "anne.martin@lilas.mssante.example", "tenants": [LILAS]}


def _folders(root: Path) -> dict[str, str]:
    names = ("etc", "data", "mail", "directory", "run", "units", "sysusers")
    return {name: str(root / name) for name in names}


def _toml(said: Mapping[str, Any]) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in said.items() if key != "tenants"]
    for house in said.get("tenants", ()):
        lines += ["[[tenants]]", *(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in house.items())]
    return "\n".join(lines)


def _typed(root: Path, said: Mapping[str, Any], *options: str) -> Result:
    file = root / "answers.toml"
    file.write_text(_toml({**_folders(root), **said}), encoding="utf-8")
    return CliRunner().invoke(pli, ["quickstart", "--answers", str(file), *options])


def _listing(root: Path) -> dict[str, bytes]:
    return {str(each): each.read_bytes() for each in sorted(root.rglob("*")) if each.is_file()}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hostname": "no host"}, "hostname"),
        ({"administrator": "anne@elsewhere.example"}, "of no domain of this node"),
        ({"administrator": "anne"}, "administrator"),
        ({"tenants": [{**LILAS, "establishment": "930000017"}]}, "tenants.0.establishment"),
        ({"tenants": [{**LILAS, "department": "Paris"}]}, "tenants.0.department"),
        ({"tenants": [{**LILAS, "organisation": "x" * 65}]}, "organizationName"),
        ({"tenants": [{**LILAS, "domains": ["lilas"]}]}, "no mail domain"),
        ({"tenants": [LILAS, {**PARC, "domains": LILAS["domains"]}]}, "stands twice"),
        ({"tenants": []}, "tenants"),
        ({"tenent": 1}, "tenent"),
    ],
)
def test_an_answer_that_cannot_be_used_is_named(change: Mapping[str, Any], words: str) -> None:
    """In one sentence; the answers without the change are taken."""
    assert answering.told(SAID).home.name == "lilas"
    with pytest.raises(answering.NotAnswered, match=words):
        answering.told({**SAID, **change})


def test_what_is_not_answered_is_an_error_where_nobody_can_be_asked(tmp_path: Path) -> None:
    """Exit code 2, each missing answer by its name, nothing written."""
    said = {key: value for key, value in SAID.items() if key != "hostname"}
    done = _typed(tmp_path, said, "--unattended")
    assert (done.exit_code, done.output) == (2, "pli: 'hostname' is not answered\n")
    assert not (tmp_path / "etc").exists()


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    """It says what would be made, and makes not even a folder."""
    done = _typed(tmp_path, SAID, "--dry-run")
    assert done.exit_code == 0, done.output
    assert f"made      {tmp_path}/etc/pli.toml" in done.output
    assert [each.name for each in tmp_path.iterdir()] == ["answers.toml"]


def test_on_a_terminal_it_asks_what_is_left_to_ask(tmp_path: Path) -> None:
    """Each question in French and English with an example; the answers count as if they stood in the file."""
    file = tmp_path / "answers.toml"
    file.write_text(_toml({**_folders(tmp_path), "tenants": [{**LILAS, "domains": ["lilas.mssante.example"]}]}))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "gateway", "quickstart", "--answers", str(file), "--dry-run", "--json"]
    asked = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    os.write(ours, b"mss.lilas.example\nanne.martin@lilas.mssante.example\n")
    said, questions = asked.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert asked.returncode == 0, questions
    assert "Nom DNS de cette machine / DNS name of this machine" in questions
    assert "Raison sociale" not in questions
    assert json.loads(said)["administrator"] == "anne.martin@lilas.mssante.example"


def test_two_tenants_share_no_file(tmp_path: Path) -> None:
    """The configuration that is left is read back as two tenants; a second domain has the accounts of the first."""
    done = _typed(tmp_path, {**SAID, "tenants": [LILAS, PARC]}, "--json")
    assert done.exit_code == 0, done.output
    lilas, parc = config.load(tmp_path / "etc/pli.toml").views
    assert (lilas.node.tenant, parc.node.tenant) == ("lilas", "parc")
    assert lilas.keeper.digest_key.read_bytes() != parc.keeper.digest_key.read_bytes()
    accounts = tmp_path / "etc/accounts"
    assert (accounts / "radio-lilas.mssante.example").read_bytes() == lilas.accounts.file.read_bytes() != b""
    assert parc.accounts.file.read_bytes() == b""
    names = [each["request"].rpartition("/")[2] for each in json.loads(done.output)["requests"]]
    assert [each for each in names if each.startswith("seal")] == [
        "seal-lilas.mssante.example.csr", "seal-radio-lilas.mssante.example.csr", "seal-parc.mssante.example.csr",
    ]  # fmt: skip


def test_typed_again_it_changes_nothing(tmp_path: Path) -> None:
    """Byte for byte, secrets and requests too; the password is not said again."""
    first = json.loads(_typed(tmp_path, SAID, "--json").output)
    before = _listing(tmp_path)
    again = json.loads(_typed(tmp_path, SAID, "--json").output)
    assert _listing(tmp_path) == before
    assert (bool(first["password"]), again["password"]) == (True, "")
    assert {each["fate"] for each in again["placed"]} == {"unchanged", "kept"}
    private_key(tmp_path / "etc/tls/server.key")


def test_a_new_answer_renews_what_nobody_edited(tmp_path: Path) -> None:
    """Another port for the administrator: the firewall is written anew; edited, it is left and said."""
    _typed(tmp_path, SAID)
    firewall = tmp_path / "etc/firewall.nft"
    done = _typed(tmp_path, {**SAID, "ssh_port": 2222})
    assert f"renewed   {firewall}" in done.output
    assert "tcp dport 2222 accept" in firewall.read_text()
    firewall.write_text("# mine\n")
    done = _typed(tmp_path, {**SAID, "ssh_port": 2223})
    assert f"left      {firewall}: edited, left as it is; the new text is {firewall}.pli-new" in done.output
    assert firewall.read_text() == "# mine\n"
    assert "tcp dport 2223 accept" in placing.beside(firewall).read_text()


def test_what_was_there_before_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that quickstart never wrote stays; without the look at who wrote it, it would be lost."""
    file = tmp_path / "theirs"
    file.write_bytes(b"theirs")
    ground = Ground.of(tmp_path / "record.json", dry=False)
    assert ground.put(Piece(file, b"ours")).fate is Fate.LEFT
    assert file.read_bytes() == b"theirs"
    monkeypatch.setattr(placing, "_untouched", lambda there, written: True)
    assert ground.put(Piece(file, b"ours")).fate is Fate.RENEWED
    assert file.read_bytes() == b"ours"


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    """Exit code 2 and the name, no traceback."""
    (tmp_path / "etc").write_text("a file")
    done = _typed(tmp_path, SAID)
    assert done.exit_code == 2
    assert f"{tmp_path}/etc" in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(("state", "answer"), [(0, Kept.YES), (1, Kept.YES), (5, Kept.NO), (-1, Kept.CANNOT_TELL)])
def test_the_kernel_says_whether_its_clock_is_kept(state: int, answer: Kept) -> None:
    """adjtimex(2): TIME_ERROR is no, a refusal is no answer."""
    assert kernel_clock.judged(state) is answer
    assert kernel_clock.kept() in Kept


def test_the_firewall_opens_what_the_node_offers(tmp_path: Path) -> None:
    """Every door of the configuration that others reach, and nothing that is for loopback."""
    _typed(tmp_path, SAID)
    settings = config.load(tmp_path / "etc/pli.toml")
    text = (tmp_path / "etc/firewall.nft").read_text()
    opened = {
        int(each)
        for line in text.splitlines()
        if "operators" in line
        for each in line.split("{")[1].split("}")[0].split(",")
    }
    assert settings.doors.peers
    assert settings.doors.submission
    assert settings.monitor
    assert {settings.doors.peers.port, settings.doors.submission.port, settings.clients.imap_port} <= opened
    assert not {settings.delivery.lmtp_port, settings.monitor.port, 389} & opened
    assert "policy drop" in text


def test_what_is_missing_is_said_once(tmp_path: Path) -> None:
    """`pli config check` of a node that waits for everything: each file has one line, in plain words."""
    _typed(tmp_path, SAID)
    done = CliRunner().invoke(pli, ["--config", str(tmp_path / "etc/pli.toml"), "config", "check"])
    assert done.exit_code == 2
    bad = [line.split(":")[0].removeprefix("BAD  ") for line in done.output.splitlines() if line.startswith("BAD")]
    assert bad == ["tls.certificate", "trust.white_list", "trust.folder anchors"]
    assert f"its request waits at {tmp_path}/etc/requests/server.csr" in done.output
    assert "no operator and no mail client gets in" in done.output
    assert "keeper/seal: " in done.output


def test_the_pages_are_served_and_open_in_the_firewall() -> None:
    """At the machine's own name, with the port at which a card signs in where one is wanted; 0 is none."""
    layout = Layout(answering.told(SAID | {"certificate_port": 8444}))
    web = node_file.settings(layout.answers).web
    assert web is not None
    assert (web.url, web.port, web.certificate_port) == (f"https://{layout.answers.hostname}:8443", 8443, 8444)
    assert "8443, 8444" in surroundings.firewall(layout).content.decode()
    none = Layout(answering.told(SAID | {"pages_port": 0}))
    assert node_file.settings(none.answers).web is None
    assert "8443" not in surroundings.firewall(none).content.decode()


@pytest.mark.parametrize(
    ("departments", "zone"),
    [
        (["Seine-Saint-Denis (93)"], "Europe/Paris"),
        (["Corse-du-Sud (2A)"], "Europe/Paris"),
        (["La Réunion (974)"], "Indian/Reunion"),
        (["Guadeloupe (971)", "Guadeloupe (971)"], "America/Guadeloupe"),
        (["Guadeloupe (971)", "Martinique (972)"], "Europe/Paris"),
        (["La Réunion (974)", "Paris (75)"], "Europe/Paris"),
    ],
)
def test_the_pages_have_the_clock_of_the_department(departments: Sequence[str], zone: str) -> None:
    """Overseas, where all establishments are under one; that of Paris otherwise."""
    houses = [{**house, "department": each} for house, each in zip((LILAS, PARC), departments, strict=False)]
    web = node_file.settings(answering.told(SAID | {"tenants": houses})).web
    assert web is not None
    assert web.time_zone == zone


def test_each_clock_overseas_is_known() -> None:
    """To the machine's own table of zones: a name that is none would keep the node from starting."""
    assert {name for name in node_file.OVERSEAS.values() if name not in available_timezones()} == set()

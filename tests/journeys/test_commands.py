"""What an operator types at a running node: letters looked for, addresses explained, the node checked."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import pli
from gateway.demo.cast import LILAS, RADIOLOGIST, RIS, SURGEON
from gateway.demo.looks import message_id
from gateway.demo.stage import Seat

pytestmark = pytest.mark.journey

FROM, TO = str(RADIOLOGIST.address), str(SURGEON.address)


def _refused(done: subprocess.CompletedProcess[str]) -> str:
    """The sentence of a command that did not do what was asked."""
    assert (done.returncode, done.stdout) == (2, ""), done
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith(("pli: ", "Usage: ")), done.stderr
    return done.stderr


# --- trace, queue, explain ----------------------------------------------------------------------------------------


def _looked_up(seat: Seat, letter: str) -> list[dict[str, str]]:
    """What the journal says of each look at a letter."""
    with closing(sqlite3.connect(f"file:{seat.folder}/data/pli.sqlite?mode=ro", uri=True)) as found:
        rows = found.execute(
            "SELECT facts FROM journal WHERE event = 'looked-up' AND letter_id = ? ORDER BY number", (letter,)
        )
        return [json.loads(facts) for (facts,) in rows]


def test_a_letter_is_found_by_its_id_message_id_sender_or_recipient(world: Any) -> None:
    """`pli trace` answers the same letter to each, and journals each look-up."""
    mail = world.plain(FROM, TO)
    letter = world.submit(mail)
    before = len(_looked_up(world.lilas, letter))
    named = [letter], ["--message-id", message_id(mail)], ["--sender", FROM], ["--recipient", TO]
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    shouted = ["--sender", FROM.upper(), "--recipient", TO.upper(), "--date", today]
    for wanted in (*named, shouted, ["--since", today]):
        done = world.pli(world.lilas, "trace", "--json", *wanted)
        assert done.returncode == 0, done.stderr
        assert letter in [json.loads(line)["letter"] for line in done.stdout.splitlines()], wanted
    looks = _looked_up(world.lilas, letter)[before:]
    assert [each["criteria"] for each in looks][:4] == ["id", "message_id", "sender", "recipient"]
    assert len(looks) == 6
    assert all(each["by"] for each in looks)


def test_an_unknown_letter_is_exit_code_2(world: Any) -> None:
    """`pli trace` of what is not here says so."""
    assert "no letter" in _refused(world.pli(world.lilas, "trace", "0" * 26))
    assert "no letter" in _refused(world.pli(world.lilas, "trace", "--recipient", f"nobody@{LILAS}"))


def test_a_letter_of_another_day_is_not_found(world: Any) -> None:
    """`pli trace --date` of the day before: nothing; and a date that is none is told so."""
    world.submit(world.plain(FROM, TO))
    assert "no letter" in _refused(world.pli(world.lilas, "trace", "--sender", FROM, "--date", "2001-01-01"))
    assert "is no date" in _refused(world.pli(world.lilas, "trace", "--date", "yesterday"))


def test_trace_without_anything_to_look_for_is_refused(world: Any) -> None:
    """Not every letter of the node at once."""
    assert "name a letter" in _refused(world.pli(world.lilas, "trace"))


def test_what_waits_is_told_by_destination(world: Any) -> None:
    """`pli queue` shows the domain, how many letters wait and why; French, or English when asked."""
    world.company.stop_node(world.parc)
    try:
        letter = world.submit(world.plain(FROM, TO))
        world.until(lambda: world.states(world.lilas, letter)["peer-signed"][1], "a reason for the delay")
        said = world.pli(world.lilas, "queue")
        english = world.pli(world.lilas, "queue", "--lang", "en")
        due = next(r["id"] for r in world.trail(world.lilas, letter)["recipients"])
        why = ("--why", "ticket 4711")
        # Just while it is carried nobody takes it
        world.until(lambda: world.pli(world.lilas, "recipient", "hold", due, *why).returncode == 0, "held")
    finally:
        world.company.start_node(world.parc)
    assert (said.returncode, english.returncode) == (0, 0)
    assert SURGEON.address.domain in said.stdout
    assert "prochain essai" in said.stdout
    assert "next try" in english.stdout
    assert world.pli(world.lilas, "recipient", "release", due, *why).returncode == 0
    assert world.settled(world.lilas, letter) == {"peer-signed": ("done", "")}
    assert "not done" in _refused(world.pli(world.lilas, "recipient", "hold", due, "--why", "again"))
    assert "say why" in _refused(world.pli(world.lilas, "recipient", "hold", due))


def test_what_waits_at_one_destination_is_moved_together(world: Any) -> None:
    """`pli queue hold` and its like: shown first, then done to all of one destination, journalled with who and why;
    refused where there is nothing, or no reason is given."""
    world.company.stop_node(world.parc)
    try:
        sent = [world.submit(world.plain(FROM, TO)) for _ in range(2)]
        domain = SURGEON.address.domain
        for letter in sent:
            world.until(lambda letter=letter: world.states(world.lilas, letter)["peer-signed"][1], "a reason")
        plan = world.pli(world.lilas, "queue", "hold", "--to", domain, "--dry-run")
        assert "nothing was done" in plan.stdout
        assert "say why" in _refused(world.pli(world.lilas, "queue", "hold", "--to", domain))
        held = _until_done(world, "hold", domain)
        assert "2 of 2" in held.stdout or "1 of 1" in held.stdout
        ways = world.pli(world.lilas, "queue", "reroute", "--to", domain, "--dry-run").stdout
        assert ways.count("-> peer-signed") >= 2
    finally:
        world.company.start_node(world.parc)
    assert world.pli(world.lilas, "queue", "reroute", "--to", domain, "--why", "ticket 9").returncode == 0
    for letter in sent:
        assert world.settled(world.lilas, letter) == {"peer-signed": ("done", "")}
        told = [step["facts"] for step in world.trail(world.lilas, letter)["steps"] if step["event"] == "rerouted"]
        assert [(each["why"], bool(each["by"])) for each in told] == [("ticket 9", True)]
    assert "nothing at" in _refused(world.pli(world.lilas, "queue", "release", "--to", domain, "--why", "x"))


def _until_done(world: Any, action: str, domain: str) -> subprocess.CompletedProcess[str]:
    """One that is under way just then is held a moment later."""
    done: list[subprocess.CompletedProcess[str]] = []

    def all_held() -> bool:
        done.append(world.pli(world.lilas, "queue", action, "--to", domain, "--why", "ticket 9"))
        rows = [json.loads(line) for line in world.pli(world.lilas, "queue", "--json").stdout.splitlines()]
        return sum(row["count"] for row in rows if row["state"] == "held" and row["target"] == domain) >= 2

    world.until(all_held, "both held")
    return next(each for each in reversed(done) if each.returncode == 0)


EXPLAINED = {
    TO: (SURGEON.display_name, "signed-by-default: peer-signed"),
    str(RIS.address): (RIS.display_name, "mailbox-here: mailbox"),
    "279035121518989@patient.mssante.fr": ("patient.mssante.fr", "patient-space-plain: peer-plain"),
    f"nobody@{LILAS}": ("inconnu", "mailbox-here"),
    "quelqu.un@ailleurs.example": ("inconnu", "liste blanche"),
}


@pytest.mark.parametrize("address", EXPLAINED, ids=["peer", "here", "patient", "unknown", "outside"])
def test_explain_says_which_mode_would_serve_an_address_and_why(world: Any, address: str) -> None:
    """Who it is, each rule asked, and the one that decided; never a patient's matricule."""
    done = world.pli(world.lilas, "explain", address)
    assert (done.returncode, done.stderr) == (0, "")
    for words in EXPLAINED[address]:
        assert words in done.stdout
    assert "2790351215189" not in done.stdout


def test_explain_refuses_what_is_no_address(world: Any) -> None:
    """A malformed address is a sentence."""
    assert "is not a mail address" in _refused(world.pli(world.lilas, "explain", "paul@@bernard"))


# --- care ---------------------------------------------------------------------------------------------------------


def test_verify_and_config_check_find_a_sound_node(world: Any) -> None:
    """The journal's chain and the spool hold; every named file is there; what Pli does not claim is said."""
    verified = world.pli(world.lilas, "verify")
    assert (verified.returncode, verified.stdout) == (0, "ok\n"), verified
    checked = world.pli(world.lilas, "config", "check")
    assert checked.returncode == 0, checked
    assert "BAD" not in checked.stdout
    assert "not homologated" in checked.stdout


def test_config_check_names_what_is_missing(world: Any) -> None:
    """The twin: an absent file is named, with exit code 2."""
    text = world.lilas.config.read_text("utf-8").replace("white-list.xml", "no-list.xml")
    broken = world.paper("broken.toml", text.encode())
    done = _with(world, broken, "config", "check")
    assert done.returncode == 2
    assert "trust.white_list" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_node_that_was_never_started_is_told(world: Any) -> None:
    """Without a database each look is a sentence that says what makes one."""
    text = world.lilas.config.read_text("utf-8").replace(f'{world.lilas.folder}/data"', f'{world.lilas.folder}/none"')
    early = world.paper("early.toml", text.encode())
    for command in (["queue"], ["trace", "0" * 26], ["worklist"], ["verify"]):
        assert "pli serve" in _refused(_with(world, early, *command))


def test_an_unknown_configuration_key_is_exit_code_2(world: Any) -> None:
    """A node with a misspelt key does not start, and says what was meant."""
    text = world.lilas.config.read_text("utf-8").replace('"lmtp_port"', '"lmtp_prot"')
    wrong = world.paper("wrong.toml", text.encode())
    for command in (["serve"], ["queue"]):
        assert "did you mean 'lmtp_port'?" in _refused(_with(world, wrong, *command))


def test_a_taken_port_is_exit_code_2(world: Any) -> None:
    """A second node on the same ports does not start, names the port, and leaves the first one serving."""
    text = world.lilas.config.read_text("utf-8").replace(f'{world.lilas.folder}/run"', f'{world.lilas.folder}/run2"')
    said = _refused(_with(world, world.paper("second.toml", text.encode()), "serve"))
    assert str(world.lilas.ports.peers) in said
    assert world.settled(world.lilas, world.submit(world.plain(FROM, TO))) == {"peer-signed": ("done", "")}


def _with(world: Any, config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done: subprocess.CompletedProcess[str] = world.pli(world.lilas, "--config", str(config), *arguments)
    return done


def _commands(group: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    for name, command in getattr(group, "commands", {}).items():
        found += _commands(command, (*path, name))
    return found


@pytest.mark.parametrize("path", _commands(pli), ids=" ".join)
def test_each_command_says_what_it_is_for(path: tuple[str, ...]) -> None:
    """--help of everything: exit code 0, its usage, and a sentence."""
    from click.testing import CliRunner

    answer = CliRunner().invoke(pli, [*path, "--help"])
    assert answer.exit_code == 0
    assert answer.output.startswith("Usage: ")
    command: Any = pli
    for name in path:
        command = command.commands[name]
    assert command.help, f"{path} has no sentence"


# --- other operators ------------------------------------------------------------------------------------------------


def test_peers_says_when_each_operator_was_last_met(world: Any) -> None:
    """After a letter each side names the other: sent there, received here; no mailbox is named."""
    mail = world.plain(FROM, TO)
    world.submit(mail)
    world.received(world.parc, SURGEON.address, message_id(mail))
    domain = TO.partition("@")[2]
    world.until(lambda: _met(world, world.lilas).get(domain, {}).get("sent_at"), "the letter's end in the journal")
    assert _met(world, world.parc)[LILAS]["came_at"]
    said = world.pli(world.lilas, "peers").stdout
    assert domain in said
    assert "@" not in said


def test_who_was_never_met_is_not_named(world: Any) -> None:
    """The twin: a domain of the white list to which no letter went."""
    assert "patient.mssante.fr" not in _met(world, world.parc)


def _met(world: Any, seat: Any) -> dict[str, Any]:
    lines = world.pli(seat, "peers", "--json").stdout.splitlines()
    return {each["domain"]: each for each in map(json.loads, lines)}

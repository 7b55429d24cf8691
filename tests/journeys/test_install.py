"""The install, as whoever has a bare Debian does it: `pli quickstart`, certificates that come back, servers from the
generated units, and a letter through the node that was left. All of it in a root of its own, with its own network.

The play runs inside that root (installing.py); the tests look at what it saw from outside.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.demo import fresh_root
from gateway.demo.processes import programs
from tests.journeys.installing import ANNE, DOMAIN, HOST, MARK, PAUL

pytestmark = [pytest.mark.root, pytest.mark.journey]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the play saw, each step by its name."""
    log = tmp_path_factory.mktemp("install") / "log"
    command = [sys.executable, str(Path(__file__).with_name("installing.py").resolve())]
    with log.open("w") as errors:
        played = fresh_root.enter(command, programs("dovecot").root, stdout=subprocess.PIPE, stderr=errors)
        said, _ = played.communicate(timeout=200)
    assert played.returncode == 0, log.read_text()[-4000:]
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def test_quickstart_asks_little_and_makes_all_of_it(seen: dict[str, Any]) -> None:
    """Two options and six lines of answers; requests for the five profiles, records, units, servers, accounts."""
    told = seen["quickstart"]
    assert {each["fate"] for each in told["placed"]} == {"made"}
    profiles = [each["profile"].split(" (")[0] for each in told["requests"]]
    assert profiles == ["SERV SSL", "ORG AUTH_CLI", "ORG SIGN", "S/MIME organisation", "ORG CONF"]
    assert f"{DOMAIN}. IN MX 10 {HOST}." in told["records"]
    assert told["administrator"] == ANNE
    assert told["password"]
    assert seen["accounts"] == ["openldap", "pli", "pli-mail"]


def test_what_is_missing_is_said_in_plain_words_before_and_not_after(seen: dict[str, Any]) -> None:
    """Before the certificates came the check fails and names their requests; afterwards it is content."""
    code, said = seen["check-before"]
    assert code == 2
    assert "/etc/pli/requests/server.csr" in said
    assert "white list" in said
    assert "not homologated" in said
    code, said = seen["check-after"]
    assert (code, "BAD" in said) == (0, False), said
    assert "not homologated" in said


def test_the_node_that_was_left_is_ready(seen: dict[str, Any]) -> None:
    """`pli health`: spooler, keeper, doors on 25 and 587, directory, white list."""
    code, said = seen["health"]
    assert code == 0, said
    assert "door of peers" in said
    assert "ldap://127.0.0.1:389 answers" in said


def test_mailboxes_are_kept_through_the_gateways_identity_at_once(seen: dict[str, Any]) -> None:
    """Nothing is to be loaded by hand: its password lies there, its entry in the directory, its rights are slapd's."""
    told = seen["kept"]
    assert (told["delegate delegate"][0], "@" in told["delegate delegate"][1]) == (0, False)
    assert '"number"' in told["delegate delegate"][1]
    assert (told["support support"][0], PAUL in told["support support"][1]) == (0, True)
    assert "may not" in told["delegate support"][1]


def test_the_root_is_alone(seen: dict[str, Any]) -> None:
    """The play shows what it says: no way out of it, nothing of the checkout can be changed, no process of the machine
    is seen."""
    assert seen["alone"] == {"routes": 0, "writes": False, "strangers": []}
    assert not Path("/etc/pli/quickstart.json").exists()


def test_a_letter_goes_through_it(seen: dict[str, Any]) -> None:
    """By swaks with the password that was shown once, and out of the recipient's mailbox by curl over IMAPS."""
    assert seen["submitted"][0] == 0, seen["submitted"][1]
    assert MARK in seen["read"]
    assert "remis dans la boîte" in seen["trace"]


def test_a_wrong_password_sends_nothing(seen: dict[str, Any]) -> None:
    """The twin: swaks' code for a login that failed, and the door's 535."""
    code, said = seen["refused"]
    assert code == 28
    assert "535" in said


def test_an_operator_gets_in_with_a_listed_certificate_alone(seen: dict[str, Any]) -> None:
    """Port 25 from a listed peer, and the same letter without a certificate."""
    assert seen["peer"][0] == 0, seen["peer"][1]
    assert seen["stranger"][0] != 0
    assert "TLS" in seen["stranger"][1]


def test_mail_is_encrypted_at_rest(seen: dict[str, Any]) -> None:
    """What Dovecot keeps does not hold the letter's text, which IMAP gives."""
    assert seen["kept-files"] > 0
    assert seen["in-clear"] == []


def test_typed_again_it_changes_nothing_and_leaves_what_was_edited(seen: dict[str, Any]) -> None:
    """Every file unchanged or kept, no second password; then an edited firewall is left, the new text beside it."""
    fates = {each["fate"] for each in seen["again"]["placed"]}
    assert fates <= {"unchanged", "kept"}
    assert seen["again"]["password"] == ""
    edited = {each["path"]: each["fate"] for each in seen["edited"]["placed"]}
    assert edited["/etc/pli/firewall.nft"] == "left"
    assert list(edited.values()).count("left") == 1
    assert seen["firewall"] == ["# mine", "#!/usr/sbin/nft -f"]


def test_old_mail_is_brought_in_as_the_page_says(seen: dict[str, Any]) -> None:
    """docs/import-mailboxes.md's file, with other names, brings a mailbox into another; typed again it copies nothing
    more. With a wrong password it says so."""
    first, again, wrong = seen["import"]
    assert first == [0, 2], seen["import"]
    assert again == [0, 2]
    assert wrong[0] != 0


def test_secrets_are_their_owners(seen: dict[str, Any]) -> None:
    """No key is readable by another account; Dovecot alone, beside the node, reads the accounts."""
    assert seen["open-keys"] == []
    assert seen["accounts-mode"] == ["pli", "pli", "640"]

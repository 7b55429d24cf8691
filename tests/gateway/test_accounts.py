"""Accounts: one passwd-file, for us and for Dovecot."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from directory.address import parse
from gateway.accounts import Accounts, BadAccount
from gateway.demo.processes import programs

ANNA = "anna@lilas.example"


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    made = Accounts(tmp_path / "passwd", {ANNA: ("Service@lilas.example",)})
    made.add(ANNA, "correct horse é")
    return made


def test_the_right_password_names_the_account(accounts: Accounts) -> None:
    """A login is compared without case, a password exactly."""
    assert accounts.verify("Anna@LILAS.example", "correct horse é") == ANNA


@pytest.mark.parametrize(
    ("login", "password"),
    [
        (ANNA, "correct horse"),
        (ANNA, ""),
        ("bert@lilas.example", "correct horse é"),
        ("", ""),
        (ANNA + "\n", "x"),
    ],
)
def test_anything_else_does_not(accounts: Accounts, login: str, password: str) -> None:
    """Twin: wrong password, none, unknown login."""
    assert accounts.verify(login, password) is None


def test_the_file_holds_no_password(tmp_path: Path, accounts: Accounts) -> None:
    """Only an ARGON2ID hash with one lane, in Dovecot's format, readable by its owner alone."""
    line = (tmp_path / "passwd").read_text()
    assert line.startswith(f"{ANNA}:{{ARGON2ID}}$argon2id$v=19$m=65536,t=3,p=1$")
    assert line.endswith("::::::\n")
    assert "horse" not in line
    assert stat.S_IMODE((tmp_path / "passwd").stat().st_mode) == 0o600


def test_adding_again_replaces(tmp_path: Path, accounts: Accounts) -> None:
    """One line per login; the old password is over at once, for an older reader too; the mode stays."""
    (tmp_path / "passwd").chmod(0o640)
    reader = Accounts(tmp_path / "passwd")
    assert reader.verify(ANNA, "correct horse é") == ANNA
    accounts.add(ANNA.upper(), "new")
    assert reader.verify(ANNA, "correct horse é") is None
    assert reader.verify(ANNA, "new") == ANNA
    assert (tmp_path / "passwd").read_text().count("\n") == 1
    assert stat.S_IMODE((tmp_path / "passwd").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    "line",
    [
        "",
        "#" + ANNA + ":{ARGON2ID}x",
        f"{ANNA}:{{PLAIN}}pw::::::",
        f"{ANNA}:pw",
        f"{ANNA}:{{ARGON2ID}}garbage::::::",
    ],
)
def test_a_line_that_cannot_be_read_lets_nobody_in(tmp_path: Path, line: str) -> None:
    """A comment, another scheme, a hash that is none: refused, not an error."""
    (tmp_path / "passwd").write_text(line + "\n")
    assert Accounts(tmp_path / "passwd").verify(ANNA, "pw") is None


def test_without_a_file_nobody_logs_in(tmp_path: Path) -> None:
    """A missing file is a node without accounts."""
    assert Accounts(tmp_path / "none").verify(ANNA, "pw") is None


@pytest.mark.parametrize(
    ("login", "password"), [("anna", "pw"), ("a:b@lilas.example", "pw"), (ANNA, ""), (ANNA, "a\nb")]
)
def test_bad_accounts_are_refused_in_words(accounts: Accounts, login: str, password: str) -> None:
    """An account is a mailbox's address and has a password that fits one line."""
    with pytest.raises(BadAccount):
        accounts.add(login, password)


def test_an_account_writes_as_itself_and_as_its_delegations(accounts: Accounts) -> None:
    """Own address and delegated ones, whatever the case."""
    assert accounts.may_use(ANNA, parse("Anna@lilas.example"))
    assert accounts.may_use(ANNA.upper(), parse("service@lilas.example"))


def test_and_as_nobody_else(accounts: Accounts) -> None:
    """Twin: another mailbox, or a delegation given to someone else."""
    assert not accounts.may_use(ANNA, parse("bert@lilas.example"))
    assert not accounts.may_use("bert@lilas.example", parse("service@lilas.example"))


def test_dovecot_verifies_what_we_wrote(tmp_path: Path, accounts: Accounts) -> None:
    """One rule for SMTP and IMAP: the real Dovecot takes the right password and refuses another."""
    software = programs("doveadm")
    kept = (tmp_path / "passwd").read_text().split(":")[1]

    def asked(password: str) -> int:
        command = [software.path("doveadm"), "-O", "pw", "-t", kept, "-p", password]
        return subprocess.run(command, env=software.environment(), capture_output=True).returncode

    assert asked("correct horse é") == 0
    assert asked("correct horse") != 0


def test_a_suspended_account_opens_nothing(tmp_path: Path, accounts: Accounts) -> None:
    """Neither by its password nor by a device's, old or new; no letter in its name; resumed it is as before."""
    device = accounts.add_device(ANNA, "poste-1")
    assert accounts.suspend(ANNA.upper(), True)
    assert not accounts.suspend(ANNA, True)
    assert accounts.verify(ANNA, "correct horse é") is None
    assert accounts.verify(f"{ANNA}/poste-1", device) is None
    assert accounts.verify(f"{ANNA}/poste-2", accounts.add_device(ANNA, "poste-2")) is None
    assert not accounts.may_use(ANNA, parse(ANNA))
    assert not accounts.may_use(ANNA, parse("service@lilas.example"))
    assert all(line.endswith("nologin") for line in (tmp_path / "passwd").read_text().splitlines())
    accounts.add(ANNA, "autre")
    assert accounts.verify(ANNA, "autre") is None
    assert accounts.suspend(ANNA, False)
    assert accounts.verify(ANNA, "autre") == ANNA
    assert accounts.verify(f"{ANNA}/poste-1", device) == ANNA
    assert accounts.may_use(ANNA, parse(ANNA))


def test_a_suspended_account_has_no_certificate(accounts: Accounts, trust_space: Any) -> None:
    """What is bound to it opens it, and no more once it is suspended; nothing is lost by it."""
    der = trust_space.peer_issued.der
    accounts.bind_certificate(ANNA, der)
    assert accounts.certificate(der) == ANNA
    accounts.suspend(ANNA, True)
    assert accounts.certificate(der) is None
    accounts.suspend(ANNA, False)
    assert accounts.certificate(der) == ANNA


def test_without_the_check_a_suspended_account_is_open(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is that one check that closes it."""
    accounts.suspend(ANNA, True)
    monkeypatch.setattr("gateway.accounts.suspended", lambda line: False)
    assert accounts.verify(ANNA, "correct horse é") == ANNA


def test_many_accounts_are_opened_at_once(tmp_path: Path, accounts: Accounts) -> None:
    """Those that are new, bound to their subjects and without a password; who was there is as before."""
    before = (tmp_path / "passwd").read_text()
    wanted = {f"a{number}@lilas.example": f"8{number}" for number in range(50)} | {ANNA: "9"}
    assert (accounts.open(wanted), accounts.open(wanted)) == (50, 0)
    assert (tmp_path / "passwd").read_text().startswith(before)
    assert accounts.verify("a1@lilas.example", "!") is None
    assert {line.subjects for line in accounts.lines() if line.name == "a7@lilas.example"} == {("87",)}
    with pytest.raises(BadAccount):
        accounts.open({"pas une adresse": ""})

"""Accounts by command on a running node: what was added logs in at once, what was removed does not."""

from __future__ import annotations

import json
import smtplib
import ssl
from typing import Any

from gateway.demo.cast import LILAS, PASSWORD, RADIOLOGIST

LOGIN = str(RADIOLOGIST.address)


def logs_in(world: Any, login: str, password: str) -> bool:
    with smtplib.SMTP("127.0.0.1", world.lilas.ports.submission, local_hostname="poste.example") as client:
        client.starttls(context=ssl.create_default_context(cafile=str(world.ca)))
        try:
            client.login(login, password)
        except smtplib.SMTPAuthenticationError:
            return False
        return True


def test_a_device_has_its_own_password(world: Any) -> None:
    """Shown once, it opens the account; removed, it opens nothing, and the account's own goes on."""
    added = world.pli(world.lilas, "account", "application", LOGIN, "poste-1")
    assert added.returncode == 0, added.stderr
    login, password = added.stdout.split()
    assert (login, password) == (f"{LOGIN}/poste-1", password)
    assert logs_in(world, login, password)
    listed = [json.loads(row) for row in world.pli(world.lilas, "account", "list", "--json").stdout.splitlines()]
    assert {"login": login, "kind": "application", "subjects": [], "certificates": []} in listed
    assert world.pli(world.lilas, "account", "remove", login).returncode == 0
    assert not logs_in(world, login, password)
    assert logs_in(world, LOGIN, PASSWORD)


def test_a_certificate_is_bound_by_its_subject(world: Any) -> None:
    """From the first certificate of a PEM chain; the list shows the name that is bound."""
    bound = world.pli(world.lilas, "account", "certificate", f"labo@{LILAS}", str(world.ca))
    assert bound.returncode == 0, bound.stderr
    name = bound.stdout.strip()
    listed = [json.loads(row) for row in world.pli(world.lilas, "account", "list", "--json").stdout.splitlines()]
    row = {"login": f"labo@{LILAS}", "kind": "bound only", "subjects": [], "certificates": [name]}
    assert name.startswith("CN=")
    assert row in listed
    assert world.pli(world.lilas, "account", "remove", f"labo@{LILAS}").returncode == 0


def test_an_address_of_another_is_no_account(world: Any) -> None:
    """The twin: a line for an address of somebody else's domain would be a way into his mailbox."""
    other = "labo@lilas.example"
    for command in (["certificate", other, str(world.ca)], ["bind", other, "899700000001"]):
        refused = world.pli(world.lilas, "account", *command)
        assert refused.returncode == 2
        assert f"labo@lilas.example is of no domain of lilas: {LILAS}" in refused.stderr


def test_mistakes_are_sentences(world: Any) -> None:
    """An unknown account, an address that is none, a device that cannot be named: exit code 2 and why."""
    for arguments, why in (
        (("remove", "nobody@lilas.example"), "is no account here"),
        (("application", f"nobody@{LILAS}", "x"), "is no account here"),
        (("application", LOGIN, "Poste 1"), "lower-case"),
        (("bind", "pas une adresse", "1"), "address of its mailbox"),
        (("certificate", LOGIN, str(world.ca.parent / "absent.pem")), "does not exist"),
        (("certificate", LOGIN, str(world.lilas.config)), "no certificate that can be read"),
    ):
        said = world.pli(world.lilas, "account", *arguments)
        assert (said.returncode, why in said.stderr) == (2, True), said.stderr

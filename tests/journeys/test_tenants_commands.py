"""No tenant reaches another's by a command or at a door: the whole command tree and each door, asked for one tenant
with the ids of another. A command that is added later is asked too, or fails this page."""

from __future__ import annotations

import http.client
import imaplib
import json
import os
import re
import shutil
import smtplib
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click
import pytest
from click.testing import CliRunner
from sqlalchemy import select
from starlette.testclient import TestClient

from gateway import app
from gateway import config as configuration
from gateway.accounts import Accounts
from gateway.cli import pli
from gateway.demo import sample, stage
from gateway.demo import town as towns
from gateway.demo.cast import PASSWORD
from gateway.demo.processes import new_folder
from gateway.demo.town import PEER, Town
from gateway.web.faces import FACES
from gateway.web.roles import Face, Role
from gateway.web.sessions import COOKIE
from gateway.web.site import Site
from gateway.web_section import WebSection
from relay.store import engine

pytestmark = pytest.mark.journey


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    """A node of two tenants for this page alone: commands change what is the second one's."""
    folder = new_folder("pli-t-")
    try:
        with towns.running(towns.build(folder / "s", 2, datetime.now(UTC))) as built:
            yield built
    finally:
        shutil.rmtree(folder, ignore_errors=True)


NODES = {
    "serve", "scan", "config check", "config show", "config manual", "migrate", "verify", "journal verify", "health",
    "dossier host", "certs verify", "certs evidence", "certs inspect", "certs encrypt", "certs watch", "certs request",
    "certs throwaway", "directory template", "directory generate", "directory schema", "help replies", "cda install",
    "backup", "restore", "cda check", "xdm read", "xdm check", "xdm write", "demo", "quickstart",
    "onboard", "directory identity",
}  # fmt: skip
"""Commands of the whole node, or of files that are nobody's: they take no --tenant."""


def leaves(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, f"{path} {name}".strip())
        else:
            yield f"{path} {name}".strip(), command


COMMANDS = dict(leaves(pli))
OF_A_TENANT = sorted(set(COMMANDS) - NODES)


def _takes_tenant(command: click.Command) -> bool:
    return any(parameter.name == "tenant" for parameter in command.params)


def test_every_command_is_a_tenants_or_the_nodes() -> None:
    """What is not named as the node's takes --tenant, and what is named so does not."""
    assert [name for name in OF_A_TENANT if not _takes_tenant(COMMANDS[name])] == []
    assert [name for name in NODES if name in COMMANDS and _takes_tenant(COMMANDS[name])] == []


# --- what is the first tenant's -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Secret:
    """What is the first tenant's, by the name of the parameter that would ask for it; and what only he may see."""

    given: dict[str, str]
    marks: frozenset[str]


@contextmanager
def as_the_node(town: Town) -> Iterator[None]:
    """Under the node's account, whom its keeper answers."""
    owner = town.config.stat()
    if os.geteuid() == owner.st_uid:
        yield
        return
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def typed(town: Town, *words: str) -> tuple[int, str]:
    """A command, in this process, under the node's account: exit code and all that it said."""
    with as_the_node(town):
        done = CliRunner().invoke(pli, ["--config", str(town.config), *words], input="x\nx\n")
    assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)
    return done.exit_code, f"{done.stdout}{done.stderr}"


def well(town: Town, *words: str) -> str:
    code, said = typed(town, *words)
    assert code == 0, said
    return said


def _held(town: Town, *words: str) -> None:
    """The carrier may have the letter in hand just now."""
    end = time.monotonic() + 30
    while (told := typed(town, *words))[0]:
        assert "while it is running" in told[1], told
        assert time.monotonic() < end, told
        time.sleep(0.2)


def _asleep(town: Town) -> None:
    """The carrier's next round finds nothing to take in the held letter's lane and lets it sleep: that is no act of a
    command."""
    end = time.monotonic() + 60
    while not all(lane.endswith("None)") for lane in owned(town)["lanes"]):
        assert time.monotonic() < end, owned(town)["lanes"]
        time.sleep(0.2)


@pytest.fixture(scope="module")
def secret(town: Town) -> Secret:
    """A letter that waits, a patient, an account's device, a rule and a document to check, all of the first tenant."""
    first = town.tenants[0]
    folder, owner = town.folder / "papers", town.config.stat()
    folder.mkdir(mode=0o755)
    os.chown(folder, owner.st_uid, owner.st_gid)
    me = ["--tenant", first.name]
    tag = f"secret.{time.time_ns()}"
    with smtplib.SMTP("127.0.0.1", town.submission, local_hostname="poste.example", timeout=60) as session:
        session.starttls(context=ssl.create_default_context(cafile=str(town.ca)))
        session.login(first.address, PASSWORD)
        head = f"From: {first.address}\r\nTo: labo@{PEER}\r\nSubject: x\r\nMessage-ID: <{tag}@t>\r\n\r\n"
        session.sendmail(first.address, [f"labo@{PEER}"], f"{head}Bonjour\r\n")
    trail = json.loads(well(town, "trace", "--json", "--message-id", f"<{tag}@t>", *me))
    recipient = trail["recipients"][0]["id"]
    _held(town, "recipient", "hold", recipient, "--why", "x", *me)
    _asleep(town)
    roll = folder / "patients.csv"
    roll.write_text(stage.roll(sample.PATIENT), "utf-8")
    roll.chmod(0o644)
    well(town, "patients", "import", str(roll), *me)
    well(town, "account", "application", first.address, "poste-secret", *me)
    well(town, "policy", "set", "mailbox", "encrypt", "always", "--for", first.address, *me)
    view = configuration.load(town.config).view(first.name)
    told = {
        "letter_id": trail["letter"],
        "document_id": "doc-secret",
        "host": "regional",
        "reason": "dossier.patient-unknown",
    }
    entry = app.client(view).write("worklist.add", first.name, **told)
    number, ins = sample.PATIENT.local_ids[0][1], sample.PATIENT.ins
    assert ins is not None
    given = {
        "letter": trail["letter"], "recipient_id": recipient, "message_id": f"<{tag}@t>", "sender": first.address,
        "recipient": f"labo@{PEER}", "recipients": f"labo@{PEER}", "login": first.address, "address": first.address,
        "mailbox": first.address, "holder": first.address, "domain": first.domain, "domains": first.domain,
        "device": "poste-2", "subject": "899700000001", "file": str(roll), "files": str(roll), "path": str(roll),
        "slapd_conf": str(roll), "slapadd": str(roll),
        "output": str(folder / "out"), "out": str(folder / "web"), "document": "doc-secret", "patient": number,
        "number": number, "prior": number, "survivor": number, "link": entry, "entry": entry, "why": "x",
        "ins": ins.value, "name": sample.PATIENT.traits.birth_name, "key": "encrypt", "value": "always",
        "words": "Cabinet", "folder": str(folder / "kept"), "reason": "x", "host": "regional",
        "title": "x", "text": "x", "target": PEER, "hours": "1", "dn": f"mail={first.address}",
        "action": "release", "page": "when", "picture": "accueil", "provider": first.name,
        "plan": "20261126090000-0123456789abcdef",
        "validity": "1", "uid": "1", "item": "1",
        "into": f"mail={first.address}", "uri": "ldap://127.0.0.1:1", "display_name": "x", "attribute": "mssService",
    }  # fmt: skip
    # Its address is none: the region's directory shows it to everybody
    marks = {trail["letter"], recipient, tag, "poste-secret", entry, "doc-secret", ins.value,
             sample.PATIENT.traits.birth_name, str(first.folder)}  # fmt: skip
    return Secret(given, frozenset(marks))


def asked(name: str, given: dict[str, str]) -> Iterator[list[str]]:
    """Every way to type a command with the first tenant's ids: what it needs, then each further option with it."""
    command = COMMANDS[name]
    arguments: list[list[str]] = [[]]
    for each in (part for part in command.params if part.required):
        values = [str(choice) for choice in each.type.choices] if isinstance(each.type, click.Choice) else None
        values = values or [given[str(each.name)]]
        option = [each.opts[0]] if isinstance(each, click.Option) else []
        arguments = [[*before, *option, value] for before in arguments for value in values]
    for words in arguments:
        yield words
        for each in command.params:
            if not each.required and each.name in given and not isinstance(each.type, click.Choice):
                option = [each.opts[0]] if isinstance(each, click.Option) else []
                yield [*words, *option, given[str(each.name)]]


def owned(town: Town) -> dict[str, Any]:
    """Everything of the first tenant's, in the database and in its files."""
    first = town.tenants[0]
    reader = engine.reader_engine(configuration.load(town.config).database_url)
    with reader.connect() as conn:
        held = {
            name: sorted(map(str, conn.execute(select(table).where(table.c.tenant == first.name))))
            for metadata in app.METADATAS
            for name, table in metadata.tables.items()
        }
    reader.dispose()
    files = {str(file): file.read_bytes() for file in first.folder.rglob("*") if file.is_file()}
    return {**held, **files}


@pytest.mark.parametrize("name", OF_A_TENANT)
def test_no_command_for_one_tenant_shows_or_changes_anothers(town: Town, secret: Secret, name: str) -> None:
    """Typed for the second tenant with the first one's ids, a command says nothing that was not typed, and leaves the
    first one's rows, keys and accounts as they are."""
    before, second = owned(town), town.tenants[1]
    needed = {
        str(part.name) for part in COMMANDS[name].params if part.required and not isinstance(part.type, click.Choice)
    }
    assert needed - set(secret.given) == set(), f"pli {name}: say in `given` what another tenant's would be"
    for words in asked(name, secret.given):
        _, said = typed(town, *name.split(), *words, "--tenant", second.name)
        assert [mark for mark in secret.marks if mark in said and mark not in " ".join(words)] == [], words
    assert owned(town) == before


def test_the_owner_sees_what_is_his(town: Town, secret: Secret) -> None:
    """The twin: the same commands, typed for the first tenant, show it."""
    me, given = ["--tenant", town.tenants[0].name], secret.given
    shown = [
        well(town, "trace", "--json", given["letter"], *me), well(town, "account", "list", *me),
        well(town, "worklist", "show", given["entry"], *me),
        well(town, "policy", "show", "--for", given["mailbox"], *me),
    ]  # fmt: skip
    for mark, said in zip((given["recipient_id"], "poste-secret", given["letter"], "always"), shown, strict=True):
        assert mark in said


# --- the pages ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(town: Town) -> Site:
    """The node's pages; everybody's role is open to whoever is signed in below."""
    settings = configuration.load(town.config)
    people = town.config.parent / "everybody.json"
    made = Site(settings.model_copy(update={"web": WebSection(people=people)}), FACES, app.clock)
    for tenant in town.tenants:
        made.people.give(tenant.address, frozenset(Role))
    return made


def read(site: Site, tenant: Any, face: Face, method: str, given: dict[str, str]) -> str:
    """What somebody of this tenant, with every role, is answered at a route that names another's things."""
    return str(answered(site, tenant, face, method, given).text)


def answered(site: Site, tenant: Any, face: Face, method: str, given: dict[str, str]) -> Any:
    browser = TestClient(site.application(), base_url="https://testserver", follow_redirects=False)
    name = site.sessions.begin(tenant.address, tenant.name)
    browser.cookies.set(COOKIE, name)
    form = {**given, "token": site.sessions.token(name)}
    return browser.request(method, face.path.format(**given), data=form if method == "POST" else None)


ROUTES = [(face, method) for face in FACES for method in face.methods]


@pytest.mark.parametrize(("face", "method"), ROUTES, ids=[f"{method} {face.path}" for face, method in ROUTES])
def test_no_page_for_one_tenant_shows_or_changes_anothers(
    town: Town, secret: Secret, site: Site, face: Face, method: str
) -> None:
    """Every route of the table, asked by somebody of the second tenant with the first one's ids."""
    before, given = owned(town), secret.given
    with as_the_node(town):
        said = read(site, town.tenants[1], face, method, given)
    answered = re.sub(r'value="[^"]*"', "", said)  # what was typed comes back in its field
    marks = {*secret.marks, f"/lettres/{given['letter']}", given["recipient"]}
    assert {mark for mark in marks if mark in answered} == set()
    assert owned(town) == before


def test_the_owner_of_a_letter_does_see_it_on_his_page(town: Town, secret: Secret, site: Site) -> None:
    """The twin: the walk above asks for something that is there."""
    shown = next(face for face in FACES if face.path == "/lettres/{letter}")
    with as_the_node(town):
        assert secret.given["recipient"] in read(site, town.tenants[0], shown, "GET", secret.given)


NAMING = [(face, method) for face, method in ROUTES if "{entry}" in face.path or face.path.endswith("/annuler")]


@pytest.mark.parametrize(("face", "method"), NAMING, ids=[f"{method} {face.path}" for face, method in NAMING])
def test_anothers_entry_or_letter_is_no_page(town: Town, secret: Secret, site: Site, face: Face, method: str) -> None:
    """Neither looked at, decided nor taken back; the owner's own entry is one (the twin)."""
    given = secret.given | {"do": "refuse"}
    with as_the_node(town):
        assert answered(site, town.tenants[1], face, method, given).status_code == 404
        if method == "GET" and "{entry}" in face.path:
            assert answered(site, town.tenants[0], face, method, given).status_code == 200


# --- the doors ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def intruder(town: Town) -> Iterator[str]:
    """A password that the second tenant's accounts file gives to an address of the first one's."""
    first, second = town.tenants[:2]
    file = second.folder / "accounts" / second.domain
    kept = file.read_bytes()
    Accounts(file).add(first.address, "intrusion")
    os.chown(file, town.config.stat().st_uid, town.config.stat().st_gid)
    yield "intrusion"
    file.write_bytes(kept)


def submits(town: Town, login: str, password: str) -> bool:
    with smtplib.SMTP("127.0.0.1", town.submission, local_hostname="poste.example", timeout=60) as session:
        session.starttls(context=ssl.create_default_context(cafile=str(town.ca)))
        try:
            session.login(login, password)
        except smtplib.SMTPAuthenticationError:
            return False
        return True


def opens(town: Town, login: str, password: str) -> bool:
    with imaplib.IMAP4("127.0.0.1", town.imap) as box:
        box.starttls(ssl.create_default_context(cafile=str(town.ca)))
        try:
            box.login(login, password)
        except imaplib.IMAP4.error:
            return False
        return True


def test_no_login_by_anothers_accounts_file(town: Town, intruder: str) -> None:
    """Neither at 587 nor at Dovecot does a line of one tenant's file open another's mailbox; the owner's own does."""
    first = town.tenants[0]
    assert not submits(town, first.address, intruder)
    assert submits(town, first.address, PASSWORD)
    # Dovecot reads its own copy, one file by domain: the line lies in another domain's
    copy = town.folder / "dovecot" / "accounts" / town.tenants[1].domain
    line = (town.tenants[1].folder / "accounts" / town.tenants[1].domain).read_text()
    copy.write_text(line)
    assert not opens(town, first.address, intruder)
    assert opens(town, first.address, PASSWORD)


def _asked_http(town: Town, method: str, path: str, host: str = "", body: str = "") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", town.introspection, timeout=60)
    headers = {"Host": host} if host else {}
    connection.request(method, path, body, {**headers, "Content-Type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_a_clients_file_is_of_the_domain_that_asks(town: Town) -> None:
    """Autoconfiguration tells of the domain in the request, and of no other tenant's."""
    path, names = "/mail/config-v1.1.xml", [each.domain for each in town.tenants]
    for domain in names[:2]:
        status, said = _asked_http(town, "GET", path, f"autoconfig.{domain}")
        assert (status, [name for name in names if name in said]) == (200, [domain])
    assert _asked_http(town, "GET", path, "autoconfig.nowhere.example")[0] == 404


def test_a_token_of_nobody_opens_nothing(town: Town) -> None:
    """Introspection, without a provider of any tenant, says no more than no."""
    assert _asked_http(town, "POST", "/introspection", body="token=x") == (200, '{"active":false}')

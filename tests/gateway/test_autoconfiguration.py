"""What mail clients are told of a node: configuration files, served and written, and the records in DNS."""

from __future__ import annotations

import asyncio
import json
import plistlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from lxml import etree
from starlette.applications import Starlette

from gateway import autoconfiguration, config
from gateway.autoconfiguration import Service
from gateway.cli import pli
from gateway.config import ConfigError
from gateway.demo.nameserver import NameServer, Record
from gateway.demo.processes import free_port, new_folder
from gateway.doors import autoconfig

Configure = Callable[[str], Path]
SERVICE = Service("lilas.example", "Lilas & <fils>", ("imap.lilas.example", 993), ("smtp.lilas.example", 587))
AT_ONCE = replace(SERVICE, submission=("smtp.lilas.example", 465), at_once=True)
DOORS = """\
[doors]
peers = { port = 25 }
submission = { port = 587 }
introspection = { port = 8090 }
autoconfig = true
"""
CLIENTS = '[clients]\nimap_host = "imap.lilas.example"\nname = "Lilas"\n'


def run(file: Path, *words: str) -> Result:
    return CliRunner().invoke(pli, ["--config", str(file), *words])


# --- the files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("service", "port", "tls"), [(SERVICE, "587", "STARTTLS"), (AT_ONCE, "465", "SSL")])
def test_thunderbird_s_file(service: Service, port: str, tls: str) -> None:
    """config-v1.1: one server each way, TLS both ways, the name escaped, a placeholder for the address."""
    root = etree.fromstring(autoconfiguration.thunderbird(service))
    assert (root.tag, root.get("version")) == ("clientConfig", "1.1")
    provider = root[0]
    said = [(provider.tag, each.tag, each.text) for each in provider if len(each) == 0]
    said += [(server.tag, each.tag, each.text) for server in provider for each in server]
    assert said == [
        ("emailProvider", "domain", "lilas.example"),
        ("emailProvider", "displayName", "Lilas & <fils>"),
        ("emailProvider", "displayShortName", "Lilas & <fils>"),
        ("incomingServer", "hostname", "imap.lilas.example"),
        ("incomingServer", "port", "993"),
        ("incomingServer", "socketType", "SSL"),
        ("incomingServer", "username", "%EMAILADDRESS%"),
        ("incomingServer", "authentication", "password-cleartext"),
        ("outgoingServer", "hostname", "smtp.lilas.example"),
        ("outgoingServer", "port", port),
        ("outgoingServer", "socketType", tls),
        ("outgoingServer", "username", "%EMAILADDRESS%"),
        ("outgoingServer", "authentication", "password-cleartext"),
    ]
    assert [each.get("type") for each in root.iter("incomingServer", "outgoingServer")] == ["imap", "smtp"]


@pytest.mark.parametrize(("service", "port", "tls"), [(SERVICE, "587", "TLS"), (AT_ONCE, "465", "SSL")])
def test_outlook_s_file(service: Service, port: str, tls: str) -> None:
    """Autodiscover's two name spaces, a protocol each way, no LoginName."""
    root = etree.fromstring(autoconfiguration.outlook(service))
    inner = "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}"
    assert root.tag == "{http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006}Autodiscover"
    found = [
        {each.tag.removeprefix(inner): each.text for each in protocol} for protocol in root.iter(f"{inner}Protocol")
    ]
    same = {"DomainRequired": "off", "SPA": "off", "AuthRequired": "on"}
    assert found == [
        {"Type": "IMAP", "Server": "imap.lilas.example", "Port": "993", "Encryption": "SSL", **same},
        {"Type": "SMTP", "Server": "smtp.lilas.example", "Port": port, "Encryption": tls, **same},
    ]
    assert root.findtext(f"{inner}Response/{inner}Account/{inner}Action") == "settings"


def test_apple_s_profile() -> None:
    """A property list of one mail account; the same identity each time, another one for another domain."""
    profile = plistlib.loads(autoconfiguration.apple(SERVICE))
    (mail,) = profile["PayloadContent"]
    assert (profile["PayloadType"], mail["PayloadType"]) == ("Configuration", "com.apple.mail.managed")
    assert mail["IncomingMailServerHostName"] == "imap.lilas.example"
    assert (mail["IncomingMailServerPortNumber"], mail["OutgoingMailServerPortNumber"]) == (993, 587)
    assert (mail["IncomingMailServerUseSSL"], mail["OutgoingMailServerUseSSL"]) == (True, True)
    assert "EmailAddress" not in mail
    assert plistlib.loads(autoconfiguration.apple(SERVICE)) == profile
    other = plistlib.loads(autoconfiguration.apple(replace(SERVICE, domain="parc.example")))
    identities = {each["PayloadUUID"] for each in (profile, mail, other, *other["PayloadContent"])}
    assert len(identities) == 4


def test_no_file_names_a_person() -> None:
    """One file is for all of a domain."""
    for content in autoconfiguration.files(SERVICE).values():
        assert b"@" not in content


def test_the_files_are_written(configure: Configure, tmp_path: Path) -> None:
    """By `pli autoconfig`, for a domain of this node, with its settings."""
    done = run(configure(DOORS + CLIENTS), "autoconfig", "imagerie.EXAMPLE", "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == [
        "autodiscover.xml",
        "config-v1.1.xml",
        "imagerie.example.mobileconfig",
    ]
    text = (tmp_path / "out/config-v1.1.xml").read_text()
    assert "<hostname>imap.lilas.example</hostname>" in text
    assert "<hostname>mss.lilas.example</hostname>" in text


def test_of_no_domain_of_ours_nothing_is_written(configure: Configure, tmp_path: Path) -> None:
    """The twin: a sentence and exit code 2."""
    done = run(configure(DOORS), "autoconfig", "parc.example", "--out", str(tmp_path / "out"))
    assert (done.exit_code, "is no domain of this node" in done.output) == (2, True)
    assert not (tmp_path / "out").exists()


# --- served --------------------------------------------------------------------------------------------------------


def asked(method: str, path: str, host: str, **more: Any) -> httpx.Response:
    services = [SERVICE, replace(SERVICE, domain="autre.example")]
    app = Starlette(routes=autoconfig.routes({each.domain: autoconfiguration.files(each) for each in services}))

    async def play() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=f"http://{host}") as client:
            return await client.request(method, path, **more)

    return asyncio.run(play())


@pytest.mark.parametrize(
    ("method", "path", "host", "kind"),
    [
        ("GET", "/mail/config-v1.1.xml?emailaddress=anna@autre.example", "autoconfig.autre.example", "text/xml"),
        ("GET", "/.well-known/autoconfig/mail/config-v1.1.xml", "Autre.example:8443", "text/xml"),
        ("POST", "/autodiscover/autodiscover.xml", "autodiscover.autre.example", "text/xml"),
        ("POST", "/Autodiscover/Autodiscover.xml", "autre.example", "text/xml"),
        ("GET", "/mail.mobileconfig", "autoconfig.autre.example", "application/x-apple-aspen-config"),
    ],
)
def test_a_file_is_served_by_its_host(method: str, path: str, host: str, kind: str) -> None:
    """The domain that was asked for, whatever address came along; nothing of the address comes back."""
    answer = asked(method, path, host)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, kind)
    assert answer.content in autoconfiguration.files(replace(SERVICE, domain="autre.example")).values()
    assert b"anna" not in answer.content


@pytest.mark.parametrize(
    ("method", "path", "host", "status"),
    [
        ("GET", "/mail/config-v1.1.xml", "autoconfig.parc.example", 404),
        ("GET", "/mail/config-v1.1.xml", "127.0.0.1", 404),
        ("POST", "/mail/config-v1.1.xml", "lilas.example", 405),
        ("GET", "/autodiscover/autodiscover.xml", "lilas.example", 405),
        ("GET", "/../../etc/passwd", "lilas.example", 404),
    ],
)
def test_what_is_not_ours_is_not(method: str, path: str, host: str, status: int) -> None:
    """Another's domain, another way to ask, another file."""
    assert asked(method, path, host).status_code == status


def test_what_outlook_sends_is_not_read() -> None:
    """Its XML with the person's address is counted, not parsed; too much of it is refused."""
    bomb = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'
    assert asked("POST", "/autodiscover/autodiscover.xml", "lilas.example", content=bomb).status_code == 200
    large = b"x" * 20_000
    assert asked("POST", "/autodiscover/autodiscover.xml", "lilas.example", content=large).status_code == 413


def test_they_are_served_where_the_door_is(configure: Configure) -> None:
    """Without a port for them the configuration says so."""
    with pytest.raises(ConfigError, match="name its port"):
        config.load(configure("[doors]\nautoconfig = true\n"))


# --- DNS -------------------------------------------------------------------------------------------------------------

PUBLISHED = """\
lilas.example. IN MX 10 mss.lilas.example.
_submission._tcp.lilas.example. IN SRV 0 1 587 mss.lilas.example.
_submissions._tcp.lilas.example. IN SRV 0 0 0 .
_imaps._tcp.lilas.example. IN SRV 0 1 993 imap.lilas.example.
_imap._tcp.lilas.example. IN SRV 0 0 0 .
_pop3._tcp.lilas.example. IN SRV 0 0 0 .
_pop3s._tcp.lilas.example. IN SRV 0 0 0 .
autoconfig.lilas.example. IN CNAME mss.lilas.example.
autodiscover.lilas.example. IN CNAME mss.lilas.example.
"""


def test_the_records_are_printed(configure: Configure) -> None:
    """For each domain, as a zone file writes them; by --json one object a line."""
    file = configure(DOORS + CLIENTS)
    done = run(file, "dns")
    assert done.exit_code == 0, done.output
    assert done.stdout == PUBLISHED + PUBLISHED.replace("lilas.example. IN", "Imagerie.example. IN")
    rows = [json.loads(line) for line in run(file, "dns", "--json").stdout.splitlines()]
    assert rows[0] == {"name": "lilas.example.", "kind": "MX", "data": "10 mss.lilas.example."}


def test_only_what_is_offered_is(configure: Configure) -> None:
    """A node without doors for peers, clients or files says so; TLS at once is offered where something does it."""
    lines = run(configure("[doors]\n[clients]\nsubmissions_port = 465\n"), "dns").stdout.splitlines()
    assert not [line for line in lines if " MX " in line or "CNAME" in line]
    assert "_submission._tcp.lilas.example. IN SRV 0 0 0 ." in lines
    assert "_submissions._tcp.lilas.example. IN SRV 0 1 465 mss.lilas.example." in lines


@pytest.fixture(scope="module")
def names() -> Iterator[NameServer]:
    """lilas.example as it should be, with a second MX; Imagerie.example with faults."""
    said = [line.split(" IN ") for line in PUBLISHED.splitlines()]
    rows = [(name.replace("lilas.example.", "").rstrip(".") or "@", *data.split(" ", 1)) for name, data in said]
    zone = [Record(name, kind, data) for name, kind, data in rows]
    wrong = [
        Record("@", "MX", "10 mss.ancien.example."),
        Record("_submission._tcp", "SRV", "0 1 587 mss.lilas.example."),
        Record("_imap._tcp", "SRV", "0 1 143 imap.lilas.example."),
        Record("autoconfig", "A", "192.0.2.1"),
    ]
    second = Record("@", "MX", "20 secours.lilas.example.")
    zones = {"lilas.example": [*zone, second], "imagerie.example": wrong}
    made = NameServer(new_folder("pli-records-") / "nsd", free_port(), zones)
    made.start()
    yield made
    made.stop()
    shutil.rmtree(made.folder.parent, ignore_errors=True)


def test_what_is_published_is_looked_at(configure: Configure, names: NameServer) -> None:
    """Well, missing, or other than it should be, with what stands there; exit code 2 where a person must act."""
    file = configure(f'{DOORS}{CLIENTS}[dns]\nservers = ["{names.at}"]\n')
    done = run(file, "dns", "--check", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert {row["state"] for row in rows if row["name"][-14:] == "lilas.example."} == {"ok"}
    other = {row["name"].partition(".Imagerie")[0]: row["state"] for row in rows if "Imagerie" in row["name"]}
    assert other == {
        "Imagerie.example.": "other",
        "_submission._tcp": "ok",
        "_submissions._tcp": "missing",
        "_imaps._tcp": "missing",
        "_imap._tcp": "other",
        "_pop3._tcp": "missing",
        "_pop3s._tcp": "missing",
        "autoconfig": "missing",
        "autodiscover": "missing",
    }
    assert done.exit_code == 2
    assert "8 of 18 records" in done.output
    assert (
        "other       Imagerie.example. IN MX 10 mss.lilas.example. (10 mss.ancien.example.)"
        in run(file, "dns", "--check").stdout
    )


def test_all_well_is_exit_code_0(configure: Configure, names: NameServer) -> None:
    """The twin: one domain, as it should be."""
    file = configure(f'{DOORS}{CLIENTS}[dns]\nservers = ["{names.at}"]\n')
    file.write_text(file.read_text().replace('"lilas.example", "Imagerie.example"', '"lilas.example"'))
    done = run(file, "dns", "--check")
    assert done.exit_code == 0, done.output
    assert all(line.startswith("ok ") for line in done.stdout.splitlines())


def test_a_name_server_that_is_silent_is_told_from_nothing(configure: Configure) -> None:
    """Nobody there to ask is no missing record."""
    file = configure(f'[doors]\n[dns]\nservers = ["127.0.0.1:{free_port()}"]\ntimeout_s = 0.05\n')
    rows = [
        json.loads(line) for line in run(file, "dns", "--check", "--json").stdout.splitlines() if line.startswith("{")
    ]
    assert {row["state"] for row in rows} == {"cannot-tell"}

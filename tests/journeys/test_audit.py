"""The eight audit cases (spec/operator.md §2.6) on a live node, in both directions: their hosts are found by MX at a
real name server, `pli trace` and the SMTP replies say why each was accepted or refused, and `pli audit` says the same
before any letter. tests/gateway/test_audit_cases.py switches each check off."""

from __future__ import annotations

import json
import smtplib
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs import cms, profiles
from certs.chain import TrustStore, identity
from certs.model import Trusted
from certs.throwaway import Pki
from directory.address import parse
from directory.model import Entry, Kind
from directory.region import ldif
from gateway import app, audit, outward
from gateway import config as configuration
from gateway.audit import CASES, Case
from gateway.demo import stage
from gateway.demo.auditor import Auditor, platform
from gateway.demo.cast import RADIOLOGIST
from gateway.demo.nameserver import NameServer, Record
from gateway.demo.processes import free_port
from relay.model import Mode, Reason
from relay.partners import Listed

pytestmark = pytest.mark.journey

PARENT = "espace.audit.example"
SENDER = str(RADIOLOGIST.address)
NOWHERE = {
    "nul": ("failed", Reason.DOMAIN_NO_MAIL),
    "absent": ("failed", Reason.DOMAIN_UNKNOWN),
    "boucle": ("failed", Reason.DOMAIN_LOOPS),
    "sans-hote": ("failed", Reason.DOMAIN_NO_HOST),
    "panne": ("queued", Reason.DNS_DOWN),
}
"""Domains whose name server says something else than hosts."""


@dataclass
class Audited:
    """Lilas, under audit."""

    world: Any
    auditor: Auditor
    names: NameServer

    @property
    def seat(self) -> Any:
        return self.world.lilas

    def domain(self, name: str) -> str:
        return f"{name}.{PARENT}"

    def trails(self) -> dict[str, dict[str, Any]]:
        """What `pli trace --json` says of each letter of ours, by the first label of its recipient's domain."""
        lines = self.world.pli(self.seat, "trace", "--json", "--sender", SENDER).stdout.splitlines()
        found = [json.loads(line) for line in lines]
        return {trail["recipients"][0]["address"].partition("@")[2].partition(".")[0]: trail for trail in found}

    def log(self) -> list[dict[str, Any]]:
        """The whole lines so far."""
        lines = (self.seat.folder / "pli.log").read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def logged(self, event: str, **facts: str) -> list[dict[str, Any]]:
        """The lines of an event with these facts, once there is one: the log may come after the answer it tells of."""

        def look() -> list[dict[str, Any]]:
            return [line for line in self.log() if line["event"] == event and facts.items() <= line.items()]

        lines: list[dict[str, Any]] = self.world.until(look, f"{event} with {facts} in the log")
        return lines


def _zone(auditor: Auditor, own: str) -> list[Record]:
    return [
        *auditor.zone,
        Record("nul", "MX", "0 ."),
        Record("boucle", "MX", f"10 {own}."),
        Record(own.partition(".")[0], "TXT", '"here"'),
        Record("sans-hote", "MX", "10 personne.sans-hote.espace.audit.example."),
    ]


@pytest.fixture(scope="module")
def audited(make_world: Callable[..., Any]) -> Iterator[Audited]:
    made: list[Any] = []

    def change(built: stage.Stage) -> None:
        auditor = platform(
            built.pki, Pki.create(built.pki.now, "AILLEURS"), PARENT, free_port(), built.folder / "audit"
        )
        built.pki.write_trust(built.trust, built.pki.now)
        seats = built.seats.values()
        listed = [Listed(seat.who.domain, identity(_der(seat.tls[0])).subject) for seat in seats]
        known = [Listed(f"{name}.{PARENT}", listed[0].subject) for name in NOWHERE]
        stage.publish(built, [*listed, *known, *auditor.listed], datetime.now(UTC))
        zones = {PARENT: [Record("mss", "A", "127.0.0.1"), *_zone(auditor, built.seats["lilas"].who.hostname)]}
        zones[built.seats["lilas"].who.domain] = [Record("mss", "A", "127.0.0.1")]
        names = NameServer(built.folder / "names", free_port(), zones, broken=(f"panne.{PARENT}",))
        with built.seats["lilas"].config.open("a") as file:
            port = next(iter(auditor.hosts.values())).port
            file.write(f'\n[dns]\nservers = ["{names.at}"]\npeers_port = {port}\n')
        made.extend((auditor, names))

    with make_world(change) as world:
        auditor, names = made
        _introduce(world, [*auditor.hosts, *NOWHERE])
        names.start()
        try:
            with auditor.answering():
                yield Audited(world, auditor, names)
        finally:
            names.stop()


def _introduce(world: Any, names: list[str]) -> None:
    """The platform's mailboxes, in the directory."""
    entries = [Entry(parse(f"controle@{name}.{PARENT}"), Kind.ORG, display_name=name) for name in names]
    slapd, built = world.company.slapd, world.company.stage
    slapd.stop()
    slapd.load(built.ldif + ldif(entries, stage.SUFFIX))
    slapd.start()


def _der(pem: Path) -> bytes:
    return x509.load_pem_x509_certificates(pem.read_bytes())[0].public_bytes(Encoding.DER)


# --- our node as the client -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sent(audited: Audited) -> dict[str, dict[str, Any]]:
    """A letter to each domain, and what became of it once each has its answer."""
    names = [*audited.auditor.hosts, *NOWHERE]
    with audited.world.submission(audited.seat, SENDER) as client:
        for name in names:
            to = f"controle@{audited.domain(name)}"
            assert client.sendmail(SENDER, [to], audited.world.plain(SENDER, to)) == {}

    seen: dict[str, dict[str, Any]] = {}

    def answered() -> dict[str, dict[str, Any]] | None:
        for name, trail in audited.trails().items():
            row = trail["recipients"][0]
            if row["state"] == "done" or (row["reason"] and row["state"] != "running"):  # not while it is tried again
                seen[name] = trail
        return seen if seen.keys() >= set(names) else None

    found: dict[str, dict[str, Any]] = audited.world.until(answered, "an answer for each domain")
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_our_letter_to_the_case(audited: Audited, sent: dict[str, dict[str, Any]], case: Case) -> None:
    """Found by MX; accepted, or kept in custody for the named reason, and then no address of it was told."""
    host, trail = audited.auditor.hosts[case.name], sent[case.name]
    row = trail["recipients"][0]
    commands = [words.partition(" ")[0].upper() for words in host.said]
    assert "EHLO" in commands
    if not case.reason:
        assert (row["state"], row["reason"]) == ("done", "")
        assert len(host.letters) == 1
        return
    assert (row["state"], row["reason"]) == ("queued", case.reason)
    delayed = [step["facts"] for step in trail["steps"] if step["event"] == "delayed"]
    assert delayed
    assert all(case.expects(facts["reason"], facts.get("detail", "")) for facts in delayed)
    assert "MAIL" not in commands
    assert host.letters == []
    alarms = audited.logged("alarm-peer", domain=host.domain)
    assert {line["reason"] for line in alarms} == {case.reason}


@pytest.mark.parametrize("name", NOWHERE)
def test_our_letter_to_a_domain_without_hosts(sent: dict[str, dict[str, Any]], name: str) -> None:
    """A null MX, no such domain, a loop to us and a host without address end the letter, with the reason in the trace;
    a name server in trouble delays it."""
    row = sent[name]["recipients"][0]
    assert (row["state"], row["reason"]) == NOWHERE[name]


# --- the platform as the client ---------------------------------------------------------------------------------------


def _call(audited: Audited, name: str) -> smtplib.SMTP:
    """A session at our peers' door, secured as the case's host does it."""
    host = audited.auditor.hosts[name]
    client = smtplib.SMTP("127.0.0.1", audited.seat.ports.peers, local_hostname=f"mx.{host.domain}", timeout=20)
    if host.shown:
        context = ssl.create_default_context(cafile=str(audited.world.ca))
        context.load_cert_chain(*map(str, host.shown))
        client.starttls(context=context)
    client.ehlo()
    return client


HANDSHAKES = {"cert-expire-audit": "expired", "cert-non-igc-audit": "unknown-issuer"}
"""These come to no session: TLS has looked before we could answer."""
REPLIES = {
    "cert-revoque-audit": (550, "5.7.1", "Motif, cause: revoked"),
    "cert-no-match-audit": (550, "5.7.1", "liste blanche"),
    "cert-cn-diff-dn-audit": (550, "5.7.1", "liste blanche"),
    "sans-tls-audit": (530, "5.7.0", "STARTTLS"),
}


def test_letters_from_the_valid_cases_enter(audited: Audited) -> None:
    """Accepted at the door, delivered, and in the trace with the certificate that was presented."""
    fingerprints = {}
    for case in (case for case in CASES if not case.reason):
        sender, shown = f"controle@{audited.domain(case.name)}", audited.auditor.hosts[case.name].shown
        with _call(audited, case.name) as client:
            assert client.sendmail(sender, [SENDER], audited.world.plain(sender, SENDER)) == {}
        assert shown
        fingerprints[identity(_der(shown[0])).fingerprint] = ("mailbox", "done")

    def entered() -> dict[str, tuple[str, str]]:
        lines = audited.world.pli(audited.seat, "trace", "--json", "--recipient", SENDER).stdout.splitlines()
        trails = [json.loads(line) for line in lines]
        return {_peer(trail): (row["mode"], row["state"]) for trail in trails for row in trail["recipients"]}

    audited.world.until(lambda: entered().items() >= fingerprints.items(), "both delivered")


def _peer(trail: dict[str, Any]) -> str:
    """Fingerprint of who brought a letter; empty where it was no peer."""
    return next((step["facts"]["peer"] for step in trail["steps"] if "peer" in step["facts"]), "")


@pytest.mark.parametrize("name", REPLIES)
def test_a_letter_from_the_case_is_refused_in_words(audited: Audited, name: str) -> None:
    """At MAIL, before anything of a letter, with code, enhanced code and reason in the reply."""
    code, enhanced, words = REPLIES[name]
    with _call(audited, name) as client:
        answered, said = client.mail(f"controle@{audited.domain(name)}")
    assert (answered, enhanced in said.decode(), words in said.decode()) == (code, True, True), said


@pytest.mark.parametrize("name", HANDSHAKES)
def test_a_letter_from_the_case_is_refused_in_the_handshake(audited: Audited, name: str) -> None:
    """The other side gets a TLS alert, our log one line with the case's name."""
    with pytest.raises((ssl.SSLError, OSError, smtplib.SMTPServerDisconnected)):
        _call(audited, name)
    assert audited.logged("tls-failed", case=HANDSHAKES[name])


def test_every_case_comes_in(audited: Audited) -> None:
    """The tables above leave none out."""
    accepted = {case.name for case in CASES if not case.reason}
    assert accepted | HANDSHAKES.keys() | REPLIES.keys() == set(audited.auditor.hosts)


# --- pli audit --------------------------------------------------------------------------------------------------------


def test_pli_audit_answers_the_eight_and_seals_its_report(audited: Audited, tmp_path: Path) -> None:
    """All as expected: exit code 0, JSON, a page in words; the report's seal is valid for us and for openssl, and not
    for another report. Nothing of a letter was said to anybody."""
    for host in audited.auditor.hosts.values():
        host.said.clear()
    file = audited.seat.folder / "audit.json"
    done = audited.world.pli(audited.seat, "audit", "--parent", PARENT, "--json", "--out", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told == json.loads(file.read_bytes())
    assert [each["domain"] for each in told["domains"] if each["ok"]] == [audited.domain(case.name) for case in CASES]
    met = {each["domain"].partition(".")[0]: each["met"] for each in told["domains"]}
    assert met["cert-expire-audit"]["step"] == "certificate"
    assert met["sans-tls-audit"]["step"] == "starttls"
    presented = {each["domain"].partition(".")[0]: each["hosts"][0]["certificate"] for each in told["domains"]}
    assert presented["cert-expire-audit"]["judged"] == "expired"
    assert presented["cert-non-igc-audit"]["judged"] == "unknown-issuer"
    assert presented["cert-cn-diff-dn-audit"]["judged"] == "trusted"
    assert presented["sans-tls-audit"] is None
    door = {each["name"]: each["ok"] for each in told["door"]}
    assert door.pop(f"listed {audited.seat.who.domain}")
    assert door == dict.fromkeys(("white-list-age", "door", "shows-its-certificate", "certificate", "expires"), True)
    said = {words.partition(" ")[0].upper() for host in audited.auditor.hosts.values() for words in host.said}
    assert said <= {"EHLO", "STARTTLS", "QUIT"}
    _sealed(audited, file)


def _sealed(audited: Audited, file: Path) -> None:
    store, at = TrustStore.load(audited.world.company.stage.trust), datetime.now(UTC)
    content, signature = file.read_bytes(), file.with_suffix(".p7s").read_bytes()
    assert isinstance(cms.verify(signature, content, store, profiles.SEAL, at).trust, Trusted)
    forged = content.replace(b'"ok": true', b'"ok": True', 1)
    assert not isinstance(cms.verify(signature, forged, store, profiles.SEAL, at).trust, Trusted)
    command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", str(file.with_suffix(".p7s"))]
    command += ["-content", str(file), "-CAfile", str(audited.world.ca), "-purpose", "any", "-out", "/dev/null"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_pli_audit_in_words(audited: Audited) -> None:
    """French and English; a peer that is not reached is exit code 1; a wrong domain is a sentence and exit code 2."""
    fr = audited.world.pli(
        audited.seat, "audit", audited.domain("cert-expire-audit"), audited.domain("cert-valide-audit")
    )
    assert fr.returncode == 0, fr.stderr
    assert "Tout est comme attendu." in fr.stdout
    assert "un certificat est expiré" in fr.stdout
    en = audited.world.pli(audited.seat, "audit", "--lang", "en", "--domain", audited.domain("nul"), "nobody.example")
    assert en.returncode == 1
    assert "Not all is as expected." in en.stdout
    assert "the domain takes no mail" in en.stdout
    assert "the domain is not in the white list" in en.stdout
    wrong = audited.world.pli(audited.seat, "audit", "no domain")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "is no mail domain" in wrong.stderr


@pytest.mark.parametrize(
    ("what", "value", "missed"),
    [
        ("node", {"domains": ("ailleurs.example",)}, {"listed ailleurs.example"}),
        ("certificate", "cert-expire-audit", {"shows-its-certificate", "certificate", "expires", "listed"}),
        ("certificate", "cert-revoque-audit", {"shows-its-certificate", "certificate", "listed"}),
        ("certificate", "cert-non-igc-audit", {"shows-its-certificate", "certificate", "listed"}),
        ("doors", {"peers": None}, {"door"}),
    ],
)
def test_a_fault_of_ours_is_seen_at_our_own_door(audited: Audited, what: str, value: Any, missed: set[str]) -> None:
    """Not listed, another certificate on disk than at the door, expired, revoked, foreign, no door at all."""
    settings = configuration.load(audited.seat.config)
    entry = app.intake(settings)
    courier = outward.couriers(settings, entry)[Mode.PEER_PLAIN]
    if what == "certificate":
        what, value = "tls", {"certificate": audited.auditor.hosts[value].shown[0]}  # type: ignore[index]
    changed = settings.model_copy(update={what: getattr(settings, what).model_copy(update=value)})
    found = audit._door(changed, entry, courier, datetime.now(UTC))  # type: ignore[arg-type]
    bad = {look.name.removesuffix(f" {audited.seat.who.domain}") for look in found if not look.ok}
    assert bad == missed


def test_a_host_that_cannot_be_reached_is_said(audited: Audited) -> None:
    """The twin of an accepted case: its host refuses connections, and `pli audit` says where it ends."""
    settings = configuration.load(audited.seat.config)
    dead = settings.dns.model_copy(update={"peers_port": free_port()})
    found = audit.audit(settings.model_copy(update={"dns": dead}), [audited.domain("cert-valide-audit")])
    (look,) = found.domains
    assert (look.ok, look.reason, look.step) == (False, Reason.PEER_UNREACHABLE, audit.Step.CONNECT)
    assert not replace(found, door=()).ok

"""Plays the first letter from end to end and tells each step, seen from outside.

Promises: a step counts only when a program that is not ours, or the node's own command run as an operator would, saw
it; the exit code is 0 only if all did; nothing keeps running afterwards unless asked. Does not: build the stage or
start what stands on it.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from directory.model import Entry
from dmp_bridge import cda, packing
from dmp_bridge.model import Bad, Document
from gateway.demo import clients, sample, stage
from gateway.demo.cast import OPERATORS, PASSWORD, RADIOLOGIST, RIS, SECRETARIAT, SURGEON, author_of
from gateway.demo.clients import DossierAccess, Login, Unseen
from gateway.demo.processes import ServerTrouble
from gateway.demo.running import Company, stop_all
from gateway.demo.stage import Seat, Stage

PATIENCE_S = 20.0


@dataclass(frozen=True)
class Step:
    name: str
    ok: bool
    evidence: str


@dataclass
class Letter:
    """One letter of the play."""

    sender: Entry
    mail: Path
    document: Document
    id: str = ""
    message_id: str = ""
    delivered: dict[str, Path] = field(default_factory=dict)


@dataclass
class Play:
    company: Company
    show: Callable[[str], None]
    french: bool = True
    steps: list[Step] = field(default_factory=list)

    @property
    def stage(self) -> Stage:
        return self.company.stage

    @property
    def artefacts(self) -> Path:
        return self.stage.folder / "artefacts"

    def step(self, name: str, french: str, english: str, see: Callable[[], str]) -> None:
        """Runs one look; a failed one is recorded and the play goes on."""
        try:
            step = Step(name, True, see())
        except (Unseen, ServerTrouble) as trouble:
            step = Step(name, False, str(trouble))
        self.steps.append(step)
        mark = "✓" if step.ok else "✗"
        self.show(f" {mark} {len(self.steps):2}. {french if self.french else english}")
        self.show(f"       {step.evidence}")

    @property
    def ok(self) -> bool:
        return bool(self.steps) and all(step.ok for step in self.steps)


# --- what is played -----------------------------------------------------------------------------------------------


def play(told: Play) -> None:
    """The whole of it, in order."""
    told.artefacts.mkdir(mode=0o700, exist_ok=True)
    lilas, parc = (told.stage.seats[name] for name in ("lilas", "parc"))
    letter = _written(told, RADIOLOGIST, serial=1)
    _see_the_stage(told)
    _see_the_sending(told, lilas, letter)
    _see_the_delivery(told, lilas, parc, letter)
    _see_the_dossier(told, lilas, parc, letter)
    sealed = _written(told, RIS, serial=2)
    _see_the_seal(told, lilas, parc, sealed)


def _see_the_stage(told: Play) -> None:
    told.step(
        "pki", "Infrastructure à clés jetable, formes de l'IGC-Santé", "Throw-away PKI in the shape of IGC-Santé",
        lambda: _chains(told),
    )  # fmt: skip
    told.step(
        "directory", "Annuaire régional LDAP", "Regional LDAP directory", lambda: _people(told.stage)
    )
    told.step(
        "register", "Registre des patients de l'émetteur", "The sender's register of patients",
        lambda: _register(told),
    )  # fmt: skip


def _see_the_sending(told: Play, lilas: Seat, letter: Letter) -> None:
    told.step(
        "submitted", "La radiologue envoie son compte rendu (587, STARTTLS, identification)",
        "The radiologist sends her report (587, STARTTLS, login)", lambda: _submitted(told, lilas, letter),
    )  # fmt: skip
    told.step(
        "accepted", "Lettre en garde, écrite sur disque avant le 250", "Letter in custody, on disk before the 250",
        lambda: _seen(told, lilas, letter.id, "accepted"),
    )  # fmt: skip
    told.step("signed", "Signée S/MIME par la boîte aux lettres", "Signed S/MIME by the mailbox",
              lambda: _seen(told, lilas, letter.id, "signed"))  # fmt: skip
    told.step(
        "relayed", "Relayée au Parc : TLS mutuel, liste blanche des deux côtés",
        "Relayed to Parc: mutual TLS, white list on both sides", lambda: _seen(told, lilas, letter.id, "delivered", 2),
    )  # fmt: skip


def _see_the_delivery(told: Play, lilas: Seat, parc: Seat, letter: Letter) -> None:
    for reader in (SURGEON, SECRETARIAT):
        told.step(
            f"read-{reader.address.local}", f"Lue en IMAP par curl : {reader.address}",
            f"Read over IMAP by curl: {reader.address}", lambda reader=reader: _read(told, parc, letter, reader),
        )  # fmt: skip
    told.step("signature", "Signature contrôlée par openssl sur les octets remis",
              "Signature checked by openssl on the delivered bytes",
              lambda: _signature(told, letter, str(RADIOLOGIST.display_name)))  # fmt: skip
    told.step("verified", "Signature contrôlée par le Parc à l'entrée", "Signature checked by Parc on entry",
              lambda: _verified(told, parc, letter))  # fmt: skip


def _see_the_dossier(told: Play, lilas: Seat, parc: Seat, letter: Letter) -> None:
    told.step("filed", "Classé au dossier du patient par l'émetteur (ITI-41)",
              "Filed in the patient's dossier by the sender (ITI-41)",
              lambda: _seen(told, lilas, letter.id, "filed"))  # fmt: skip
    told.step("found", "Retrouvé au dossier par curl (ITI-18)", "Found in the dossier by curl (ITI-18)",
              lambda: _found(told, lilas, letter))  # fmt: skip
    told.step("fetched", "Repris par curl (ITI-43), même empreinte", "Fetched by curl (ITI-43), same hash",
              lambda: _fetched(told, lilas, letter))  # fmt: skip
    told.step("shown", "Le Parc le montre comme déjà au dossier", "Parc shows it as already in the dossier",
              lambda: _seen(told, parc, _letter_at(told, parc, letter), "already-in-dossier"))  # fmt: skip


def _see_the_seal(told: Play, lilas: Seat, parc: Seat, letter: Letter) -> None:
    told.step("application-submitted", "L'application RIS envoie à son tour", "The RIS application sends in turn",
              lambda: _submitted(told, lilas, letter))  # fmt: skip
    told.step("application-read", "Lue en IMAP par curl", "Read over IMAP by curl",
              lambda: _read(told, parc, letter, SURGEON))  # fmt: skip
    told.step("seal", "Scellée par l'établissement, contrôlée par openssl", "Sealed by the establishment",
              lambda: _signature(told, letter, OPERATORS["lilas"].organisation))  # fmt: skip


# --- the letters --------------------------------------------------------------------------------------------------


def _written(told: Play, sender: Entry, serial: int) -> Letter:
    """The sender's own software: a report, its CDA, the mail around them."""
    now = datetime.now(UTC).replace(microsecond=0)
    author = author_of(RADIOLOGIST, OPERATORS["lilas"])
    pdf = sample.report_pdf(now, author=author)
    data = sample.report_cda(now, pdf, serial, author=author)
    document = cda.read(data)
    assert isinstance(document, Document), document
    to = (SURGEON.address, SECRETARIAT.address) if sender is RADIOLOGIST else (SURGEON.address,)
    parcel = packing.Parcel((document,), sender, to, source_id=f"{sample.ROOT}.9", nil="PLI-DEMO")
    mail = packing.pack(parcel, now)
    assert not isinstance(mail, Bad), mail
    name = sender.address.local
    (told.artefacts / f"{name}.pdf").write_bytes(pdf)
    (told.artefacts / f"{name}.xml").write_bytes(data)
    path = told.artefacts / f"{name}.eml"
    path.write_bytes(mail)
    return Letter(sender, path, document, message_id=_message_id(mail))


def _message_id(mail: bytes) -> str:
    head = mail.partition(b"\r\n\r\n")[0].decode("ascii")
    line = next(line for line in head.replace("\r\n ", " ").splitlines() if line.lower().startswith("message-id:"))
    return line.partition(":")[2].strip()


# --- looks --------------------------------------------------------------------------------------------------------


def _chains(told: Play) -> str:
    trust = told.stage.trust
    crls = told.artefacts / "crls.pem"
    lists = [clients.run("openssl", "crl", "-inform", "DER", "-in", str(crl)) for crl in (trust / "crls").iterdir()]
    crls.write_bytes(b"".join(lists))
    authority = trust / "intermediates" / "authority.pem"
    shown = [seat.tls[0] for seat in told.stage.seats.values()] + [told.stage.host_tls[0]]
    for certificate in shown:
        clients.verify_chain(certificate, told.stage.anchors, authority, crls)
    return f"openssl verify -crl_check_all : {len(shown)} certificats, OK"


def _people(built: Stage) -> str:
    who = Login(f"cn=relais,{stage.SUFFIX}", built.passwords.relay)
    counts = {
        kind: clients.directory_count(built.directory_uri, stage.SUFFIX, who, f"(mssType={kind})")
        for kind in ("PER", "ORG", "APP", "CAB")
    }
    structures = clients.directory_count(
        built.directory_uri, f"ou=structures,{stage.SUFFIX}", who, "(objectClass=organization)"
    )
    homonyms = clients.directory_count(built.directory_uri, stage.SUFFIX, who, "(&(mssType=PER)(sn=BERNARD))")
    if counts["PER"] < 200 or structures < 30 or homonyms < 2:
        raise Unseen(f"ldapsearch: {counts}, {structures} structures, {homonyms} BERNARD")
    told = ", ".join(f"{number} {kind}" for kind, number in counts.items())
    return f"ldapsearch : {told} ; {structures} structures ; {homonyms} BERNARD"


def _register(told: Play) -> str:
    roll = told.artefacts / "patients.csv"
    roll.write_text(stage.roll(sample.PATIENT), encoding="utf-8")
    seat = told.stage.seats["lilas"]
    said = _pli(seat, "patients", "import", str(roll)).strip()
    return f"pli patients import : {said}"


def _submitted(told: Play, seat: Seat, letter: Letter) -> str:
    sender = str(letter.sender.address)
    to = (SURGEON, SECRETARIAT) if letter.sender is RADIOLOGIST else (SURGEON,)
    recipients = tuple(str(entry.address) for entry in to)
    reply = clients.submit(
        seat.ports.submission, Login(sender, PASSWORD), sender, recipients, letter.mail, told.stage.anchors
    )
    trail = _trail(told, seat, "--message-id", letter.message_id)
    letter.id = str(trail["letter"])
    return f"swaks : {reply}"


def _seen(told: Play, seat: Seat, letter_id: str, event: str, times: int = 1) -> str:
    """Waits until the node's timeline shows `event` that many times."""

    def look() -> str | None:
        steps = [step for step in _trail(told, seat, letter_id)["steps"] if step["event"] == event]
        if len(steps) < times:
            return None
        facts = " ".join(f"{key}={value}" for key, value in steps[0]["facts"].items())
        return f"pli trace ({seat.who.name}) : {event}{f' ×{len(steps)}' if len(steps) > 1 else ''} {facts}".rstrip()

    return _patiently(look, f"pli trace ({seat.who.name}) never showed '{event}' for {letter_id}")


def _letter_at(told: Play, seat: Seat, letter: Letter) -> str:
    return str(_trail(told, seat, "--message-id", letter.message_id)["letter"])


def _read(told: Play, seat: Seat, letter: Letter, reader: Entry) -> str:
    login = Login(str(reader.address), PASSWORD)

    def look() -> int | None:
        found = clients.mailbox_search(seat.ports.imap, login, letter.message_id, told.stage.anchors)
        return found[0] if found else None

    uid = _patiently(look, f"curl found no such letter in the mailbox of {reader.address}")
    raw = clients.mailbox_read(seat.ports.imap, login, uid, told.stage.anchors)
    path = told.artefacts / f"{letter.sender.address.local}-{reader.address.local}.eml"
    path.write_bytes(raw)
    letter.delivered[reader.address.key] = path
    return f"curl imap:// : {len(raw)} octets, {path.relative_to(told.stage.folder)}"


def _signature(told: Play, letter: Letter, expected: str) -> str:
    if not letter.delivered:
        raise Unseen("no delivered letter to look at")
    for path in letter.delivered.values():
        signer = clients.verify_signature(path, told.stage.anchors, told.artefacts).signer
        if expected not in signer:
            raise Unseen(f"openssl saw the signer {signer}, not {expected}")
    return f"openssl cms -verify : {signer}"


def _verified(told: Play, seat: Seat, letter: Letter) -> str:
    trail = _trail(told, seat, "--message-id", letter.message_id)
    verdict = trail["verdict"]
    if verdict["signature"] != "valid" or verdict["signer"] != "mailbox":
        raise Unseen(f"{seat.who.name} found {verdict}")
    return f"pli trace ({seat.who.name}) : {trail['sentence']}"


def _access(told: Play, seat: Seat) -> DossierAccess:
    certificate, key = seat.dossier
    return DossierAccess(told.stage.dossier_url, stage.REPOSITORY_ID, certificate, key, told.stage.anchors)


def _found(told: Play, seat: Seat, letter: Letter) -> str:
    entries = clients.dossier_find(_access(told, seat), letter.document.unique_id)
    if len(entries) != 1:
        raise Unseen(f"ITI-18 answered {len(entries)} entries for one document")
    return f"curl, GetDocuments : {entries[0]}"


def _fetched(told: Play, seat: Seat, letter: Letter) -> str:
    data = clients.dossier_fetch(_access(told, seat), letter.document.unique_id)
    ours, theirs = (hashlib.sha256(each).hexdigest() for each in (letter.document.raw, data))
    if ours != theirs:
        raise Unseen(f"ITI-43 gave {theirs[:16]}…, sent was {ours[:16]}…")
    return f"curl, RetrieveDocumentSet : SHA-256 {theirs[:32]}…"


def _patiently(look: Callable[[], Any], otherwise: str) -> Any:
    until = time.monotonic() + PATIENCE_S
    while True:
        seen = look()
        if seen is not None:
            return seen
        if time.monotonic() > until:
            raise Unseen(otherwise)
        time.sleep(0.1)


def _trail(told: Play, seat: Seat, *wanted: str) -> dict[str, Any]:
    """`pli trace --json`, as an operator of that node."""
    trail: dict[str, Any] = json.loads(_pli(seat, "trace", "--json", *wanted).splitlines()[0])
    return trail


def _pli(seat: Seat, *arguments: str) -> str:
    return clients.run(sys.executable, "-m", "gateway", "--config", str(seat.config), *arguments).decode()


# --- from the command line ----------------------------------------------------------------------------------------


def main(folder: Path, *, keep: bool, as_json: bool, wrong_host: str | None, language: str) -> int:
    """Plays in `folder`; answers the exit code."""
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    begun = time.monotonic()
    if stopped := stop_all(folder):
        console.print(f"({stopped} serveurs d'une représentation précédente arrêtés)")
    built = stage.build(folder, datetime.now(UTC))
    company = Company(built)
    told = Play(company, lambda line: console.print(line, markup=False), language == "fr")
    try:
        company.start(wrong_host)
        console.print(f"Scène prête en {time.monotonic() - begun:.1f} s : {folder}")
        play(told)
        _tell(told, console, time.monotonic() - begun)
        if keep:
            _tell_how_to_try(built, console)
    except ServerTrouble as trouble:
        told.steps.append(Step("stage", False, str(trouble)))
        console.print(f"pli demo: {trouble}", markup=False)
    finally:
        if not keep:
            company.stop()
    if as_json:
        steps = [step.__dict__ for step in told.steps]
        print(json.dumps({"ok": told.ok, "steps": steps}, ensure_ascii=False), flush=True)
    return 0 if told.ok else 1


def down(folder: Path) -> int:
    stopped = stop_all(folder)
    print(f"{stopped} serveurs arrêtés" if stopped else "rien ne tournait")
    return 0


def _tell(told: Play, console: Console, seconds: float) -> None:
    for name in ("lilas", "parc"):
        seat = told.stage.seats[name]
        console.print(f"\n[bold]{seat.who.organisation}[/bold]")
        said = subprocess.run(
            [sys.executable, "-m", "gateway", "--config", str(seat.config), "trace", "--sender",
             str(RADIOLOGIST.address), "--lang", "fr" if told.french else "en"],
            capture_output=True, check=False,
        )  # fmt: skip
        console.print(said.stdout.decode("utf-8", "replace"), markup=False)
    console.print(f"Pièces : {told.artefacts} (PDF, CDA, lettres remises)")
    failed = sum(not step.ok for step in told.steps)
    verdict = "Toutes les étapes ont été vues." if told.ok else f"{failed} étapes n'ont pas été vues."
    console.print(f"{verdict} {len(told.steps)} étapes, {seconds:.1f} s.")


def _tell_how_to_try(built: Stage, console: Console) -> None:
    lilas, parc = built.seats["lilas"], built.seats["parc"]
    certificate, key = lilas.dossier
    me, you = RADIOLOGIST.address, SURGEON.address
    lines = (
        "", "Tout reste en marche ; ./dev down l'arrête. Mot de passe de tous les comptes : " + PASSWORD, "",
        f"swaks --server 127.0.0.1:{lilas.ports.submission} --tls --auth PLAIN --auth-user {me} "
        f"--auth-password {PASSWORD} --from {me} --to {you} --header 'Subject: essai'",
        f"curl --ssl-reqd --cacert {built.anchors} -u {you}:{PASSWORD} imap://127.0.0.1:{parc.ports.imap}/INBOX",
        f"ldapsearch -x -H {built.directory_uri} -D cn=relais,{stage.SUFFIX} -w {built.passwords.relay} "
        f"-b {stage.SUFFIX} '(sn=BERNARD)' mail",
        f"curl --cacert {built.anchors} --cert {certificate} --key {key} {built.dossier_url}/registry",
        f"pli --config {lilas.config} queue",
        f"pli --config {lilas.config} explain {you}",
    )  # fmt: skip
    for line in lines:
        console.print(line, markup=False)

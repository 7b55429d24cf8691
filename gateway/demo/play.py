"""Plays the first letter from end to end and tells each step, seen from outside.

Promises: a step counts only when a program that is not ours, or the node's own command run as an operator would, saw
it; the exit code is 0 only if all did; nothing keeps running afterwards unless asked. Does not: build the stage or
start what stands on it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from dmp_bridge import cda
from dmp_bridge.model import Document
from gateway.demo import clients, looks, pages, stage
from gateway.demo.cast import OPERATORS, PASSWORD, RADIOLOGIST, RIS, SECRETARIAT, SURGEON
from gateway.demo.clients import Unseen
from gateway.demo.looks import Letter
from gateway.demo.processes import ServerTrouble
from gateway.demo.running import Company, stop_all
from gateway.demo.stage import Seat, Stage


@dataclass(frozen=True)
class Step:
    name: str
    ok: bool
    evidence: str


TITLES: dict[str, tuple[str, str]] = {
    "pki": ("Infrastructure à clés jetable, formes de l'IGC-Santé", "Throw-away PKI in the shape of IGC-Santé"),
    "directory": ("Annuaire régional LDAP", "Regional LDAP directory"),
    "register": ("Registre des patients de l'émetteur", "The sender's register of patients"),
    "submitted": ("La radiologue envoie son compte rendu (SMTP, STARTTLS, identification)", "The report is submitted"),
    "accepted": ("Lettre en garde, écrite sur disque avant le 250", "Letter in custody, on disk before the 250"),
    "signed": ("Signée S/MIME par la boîte aux lettres", "Signed S/MIME by the mailbox"),
    "relayed": ("Relayée au Parc : TLS mutuel, liste blanche des deux côtés", "Relayed over mutual TLS"),
    "read-surgeon": ("Lue en IMAP par curl chez le chirurgien", "Read over IMAP by curl: the surgeon"),
    "read-secretariat": ("Lue en IMAP par curl au secrétariat", "Read over IMAP by curl: the secretariat"),
    "signature": ("Signature contrôlée par openssl sur les octets remis", "Signature checked by openssl"),
    "verified": ("Signature contrôlée par le Parc à l'entrée", "Signature checked by Parc on entry"),
    "filed": ("Document classé au dossier par l'émetteur (ITI-41)", "Filed in the dossier by the sender (ITI-41)"),
    "found": ("Retrouvé au dossier par curl (ITI-18)", "Found in the dossier by curl (ITI-18)"),
    "fetched": ("Repris par curl (ITI-43), même empreinte", "Fetched by curl (ITI-43), same hash"),
    "shown": ("Le Parc le montre comme déjà au dossier", "Parc shows it as already in the dossier"),
    "application-submitted": ("L'application RIS envoie à son tour", "The RIS application sends in turn"),
    "application-read": ("Sa lettre lue en IMAP par curl", "Its letter read over IMAP by curl"),
    "seal": ("Scellée par l'établissement, contrôlée par openssl", "Sealed by the establishment"),
    "page": ("La radiologue ouvre sa page par curl et y voit où est sa lettre", "Her page shows where her letter is"),
}
"""Every step, in the order of the play."""


@dataclass
class Play:
    company: Company
    show: Callable[[str], None]
    language: str = "fr"
    steps: list[Step] = field(default_factory=list)

    @property
    def stage(self) -> Stage:
        return self.company.stage

    def step(self, name: str, look: Callable[[], str]) -> None:
        """Looks once; what was not seen is recorded and the play goes on."""
        try:
            step = Step(name, True, look())
        except (Unseen, ServerTrouble) as trouble:
            step = Step(name, False, str(trouble))
        self.steps.append(step)
        title = TITLES[name][self.language != "fr"]
        self.show(f" {'✓' if step.ok else '✗'} {len(self.steps):2}. {title}")
        self.show(f"       {step.evidence}")

    @property
    def ok(self) -> bool:
        return [step.name for step in self.steps if step.ok] == list(TITLES)


# --- what is played -----------------------------------------------------------------------------------------------


def play(told: Play) -> None:
    """The whole of it, in order."""
    company = told.company
    lilas, parc = (told.stage.seats[name] for name in ("lilas", "parc"))
    told.step("pki", lambda: looks.chains(company))
    told.step("directory", lambda: looks.people(told.stage))
    told.step("register", lambda: looks.register(company))
    report = looks.written(company, RADIOLOGIST, serial=1)
    _first(told, report, lilas, parc)
    _sealed(told, looks.written(company, RIS, serial=2), lilas, parc)
    told.step("page", lambda: looks.page(company, lilas, report))


def _first(told: Play, letter: Letter, lilas: Seat, parc: Seat) -> None:
    company = told.company
    told.step("submitted", lambda: looks.submitted(company, lilas, letter))
    told.step("accepted", lambda: looks.seen(company, lilas, letter.id, "accepted"))
    told.step("signed", lambda: looks.seen(company, lilas, letter.id, "signed"))
    told.step("relayed", lambda: looks.seen(company, lilas, letter.id, "relayed", times=2))
    told.step("read-surgeon", lambda: looks.read(company, parc, letter, SURGEON))
    told.step("read-secretariat", lambda: looks.read(company, parc, letter, SECRETARIAT))
    told.step("signature", lambda: looks.signature(company, letter, RADIOLOGIST.display_name))
    told.step("verified", lambda: looks.verified(company, parc, letter))
    told.step("filed", lambda: looks.seen(company, lilas, letter.id, "filed"))
    told.step("found", lambda: looks.found(company, lilas, letter))
    told.step("fetched", lambda: looks.fetched(company, lilas, letter))
    told.step("shown", lambda: looks.shown(company, parc, letter))


def _sealed(told: Play, letter: Letter, lilas: Seat, parc: Seat) -> None:
    company = told.company
    told.step("application-submitted", lambda: looks.submitted(company, lilas, letter))
    told.step("application-read", lambda: looks.read(company, parc, letter, SURGEON))
    told.step("seal", lambda: looks.signature(company, letter, OPERATORS["lilas"].organisation))


# --- from the command line ----------------------------------------------------------------------------------------


def main(folder: Path, *, keep: bool, as_json: bool, wrong_host: str | None, language: str) -> int:
    """Plays in `folder`; answers the exit code."""
    console = Console(stderr=as_json, highlight=False, soft_wrap=True)
    begun = time.monotonic()
    if stopped := stop_all(folder):
        console.print(f"({stopped} serveurs d'une représentation précédente arrêtés)")
    built = stage.build(folder, datetime.now(UTC), with_pages=True)
    company = Company(built)
    told = Play(company, lambda line: console.print(line, markup=False), language)
    try:
        company.start(wrong_host)
        console.print(f"Scène prête en {time.monotonic() - begun:.1f} s : {folder}")
        play(told)
        _tell(told, console, time.monotonic() - begun)
        if keep:
            _tell_how_to_try(told, console)
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


def code(folder: Path, login: str) -> int:
    """Prints the one-time code of an account of the demo that runs in `folder`."""
    homes = [folder / name for name, who in OPERATORS.items() if login.endswith(f"@{who.domain}")]
    if login not in pages.ROLES or not (homes[0] / "data").exists():
        known = ", ".join(pages.ROLES)
        print(f"pli demo: pas de code pour {login} dans {folder}. Après ./dev up : {known}", file=sys.stderr)
        return 2
    print(pages.code(homes[0], login, datetime.now(UTC)))
    return 0


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
             str(RADIOLOGIST.address), "--lang", told.language],
            capture_output=True, check=False,
        )  # fmt: skip
        console.print(said.stdout.decode("utf-8", "replace"), markup=False)
    console.print(f"Pièces : {looks.artefacts(told.company)} (PDF, CDA, lettres remises)")
    failed = sum(not step.ok for step in told.steps)
    verdict = "Toutes les étapes ont été vues." if told.ok else f"{failed} étapes n'ont pas été vues."
    console.print(f"{verdict} {len(told.steps)} étapes, {seconds:.1f} s.")


def _document(path: Path) -> str:
    read = cda.read(path.read_bytes())
    assert isinstance(read, Document)
    return read.unique_id


def _tell_how_to_try(told: Play, console: Console) -> None:
    """Addresses, accounts and commands, ready to be pasted."""
    built, artefacts = told.stage, looks.artefacts(told.company)
    lilas, parc = built.seats["lilas"], built.seats["parc"]
    certificate, key = lilas.dossier
    me, you = RADIOLOGIST.address, SURGEON.address
    pli = f"{Path(sys.executable).with_name('pli')} --config {lilas.config}"
    command = f"{Path(sys.executable).with_name('pli')} demo --folder {built.folder}"
    query = artefacts / "iti-18.xml"
    query.write_text(clients.query_for(_document(artefacts / f"{me.local}.xml")))
    lines = (
        "", "Tout reste en marche ; ./dev down l'arrête. Mot de passe de tous les comptes : " + PASSWORD, "",
        f"swaks --server 127.0.0.1:{lilas.ports.submission} --tls --auth PLAIN --auth-user {me} "
        f"--auth-password {PASSWORD} --from {me} --to {you} --header 'Subject: essai'",
        f"curl --ssl-reqd --cacert {built.anchors} -u {you}:{PASSWORD} 'imap://127.0.0.1:{parc.ports.imap}/INBOX;UID=1'",
        f"ldapsearch -x -H {built.directory_uri} -D {told.company.slapd.people_dn} -w {built.passwords.people} "
        f"-b {stage.SUFFIX} '(sn=BERNARD)' mail",
        f"curl --cacert {built.anchors} --cert {certificate} --key {key} -H 'Content-Type: application/soap+xml' "
        f"--data-binary @{query} {built.dossier_url}/registry",
        f"{pli} send {artefacts / f'{me.local}.xml'} --from {me} --to {you}",
        f"{pli} trace --sender {me}",
        f"{pli} queue",
        f"{pli} explain {you}",
        "",
        f"Pages : {pages.address(lilas)}, avec « 127.0.0.1 {lilas.who.hostname} » dans /etc/hosts ;",
        f"le certificat est signé par {built.anchors}. Le code du moment est donné par",
        *(f"  {command} --code {login}    ({told_of})" for login, told_of in pages.SAID.items()),
    )  # fmt: skip
    for line in lines:
        console.print(line, markup=False)

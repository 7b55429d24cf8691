"""The letters of the play, and each look at what became of them.

Promises: a look answers its evidence in one line, or raises Unseen; the eyes are gateway.demo.clients, and `pli` run
as an operator would. Does not: order the looks or tell them.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from directory.model import Entry
from dmp_bridge import cda, packing
from dmp_bridge.model import Bad, Document
from gateway.demo import clients, pages, sample, stage
from gateway.demo.cast import OPERATORS, PASSWORD, RADIOLOGIST, SECRETARIAT, SURGEON, author_of
from gateway.demo.clients import DossierAccess, Login, Unseen
from gateway.demo.running import Company
from gateway.demo.stage import Seat, Stage
from gateway.web.people import STEP_S

PATIENCE_S = 20.0

_known: dict[tuple[str, str], dict[str, Any]] = {}
"""The last trail of a letter that showed what was looked for; the next look begins with it."""


def artefacts(company: Company) -> Path:
    """Where everything that was seen is kept."""
    folder = company.stage.folder / "artefacts"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@dataclass
class Letter:
    """One letter of the play."""

    sender: Entry
    mail: Path
    document: Document
    id: str = ""
    message_id: str = ""
    delivered: dict[str, Path] = field(default_factory=dict)


# --- the letters --------------------------------------------------------------------------------------------------


def written(company: Company, sender: Entry, serial: int) -> Letter:
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
    (artefacts(company) / f"{name}.pdf").write_bytes(pdf)
    (artefacts(company) / f"{name}.xml").write_bytes(data)
    path = artefacts(company) / f"{name}.eml"
    path.write_bytes(mail)
    return Letter(sender, path, document, message_id=message_id(mail))


def message_id(mail: bytes) -> str:
    head = mail.partition(b"\r\n\r\n")[0].decode("ascii")
    line = next(line for line in head.replace("\r\n ", " ").splitlines() if line.lower().startswith("message-id:"))
    return line.partition(":")[2].strip()


# --- looks --------------------------------------------------------------------------------------------------------


def chains(company: Company) -> str:
    trust = company.stage.trust
    crls = artefacts(company) / "crls.pem"
    lists = [clients.run("openssl", "crl", "-inform", "DER", "-in", str(crl)) for crl in (trust / "crls").iterdir()]
    crls.write_bytes(b"".join(lists))
    authority = trust / "intermediates" / "authority.pem"
    shown = [seat.tls[0] for seat in company.stage.seats.values()] + [company.stage.host_tls[0]]
    for certificate in shown:
        clients.verify_chain(certificate, company.stage.anchors, authority, crls)
    return f"openssl verify -crl_check_all : {len(shown)} certificats, OK"


def people(built: Stage) -> str:
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


def register(company: Company) -> str:
    roll = artefacts(company) / "patients.csv"
    roll.write_text(stage.roll(sample.PATIENT), encoding="utf-8")
    seat = company.stage.seats["lilas"]
    said = pli(seat, "patients", "import", str(roll)).strip()
    return f"pli patients import : {said}"


def submitted(company: Company, seat: Seat, letter: Letter) -> str:
    sender = str(letter.sender.address)
    to = (SURGEON, SECRETARIAT) if letter.sender is RADIOLOGIST else (SURGEON,)
    recipients = tuple(str(entry.address) for entry in to)
    reply = clients.submit(
        seat.ports.submission, Login(sender, PASSWORD), sender, recipients, letter.mail, company.stage.anchors
    )
    trail = _trail(company, seat, "--message-id", letter.message_id)
    letter.id = str(trail["letter"])
    return f"swaks : {reply}"


def seen(company: Company, seat: Seat, letter_id: str, event: str, times: int = 1, note: str = "") -> str:
    """Waits until the node's timeline shows `event` that many times."""

    key = (str(seat.config), letter_id)

    def look() -> str | None:
        trail = _known.pop(key, None) or _trail(company, seat, letter_id)
        all_ = [step for step in trail["steps"] if step["event"] == event]
        steps = [step for step in all_ if not note or step["facts"].get("note", "") == note]
        if len(steps) >= times:
            _known[key] = trail
            facts = " ".join(f"{key}={value}" for key, value in steps[0]["facts"].items())
            return f"pli trace ({seat.who.name}) : {event}{f' ×{times}' if times > 1 else ''} {facts}".rstrip()
        if (all_ and times == 1) or all(each["state"] in ("done", "failed", "held") for each in trail["recipients"]):
            raise Unseen(f"pli trace ({seat.who.name}) : {_ends(trail)}")
        return None

    told: str = _patiently(look, f"pli trace ({seat.who.name}) never showed '{event}' for {letter_id}")
    return told


def _ends(trail: dict[str, Any]) -> str:
    """How each recipient stands."""
    return ", ".join(f"{each['mode']} {each['state']} {each['reason'] or each['note']}" for each in trail["recipients"])


def shown(company: Company, seat: Seat, letter: Letter) -> str:
    """The receiver's node looked the document up and shows it as already in the dossier."""
    return seen(company, seat, letter_at(company, seat, letter), "shown", note="already-in-dossier")


def letter_at(company: Company, seat: Seat, letter: Letter) -> str:
    return str(_trail(company, seat, "--message-id", letter.message_id)["letter"])


def read(company: Company, seat: Seat, letter: Letter, reader: Entry) -> str:
    login = Login(str(reader.address), PASSWORD)

    def look() -> int | None:
        found = clients.mailbox_search(seat.ports.imap, login, letter.message_id, company.stage.anchors)
        return found[0] if found else None

    uid = _patiently(look, f"curl found no such letter in the mailbox of {reader.address}")
    raw = clients.mailbox_read(seat.ports.imap, login, uid, company.stage.anchors)
    path = artefacts(company) / f"{letter.sender.address.local}-{reader.address.local}.eml"
    path.write_bytes(raw)
    letter.delivered[reader.address.key] = path
    return f"curl imap:// : {len(raw)} octets, {path.relative_to(company.stage.folder)}"


def signature(company: Company, letter: Letter, expected: str) -> str:
    if not letter.delivered:
        raise Unseen("no delivered letter to look at")
    for path in letter.delivered.values():
        signer = clients.verify_signature(path, company.stage.anchors, artefacts(company)).signer
        if expected not in signer:
            raise Unseen(f"openssl saw the signer {signer}, not {expected}")
    return f"openssl cms -verify : {signer}"


def verified(company: Company, seat: Seat, letter: Letter) -> str:
    trail = _trail(company, seat, "--message-id", letter.message_id)
    verdict = trail["verdict"]
    if verdict["signature"] != "valid" or verdict["signer"] != "mailbox":
        raise Unseen(f"{seat.who.name} found {verdict}")
    return f"pli trace ({seat.who.name}) : {trail['sentence']}"


def access(company: Company, seat: Seat) -> DossierAccess:
    certificate, key = seat.dossier
    return DossierAccess(company.stage.dossier_url, stage.REPOSITORY_ID, certificate, key, company.stage.anchors)


def found(company: Company, seat: Seat, letter: Letter) -> str:
    entries = clients.dossier_find(access(company, seat), letter.document.unique_id)
    if len(entries) != 1:
        raise Unseen(f"ITI-18 answered {len(entries)} entries for one document")
    return f"curl, GetDocuments : {entries[0]}"


def fetched(company: Company, seat: Seat, letter: Letter) -> str:
    data = clients.dossier_fetch(access(company, seat), letter.document.unique_id)
    ours, theirs = (hashlib.sha256(each).hexdigest() for each in (letter.document.raw, data))
    if ours != theirs:
        raise Unseen(f"ITI-43 gave {theirs[:16]}…, sent was {ours[:16]}…")
    return f"curl, RetrieveDocumentSet : SHA-256 {theirs[:32]}…"


def page(company: Company, seat: Seat, letter: Letter) -> str:
    """The sender signs in and opens her letter: every recipient has a line."""
    jar = artefacts(company) / "cookies"
    site = clients.Site(seat.who.hostname, seat.ports.pages, company.stage.anchors, jar)
    sender, before = str(letter.sender.address), datetime.now(UTC) - timedelta(seconds=STEP_S)
    # The code of the step before, so that who tries the pages next may use the one of now.
    clients.sign_in(site, Login(sender, PASSWORD), pages.code(seat.folder, sender, before))
    lines = re.findall(r"<li>([^<]*)</li>", site.curl(f"/lettres/{letter.id}"))
    jar.unlink(missing_ok=True)
    ends = [line for line in lines if "remis à l'opérateur" in line or "classé au dossier" in line]
    if len(ends) != 3:
        raise Unseen(f"curl saw no such page: {lines}")
    return f"curl {pages.address(seat)} : {len(lines)} étapes, « {ends[-1]} »"


def _patiently(look: Callable[[], Any], otherwise: str) -> Any:
    until = time.monotonic() + PATIENCE_S
    while True:
        seen = look()
        if seen is not None:
            return seen
        if time.monotonic() > until:
            raise Unseen(otherwise)
        time.sleep(0.1)


def _trail(company: Company, seat: Seat, *wanted: str) -> dict[str, Any]:
    """`pli trace --json`, as an operator of that node."""
    trail: dict[str, Any] = json.loads(pli(seat, "trace", "--json", *wanted).splitlines()[0])
    return trail


def pli(seat: Seat, *arguments: str) -> str:
    return clients.run(sys.executable, "-m", "gateway", "--config", str(seat.config), *arguments).decode()

"""The main job, measured: letters from submission to the other operator's mailbox and into the dossier.

Ours: a stage with two nodes, directory, mailboxes and dossier host, all on this machine; the clock runs from the first
letter's submission until every recipient at both operators is settled. The peer: the bare parts (see bare.py, which
says what they are and are not). Both carry the same letters, by turns, in several rounds; medians count.

CPU by step is what certs.meter counted in the nodes' processes (thread time, so waiting is not in it); steps nest:
`file` and `relay` hold the `sign` and `verify` that happen inside them. CPU by process is the kernel's count over the
rounds, without start-up. Nothing here is asserted anywhere.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import smtplib
import sqlite3
import ssl
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from dmp_bridge import cda, packing
from dmp_bridge.model import Document
from gateway.demo import looks, sample, stage
from gateway.demo.cast import OPERATORS, PASSWORD, RADIOLOGIST, SURGEON, author_of
from gateway.demo.processes import new_folder
from gateway.demo.running import Company, company
from gateway.demo.stage import Seat
from tests.bench import relaying
from tests.bench.bare import Bare, Files

SENDER, TO = str(RADIOLOGIST.address), str(SURGEON.address)
STEPS = ("accept", "verify", "resolve", "sign", "enqueue", "relay", "file")
UNSETTLED = "SELECT count(*) FROM recipients WHERE state IN ('queued', 'running')"
NOT_DONE = "SELECT count(*) FROM recipients WHERE state NOT IN ('queued', 'running', 'done')"


def bench(arguments: list[str]) -> dict[str, Any]:
    """Runs it and answers ratios, figures and conditions. Raises SystemExit where a letter was not delivered."""
    asked = _asked(arguments)
    folder = new_folder("pli-b-")
    try:
        _say("building the stage and starting it")
        built = stage.build(folder / "s", datetime.now(UTC))
        with company(built) as running:
            looks.register(running)
            told = _measured(running, asked)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    ratios, figures = relaying.beside_postfix(asked.relayed, asked.sessions, asked.rounds)
    told["ratios"] |= {name: round(value, 4) for name, value in ratios.items()}
    told["figures"] |= {f"beside_postfix_{name}": round(value, 2) for name, value in figures.items()}
    told["conditions"] |= relaying.conditions() | {"relayed": asked.relayed}
    told["peer"] += "; Postfix with openssl cms in a pipe (main_job), Postfix that only relays, see relaying.py"
    return told


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench main-job")
    parser.add_argument("--letters", type=int, default=60, help="per round; every third holds a document")
    parser.add_argument("--sessions", type=int, default=4, help="clients at once")
    parser.add_argument("--relayed", type=int, default=120, help="letters per round beside Postfix")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args(arguments)


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _measured(running: Company, asked: argparse.Namespace) -> dict[str, Any]:
    seats = list(running.stage.seats.values())
    with Bare(running.stage.folder, _files(running)) as peer:
        _round(running, letters(asked.letters, 0)[: asked.sessions], asked.sessions)  # nobody's first letter counts
        before = _cpu(seats)
        ours, theirs = [], []
        for number in range(1, asked.rounds + 1):
            mails = letters(asked.letters, number)
            ours.append(_rate(mails, lambda mails=mails: _round(running, mails, asked.sessions)))
            theirs.append(_rate(mails, lambda mails=mails: peer.carry(mails, asked.sessions)))
            _say(f"round {number} of {asked.rounds}: {ours[-1]:.1f} letters/s, bare parts {theirs[-1]:.1f}")
        after = _cpu(seats)
    carried = asked.letters * asked.rounds
    figures = {"letters_per_s": statistics.median(ours), "bare_letters_per_s": statistics.median(theirs)}
    figures |= {f"cpu_ms_{name}": 1000 * (after[name] - before[name]) / carried for name in sorted(after)}
    figures["cpu_ms_total"] = sum(value for name, value in figures.items() if name.startswith("cpu_ms_"))
    figures |= _by_step(running, carried + min(asked.sessions, asked.letters))
    ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
    return {
        "peer": "bare parts: smtplib, aiosmtpd, cryptography PKCS7, fsync; no custody, trust, directory or filing",
        "ratios": {"letters_per_s": round(ratio, 4)},
        "figures": {name: round(value, 2) for name, value in figures.items()},
        "conditions": _conditions(asked),
    }


def _rate(mails: Sequence[bytes], carry: Callable[[], None]) -> float:
    begun = time.monotonic()
    carry()
    return len(mails) / (time.monotonic() - begun)


def _conditions(asked: argparse.Namespace) -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "letters": asked.letters,
        "sessions": asked.sessions,
        "rounds": asked.rounds,
        "with_document": "1 in 3",
        "one_machine": "both operators, their servers and the clients share these cores",
    }


# --- the letters --------------------------------------------------------------------------------------------


def letters(count: int, number: int) -> list[bytes]:
    """Of one round: every third with a report of one page, the others a few lines."""
    return [_report(number * count + n + 100) if n % 3 == 2 else _note(number * count + n) for n in range(count)]


def _note(serial: int) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = SENDER, TO, "Rendez-vous"
    mail["Date"] = datetime.now(UTC)
    mail["Message-ID"] = f"<{serial}.{time.time_ns()}@bench.example>"
    mail.set_content("Bonjour,\n\nle rendez-vous est avancé à 9 h.\n\nBien à vous\n" * 4)
    return mail.as_bytes()


def _report(serial: int) -> bytes:
    author, at = author_of(RADIOLOGIST, OPERATORS["lilas"]), datetime.now(UTC).replace(microsecond=0)
    document = cda.read(sample.report_cda(at, sample.report_pdf(at, author=author), serial, author=author))
    assert isinstance(document, Document), document
    parcel = packing.Parcel((document,), RADIOLOGIST, (SURGEON.address,), source_id=f"{sample.ROOT}.9", nil="BENCH")
    mail = packing.pack(parcel, at)
    assert isinstance(mail, bytes), mail
    return mail


# --- ours ---------------------------------------------------------------------------------------------------


def _round(running: Company, mails: Sequence[bytes], sessions: int) -> None:
    """Submits all, each session its share, and waits until both operators have settled everything."""
    lilas, parc = running.stage.seats["lilas"], running.stage.seats["parc"]
    shares = [mails[n::sessions] for n in range(sessions)]
    clients = [threading.Thread(target=_submit, args=(lilas, running.stage.anchors, share)) for share in shares]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    while any(_count(seat, UNSETTLED) for seat in (lilas, parc)):
        time.sleep(0.02)
    if wrong := sum(_count(seat, NOT_DONE) for seat in (lilas, parc)):
        raise SystemExit(f"bench: {wrong} recipients were not served; nothing is measured")


def _submit(seat: Seat, anchors: Any, mails: Sequence[bytes]) -> None:
    with smtplib.SMTP("127.0.0.1", seat.ports.submission, local_hostname="poste.example") as client:
        client.starttls(context=ssl.create_default_context(cafile=str(anchors)))
        client.login(SENDER, PASSWORD)
        for mail in mails:
            client.sendmail(SENDER, [TO], mail)


def _count(seat: Seat, query: str) -> int:
    with closing(sqlite3.connect(f"file:{seat.folder / 'data' / 'pli.sqlite'}?mode=ro", uri=True)) as store:
        return int(store.execute(query).fetchone()[0])


def _files(running: Company) -> Files:
    lilas, parc = running.stage.seats["lilas"], running.stage.seats["parc"]
    mailbox = lilas.folder / "keys" / "mailbox"
    signer = mailbox / f"{RADIOLOGIST.address.local}.pem", mailbox / f"{RADIOLOGIST.address.local}.key"
    return Files(*signer, *parc.tls, running.stage.anchors)


# --- CPU ----------------------------------------------------------------------------------------------------


def _cpu(seats: Sequence[Seat]) -> dict[str, float]:
    """Seconds by operator and process, user and system, as the kernel counts them (proc(5) stat, fields 14, 15)."""
    return {
        f"{seat.who.name}_{file.stem}": _spent(int(file.read_text()))
        for seat in seats
        for file in (seat.folder / "run").glob("*.pid")
    }


def _spent(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _by_step(running: Company, carried: int) -> dict[str, float]:
    """Milliseconds per letter, from what each process leaves when it ends: so the nodes end here."""
    spent: Counter[str] = Counter()
    for seat in running.stage.seats.values():
        running.stop_node(seat)
        for file in (seat.folder / "run").glob("*.meter"):
            for step, total in json.loads(file.read_text())["steps"].items():
                spent[step] += total["cpu_s"]
    return {f"step_ms_{step}": 1000 * spent[step] / carried for step in STEPS}

"""The main job beside Postfix: accept, sign, relay over mutual TLS to one durable peer, a letter with a PDF of 200 kB.

Ours: a node (submission over TLS with a login, policy, directory, signature RSA-2048 through the keeper, white list,
relay). (a) `filter`: Postfix whose pipe(8) gives each letter to `openssl cms -sign` with the same key and hands it in
again by sendmail(1). (c) `relay`: Postfix that only relays. Both keep their connections to the peer
(smtp_tls_connection_reuse, smtp_connection_cache_destinations). The peer is a third Postfix, which takes a client's
certificate, writes each letter to a Maildir and syncs it; the clock runs from the first letter until all lie there. By
turns, each side in a session of its own; a ratio is ours over theirs, `cpu_of_filter` theirs over ours in CPU per
letter.
"""

from __future__ import annotations

import os
import shutil
import smtplib
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

from certs.chain import identity
from gateway.demo import stage
from gateway.demo.cast import LILAS, PARC, PASSWORD, RADIOLOGIST, SURGEON
from gateway.demo.postfix import Postfix
from gateway.demo.processes import Process, account, free_port, give, new_folder, place, programs
from gateway.demo.running import Company
from gateway.demo.stage import Stage
from tests.bench.doorways import _der
from tests.bench.scene import until

SENDER, TO = str(RADIOLOGIST.address), str(SURGEON.address)
PDF = 200_000
REUSE = {"smtp_tls_connection_reuse": "yes", "smtp_connection_cache_destinations": "127.0.0.1"}
RELAY = {**REUSE, "relay_domains": PARC, "virtual_mailbox_domains": "", "in_flow_delay": "0"}
TLSPROXY = "tlsproxy unix - - n - 0 tlsproxy\n"
FILTER = "cms unix - n n - 8 pipe\n  flags=Rq user=outsider argv={script} ${{sender}} ${{recipient}}\n"
SCRIPT = """\
#!/bin/sh
openssl cms -sign -signer {signer} -inkey {key} -certfile {chain} -from "$1" -to "$2" -subject Essai |
  {sendmail} -G -i -f "$1" -- "$2" || exit 75
"""


@dataclass(frozen=True)
class Side:
    name: str
    ready: Callable[[int], Callable[[], None]]
    """Opens sessions and writes so many letters; the answer sends them."""
    leader: Callable[[], int]


def beside_postfix(letters: int, sessions: int, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Ratios and figures. Raises SystemExit where a letter did not arrive."""
    folder = new_folder("pli-r-")
    try:
        with _playing(folder, sessions) as (sides, arrived):
            found = [_round(sides, arrived, letters if number else sessions, number) for number in range(rounds + 1)][
                1:
            ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures = {name: statistics.median(each[name] for each in found) for name in found[0]}
    return {
        "main_job": _median(found, "ours_per_s", "filter_per_s"),
        "main_job_of_relay_only": _median(found, "ours_per_s", "relay_per_s"),
        "cpu_of_filter": _median(found, "filter_cpu_ms", "ours_cpu_ms"),
        "cpu_of_relay_only": _median(found, "relay_cpu_ms", "ours_cpu_ms"),
    }, figures


def _median(found: list[dict[str, float]], above: str, below: str) -> float:
    return statistics.median(each[above] / each[below] for each in found)


def _round(sides: list[Side], arrived: Path, letters: int, number: int) -> dict[str, float]:
    found: dict[str, float] = {}
    for side in sides if number % 2 else reversed(sides):
        for path in arrived.glob("*"):
            path.unlink()
        send = side.ready(letters)
        before, begun = spent_s(side.leader()), time.monotonic()
        send()
        _until_arrived(arrived, letters)
        took, cpu = time.monotonic() - begun, spent_s(side.leader()) - before
        found |= {f"{side.name}_per_s": letters / took, f"{side.name}_cpu_ms": 1000 * cpu / letters}
    told = ", ".join(f"{name} {value:.1f}" for name, value in found.items())
    print(f"main job beside Postfix, round {number}: {told}", file=sys.stderr, flush=True)
    return found


def _until_arrived(arrived: Path, letters: int) -> None:
    end = time.monotonic() + 120
    while sum(1 for _ in os.scandir(arrived)) < letters:
        if time.monotonic() > end:
            raise SystemExit("bench: not every letter reached the peer; nothing is measured")
        time.sleep(0.01)


# --- who plays --------------------------------------------------------------------------------------------------


@contextmanager
def _playing(folder: Path, sessions: int) -> Iterator[tuple[list[Side], Path]]:
    built = stage.build(folder / "s", datetime.now(UTC))
    lilas, parc = built.seats["lilas"], built.seats["parc"]
    running, host = Company(built), peer(folder, built)
    plain = _postfix(folder / "c", built, host.port)
    filtering = _postfix(folder / "a", built, host.port, script=_script(folder, built))
    anchors = built.anchors
    with ExitStack() as ends:
        running.slapd.load(built.ldif)
        for start, stop in (
            (running.slapd.start, running.slapd.stop),
            (host.start, host.stop),
            (plain.start, plain.stop),
            (filtering.start, filtering.stop),
            (lambda: running.start_node(lilas), lambda: running.stop_node(lilas)),
        ):
            start()
            ends.callback(stop)
        until(lambda: (lilas.folder / "run/carrier.pid").exists(), "the carrier")
        ours = ssl.create_default_context(cafile=str(anchors))
        theirs = ssl.create_default_context(cafile=str(anchors))
        theirs.check_hostname = False
        theirs.load_cert_chain(*map(str, parc.tls))
        sides = [Side("ours", _sending(lilas.ports.submission, ours, sessions, login=True), _leader(lilas.folder))]
        for name, each in (("filter", filtering), ("relay", plain)):
            sides.append(Side(name, _sending(each.port, theirs, sessions), _leader(each.folder)))
        yield sides, host.folder / "mail/inbox/new"


def _leader(folder: Path) -> Callable[[], int]:
    return lambda: Process(folder.resolve()).pid() or 0


def peer(folder: Path, built: Stage) -> Postfix:
    lilas, parc = built.seats["lilas"], built.seats["parc"]
    takes = [identity(_der(lilas.tls[0])).fingerprint]
    (folder / "p/mail/inbox/new").mkdir(parents=True)
    for each in ("p", "p/mail", "p/mail/inbox", "p/mail/inbox/new"):
        give(folder / each, account())
    return Postfix(
        folder / "p", parc.ports.peers, free_port(), PARC, parc.who.hostname, parc.tls, built.anchors, takes=takes,
        routes={LILAS: 9}, settings={"in_flow_delay": "0"},
    )  # fmt: skip


def _postfix(folder: Path, built: Stage, to: int, script: Path | None = None) -> Postfix:
    lilas, parc = built.seats["lilas"], built.seats["parc"]
    more = {"content_filter": "cms:"} if script else {}
    return Postfix(
        folder, free_port(), free_port(), LILAS, lilas.who.hostname, lilas.tls, built.anchors,
        takes=[identity(_der(parc.tls[0])).fingerprint], routes={PARC: to}, names=[parc.who.hostname],
        settings={**RELAY, **({"export_environment": _wrapped()} if script else {})},
        services=TLSPROXY + (FILTER.format(script=script) if script else ""), smtpd=more,
    )  # fmt: skip


def _wrapped() -> str:
    """What lets sendmail and postdrop believe in the accounts of gateway.demo.postfix."""
    from gateway.demo import postfix

    return " ".join(postfix._KEPT)


def _script(folder: Path, built: Stage) -> Path:
    signer = built.seats["lilas"].folder / "keys" / "mailbox" / f"{RADIOLOGIST.address.local}.pem"
    first, mark, rest = signer.read_bytes().partition(b"-----END CERTIFICATE-----\n")
    held = {"signer": first + mark, "chain": rest, "key": signer.with_suffix(".key").read_bytes()}
    copies = {name: place(folder, f"{name}.pem", data, account()) for name, data in held.items()}
    text = SCRIPT.format(**copies, sendmail=_sendmail(folder))
    script = place(folder, "sign.sh", text.encode(), account())
    script.chmod(0o755)
    return script


def _sendmail(folder: Path) -> Path:
    """Postfix's own, out of its package: among unpacked programs another server's may bear the name."""
    debs = [programs("postconf").root.parent, Path(__file__).resolve().parents[2] / ".pli" / "debs"]
    package = next((path for each in debs for path in sorted(each.glob("postfix_*.deb"))), None)
    if package is None:
        return programs("postconf").path("sendmail")
    subprocess.run(["dpkg-deb", "-x", str(package), str(folder / "postfix")], check=True)
    return folder / "postfix/usr/sbin/sendmail"


# --- letters ----------------------------------------------------------------------------------------------------


def _sending(
    port: int, context: ssl.SSLContext, sessions: int, *, login: bool = False
) -> Callable[[int], Callable[[], None]]:
    """What makes ready to send so many letters, over sessions that stand before the clock runs."""

    def ready(letters: int) -> Callable[[], None]:
        clients = [_client(port, context, login=login) for _ in range(min(sessions, letters))]
        mails = [_mail(number) for number in range(letters)]
        return lambda: send(clients, mails)

    def send(clients: list[smtplib.SMTP], mails: list[bytes]) -> None:
        threads = [
            threading.Thread(target=_send, args=(client, mails[n :: len(clients)])) for n, client in enumerate(clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for client in clients:
            client.close()

    return ready


def _client(port: int, context: ssl.SSLContext, *, login: bool) -> smtplib.SMTP:
    client = smtplib.SMTP("127.0.0.1", port, local_hostname="poste.example", timeout=120)
    client.starttls(context=context)
    client.ehlo()
    if login:
        client.login(SENDER, PASSWORD)
    return client


def _send(client: smtplib.SMTP, mails: list[bytes]) -> None:
    for mail in mails:
        client.sendmail(SENDER, [TO], mail)


def written(octets: int) -> bytes:
    """A letter with so many octets attached, without Date and Message-ID."""
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = SENDER, TO, "Compte rendu"
    mail.set_content("Bonjour,\n\nvoici le compte rendu.\n")
    mail.add_attachment(os.urandom(octets), maintype="application", subtype="pdf", filename="compte-rendu.pdf")
    return mail.as_bytes()


_body: list[bytes] = []


def _mail(number: int) -> bytes:
    """A letter with its PDF; the attachment is made once."""
    if not _body:
        _body.append(written(PDF))
    date, name = f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S +0000}", f"{number}.{time.time_ns()}@b.example"
    return f"Date: {date}\r\nMessage-ID: <{name}>\r\n".encode() + _body[0]


# --- CPU --------------------------------------------------------------------------------------------------------


def spent_s(leader: int) -> float:
    """Seconds of user and system time of a session's processes and of the children that they have waited for: so
    those that came and went count too (proc(5) stat, fields 14 to 17)."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader:
                ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def conditions() -> dict[str, Any]:
    return {"postfix": {**RELAY, "peer": "Maildir, fsync, client certificate"}, "pdf_octets": PDF}

"""Filing, measured: from a letter in custody to a document that a dossier host has registered and gave back.

The mix, by thirds and by turns: a laboratory report (N3), an imaging report (N1 around a PDF), a discharge letter; each
letter holds one document, the N1 in an XDM archive, the others bare. Ours: the dossier courier with its spooler,
register and rules in this process, a dossier host that asks for lot signatures in one of its own, mutual TLS between
them; each document is matched, ruled, sealed, sent (ITI-41), found (ITI-18), fetched (ITI-43), compared and recorded.
Keys are in this process: what the keeper's socket costs is not in it.

The peer, by turns in the same run: the bare parts, for each document parse, read the header, canonicalise, sign with
the same RSA key, write and sync a file; no archive, no match, no rule, no network, no host. A ceiling, not a rival.

Cost by step is CPU of this process's threads (certs.meter), steps nest in `file`; ours_cpu_ms is all of this process,
host_cpu_ms the host's: on a busy machine read these, not the rates.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from certs import keys, meter
from certs.chain import TrustStore
from certs.throwaway import Pki
from directory import address
from directory.model import Entry, Kind
from dmp_bridge import cda, choices, filings, installed, packing, patients, tables
from dmp_bridge.courier import DossierCourier
from dmp_bridge.dmp import DossierClient
from dmp_bridge.hosts import Hosts
from dmp_bridge.model import Document, HostProfile, InsStatus
from dmp_bridge.norms import LotSignature, norm
from dmp_bridge.standing import Standing
from dmp_bridge.workshop import Budget
from gateway.demo import sample
from gateway.demo.processes import new_folder
from relay import spool
from relay.journal import SpoolJournal
from relay.model import BodyRef, Done, Door, DoorProof, Job, Letter, Mode, Recipient, Route, State, Verdict
from relay.pseudonym import Pseudonyms
from relay.spooler import SpoolClient, Spooler
from relay.store import bodies, migrations
from relay.store import tables as relay_tables
from relay.store.engine import reader_engine, writer_engine

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "cda" / "ExemplesCDA"
LAB, DISCHARGE = "BIO-CR-BIO_2024.01_TSH_1.xml", "LDL-SES_2022.01.xml"
TENANT, WHO = "bench", ("Imagerie médicale des Tilleuls", "1750000018")
STEPS = ("file", "open", "rules", "send", "confirm")
SENDER = Entry(address.parse("helene.leroux@tilleuls.mssante.fr"), Kind.PER, "Dr Hélène LEROUX")
TO = (address.parse("marc.petit@cabinet.mssante.fr"),)


def bench(arguments: list[str]) -> dict[str, Any]:
    """Runs it and answers ratios, figures and conditions. Raises SystemExit where a document was not filed."""
    asked = _asked(arguments)
    folder = new_folder("pli-f-")
    try:
        with _stage(folder) as scene:
            return _measured(scene, asked)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench file")
    parser.add_argument("--documents", type=int, default=60, help="per round; a third of each kind")
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--installed", type=Path, help="folder of `pli cda install`: schemas and schematrons are asked too"
    )
    return parser.parse_args(arguments)


# --- the documents --------------------------------------------------------------------------------------------------


def documents(count: int, begin: int) -> list[Document]:
    """By turns laboratory N3, imaging N1, discharge letter; each with identifiers of its own."""
    now = datetime.now(UTC).replace(microsecond=0)
    pdf = sample.report_pdf(now)
    made: list[Document] = []
    for number in range(begin, begin + count):
        kind = number % 3
        raw = sample.report_cda(now, pdf, serial=number) if kind == 1 else _anew((LAB, "", DISCHARGE)[kind], number)
        read = cda.read(raw)
        if not isinstance(read, Document):
            raise SystemExit(f"bench file: a document of the mix is refused: {read.detail}")
        made.append(read)
    return made


def _anew(name: str, number: int) -> bytes:
    """An example of ANS under identifiers that nobody used."""
    raw = (CORPUS / name).read_bytes()
    root = etree.fromstring(raw)
    old = cda.read(raw)
    assert isinstance(old, Document)
    for tag, arc in (("id", 1), ("setId", 2)):
        held = root.find(f"{{{cda.HL7}}}{tag}")
        if held is not None:
            held.attrib.pop("extension", None)
            held.set("root", f"{sample.ROOT}.9.{arc}.{number}.{time.time_ns()}"[:64])
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def packed(document: Document) -> bytes:
    """A letter with the document: in an XDM archive, or bare where it has no readable copy to put beside it."""
    letter = packing.pack(packing.Parcel((document,), SENDER, TO, "2.25.2"), document.effective_time)
    if isinstance(letter, bytes):
        return letter
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = str(SENDER.address), str(TO[0]), "Document"
    mail.set_content("Bonjour.\n")
    mail.add_attachment(document.raw, "text", "xml", filename="document.xml")
    return mail.as_bytes()


# --- the stage ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    folder: Path
    courier: DossierCourier
    signer: keys.LocalSigner
    know: Callable[[Sequence[Document]], None]
    host: int
    """Process id of the dossier host."""


@contextmanager
def _stage(folder: Path) -> Iterator[Scene]:
    now = datetime.now(UTC)
    pki = Pki.create(now)
    pki.write_trust(folder / "trust", now)
    client = pki.auth_client("passerelle", *WHO).write(folder, "client")
    server = pki.tls_server("hebergeur.test", "Hébergeur", "1750000026").write(folder, "host")
    signer = pki.seal("tilleuls.mssante.fr", *WHO).signer()
    with _host(folder, server) as (url, pid), _custody(folder) as (store, register, know):
        asked = replace(norm("regional"), lot_signature=LotSignature.SHA256)
        trust = TrustStore.load(folder / "trust")
        told = HostProfile("regional", url, "2.25.7", "2.25.2", norm=asked)
        made = DossierClient(told, *client, lambda: trust, standing=Standing(asked, signer=lambda: signer))
        ours = {"1750000018", *(each.institution_id for each in _authors())}
        engine = reader_engine(f"sqlite:///{folder / 'custody.db'}")
        courier = DossierCourier(Hosts.only(made), register, store, engine, SpoolJournal(store), frozenset(ours))
        yield Scene(folder, courier, signer, know, pid)
        made.close()


def _authors() -> list[Any]:
    found = (cda.read((CORPUS / name).read_bytes()) for name in (LAB, DISCHARGE))
    return [author for each in found if isinstance(each, Document) for author in each.authors]


@contextmanager
def _host(folder: Path, server: tuple[Path, Path]) -> Iterator[tuple[str, int]]:
    command = [sys.executable, "-m", "dmp_bridge.host", "--folder", str(folder / "dossiers"), "--port", "0"]
    command += ["--cert", str(server[0]), "--key", str(server[1]), "--trust", str(folder / "trust")]
    command += ["--repository-id", "2.25.7", "--lot-signatures"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip().rpartition(" ")[2], process.pid
        finally:
            process.terminate()


@contextmanager
def _custody(folder: Path) -> Iterator[tuple[SpoolClient, patients.Register, Callable[..., None]]]:
    url, private, names = f"sqlite:///{folder / 'custody.db'}", X25519PrivateKey.generate(), Pseudonyms(b"k" * 32)
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    migrations.upgrade(url, (relay_tables.metadata, tables.metadata))
    writes = {**spool.WRITES, **patients.WRITES, **filings.WRITES, **choices.WRITES}
    spooler = Spooler(writer_engine(url), folder / "spool", writes, lambda: datetime.now(UTC))
    stop = threading.Event()
    thread = threading.Thread(target=spooler.serve, args=(stop,))
    thread.start()
    spooler.ready.wait(10)
    store = SpoolClient(folder / "spool")

    def unseal(blob: bytes) -> bytes:
        return bodies.open_bytes(blob, lambda wrapped: keys.unwrap_key(private, wrapped))

    def know(found: Sequence[Document]) -> None:
        """The patients of these documents are in the register, qualified."""
        held = [replace(each.patient, ins_status=InsStatus.QUALIFIED, local_ids=()) for each in found]
        patients.put(store, TENANT, held, names, lambda data: bodies.seal_bytes(public, data))

    try:
        yield store, patients.Register(reader_engine(url), names, unseal), know
    finally:
        stop.set()
        thread.join(10)


# --- the rounds -----------------------------------------------------------------------------------------------------


def _measured(scene: Scene, asked: argparse.Namespace) -> dict[str, Any]:
    first = documents(asked.threads * 3, 0)
    scene.know(first)
    _ours(scene.courier, [_job(packed(each), 0) for each in first], asked.threads)  # nobody's first letter counts
    begun, before = 1000, meter.totals()
    ours, theirs, checked = [], [], []
    spent = dict.fromkeys(("ours_cpu_ms", "host_cpu_ms", "bare_cpu_ms"), 0.0)
    for _ in range(asked.rounds):
        made = documents(asked.documents, begun)
        jobs = [_job(packed(each), number) for number, each in enumerate(made)]
        at = (time.process_time(), _cpu(scene.host))
        ours.append(_ours(scene.courier, jobs, asked.threads))
        then = (time.process_time(), _cpu(scene.host))
        theirs.append(_bare(scene, made, asked.threads))
        spent["ours_cpu_ms"] += then[0] - at[0]
        spent["host_cpu_ms"] += then[1] - at[1]
        spent["bare_cpu_ms"] += time.process_time() - then[0]
        begun += asked.documents
    count = asked.rounds * asked.documents
    steps = _by_step(before, count) | {name: 1000 * seconds / count for name, seconds in spent.items()}
    if asked.installed:
        courier = replace(scene.courier, schema=installed.Checker(asked.installed, Budget()))
        made = documents(asked.documents, begun + 10_000)
        checked = [_ours(courier, [_job(packed(each), 0) for each in made], asked.threads)]
    figures = {"documents_per_s": statistics.median(ours), "bare_documents_per_s": statistics.median(theirs), **steps}
    figures |= {"documents_per_s_checked": statistics.median(checked)} if checked else {}
    return {
        "peer": "the bare parts: parse, header, C14N, RSA, fsync; no archive, rule, network or host",
        "ratios": {"of_bare_parts": statistics.median(our / their for our, their in zip(ours, theirs, strict=True))},
        "figures": {name: round(value, 3) for name, value in figures.items()},
        "conditions": _conditions(asked, scene),
    }


def _cpu(pid: int) -> float:
    """Seconds that a process has used, by the kernel's count."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _ours(courier: DossierCourier, jobs: Sequence[Job], threads: int) -> float:
    """Documents a second."""
    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        outcomes = list(pool.map(courier.deliver, jobs))
    spent = time.perf_counter() - began
    wrong = [each["r"] for each in outcomes if not isinstance(each["r"], Done) or each["r"].note != "filed"]
    if wrong:
        raise SystemExit(f"bench file: not filed: {wrong[0]}")
    return len(jobs) / spent


def _job(raw: bytes, number: int) -> Job:
    name = hashlib.sha256(raw).hexdigest()[:26]
    given: dict[str, Any] = {"trace": "", "verdict": Verdict(), "proof": DoorProof(), "received_at": datetime.now(UTC)}
    letter = Letter(
        name, TENANT, Door.SUBMISSION, str(SENDER.address), f"<{number}@x>", BodyRef("b", len(raw), ""), **given
    )
    route = Route(Mode.DOSSIER, "regional", "candidates.xdm")
    return Job(letter, (Recipient("r", name, TENANT, "dossier:regional", route, State.RUNNING),), lambda: raw, 1)


def _bare(scene: Scene, made: Sequence[Document], threads: int) -> float:
    folder = Path(scene.folder) / "bare"
    folder.mkdir(exist_ok=True)

    def one(document: Document) -> None:
        tree = etree.fromstring(document.raw).getroottree()
        if not isinstance(cda.read(document.raw), Document):
            raise SystemExit("bench file: the bare parts read nothing")
        form = etree.tostring(tree, method="c14n", with_comments=True)
        value = scene.signer.sign_digest(hashlib.sha256(form).digest(), "sha256")
        with (folder / document.unique_id[-40:]).open("wb") as file:
            file.write(document.raw + value)
            file.flush()
            os.fsync(file.fileno())

    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, made))
    return len(made) / (time.perf_counter() - began)


def _by_step(before: dict[str, Any], count: int) -> dict[str, float]:
    """CPU milliseconds a document, by step."""
    after = meter.totals()
    spent = {step: after[step][1] - before.get(step, (0, 0.0))[1] for step in STEPS if step in after}
    return {f"{step}_cpu_ms": 1000 * seconds / count for step, seconds in spent.items()}


def _conditions(asked: argparse.Namespace, scene: Scene) -> dict[str, Any]:
    sizes = [len(each.raw) for each in documents(3, 0)]
    return {
        "machine": f"{os.cpu_count()} x {platform.machine()}, Python {platform.python_version()}",
        "mix": f"thirds: {LAB}, imaging N1, {DISCHARGE}; {sizes} bytes",
        "documents": asked.documents,
        "threads": asked.threads,
        "rounds": asked.rounds,
        "schematron": "on" if asked.installed else "off",
        "load": os.getloadavg()[0],
    }

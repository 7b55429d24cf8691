"""What proves a letter's way, gathered: for the screen, and as files that anybody checks with openssl alone.

Promises: each row of the journal that is exported is a file whose SHA-256 is the hash that the row after it names, up
to the head that the establishment sealed (a CMS signature); evidence of trust is a file whose digest stands in such a
row. Does not: export a letter's content, an address or a key; judge (CHECK.md says how others do).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway import app, records
from gateway.config import Settings
from relay import entry, evidence, heads, spool
from relay.evidence import Dating, Line
from relay.heads import SealedHeads
from relay.model import Letter

HANDED_OVER = ("relayed", "delivered", "filed", "shown")
_CHECK = """\
# What this folder proves, checked with openssl alone

Letter {letter}, node {node}. Each file chain/CHAIN/NUMBER.json is one row of the node's journal, byte for byte as
it was hashed. Rows name letters and recipients by ids, and people by pseudonyms.

1. The seal: the establishment said at the moment in heads/*.json which row was the last, and what its hash is.

       openssl cms -verify -binary -inform DER -in heads/NAME.p7s -content heads/NAME.json \\
         -CAfile ANCHORS.pem -purpose any -out /dev/null

   ANCHORS.pem are the roots that you trust; those that this node trusts lie in anchors.pem.
2. The sealed row: this prints the hash in heads/NAME.json.

       openssl dgst -sha256 chain/CHAIN/NUMBER.json

3. Each row before it: the digest of row N is the value "previous" in row N+1; so down to the rows of this letter, which
   evidence.json lists. Nothing could be changed, put in or taken out after the moment of the seal.
4. The trust decision: the row "verified" has in "facts" the digest "evidence", which this prints:

       openssl dgst -sha256 trust.json

   trust.json says, for each signer: the chain (SHA-256 of each certificate), and the CRLs (number, digest) and OCSP
   answers that were consulted.
"""


class NoEvidence(Exception):
    """The text is for the operator."""


@dataclass(frozen=True)
class Proof:
    """All that the node holds about one letter's way."""

    letter: Letter
    lines: tuple[Line, ...]
    datings: tuple[Dating, ...]
    faults: tuple[str, ...]
    """Sealed heads that are not believed."""


def gathered(settings: Settings, letter_id: str) -> Proof:
    """Raises NoEvidence for a letter that is not here."""
    reader, tenant = app.reader(settings.database_url), settings.node.tenant
    held = spool.letter(reader, tenant, letter_id)
    if held is None:
        raise NoEvidence("no letter of this node has this id (pli trace finds it)")
    sealed, faults = heads.read(records.folder(settings), app.trust(settings)())
    found = evidence.lines(reader, tenant, letter_id)
    return Proof(held[0], tuple(found), tuple(evidence.datings(found, sealed)), tuple(faults))


def as_json(proof: Proof) -> dict[str, Any]:
    letter, rows = proof.letter, [_row(each) for each in proof.lines]
    return {
        "letter": letter.id,
        "received_at": letter.received_at.isoformat(timespec="seconds"),
        "body": {"size": letter.body.size, "keyed_digest": letter.body.digest},
        "accepted": [each for each in rows if each["event"] == "accepted"],
        "trust": list(letter.verdict.evidence),
        "handed_over": [each for each in rows if each["event"] in HANDED_OVER],
        "rows": rows,
        "dated": [_dated(each) for each in proof.datings],
        "faults": list(proof.faults),
    }


def _row(line: Line) -> dict[str, Any]:
    at = line.at.isoformat(timespec="seconds")
    told = {"chain": line.chain, "number": line.number, "at": at, "event": line.event, "hash": line.hash}
    return told | {"recipient": line.recipient, "facts": line.facts}


def _dated(dating: Dating) -> dict[str, Any]:
    if dating.sealed is None:
        return {"chain": dating.chain, "row": dating.last, "sealed_at": "", "head": None}
    at = dating.sealed.at.isoformat(timespec="seconds")
    return {"chain": dating.chain, "row": dating.last, "sealed_at": at, "head": dating.until}


def export(settings: Settings, proof: Proof, folder: Path) -> None:
    """The files of CHECK.md into a new or empty folder. Raises NoEvidence, OSError."""
    if folder.exists() and any(folder.iterdir()):
        raise NoEvidence(f"{folder} holds something: name a new folder")
    if all(each.sealed is None for each in proof.datings):
        raise NoEvidence("no head was sealed since: pli journal seal, then again")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _put(folder / "evidence.json", json.dumps(as_json(proof), indent=1, ensure_ascii=False).encode())
    if proof.letter.verdict.evidence:
        _put(folder / "trust.json", entry.evidence_bytes(proof.letter.verdict))
    for dating in proof.datings:
        _chain(settings, proof, dating, folder)
    _anchors(settings, folder / "anchors.pem")
    text = _CHECK.format(letter=proof.letter.id, node=settings.node.name)
    _put(folder / "CHECK.md", text.encode())


def _chain(settings: Settings, proof: Proof, dating: Dating, folder: Path) -> None:
    first = min(each.number for each in proof.lines if each.chain == dating.chain)
    for line in evidence.links(app.reader(settings.database_url), dating.chain, first, dating.until):
        _put(folder / "chain" / dating.chain / f"{line.number}.json", line.content)
    if dating.sealed is not None:
        _heads(records.folder(settings), dating.sealed, folder / "heads")


def _heads(kept: Path, sealed: SealedHeads, folder: Path) -> None:
    path = heads.place(kept, sealed.at)
    folder.mkdir(mode=0o700, exist_ok=True)
    for each in (path, path.with_suffix(".p7s")):
        shutil.copyfile(each, folder / each.name)


def _anchors(settings: Settings, path: Path) -> None:
    files: Sequence[Path] = sorted((settings.trust.folder / "anchors").glob("*.pem"))
    _put(path, b"".join(each.read_bytes() for each in files))


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(data)

"""Heads of the journal's chains, sealed by the establishment and kept elsewhere: by them a tail that was cut shows.

Promises: a sealed head is two files, written whole: what it says (JSON), and a detached CMS signature that any tool
verifies; one that is not believed is a fault of its own, never left out in silence. Does not: hold the key (a signer
is handed over), choose where heads are kept, or walk the chains (relay.journal does).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from certs import cms, disk, profiles
from certs.chain import TrustStore
from certs.keys import Signer
from certs.model import Trusted
from relay.journal import Head

SIZE_MOST = 1024 * 1024


@dataclass(frozen=True)
class SealedHeads:
    """What the node said of its journal at one moment."""

    node: str
    at: datetime
    heads: Mapping[str, Head]


def write(folder: Path, node: str, heads: Mapping[str, Head], signer: Signer, at: datetime) -> Path:
    """Seals the heads into `folder`; answers the JSON file, beside which the signature lies as .p7s.

    Raises OSError, and what the signer raises (KeeperDown).
    """
    content = _content(node, heads, at)
    signature = cms.sign(content, signer, at)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = place(folder, at)
    # The signature first: a JSON file without one would be a fault.
    disk.put(path.with_suffix(".p7s"), signature, disk.PUBLIC)
    disk.put(path, content, disk.PUBLIC)
    return path


def place(folder: Path, at: datetime) -> Path:
    """The file of the heads that were sealed at a moment."""
    return folder / f"heads-{at.astimezone(UTC):%Y%m%dT%H%M%SZ}.json"


def read(folder: Path, store: TrustStore) -> tuple[list[SealedHeads], list[str]]:
    """Every sealed head in `folder`, oldest first; and a sentence for each that cannot be believed."""
    found, faults = [], []
    for path in sorted(folder.glob("heads-*.json")):
        try:
            found.append(_believed(path, store))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            faults.append(f"{path.name}: {error if isinstance(error, ValueError) else type(error).__name__}")
    return found, faults


def places(sealed: list[SealedHeads]) -> dict[tuple[str, int], str]:
    """(chain, number) -> hash, for relay.journal.verify."""
    return {(chain, head.number): head.hash for each in sealed for chain, head in each.heads.items()}


def _believed(path: Path, store: TrustStore) -> SealedHeads:
    content, signature = _small(path), _small(path.with_suffix(".p7s"))
    told = json.loads(content)
    at = datetime.fromisoformat(told["at"])
    if at.tzinfo is None:
        raise ValueError("the moment has no time zone")
    proof = cms.verify(signature, content, store, profiles.SEAL, at)
    if not isinstance(proof.trust, Trusted):
        raise ValueError(f"the seal is not believed: {proof.trust.fault.value}")
    heads = {chain: Head(int(head["number"]), str(head["hash"])) for chain, head in told["heads"].items()}
    return SealedHeads(str(told["node"]), at, heads)


def _content(node: str, heads: Mapping[str, Head], at: datetime) -> bytes:
    shown = {chain: {"number": head.number, "hash": head.hash} for chain, head in sorted(heads.items())}
    told = {"node": node, "at": at.astimezone(UTC).isoformat(timespec="seconds"), "heads": shown}
    return (json.dumps(told, indent=1) + "\n").encode()


def _small(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(SIZE_MOST + 1)
    if len(data) > SIZE_MOST:
        raise ValueError("larger than any sealed head")
    return data

"""In whose name a host is asked: the assertion in each request's header, and the seal over each lot.

Promises: what the host's norm asks for is made with the establishment's seal, through whoever holds its key; the same
lot is sealed for the same moment at every attempt. Does not: decide what a norm asks (norms.toml does).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from certs.keys import KeeperDown, Signer
from dmp_bridge import lot_signature, vihf
from dmp_bridge.ebrim import LotSeal, Submission
from dmp_bridge.model import Document
from dmp_bridge.norms import Assertion, LotSignature, Norm
from dmp_bridge.vihf import Software, Structure


def _now() -> datetime:
    return datetime.now(UTC)


def _nobody() -> Signer | None:
    return None


@dataclass(frozen=True)
class Standing:
    norm: Norm = field(default_factory=Norm)
    structure: Structure = field(default_factory=lambda: Structure("", ""))
    software: Software = field(default_factory=Software)
    signer: Callable[[], Signer | None] = _nobody
    """Asked each time: a renewed certificate counts at once. May raise KeeperDown."""
    clock: Callable[[], datetime] = _now

    def assertion(self, patient_cx: str) -> bytes:
        """Of the indirect mode; empty where the host asks for none. Raises KeeperDown."""
        if self.norm.assertion is Assertion.NONE:
            return b""
        return vihf.indirect(self.structure, self.software, patient_cx, self.norm, self._signer(), self.clock())

    def seal(self, documents: Sequence[Document], submission: Submission) -> LotSeal | None:
        """None where the host asks for none. Raises KeeperDown."""
        if self.norm.lot_signature is LotSignature.NONE:
            return None
        signed = [lot_signature.Signed(each.unique_id, each.raw) for each in documents]
        raw = lot_signature.sign_lot(
            submission.unique_id, signed, self.norm.lot_signature, self._signer(), submission.time
        )
        # An ECDSA signature is another one each time: an id of its own content never stands for other bytes.
        number = int.from_bytes(hashlib.sha256(raw).digest()[:16], "big")
        return LotSeal(f"2.25.{number}", raw)

    def _signer(self) -> Signer:
        found = self.signer()
        if found is None:
            raise KeeperDown("the keeper holds no seal for this node's domain")
        return found

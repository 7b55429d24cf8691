"""What a white list of the real size costs: 6,500 entries, its signature and signer checked, read once."""

from __future__ import annotations

import shutil
import statistics
import time
from datetime import UTC, datetime

from certs import xml
from certs.chain import TrustStore
from certs.throwaway import Pki
from gateway.demo.processes import new_folder
from relay.partners import Listed, WhiteList, compose

ENTRIES = 6500
"""spec/operator.md §2.5: 6,494 domains, 3.7 MB."""
ROUNDS = 5
SIGNER = "alb@test.pli.invalid"
_WORDS = "Domaine d'essai d'un établissement " * 6


def figures() -> dict[str, float]:
    """Seconds of processor time of one load, and the list's size. Raises where an entry is missing."""
    folder, now = new_folder("pli-l-"), datetime.now(UTC).replace(microsecond=0)
    try:
        pki = Pki.create(now)
        pki.write_trust(folder, now)
        signer, store = pki.white_list_signer(), TrustStore.load(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    entries = [
        Listed(f"d{n}.mssante.example", f"CN=mx{n}.example,OU=1750000001,O=X,C=FR", _WORDS) for n in range(ENTRIES)
    ]
    data = xml.sign_enveloped(compose(entries, now), signer.key, (signer.der, *signer.chain))
    spent = [_load(data, store, now) for _ in range(ROUNDS)]
    return {"white_list_load_s": statistics.median(spent), "white_list_mb": len(data) / 1e6}


def _load(data: bytes, store: TrustStore, at: datetime) -> float:
    begun = time.process_time()
    read = WhiteList.load(data, store, at, None, signer=SIGNER)
    spent = time.process_time() - begun
    if not isinstance(read, WhiteList) or len(read.domains()) != ENTRIES:
        raise AssertionError(f"the list was not read whole: {read}")
    return spent

"""One process of atheris (libFuzzer) at one door: imports our packages instrumented, and keeps what fails.

Promises: an input that fails is kept (keeping) and the search goes on; only what ends the process itself (a fault of
a library in C, a time-out, memory) is libFuzzer's, who leaves the input in the corpus folder. Does not: run in the
process of pytest, for atheris changes how modules are imported.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["certs", "relay", "directory", "dmp_bridge", "gateway.doors"], enable_loader_override=False
):
    from tests.fuzz import dossier, keeping, surgery
    from tests.fuzz.doors import DOORS

LARGEST = {
    "mtom": 8192,
    "ber": 4096, "cms": 8192, "mime": 16384, "commands": 2048, "addresses": 2048,
    "zip": 20480, "metadata": 16384, "cda": 16384, "symbols": 512, "hl7": 4096, "identities": 4096,
    "finess": 8192, "ldif": 4096, "table": 4096, "extraction": 8192, "html": 4096, "letter": 12288,
}  # fmt: skip
BINARY = ("ber", "cms")
TOO_LONG_S = 120
"""For one input. By the clock of the wall, and the fuzzer runs when nobody else wants to."""


def main(arguments: list[str]) -> None:
    """NAME KEPT-FOLDER, then what libFuzzer takes."""
    name, folder, *rest = arguments
    known: set[str] = set()

    def one(data: bytes) -> None:
        how = keeping.failure(DOORS[name], data)
        if how and how not in known:
            known.add(how)
            print(f"FAILED {how} -> {keeping.kept(name, data, how, Path(folder))}", file=sys.stderr, flush=True)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        """Half of the changes keep BER in shape."""
        if random.Random(seed).random() < 0.5:
            changed = surgery.mutated(data, seed)
            if changed != data and len(changed) <= most:
                return changed
        return bytes(atheris.Mutate(data, most))

    DOORS[name](b"")  # the keys of the world are derived once, and not within the time of an input

    def mend(data: bytes, most: int, seed: int) -> bytes:
        """A zip whose content was changed has its sums made right, every other time."""
        changed = bytes(atheris.Mutate(data, most))
        return dossier.mended(changed) if random.Random(seed).random() < 0.5 else changed

    ours = dict.fromkeys(BINARY, mutate) | {"zip": mend, "extraction": mend}
    mutator = {"custom_mutator": ours[name]} if name in ours else {}
    atheris.Setup(
        [sys.argv[0], f"-max_len={LARGEST[name]}", f"-timeout={TOO_LONG_S}", "-rss_limit_mb=2048", *rest],
        one,
        **mutator,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])

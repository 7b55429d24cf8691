"""What a large CRL costs: 100,000 entries read once, then looked up; half of what is looked for is there."""

from __future__ import annotations

import random
import time

from certs import ber, serials

ENTRIES = 100_000
LOOKED_FOR = 20_000
_DATE = ber.tlv(0x17, b"261125093000Z")


def figures() -> dict[str, float]:
    """Seconds to read, microseconds of one look-up. Raises where an answer is wrong."""
    chance = random.Random(1)
    numbers = [chance.getrandbits(120) | 1 for _ in range(ENTRIES)]
    block = b"".join(ber.tlv(0x30, ber.tlv(2, serials.octets(each)), _DATE) for each in numbers)
    begun = time.perf_counter()
    held = serials.read(block).own
    load = time.perf_counter() - begun
    asked = [each ^ (at % 2) for at, each in enumerate(numbers[:LOOKED_FOR])]  # the even ones are on no list
    begun = time.perf_counter()
    found = sum(each in held for each in asked)
    lookup = (time.perf_counter() - begun) / LOOKED_FOR
    if found != LOOKED_FOR // 2 or len(held) != ENTRIES:
        raise AssertionError("a serial was not answered as it was written")
    return {"serials_load_s": round(load, 3), "serials_lookup_us": round(lookup * 1e6, 2)}

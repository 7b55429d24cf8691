"""People who search a directory at a fixed rate, in a process of their own as in a region: whoever applies a delta is
another program, and neither waits for the other's interpreter.

On its standard input stands one JSON object (uri, base, dn, password, rate); when that input ends it answers with one
JSON list: the milliseconds of each search, counted from when it was due, late or not.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from directory.feed import generator
from directory.ldap import LdapDirectory
from directory.model import Listing
from gateway.demo.servers import Slapd

PLACES = 8
"""Searches at once; those that are due beyond them wait, which counts."""


def words(number: int) -> str:
    """What people type: a name and a town, a name alone, a structure."""
    chance = random.Random(number)
    given, family = chance.choice(generator.GIVEN), chance.choice(generator.FAMILIES)
    return chance.choice(
        (f"{given} {family}", f"{family} créteil", f"{given} {family} radio", f"invente {number % 900}")
    )


@contextmanager
def searching(server: Slapd, rate: int) -> Iterator[list[float]]:
    """Within it people search; their times are in the list once it is left."""
    taken: list[float] = []
    told = {"uri": server.uri, "base": server.suffix, "dn": server.relay_dn, "password": server.passwords.relay}
    command = [sys.executable, "-m", "tests.bench.searching"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps({**told, "rate": rate}) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        yield taken
        process.stdin.close()
        taken += json.loads(process.stdout.readline())


def main() -> None:
    told = json.loads(sys.stdin.readline())
    asking = LdapDirectory(
        told["uri"], told["base"], told["dn"], told["password"], PLACES, clock=lambda: datetime.now(UTC)
    )
    asking.search(words(0))
    print("ready", flush=True)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    print(json.dumps(_at_rate(asking, told["rate"], ended)), flush=True)


def _at_rate(asking: LdapDirectory, rate: int, ended: threading.Event) -> list[float]:
    taken: list[float] = []

    def one(due: float, number: int) -> None:
        answer: Any = asking.search(words(number))
        taken.append((time.monotonic() - due) * 1000)
        assert isinstance(answer, Listing)

    with ThreadPoolExecutor(PLACES) as pool:
        begun, number = time.monotonic(), 0
        while not ended.is_set():
            due = begun + number / rate
            time.sleep(max(0.0, due - time.monotonic()))
            pool.submit(one, due, number)
            number += 1
    return taken


if __name__ == "__main__":
    main()

"""The directory's part of `./dev bench growth`: CPU time of one look-up as the directory grows.

Each size is a slapd of its own with an invented country of so many mailboxes, all of them running at once. A letter
asks for its recipient, as the doors do on the path of every letter, without the cache that would spare the question;
counted is the CPU of this process and of that slapd, over ten times as many look-ups as the other parts have letters,
since the system counts a server's in hundredths of a second. Nothing here is asserted anywhere.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from directory.address import parse
from directory.feed import generator, plan, records, sources
from directory.feed.generator import Country
from directory.feed.ledger import Ledger
from directory.ldap import LdapDirectory
from directory.ldif import record
from directory.model import Found
from directory.region import SUFFIX
from directory.slapd import Passwords
from gateway.demo.servers import Slapd, free_port

NOW = datetime(2026, 11, 25, 6, 0, tzinfo=UTC)
LETTERS = 20_000
"""Addresses among which each round draws, so that neither slapd's nor the system's pages are asked for one alone."""
TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def regions(folder: Path, sizes: Sequence[int], letters: int) -> Iterator[Callable[[int], float]]:
    """Within it the function tells the CPU milliseconds per look-up of a round at a size."""
    with ExitStack() as until:
        opened = {size: until.enter_context(_region(folder / str(size), size)) for size in sizes}
        yield lambda size: _cpu_ms(*opened[size], 10 * letters)


@contextmanager
def _region(folder: Path, size: int) -> Iterator[tuple[Slapd, list[str]]]:
    folder.mkdir(parents=True)
    addresses = planned(folder, size)
    server = Slapd(folder / "slapd", free_port(), SUFFIX, Passwords.random(), max_bytes=8 << 30)
    server.load(entries(folder / "plan"))
    server.start()
    try:
        yield server, addresses
    finally:
        server.stop()


def planned(folder: Path, size: int) -> list[str]:
    """The plan of a first load lies in the folder afterwards; some of its addresses."""
    country = Country(size)
    path = folder / generator.FILES["mssante"].format(stamp=country.stamp)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(generator.HEADERS["mssante"] + "\n")
        file.writelines(generator.mailbox_lines(country))
    plan.make(Ledger(folder / "ledger.sqlite"), sources.MSSANTE, path, folder / "plan", plan.Wish(NOW, NOW))
    keys = [change.key.split("|")[0] for change in plan.changes_of(folder / "plan") if "|" in change.key]
    return random.Random(size).sample(keys, min(LETTERS, len(keys)))


def entries(path: Path) -> Iterator[str]:
    """The entries of a plan, as slapadd takes them."""
    for change in plan.changes_of(path):
        said = change.after or {}
        values = records.attributes(sources.MSSANTE.name, change.branch, change.key, said)
        yield record(records.dn(change.branch, change.key, said, SUFFIX), values)


def _cpu_ms(server: Slapd, addresses: Sequence[str], lookups: int) -> float:
    asking = LdapDirectory(server.uri, SUFFIX, server.relay_dn, server.passwords.relay, clock=lambda: NOW)
    drawn = random.choices(addresses, k=lookups)
    asking.find(parse(drawn[0]))  # the connection
    begun, theirs = time.process_time(), _slapd_s(server)
    found = [asking.find(parse(each)) for each in drawn]
    spent = time.process_time() - begun + _slapd_s(server) - theirs
    assert all(isinstance(each, Found) for each in found), "a mailbox of the country was not found"
    return 1000 * spent / lookups


def _slapd_s(server: Slapd) -> float:
    """CPU seconds of the server so far, all threads (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{server.pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS

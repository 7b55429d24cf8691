"""What keeping and asking a regional directory costs, on a real slapd with an invented country in it.

Ours: the product's own reader, ledger, plan, apply, look-up and search. Peers: a bare loop that opens the same file and
splits its lines (`plan_of_parse`), and the bare ldapsearch library call with the filter that ours sends
(`search_of_slapd`), by turns. Memory is the planning process's own. Searches come at a fixed rate while a delta is
applied, so that waiting counts. Nothing here is asserted anywhere.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ldap

from directory import connection, names
from directory.address import parse
from directory.cache import DirectoryCache
from directory.feed import applying, generator, ledger, plan, records, sources
from directory.feed.applying import Override, Result, Target
from directory.feed.generator import Country
from directory.feed.ledger import Ledger, Taken
from directory.ldap import LdapDirectory
from directory.ldif import record
from directory.region import SUFFIX
from directory.shape import Regional
from directory.slapd import FEEDER, Passwords
from gateway.demo.processes import new_folder
from gateway.demo.servers import Slapd, free_port
from tests.bench import searching

SOURCE = sources.MSSANTE
NOW = datetime(2026, 11, 25, 6, 0, tzinfo=UTC)
DELTA_DAYS = 5
"""The country moves by one in a hundred in so many days."""


def bench(arguments: list[str]) -> dict[str, Any]:
    """Figures of directory §16 and of a look-up on the path of every letter."""
    asked = _asked(arguments)
    folder = new_folder("pli-d-")
    try:
        figures, ratios = _measured(asked, folder)
    finally:
        shutil.rmtree(folder)
    return {
        "peer": "a loop that splits the file's lines; python-ldap's search_ext_s with the same filter",
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
        "figures": {name: round(value, 3) for name, value in figures.items()},
        "conditions": {"mailboxes": asked.mailboxes, "rate": asked.rate, "python": platform.python_version()},
    }


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev bench directory")
    parser.add_argument("--mailboxes", type=int, default=600_000)
    parser.add_argument("--rate", type=int, default=100, help="searches a second while a delta is applied")
    parser.add_argument("--lookups", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _measured(asked: argparse.Namespace, folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    _say(f"an invented country of {asked.mailboxes} mailboxes")
    first, later = (_mailboxes_of(Country(asked.mailboxes, day=day), folder) for day in (0, DELTA_DAYS))
    figures: dict[str, float] = {}
    figures["plan_first_seconds"], _ = _planned(folder, first)
    _say(f"first plan: {figures['plan_first_seconds']:.1f} s; loading slapd")
    server = Slapd(folder / "slapd", free_port(), SUFFIX, Passwords.random(), max_bytes=8 << 30)
    server.load(_ldif(folder / "plan"))
    _hold(folder)
    figures["plan_seconds"], figures["plan_mb"] = _planned(folder, later)
    _say(f"plan of a delta: {figures['plan_seconds']:.1f} s, {figures['plan_mb']:.0f} MB")
    bare = statistics.median(_bare_parse(later) for _ in range(asked.rounds))
    try:
        begun = time.monotonic()
        server.start()
        asking = _relay(server)
        addresses = _some_addresses(folder)
        asking.find(parse(addresses[0]))
        figures["cold_start_seconds"] = time.monotonic() - begun
        figures |= _lookups(asking, addresses[: asked.lookups])
        ratio = _search_of_slapd(server, asking, asked.rounds)
        figures |= _under_load(server, folder, asked.rate)
    finally:
        server.stop()
    return figures, {"plan_of_parse": bare / figures["plan_seconds"], "search_of_slapd": ratio}


def _mailboxes_of(country: Country, folder: Path) -> Path:
    """Only the file of mailboxes: the others are as large again."""
    path = folder / generator.FILES["mssante"].format(stamp=country.stamp)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(generator.HEADERS["mssante"] + "\n")
        file.writelines(generator.mailbox_lines(country))
    return path


# --- planning --------------------------------------------------------------------------------------------------

_PLANNER = """
import json, sys, time
from datetime import UTC, datetime
from pathlib import Path
from directory.feed import plan, sources
from directory.feed.ledger import Ledger
folder, file = Path(sys.argv[1]), Path(sys.argv[2])
begun = time.monotonic()
now = datetime(2026, 11, 25, 6, 0, tzinfo=UTC)
plan.make(Ledger(folder / "ledger.sqlite"), sources.MSSANTE, file, folder / "plan", plan.Wish(now, now))
seconds = time.monotonic() - begun
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([seconds, int(peak) / 1024]))
"""


def _planned(folder: Path, file: Path) -> tuple[float, float]:
    """(seconds, MB at most) of a process of its own."""
    command = [sys.executable, "-c", _PLANNER, str(folder), str(file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, megabytes = json.loads(done.stdout)
    return seconds, megabytes


def _bare_parse(file: Path) -> float:
    begun = time.monotonic()
    with file.open(encoding="utf-8") as opened:
        count = sum(len(line.split("|")) for line in opened)
    assert count
    return time.monotonic() - begun


def _ldif(path: Path) -> Iterator[str]:
    for change in plan.changes_of(path):
        said = change.after or {}
        values = records.attributes(SOURCE.name, change.branch, change.key, said)
        yield record(records.dn(change.branch, change.key, said, SUFFIX), values)


def _hold(folder: Path) -> None:
    """As if the first plan had been applied: slapadd did it."""
    book, path = Ledger(folder / "ledger.sqlite"), folder / "plan"
    head = plan.head_of(path)
    with book.opened() as link:
        for change in plan.changes_of(path):
            values = tuple((change.after or {}).get(name, "") for name in plan.FIELDS[change.branch])
            ledger.hold(link, SOURCE.name, change.branch, change.key, values)
        ledger.finished(link, Taken(SOURCE.name, head.dated, head.digest, head.items, NOW.isoformat()))
        link.commit()


# --- asking ----------------------------------------------------------------------------------------------------


def _relay(server: Slapd) -> LdapDirectory:
    return LdapDirectory(server.uri, SUFFIX, server.relay_dn, server.passwords.relay, clock=lambda: NOW)


def _some_addresses(folder: Path) -> list[str]:
    """Of mailboxes that the delta leaves as they are, as good as all."""
    chance = random.Random(1)
    book = Ledger(folder / "ledger.sqlite")
    with book.opened() as link:
        keys = [
            row[0] for row in link.execute(ledger.held.select().with_only_columns(ledger.held.c.key).limit(200_000))
        ]
    chance.shuffle(keys)
    return [key.split("|")[0] for key in keys[:20_000]]


def _lookups(asking: LdapDirectory, addresses: Sequence[str]) -> dict[str, float]:
    taken = [_timed(lambda each=each: asking.find(parse(each))) for each in addresses]  # type: ignore[misc]
    remembering = DirectoryCache(asking, lambda: NOW)
    for each in addresses:
        remembering.find(parse(each))
    again = [_timed(lambda each=each: remembering.find(parse(each))) for each in addresses]  # type: ignore[misc]
    return {"resolve_ldap_p95_ms": _p95(taken), "resolve_cached_p95_ms": _p95(again)}


def _timed(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def _p95(taken: Sequence[float]) -> float:
    return statistics.quantiles(taken, n=20)[18] if len(taken) > 1 else taken[0]


def _search_of_slapd(server: Slapd, asking: LdapDirectory, rounds: int) -> float:
    """The bare call's time over ours, with the filter, base and limit that ours sends; medians of rounds."""
    link = connection.opened(server.uri, server.relay_dn, server.passwords.relay, 10.0)
    ours, bare = [], []
    for turn in range(rounds):
        words = [searching.words(turn * 100 + number) for number in range(100)]
        ours.append(_timed(lambda words=words: [asking.search(each) for each in words]))  # type: ignore[misc]
        filters = [str(Regional().search(names.words(each))) for each in words]
        bare.append(_timed(lambda filters=filters: [_bare_search(link, each) for each in filters]))  # type: ignore[misc]
    link.unbind_s()
    return statistics.median(b / o for b, o in zip(bare, ours, strict=True))


def _bare_search(link: Any, asked: str) -> list[Any]:
    rows: list[Any] = []
    try:
        number = link.search_ext(SUFFIX, ldap.SCOPE_SUBTREE, asked, sizelimit=100)
        while True:
            kind, data = link.result(number, 0, 10)
            if kind == ldap.RES_SEARCH_RESULT:
                return rows
            rows += data
    except ldap.SIZELIMIT_EXCEEDED:
        return rows


# --- searches at a fixed rate while a delta is applied -----------------------------------------------------------


def _under_load(server: Slapd, folder: Path, rate: int) -> dict[str, float]:
    target = Target(connection.opened(server.uri, f"{FEEDER},{SUFFIX}", server.passwords.feeder, 30.0), SUFFIX)
    with searching.searching(server, rate) as taken:
        begun = time.monotonic()
        report = applying.apply(
            Ledger(folder / "ledger.sqlite"),
            SOURCE,
            folder / "plan",
            target,
            NOW,
            override=Override("bench", "measured"),
        )
        seconds = time.monotonic() - begun
    _say(f"delta: {report.of(Result.DONE)} changes in {seconds:.1f} s, {len(taken)} searches meanwhile")
    return {"apply_seconds": seconds, "apply_changes": report.of(Result.DONE), "search_p95_ms": _p95(taken)}

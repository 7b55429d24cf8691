"""`./dev bench refusals`: how long and how much memory it takes to refuse each archive, document and file of the
directory's feed made to harm.

Promises: each is refused by the real readers in a process of its own; time is that of its processor, memory what the
process grew by, the bytes of the attack itself left out; the slowest and the largest are the figures. Does not: assert
anything; the tests name the rule by which each is refused.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from directory.feed.items import Source
from dmp_bridge import archive, cda, ebrim, xdm
from dmp_bridge.model import Bad, Code, Document
from gateway.demo import sample
from tests.hostile import archive_attacks, feed_attacks, xml_attacks

AT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
ROUNDS = 3
Reader = Callable[[bytes], object]


def bench(_: list[str]) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    rows = list(_measured())
    for name, ms, grown in sorted(rows, key=lambda row: -row[1]):
        print(f"{ms:8.1f} ms {grown:8.1f} MB  {name}")
    figures = {
        "refused": len(rows),
        "slowest_ms": round(max(row[1] for row in rows), 1),
        "largest_mb": round(max(row[2] for row in rows), 1),
        "median_ms": round(statistics.median(row[1] for row in rows), 2),
    }
    conditions = f"processor time, medians of {ROUNDS} rounds, a process for each; aims: 100 ms and 64 MB each"
    return {"peer": "", "ratios": {}, "figures": figures, "conditions": conditions}


def _measured() -> Iterator[tuple[str, float, float]]:
    document = cda.read(sample.report_cda(AT, sample.report_pdf(AT)))
    assert isinstance(document, Document)
    lot = ebrim.Submission("2.25.1", "2.25.2", AT, document.authors[0], Code("97", "2.25.3"))
    good = xdm.write([document], lot)
    assert isinstance(good, bytes)
    for name, (make, _) in archive_attacks.ATTACKS.items():
        yield f"zip: {name}", *_apart(xdm.read, make(good))
        yield f"zip, as a stream: {name}", *_apart(_streamed, make(good))
    for name, (make, _) in xml_attacks.ATTACKS.items():
        yield f"xml: {name}", *_apart(cda.read, make(document.raw))
    for name, (source, made, _) in feed_attacks.ATTACKS.items():
        yield f"feed, {name}", *_apart(_fed(source), made())
    for name, (read, data) in _just_within(good).items():
        yield f"just within the budgets: {name}", *_apart(read, data)


def _just_within(good: bytes) -> dict[str, tuple[Reader, bytes]]:
    """As large as is looked at, and wrong at the very end."""
    heavy = archive_attacks.beside(**{f"B{n}": os.urandom(100_000) * 110 for n in range(4)})(good)
    wrong = archive_attacks.ATTACKS["a wrong sum"][0](heavy)
    begin = b'<ClinicalDocument xmlns="urn:hl7-org:v3">'
    names = b" ".join(b'b%d=""' % number for number in range(cda.MAX_MARKUP - 100))
    return {
        "a zip of 44 MB, the last sum wrong": (xdm.read, wrong),
        "a text of 31 MB without end": (cda.read, begin + b"<a>" + b"x" * (31 << 20) + b"</a>"),
        "as many attributes as are read": (cda.read, begin + b"<a " + names + b"/></ClinicalDocument>"),
        "as many elements as are read": (cda.read, begin + b"<a/>" * (cda.MAX_MARKUP - 100)),
    }


def _streamed(data: bytes) -> object:
    """Each of its files, as a national archive is read."""
    descriptor = os.memfd_create("refusals")
    os.write(descriptor, data)
    path, read = Path(f"/proc/self/fd/{descriptor}"), 0
    try:
        for wanted in ("IHE_XDM/SUBSET01/METADATA.XML", "MORE.TXT"):
            with archive.streamed(path, lambda name, wanted=wanted: name == wanted, archive.LETTER) as opened:  # type: ignore[misc]
                read += sum(len(piece) for piece in iter(lambda: opened.read(archive.PIECE), b""))
    except archive.Refused as refused:
        return archive.refuse(str(refused))
    return read


def _fed(source: Source) -> Reader:
    return lambda data: archive.refuse(feed_attacks.made_of(source, data))


def _apart(read: Reader, data: bytes) -> tuple[float, float]:
    """Milliseconds and megabytes."""
    context = multiprocessing.get_context("fork")
    rounds = []
    for _ in range(ROUNDS):
        told = context.SimpleQueue()
        child = context.Process(target=_once, args=(read, data, told))
        child.start()
        rounds.append(told.get())
        child.join()
    return statistics.median(each[0] for each in rounds), statistics.median(each[1] for each in rounds)


def _once(read: Reader, data: bytes, told: Any) -> None:
    # What making the attacks left free in the heap is given back, or the process would not have to grow.
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, began = _status("VmRSS"), time.process_time()
    answer = read(data)
    took = time.process_time() - began
    assert isinstance(answer, Bad)
    told.put((took * 1000, max(0, _status("VmHWM") - before) / 1024))


def _status(name: str) -> int:
    """Kilobytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))

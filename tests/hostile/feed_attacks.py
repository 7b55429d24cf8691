"""Files of the directory's feed made to harm: what each is, and what is made of it.

Promises: each is small to make and large to read for whoever reads it as it lies; `made_of` answers `refused` for a
file of which nothing is taken, else the reasons of its rejected lines, or how many were taken. Does not: plan.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable

from directory.feed import sources
from directory.feed.items import Source
from directory.feed.lines import FeedError, Rejected

FINESS, LDIF, TABLE = sources.FINESS, sources.ldif({}), sources.own_table({})

_LIST = b'{"pmej":['
_RECORD = b"dn: uid=1,o=x\nmail: a.b@x.example\nmssType: ORG\no: Accueil\n"
_HEAD = b"type;adresse\n"
_HALF = {"numFinessEge": "930000001", "nomEgeCourt": "\ud800"}
_HALVED = {"informationsGeneralesPMEJ": {"numFinessPm": "1"}, "ege": [{"etatObjet": "A"}]}
_HALVED["ege"][0]["informationsGeneralesEGE"] = _HALF  # type: ignore[index]

ATTACKS: dict[str, tuple[Source, Callable[[], bytes], str]] = {
    "FINESS: a million lists within lists": (FINESS, lambda: _LIST + b"[" * 1_000_000, "refused"),
    "FINESS: a text of 70 MB": (FINESS, lambda: _LIST + b'"' + b"x" * 70_000_000, "refused"),
    "FINESS: an entity of two million lists": (FINESS, lambda: _LIST + b"[" + b"[]," * 2_000_000, "refused"),
    "FINESS: an establishment without an end": (
        FINESS,
        lambda: _LIST + b'{"informationsGeneralesPMEJ":{},"ege":[{"a":[' + b"{}," * 2_000_000,
        "refused",
    ),
    "FINESS: two megabytes of commas": (FINESS, lambda: _LIST + b"," * 2_000_000 + b"]}", "0"),
    "FINESS: two megabytes of blanks": (FINESS, lambda: b"{" + b" " * 2_000_000 + b'"pmej":[]}', "0"),
    "FINESS: a number of two million digits": (FINESS, lambda: _LIST + b"1" * 2_000_000 + b"]}", "refused"),
    "FINESS: garbage": (FINESS, lambda: _LIST + b"x" * 2_000_000, "refused"),
    "FINESS: half a character": (FINESS, lambda: json.dumps({"pmej": [_HALVED]}).encode(), "not-utf-8"),
    "LDIF: a line folded 340,000 times": (LDIF, lambda: _RECORD + b" x\n" * 340_000, "too-long"),
    "LDIF: a line folded 49,000 times": (LDIF, lambda: _RECORD + b" x\n" * 49_000, "1"),
    "LDIF: a line of 5 MB": (LDIF, lambda: _RECORD + b"o:" + b"x" * 5_000_000 + b"\n", "too-long"),
    "LDIF: 120,000 attributes": (
        LDIF,
        lambda: _RECORD + b"".join(b"a%d:\n" % number for number in range(120_000)),
        "too-long",
    ),
    "LDIF: 250,000 values": (LDIF, lambda: _RECORD + b"o:x\n" * 250_000, "too-long"),
    "LDIF: 340,000 comments": (LDIF, lambda: _RECORD + b"#x\n" * 340_000, "too-long"),
    "LDIF: a file of this machine": (LDIF, lambda: _RECORD + b"o:< file:///etc/passwd\n", "url"),
    "table: a line of 8 MB": (TABLE, lambda: _HEAD + b"x" * 8_000_000 + b"\n", "too-long"),
    "table: a quote that never closes": (TABLE, lambda: _HEAD + b'ORG;"' + b"x\n" * 3_000, "quotes"),
    "table: 60,000 separators": (TABLE, lambda: _HEAD + b";" * 60_000 + b"\n", "60000 values for 2 columns"),
    "table: a header of 60,000 columns": (TABLE, lambda: _HEAD.strip() + b";x" * 30_000 + b"\n", "0"),
}


def made_of(source: Source, data: bytes) -> str:
    try:
        rows = list(source.opened(io.BytesIO(data), source.columns, source.shape))
    except FeedError:
        return "refused"
    reasons = sorted({each.reason for each in rows if isinstance(each, Rejected)} - {"1 values for 2 columns"})
    return " ".join(reasons) or str(len(rows))

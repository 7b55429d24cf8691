"""Two doors of who reads at the pages: the HTML of a mail, and a whole letter, from its bytes to the page.

Promises: whatever goes in, what comes out is JSON, is heard again as it was told, and is a page in which nothing is
dangerous (tests.hostile.xss); what is enclosed can be looked at and taken, or has a name for why not. Does not: draw
pages of a PDF, which is pdfium's work.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

from dmp_bridge import mail_html, prose, reading, unfolding
from dmp_bridge.prose import TooLarge
from dmp_bridge.reading import Preview, Reading
from dmp_bridge.workshop import Unanswered
from gateway.web import prose_html
from tests.fuzz.dossier import sample_document
from tests.fuzz.promises import holds
from tests.hostile import xss


def html(data: bytes) -> None:
    """dmp_bridge.mail_html, prose and gateway.web.prose_html."""
    try:
        found = mail_html.read(data.decode("utf-8", "replace"))
    except TooLarge:
        return
    _shown(found)


def _shown(nodes: Any) -> None:
    heard = prose.heard(json.loads(json.dumps(prose.told(nodes))))
    holds(heard == tuple(nodes), "what is told is heard")
    page = str(prose_html.shown(heard, "image"))
    holds(xss.dangers(page) == [], "nothing in it is dangerous")
    said, words = (Counter("".join(each.split())) for each in (prose.text(heard), xss.words(page)))
    holds(not said - words, "all of it can be read")


@cache
def _work() -> Any:
    return unfolding.craft()


def letter(data: bytes) -> None:
    """dmp_bridge.unfolding, as workman asks it, and dmp_bridge.reading, which hears it."""
    found = _asked(reading._reading, {"ask": "letter"}, data)
    if not isinstance(found, Reading):
        return
    holds(found.subject.isprintable(), "a subject is one line that is seen")
    holds(not any(each.address for each in found.author if each.patient), "a patient's address is not told")
    _shown(found.formed)
    for item in found.items[:8]:
        holds(item.name.isprintable(), "a name is one line that is seen")
        taken = _asked(reading._file, {"ask": "file", "item": item.id}, data)
        holds(isinstance(taken, reading.File | Unanswered), "a file, or why not")
        if item.kind in ("document", "text"):
            seen = _asked(reading._preview, {"ask": "preview", "item": item.id}, data)
            if isinstance(seen, Preview):
                for passage in seen.passages:
                    _shown(passage.body)


def _asked(read: Any, question: dict[str, Any], data: bytes) -> Any:
    answer = _work()(question, data)
    made = answer.pop("data", b"")
    answer = json.loads(json.dumps(answer)) | ({"data": made} if made else {})
    found = reading._tried(read, answer)
    holds(found != Unanswered("broken"), "what was told can be heard")
    return found


def html_seeds() -> Iterator[bytes]:
    yield from (each.replace("{m}", "lu").encode() for each in xss.HTML.values() if len(each) < 2000)


def letter_seeds() -> Iterator[bytes]:
    for each in xss.letters("b@parc.example", sample_document().raw):
        if each.name.startswith(("line-2", "cda-")) and len(each.raw) < 20_000:
            yield each.raw

"""What the other side's people, or their server, say of a letter of ours: read out of reports as they come in the wild.

Promises: tolerant in form (RFC 3464 and 8098 as Exchange, bridges and robots write them), strict in substance: an
answer names recipients by strictly parsed addresses and a letter by Message-ID or by our own envelope id, else it says
nothing; of free text only a code is kept; reading is bounded. Does not: believe it. Who may speak for a recipient is
the intake's question, whether the letter is ours the spool's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from directory import address
from directory.model import Address
from relay.bounces import TEXT_MOST, Bounce, classify
from relay.fields import Field, Malformed, block_end, read_block
from relay.message import Message, Part
from relay.model import Word

BLOCKS_MOST = 200
BYTES_MOST = 256 * 1024
ANSWERS_MOST = 100

_MACHINE = re.compile(r"message/(?:global-)?(?:delivery-status|disposition-notification)")
_RETURNED = frozenset({"text/rfc822-headers", "message/rfc822", "message/global", "message/global-headers"})
_ID = re.compile(r"<[^<>\s]{1,990}>")
_CODE = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")
_ERROR_SUBJECT = re.compile(r"\[(\d{3})\]")
_ERROR = re.compile(r"error\b[:\s]*(\d{3})?", re.IGNORECASE)
# RFC 3464 §2.3.3
_ACTIONS = {
    "delivered": ("said-arrived", Word.ARRIVED),
    "failed": ("said-undelivered", Word.UNDELIVERED),
    "delayed": ("said-delayed", None),
}
# RFC 8098 §3.2.6.2
_DISPOSITIONS = {
    "displayed": ("said-read", Word.READ),
    "deleted": ("said-deleted", Word.DELETED),
    "dispatched": ("said-arrived", Word.ARRIVED),
    "processed": ("said-filed", Word.FILED),
}
UNFILED = ("said-unfiled", Word.UNFILED)


@dataclass(frozen=True)
class Answer:
    """What was said of some recipients of one letter."""

    event: str
    """Its name in the journal."""
    word: Word | None
    """None: nothing that lasts."""
    addresses: tuple[Address, ...]
    """Names of one recipient, as the reporter has them."""
    message_ids: tuple[str, ...]
    envelope_id: str = ""
    code: str = ""
    """A status (RFC 3463), or a bridge's code."""
    bounce: Bounce | None = None
    """Why it was not delivered, where that was said."""


def read(message: Message) -> tuple[Answer, ...]:
    """What a letter that came in says of letters of ours; mostly nothing."""
    ids = tuple(dict.fromkeys((*_returned_ids(message), *_ids(message, "In-Reply-To"), *_ids(message, "References"))))
    found = [each for part in _machine_parts(message) for each in _of_part(message, part, ids)]
    return tuple(found[:ANSWERS_MOST]) or tuple(_of_error_mail(message, ids))


# --- parts --------------------------------------------------------------------------------------------------


def _machine_parts(message: Message) -> Iterator[Part]:
    """The machine's part of a report; a server that calls it text is believed if it stands in a report."""
    in_report = message.root.type == "multipart/report"
    for part in message.parts:
        if _near(part) and (_MACHINE.fullmatch(part.type) or (in_report and part.type == "text/plain")):
            yield part


def _near(part: Part) -> bool:
    """At the top, or under a signature: not in a letter that the report encloses."""
    return part.path.count(".") <= 1


def _text(part: Part) -> bytes:
    """RFC 3464 §2.1 wants 7bit; some encode all the same."""
    try:
        data = part.decode(BYTES_MOST) if part.encoding in ("base64", "quoted-printable") else part.body
    except Malformed:
        return b""
    return re.sub(rb"\r?\n", b"\r\n", data[:BYTES_MOST])


def _blocks(part: Part) -> Iterator[dict[str, str]]:
    """Fields by name in lower case, the first of each; empty lines between, as many as there are."""
    body = _text(part).lstrip(b"\r\n")
    at = 0
    for _ in range(BLOCKS_MOST):
        if at >= len(body):
            return
        end, after = block_end(body, at, len(body))
        try:
            fields, _ = read_block(body, at, end)
        except Malformed:
            return
        named = _first_of_each(fields)
        if named:
            yield named
        at = max(after, at + 1)


def _first_of_each(fields: tuple[Field, ...]) -> dict[str, str]:
    named: dict[str, str] = {}
    for each in fields:
        named.setdefault(each.name.lower(), each.text.strip())
    return named


def _returned_ids(message: Message) -> Iterator[str]:
    """Of the original's header, which a report gives back."""
    for part in message.parts:
        if part.type in _RETURNED and _near(part):
            named = next(_blocks(part), {})
            yield from _ID.findall(named.get("message-id", ""))[:1]


def _ids(message: Message, name: str) -> Iterator[str]:
    for value in message.values(name)[:1]:
        yield from _ID.findall(value)[-1:]


# --- what is said -------------------------------------------------------------------------------------------


def _of_part(message: Message, part: Part, ids: tuple[str, ...]) -> Iterator[Answer]:
    envelope_id = ""
    for block in _blocks(part):
        envelope_id = block.get("original-envelope-id", envelope_id)[:200]
        named = tuple(dict.fromkeys(_addresses(block)))
        said = _said(message, block)
        if named and said:
            event, word, code = said
            own = _ID.findall(block.get("original-message-id", ""))[:1]
            bounce = _bounce(message, block, code) if word is Word.UNDELIVERED else None
            yield Answer(event, word, named, tuple(own) or ids, envelope_id, code, bounce)


def _bounce(message: Message, block: dict[str, str], code: str) -> Bounce | None:
    """Mon espace santé's reasons stand in the text for people (payload §1.6): the part that opens its report."""
    first = next((_text(part) for part in message.parts if part.type == "text/plain" and _near(part)), b"")
    told = classify(code, block.get("diagnostic-code", ""))
    return told or classify("", f"{message.subject}\n{first[:TEXT_MOST].decode('utf-8', 'replace')}")


def _said(message: Message, block: dict[str, str]) -> tuple[str, Word | None, str] | None:
    if "disposition" in block:
        return _disposition(message, block["disposition"])
    action = _ACTIONS.get(block.get("action", "").split(";")[0].split("(")[0].strip().lower())
    code = _CODE.search(block.get("status", ""))
    return (*action, code.group(0) if code else "") if action else None


def _disposition(message: Message, value: str) -> tuple[str, Word | None, str] | None:
    """RFC 8098 §3.2.6: 'mode/mode; type/modifier'; a bridge writes '/Error: 902^label', or puts the code in Subject
    (payload §1.8)."""
    kind, _, modifier = value.rpartition(";")[2].strip().partition("/")
    word = _DISPOSITIONS.get(re.split(r"[,\s(]", kind.strip().lower())[0])
    if word is None:
        return None
    error = _ERROR.search(modifier)
    in_subject = _ERROR_SUBJECT.search(message.subject) if word[1] is Word.FILED else None
    if error or in_subject:
        code = (error.group(1) if error else "") or (in_subject.group(1) if in_subject else "")
        return (*UNFILED, code) if word[1] is Word.FILED else None
    return (*word, "")


def _of_error_mail(message: Message, ids: tuple[str, ...]) -> Iterator[Answer]:
    """payload §1.8: a bridge that nobody asked tells its failure in a plain letter that encloses the original. Its
    author is the recipient."""
    code = _ERROR_SUBJECT.search(message.subject)
    enclosed = any(part.type == "message/rfc822" and _near(part) for part in message.parts)
    if code and enclosed and ids:
        try:
            yield Answer(*UNFILED, message.authors, ids, code=code.group(1))
        except address.BadAddress:
            return


def _addresses(block: dict[str, str]) -> Iterator[Address]:
    """RFC 3464 §2.3.1, §2.3.2: address-type ';' address; some leave the type out, or put brackets."""
    for name in ("final-recipient", "original-recipient"):
        kind, semicolon, value = block.get(name, "").partition(";")
        if not semicolon:
            kind, value = "rfc822", kind
        if kind.strip().lower() in ("rfc822", "utf-8"):
            try:
                yield address.parse(value.strip().strip("<>"))
            except address.BadAddress:
                continue

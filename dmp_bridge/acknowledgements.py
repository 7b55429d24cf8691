"""Reads what another operator's bridge answers about a filing: a disposition notification, or an error mail
(spec/payload.md §1.8).

Promises: both forms are read tolerantly, as strangers write them: either prefix of the subject, the code up to the
first '^' and never the label; what speaks of no filing is None. Does not: believe it (relay asks who may speak for the
recipient), nor file what it encloses: automatic mail never qualifies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from dmp_bridge.receipts import CODES
from relay.fields import Malformed, block_end, read_block
from relay.message import Message, Part

_ENCLOSED = "message/rfc822"
_DISPOSITION = frozenset({"message/disposition-notification", "message/global-disposition-notification"})
# '[KO Intégration système !][902] XDM/…' or '[Erreur d’intégration !][902] …' (A≠B in one page)
_SUBJECT = re.compile(r"\[(?:KO\b|Erreur\b)[^\]]{0,60}\]\s*\[\s*(\d{3})\s*\]", re.IGNORECASE)
_CODE = re.compile(r"\s*(\d{3})\s*(?:\^|\s|$)")
_MOST = 64 * 1024
KNOWN = frozenset(code for code, _ in CODES.values()) | {"906"}


class Form(StrEnum):
    NOTIFICATION = "notification"
    ERROR_MAIL = "error-mail"


@dataclass(frozen=True)
class Acknowledgement:
    """`code`: '' where the document was filed; one of 900-906, or '906' for a code that no list holds."""

    form: Form
    code: str
    original_message_id: str = ""

    @property
    def filed(self) -> bool:
        return not self.code


def read(message: Message) -> Acknowledgement | None:
    """None where the message says nothing of a filing: an ordinary letter, a reader's receipt, a delivery report."""
    part = next((each for each in message.parts if each.type in _DISPOSITION), None)
    if part is not None and message.root.type == "multipart/report":
        return _notification(message, part)
    found = _SUBJECT.search(message.subject)
    if found is None or not any(each.type == _ENCLOSED for each in message.parts):
        return None
    return Acknowledgement(Form.ERROR_MAIL, _known(found.group(1)), _in_reply_to(message))


def _notification(message: Message, part: Part) -> Acknowledgement | None:
    """RFC 8098 §3.1: 'processed' says that software took it; other dispositions are a person's, and no filing."""
    fields = _fields(part)
    action, failed, modifier = fields.get("disposition", "").partition("/error")
    if action.partition(";")[2].strip().partition("/")[0].strip() != "processed":
        return None
    original = fields.get("original-message-id", "") or _in_reply_to(message)
    if not failed and "error" not in fields:
        return Acknowledgement(Form.NOTIFICATION, "", original)
    told = modifier.lstrip(" :") or fields.get("error", "")
    code = _CODE.match(told)
    by_subject = _SUBJECT.search(message.subject)
    held = code.group(1) if code else by_subject.group(1) if by_subject else ""
    return Acknowledgement(Form.NOTIFICATION, _known(held), original)


def _fields(part: Part) -> dict[str, str]:
    """By name in lower case; Disposition in lower case too (RFC 8098 §3.2.6: case does not count)."""
    body = part.body[:_MOST]
    try:
        read_fields, _ = read_block(body, 0, block_end(body, 0, len(body))[0])
    except Malformed:
        return {}
    held = {each.name.lower(): each.text.strip() for each in read_fields}
    return {name: value if name == "original-message-id" else value.lower() for name, value in held.items()}


def _known(code: str) -> str:
    return code if code in KNOWN else "906"


def _in_reply_to(message: Message) -> str:
    return next((value.strip() for value in message.values("In-Reply-To")), "")

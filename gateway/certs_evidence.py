"""The evidence of an answer as a folder: what it stands on, so that the same question has the same answer later.

Promises: the folder is a trust folder (anchors/, intermediates/, crls/, ocsp/) with evidence.json, which holds the
moment, the rules and the answer; nothing of the letter but its digest, unless asked. What is kept is tried before it
is written: it gives the answer that was given. Does not: sign the folder (`pli certs sign` can).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from certs.model import Trusted
from gateway.certs_answer import Answer, as_json
from gateway.certs_files import Trusting, Unreadable, certificates, folder, pem

VERSION = 1
_NAME, _MESSAGE, _CONTENT, _SIGNERS = "evidence.json", "message", "content", "signers"


@dataclass(frozen=True)
class Rules:
    """What was asked beside the file."""

    at: datetime
    profile: str
    without_attributes: bool
    grace_hours: float = 0


@dataclass(frozen=True)
class Kept:
    """A folder, read again."""

    rules: Rules
    trusting: Trusting
    signers: tuple[bytes, ...]
    answer: dict[str, Any]
    file: str
    """SHA-256 of what was judged."""
    content: str
    """SHA-256 of the content beside it, or empty."""


def written(
    out: Path, rules: Rules, trusting: Trusting, signers: tuple[bytes, ...], answer: Answer,
    again: Callable[[Trusting], Answer], data: bytes, content: bytes | None, *, with_file: bool,
) -> None:  # fmt: skip
    """Writes the folder. `again` judges the same file with what would be kept. Raises Unreadable."""
    least = _least(trusting, answer)
    kept = least if as_json(again(least)) == as_json(answer) else trusting
    told = {
        "version": VERSION,
        "at": rules.at.isoformat(),
        "profile": rules.profile,
        "without_attributes": rules.without_attributes,
        "grace_hours": rules.grace_hours,
        "file": _digest(data),
        "content": "" if content is None else _digest(content),
        "answer": as_json(answer),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        _objects(out, kept, signers)
        if with_file:
            (out / _MESSAGE).write_bytes(data)
        if with_file and content is not None:
            (out / _CONTENT).write_bytes(content)
        (out / _NAME).write_text(json.dumps(told, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise Unreadable(f"{out} cannot be written: {error.strerror}") from None


def _objects(out: Path, kept: Trusting, signers: tuple[bytes, ...]) -> None:
    _each(out / "anchors", ".pem", (pem("CERTIFICATE", der) for der in kept.anchors))
    _each(out / "intermediates", ".pem", (pem("CERTIFICATE", der) for der in kept.intermediates))
    _each(out / _SIGNERS, ".pem", (pem("CERTIFICATE", der) for der in signers))
    _each(out / "crls", ".crl", kept.crls)
    _each(out / "ocsp", ".der", kept.answers)


def _each(place: Path, ending: str, objects: Iterable[bytes]) -> None:
    for data in objects:
        place.mkdir(exist_ok=True)
        (place / (_digest(data)[:32] + ending)).write_bytes(data)


def _least(trusting: Trusting, answer: Answer) -> Trusting:
    """What a trusted answer stands on; for another one everything, since anything might have said otherwise."""
    trusts = [each.proof.trust for each in answer.signed]
    known = [trust.evidence for trust in trusts if isinstance(trust, Trusted)]
    if not known or len(known) != len(trusts):
        return trusting
    chains = {der for evidence in known for der in evidence.certificates}
    consulted = {each.digest for evidence in known for each in evidence.consulted}
    return Trusting(
        tuple(der for der in trusting.anchors if der in chains),
        tuple(der for der in trusting.intermediates if der in chains),
        tuple(der for der in trusting.crls if _digest(der) in consulted),
        tuple(der for der in trusting.answers if _digest(der) in consulted),
    )


def read(place: Path) -> Kept:
    """Raises Unreadable."""
    try:
        told = json.loads((place / _NAME).read_text(encoding="utf-8"))
        at, grace = datetime.fromisoformat(told["at"]), float(told["grace_hours"])
        rules = Rules(at, told["profile"], told["without_attributes"] is True, grace)
        kept = (told["answer"], told["file"], told["content"]) if told["version"] == VERSION else ()
    except (OSError, ValueError, KeyError, TypeError):
        kept = ()
    if not kept:
        raise Unreadable(f"{place} holds no {_NAME} of this version that can be read")
    signers = certificates([str(each) for each in sorted((place / _SIGNERS).glob("*.pem"))])
    return Kept(rules, folder(place), signers, *kept)


def message(place: Path) -> str:
    """The copy of what was judged. Raises Unreadable where none was kept."""
    if not (place / _MESSAGE).is_file():
        raise Unreadable(f"{place} keeps no copy of what was judged: name the file")
    return str(place / _MESSAGE)


def content(place: Path) -> str | None:
    """The copy of the content beside it, if one was kept."""
    return str(place / _CONTENT) if (place / _CONTENT).is_file() else None


def same(kept: Kept, data: bytes, beside: bytes | None) -> bool:
    """Whether this is the very file, and content, that the evidence is about."""
    return kept.file == _digest(data) and kept.content == ("" if beside is None else _digest(beside))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

"""Publication by files: what is to be told lies in a folder, reports come back into another.

Promises: a file appears whole; a report is put away only once it was taken; a line that cannot be read, or that answers
an older wish, changes nothing. The form is ours: the official one is not public (spec/operator.md §3.4).
Does not: carry the files anywhere.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from directory.announcement import Announcement, Fate, Told, Wish, refusal

COLUMNS = ("reference", "action", "adresse", "type", "rpps", "finess", "liste_rouge", "description", "service",
           "responsable", "rang")  # fmt: skip
REPORT = ("reference", "adresse", "resultat", "motif")
"""resultat: ok, refus, or attente (again later)."""
REPORT_MOST = 64 << 20
_FATES = {"ok": Fate.DONE, "refus": Fate.NEVER, "attente": Fate.LATER}


class FileDrop:
    """`folder`/aller is written, `folder`/retour read, `folder`/lus keeps what was read."""

    def __init__(self, folder: Path, at: datetime) -> None:
        self._folder, self._at = folder, at

    def publish(self, wishes: Sequence[Wish]) -> Iterator[Told]:
        """Raises OSError."""
        sendable: list[Wish] = []
        for wish in wishes:
            if told := refusal(wish):
                yield told
            else:
                sendable.append(wish)
        if sendable:
            self._write(sendable)
        yield from (Told(wish.address, Fate.SENT, reference=wish.reference) for wish in sendable)

    def _write(self, wishes: Sequence[Wish]) -> None:
        out = io.StringIO(newline="")
        rows = csv.writer(out, delimiter=";", lineterminator="\r\n")
        rows.writerow(COLUMNS)
        rows.writerows(_row(wish) for wish in wishes)
        place = self._folder / "aller"
        place.mkdir(parents=True, exist_ok=True)
        # Several batches of one moment are several files.
        digest = hashlib.sha256(out.getvalue().encode()).hexdigest()[:8]
        path = place / f"bal-{self._at:%Y%m%dT%H%M%S%f}-{digest}.csv"
        draft = path.with_suffix(".part")
        with draft.open("w", encoding="utf-8", newline="") as file:
            file.write(out.getvalue())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def reports(self) -> Iterator[tuple[Told, ...]]:
        """Oldest first, by name. Raises OSError."""
        read = self._folder / "lus"
        for path in sorted((self._folder / "retour").glob("*.csv")):
            if path.is_symlink() or path.stat().st_size > REPORT_MOST:
                continue
            yield tuple(_answers(path.read_bytes()))
            read.mkdir(parents=True, exist_ok=True)
            path.replace(read / path.name)


def _row(wish: Wish) -> list[str]:
    said = wish.wanted or wish.published or Announcement(wish.address, "")
    action = "supprimer" if wish.wanted is None else "modifier" if wish.published else "creer"
    rank = "" if said.rank is None else str(said.rank)
    return [wish.reference, action, wish.address, said.kind, said.rpps, said.finess, "O" if said.red_list else "N",
            said.description, said.service, said.responsible, rank]  # fmt: skip


def _answers(data: bytes) -> Iterator[Told]:
    text = data.decode("utf-8-sig", "replace")
    for row in csv.DictReader(io.StringIO(text, newline=""), delimiter=";", strict=False):
        fate = _FATES.get((row.get("resultat") or "").strip().lower())
        address, reference = (row.get("adresse") or "").strip().lower(), (row.get("reference") or "").strip()
        if fate and address and reference:
            reason = "".join(sign for sign in (row.get("motif") or "").strip()[:80] if sign.isprintable())
            yield Told(address, fate, reason or ("" if fate is Fate.DONE else "said-by-report"), reference)

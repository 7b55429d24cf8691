"""The scene of the crash bench: two operators with all their servers, and what is looked at when the load is over.

Letters go from lilas, which is killed, to parc, which is not. What counts is seen from outside: the recipient's mailbox
over IMAP, the dossier host by ITI-18. `Account` is the judgement, a pure function of what was seen.
"""

from __future__ import annotations

import imaplib
import sqlite3
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dmp_bridge.model import Document
from gateway.demo import clients, looks, stage
from gateway.demo.cast import PASSWORD
from gateway.demo.running import Company, company
from gateway.demo.stage import Seat
from tests.bench.load import TO, Load

UNSETTLED = "SELECT count(*) FROM recipients WHERE state IN ('queued', 'running')"
DUE = "SELECT count(*) FROM recipients WHERE notice = 'due'"
HELD = "SELECT id FROM recipients WHERE state = 'held'"
NOT_DONE = "SELECT count(*) FROM recipients WHERE state != 'done'"
# Per Message-ID and letter kept, how many workers died over its way to the peer.
LAPSES = """
SELECT letters.message_id, letters.id, count(journal.number) FROM letters
LEFT JOIN journal ON journal.letter_id = letters.id AND journal.event IN ('lapsed', 'set-aside')
    AND journal.recipient_id IN (SELECT id FROM recipients WHERE mode = 'peer-signed')
GROUP BY letters.id
"""
LIMIT_S = 240.0


def until(look: Callable[[], Any], what: str, limit_s: float = LIMIT_S) -> Any:
    """The first true answer of `look`."""
    end = time.monotonic() + limit_s
    while not (answer := look()):
        if time.monotonic() > end:
            raise SystemExit(f"bench: not seen within {limit_s:.0f} s: {what}")
        time.sleep(0.05)
    return answer


# --- what came of it ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Account:
    """Message-IDs, each with how often: what was answered 250, kept, delivered, and why it may be there again."""

    answered: frozenset[str]
    unsure: Mapping[str, int]
    """Sent to the final dot without a 250: its sender is right to send it again, both may be kept (RFC 1047)."""
    kept: Mapping[str, int]
    lapses: Mapping[str, int]
    """Workers that died while they held it: the peer may have taken it, and the answer was lost."""
    delivered: Mapping[str, int]
    entries: Mapping[str, int]
    """Of each document whose letter was answered: entries in the dossier."""

    def figures(self) -> dict[str, int]:
        again = {name: times - 1 for name, times in self.delivered.items() if times > 1}
        resent = {name: min(more, self.kept.get(name, 1) - 1) for name, more in again.items()}
        carried = {name: min(more - resent[name], self.lapses.get(name, 0)) for name, more in again.items()}
        unasked = [n for n, times in self.kept.items() if n in self.delivered and times > 1 + self.unsure.get(n, 0)]
        return {
            "answered": len(self.answered),
            "lost": sum(1 for name in self.answered if not self.delivered.get(name)),
            "not_filed": sum(1 for times in self.entries.values() if times == 0),
            "filed_twice": sum(1 for times in self.entries.values() if times > 1),
            "documents": len(self.entries),
            "wire_duplicates": sum(again.values()),
            "wire_duplicates_sender_sent_again": sum(resent.values()),
            "wire_duplicates_carrier_died": sum(carried.values()),
            "wire_duplicates_unexplained": sum(again.values()) - sum(resent.values()) - sum(carried.values()),
            "kept_unasked": len(unasked),
        }


# --- the scene ----------------------------------------------------------------------------------------------


@dataclass
class Scene:
    """What runs, and looks at it."""

    company: Company

    @property
    def lilas(self) -> Seat:
        return self.company.stage.seats["lilas"]

    @property
    def parc(self) -> Seat:
        return self.company.stage.seats["parc"]

    def load(self, seed: str, clients: int = 4) -> Load:
        return Load(self.lilas, self.company.stage.anchors, seed, clients)

    def rows(self, seat: Seat, query: str) -> list[tuple[Any, ...]]:
        """Of the node's database as it lies on the disk, read only."""
        with closing(sqlite3.connect(f"file:{seat.folder / 'data' / 'pli.sqlite'}?mode=ro", uri=True)) as store:
            return store.execute(query).fetchall()

    def quiet(self) -> int:
        """Until both nodes have settled everything, notices too; how many were set aside for a person and released."""
        released = 0

        def waiting() -> int:
            nonlocal released
            for (recipient,) in self.rows(self.lilas, HELD):
                looks.pli(self.lilas, "recipient", "release", recipient)
                released += 1
            return sum(int(self.rows(seat, q)[0][0]) for seat in (self.lilas, self.parc) for q in (UNSETTLED, DUE))

        until(lambda: waiting() == 0, "everything settled")
        return released

    def verified(self) -> None:
        """Both stores hold."""
        for seat in (self.lilas, self.parc):
            if (said := looks.pli(seat, "verify").strip()) != "ok":
                raise SystemExit(f"bench: pli verify at {seat.who.name}: {said}")
        if wrong := self.rows(self.lilas, NOT_DONE)[0][0]:
            raise SystemExit(f"bench: {wrong} recipients are not done")

    def account(self, load: Load) -> Account:
        kept, lapses = Counter[str](), Counter[str]()
        for message_id, _, times in self.rows(self.lilas, LAPSES):
            kept[message_id] += 1
            lapses[message_id] += times
        documents = [document for document in load.answered.values() if document is not None]
        entries = {document.unique_id: len(self.entries(document)) for document in documents}
        return Account(frozenset(load.answered), load.unsure, kept, lapses, self.mailbox(), entries)

    def mailbox(self) -> Counter[str]:
        """How often each Message-ID lies in the recipient's mailbox, seen over IMAP."""
        client = imaplib.IMAP4("127.0.0.1", self.parc.ports.imap)
        client.starttls(ssl.create_default_context(cafile=str(self.company.stage.anchors)))
        client.login(TO, PASSWORD)
        with client:
            _, (count,) = client.select("INBOX", readonly=True)
            if not int(count or b"0"):
                return Counter()
            _, found = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
        heads = [each[1] for each in found if isinstance(each, tuple)]
        return Counter(head.partition(b":")[2].strip().decode("ascii") for head in heads)

    def entries(self, document: Document) -> list[str]:
        """What the dossier host has of a document (ITI-18)."""
        return clients.dossier_find(looks.access(self.company, self.lilas), document.unique_id)


@contextmanager
def scene(folder: Path, place: Callable[[Company], None] = lambda _: None) -> Iterator[Scene]:
    """A stage of its own that runs. `place`: what is done to it between building and starting."""
    built = stage.build(folder, datetime.now(UTC))
    for seat in built.seats.values():  # fetched lists change nothing here; one process less to start each time
        seat.config.write_text(seat.config.read_text().replace("[trust]\n", "[trust]\nfetch = false\n"))
    place(Company(built))
    with company(built) as running:
        looks.register(running)
        yield Scene(running)

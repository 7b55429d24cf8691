"""A regional directory over LDAP (RFC 4511), looked up and searched.

Promises: thread-safe; every trouble of the directory, even a wrong password or base, is DirectoryDown: only
a directory that really answered says NotFound. A lost connection is tried once more. A patient's address is
never sent.
Does not: write, cache, follow referrals, nor show red-listed entries in a search or a suggestion.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ldap
import structlog
from ldap.controls import SimplePagedResultsControl

from certs.model import Clock
from directory import entries, filters
from directory.connection import opened
from directory.filters import Filter
from directory.lookup import SEARCH_LIMIT
from directory.model import Address, Capabilities, DirectoryDown, Entry, Found, Listing, Lookup, NotFound, Situation
from directory.names import words
from directory.ranking import ordered, rank
from directory.shape import MAX_WORDS, Regional, Shape

SAME_ADDRESS_LIMIT = 20
_NEIGHBOURS = 100
_LOST = (ldap.SERVER_DOWN, ldap.CONNECT_ERROR, ldap.UNAVAILABLE)

_NO_PAGE = (ldap.ADMINLIMIT_EXCEEDED, ldap.UNWILLING_TO_PERFORM, ldap.UNAVAILABLE_CRITICAL_EXTENSION)
"""What a server says to an identity that may not ask for pages."""

log = structlog.get_logger("directory")


@dataclass(frozen=True)
class _Rows:
    """Raw (dn, attributes) pairs."""

    rows: Sequence[tuple[str, entries.Values]]
    truncated: bool = False


class LdapDirectory:
    """`directory.lookup.Directory` with at most `pool` connections, opened when needed.

    `bind_dn` is the relay's identity, which sees the red list. `timeout_s` bounds the connection and each
    answer. Outside this machine ldap:// is upgraded by StartTLS or not used; `ca` is the PEM file of whoever
    vouches for the server; `shape` is how it names its things.
    """

    def __init__(
        self,
        uri: str,
        base: str,
        bind_dn: str,
        password: str,
        pool: int = 4,
        timeout_s: float = 5.0,
        *,
        clock: Clock,
        ca: Path | None = None,
        shape: Shape | None = None,
    ) -> None:
        self._shape: Shape = shape or Regional()
        self._uri, self._base = uri, base
        self._bind_dn, self._password = bind_dn, password
        self._timeout_s, self._clock, self._ca = timeout_s, clock, ca
        self._slots: queue.LifoQueue[Any] = queue.LifoQueue()
        for _ in range(pool):
            self._slots.put(None)

    def find(self, address: Address) -> Lookup:
        """The mailbox with exactly this address, without case; red-listed ones too."""
        if address.is_patient:
            # Citizens are in no directory of professionals (operator §1.2), and the address is an identity.
            return NotFound()
        answer = self._ask(self._shape.mailbox(address), SAME_ADDRESS_LIMIT)
        if isinstance(answer, DirectoryDown):
            return answer
        found = self._entries(answer, address)
        return one_of(found) if found else NotFound(self._nearest(address), closed=self._closed(answer))

    def _closed(self, answer: _Rows) -> bool:
        now = self._clock()
        return any(not entries.in_force(values, now) for _, values in answer.rows)

    def search(self, text: str, limit: int = SEARCH_LIMIT) -> Listing | DirectoryDown:
        """Mailboxes which hold every word of `text` or its beginning, the nearest first (directory.ranking)."""
        asked, most = words(text)[:MAX_WORDS], min(limit, SEARCH_LIMIT)
        if not asked:
            return Listing(())
        answer = self._sought(asked, most)
        if isinstance(answer, DirectoryDown):
            return answer
        return Listing(tuple(ordered(asked, self._listed(answer))[:most]), answer.truncated)

    def _sought(self, asked: Sequence[str], most: int) -> _Rows | DirectoryDown:
        """A server stops anywhere: so first those with the whole words, then others while there is room."""
        whole, begun = self._shape.search(asked, whole=True), self._shape.search(asked)
        first = self._ask(whole, most)
        if isinstance(first, DirectoryDown) or first.truncated or whole == begun:
            return first
        then = self._ask(begun, most)
        return then if isinstance(then, DirectoryDown) else _joined(first, then, most)

    def situations(self, rpps: str) -> tuple[Situation, ...] | DirectoryDown:
        """Where this person practises now; of a directory with our schema."""
        who = filters.equal("hcIdentifier", f"{entries.ISSUER}:RPPS:{rpps}:active")
        asked = filters.every(filters.equal("objectClass", "pliSituation"), who)
        answer = self._ask(asked, SEARCH_LIMIT, entries.SITUATION)
        if isinstance(answer, DirectoryDown):
            return answer
        now = self._clock()
        current = (entries.situation(values) for _, values in answer.rows if entries.in_force(values, now))
        return tuple(sorted(current, key=lambda each: (words(each.structure), each.finess)))

    # --- reading -------------------------------------------------------------------------------------------

    def _entries(self, answer: _Rows, wanted: Address | None = None) -> list[Entry]:
        """Those that can be read and are in force."""
        now = self._clock()
        read = [
            entries.read(dn, values, self._uri, wanted) for dn, values in answer.rows if entries.in_force(values, now)
        ]
        for entry in read:
            if isinstance(entry, entries.Unreadable):
                log.warning("directory.unreadable", attribute=entry.attribute, source=self._uri)
        return [entry for entry in read if isinstance(entry, Entry)]

    def _nearest(self, address: Address) -> tuple[Entry, ...]:
        """Listed mailboxes whose address looks like this one, nearest first."""
        for asked in self._shape.near(address):
            answer = self._ask(asked, _NEIGHBOURS)
            if isinstance(answer, DirectoryDown):
                break
            if near := rank(address, self._listed(answer)):
                return tuple(near)
        return ()

    def _listed(self, answer: _Rows) -> list[Entry]:
        """Without the red list, whatever the filter let through."""
        return [entry for entry in self._entries(answer) if not entry.red_list]

    # --- asking --------------------------------------------------------------------------------------------

    def _ask(self, asked: Filter, limit: int, names: Sequence[str] = ()) -> _Rows | DirectoryDown:
        try:
            try:
                return self._once(asked, limit, names)
            except _LOST:
                # The server may have been restarted, and closed what we kept.
                return self._once(asked, limit, names, fresh=True)
        except queue.Empty:
            return self._down("every connection is busy")
        except ldap.LDAPError as trouble:
            return self._down(type(trouble).__name__)

    def _down(self, detail: str) -> DirectoryDown:
        log.warning("directory.down", detail=detail, source=self._uri)
        return DirectoryDown(detail)

    def _once(self, asked: Filter, limit: int, names: Sequence[str], fresh: bool = False) -> _Rows:
        with self._connection(fresh) as connection:
            return self._collect(connection, asked, limit, names)

    def _collect(self, connection: Any, asked: Filter, limit: int, names: Sequence[str]) -> _Rows:
        wanted = list(names or self._shape.read)
        rows = self._page_or_list(connection, asked, limit, wanted)
        return rows if names else replace(rows, rows=[(dn, self._shape.ours(values)) for dn, values in rows.rows])

    def _page_or_list(self, connection: Any, asked: Filter, limit: int, wanted: list[str]) -> _Rows:
        if self._shape.paged:
            with suppress(*_NO_PAGE):
                return self._page(connection, asked, limit, wanted)
        return self._one_by_one(connection, asked, limit, wanted)

    def _page(self, connection: Any, asked: Filter, limit: int, wanted: list[str]) -> _Rows:
        """In one piece: taking entries one by one waits for this process's lock at each, whatever else it does."""
        page = SimplePagedResultsControl(True, limit, "")
        number = connection.search_ext(
            self._base, ldap.SCOPE_SUBTREE, asked, wanted, serverctrls=[page], timeout=self._timeout_s
        )
        _, data, _, controls = connection.result3(number, 1, self._timeout_s)
        rows = [(dn, values) for dn, values in data if dn is not None]
        return _Rows(rows, any(getattr(each, "cookie", b"") for each in controls))

    def _one_by_one(self, connection: Any, asked: Filter, limit: int, wanted: list[str]) -> _Rows:
        """Of a server that ends a list with an error, by which what came before would be lost."""
        number = connection.search_ext(
            self._base, ldap.SCOPE_SUBTREE, asked, wanted, timeout=self._timeout_s, sizelimit=limit
        )
        rows: list[tuple[str, entries.Values]] = []
        try:
            while True:
                kind, data = connection.result(number, 0, self._timeout_s)
                if kind == ldap.RES_SEARCH_RESULT:
                    return _Rows(rows)
                if kind == ldap.RES_SEARCH_ENTRY:
                    rows += data
        except (ldap.SIZELIMIT_EXCEEDED, ldap.ADMINLIMIT_EXCEEDED):
            return _Rows(rows, truncated=True)

    @contextmanager
    def _connection(self, fresh: bool) -> Iterator[Any]:
        """One of the pool, for us alone, or a new one in its place; dropped if anything went wrong meanwhile."""
        kept = None
        idle = self._slots.get(timeout=self._timeout_s)
        try:
            connection = self._open() if fresh or idle is None else idle
            yield connection
            kept = connection
        finally:
            self._slots.put(kept)

    def _open(self) -> Any:
        return opened(self._uri, self._bind_dn, self._password, self._timeout_s, self._ca)


def one_of(found: Sequence[Entry]) -> Found:
    """The answer when several entries have the one address asked for, which is legal (directory §3.5).

    Entries of one holder (his places of practice) are one mailbox. With several holders nobody can tell who
    reads it: no certificate is kept, and only what all of them take.
    """
    first, *others = sorted(found, key=lambda entry: entry.provenance.dn)
    answer = Found(first, others=tuple(others))
    if not answer.several_holders:
        return answer
    shared = replace(
        first,
        certificates=(),
        capabilities=_common([entry.capabilities for entry in found]),
        red_list=any(entry.red_list for entry in found),
    )
    return replace(answer, entry=shared)


def _common(said: Sequence[Capabilities]) -> Capabilities:
    refused = any(one.smime is False for one in said)
    return Capabilities(
        xdm=all(one.xdm for one in said),
        smime=False if refused else True if all(one.smime for one in said) else None,
        mdn=all(one.mdn for one in said),
        max_bytes=min((one.max_bytes for one in said if one.max_bytes is not None), default=None),
    )


def _joined(first: _Rows, then: _Rows, most: int) -> _Rows:
    """Those of the first, then what the second has beside them."""
    rows = list(dict((*first.rows, *then.rows)).items())
    return _Rows(rows[:most], then.truncated or len(rows) > most)

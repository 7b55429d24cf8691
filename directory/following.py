"""Hears of a directory's changes, so that what is remembered of it is never long behind.

Promises: where the server offers it, each change is told as it happens (RFC 4533, refreshAndPersist, from where the
server stands now: nothing is copied); otherwise what changed is asked for by date, in pages. A connection lost is said
at once and opened again. Does not: remember entries (directory.cache does).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import ldap
import structlog
from ldap.controls import SimplePagedResultsControl
from ldap.ldapobject import SimpleLDAPObject
from ldap.syncrepl import SyncreplConsumer

from certs.model import Clock
from directory import entries, filters
from directory.cache import How

SYNC_REQUEST = "1.3.6.1.4.1.4203.1.9.1.1"
"""The control of RFC 4533 §2.2, in the root entry's supportedControl where it is offered (RFC 4512 §5.1)."""

PAGE = 500
_SKEW = timedelta(minutes=10)
"""Our clock and the server's may differ by so much."""
_NAMES = ("mail", "mssAdresse")
_MAILBOX = filters.equal("objectClass", entries.CLASS)

log = structlog.get_logger("directory")


class Listener(Protocol):
    def changed(self, names: Iterable[str]) -> None:
        """Entries with these addresses, in lower case, or entryUUIDs changed or went."""

    def heard(self, how: How) -> None:
        """Every change until now was told."""

    def lost(self) -> None:
        """Changes are not heard any more."""


class Changes(SyncreplConsumer, SimpleLDAPObject):  # type: ignore[misc]
    """One connection that tells `listener`; made by directory.connection.opened."""

    listener: Listener
    settled = False
    """All that changed since where we began has been told."""

    def syncrepl_get_cookie(self) -> str:
        return self._cookie

    def syncrepl_set_cookie(self, cookie: str) -> None:
        self._cookie = cookie

    def syncrepl_entry(self, dn: str, attributes: entries.Values, uuid: str) -> None:
        self.listener.changed([uuid, *addresses(attributes)])

    def syncrepl_delete(self, uuids: Sequence[str]) -> None:
        self.listener.changed(uuids)

    def syncrepl_present(self, uuids: Sequence[str] | None, **_: bool) -> None:
        """Nothing remembered from before is vouched for, so nothing is to be compared."""

    def syncrepl_refreshdone(self) -> None:
        self.settled = True
        self.listener.heard(How.FOLLOWED)


def addresses(values: entries.Values) -> list[str]:
    return [raw.decode("utf-8", "replace").lower() for name in _NAMES for raw in values.get(name, ())]


class Follower:
    """`opened` gives a bound connection that may read the red list, as a `Changes`."""

    def __init__(
        self, opened: Callable[[], Changes], base: str, listener: Listener, clock: Clock, poll_s: float = 30.0
    ) -> None:
        self._opened, self._base, self._listener = opened, base, listener
        self._clock, self._poll_s = clock, poll_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self.run, name="directory-changes", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns when the connection is closed."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    def run(self) -> None:
        """Until `stop`."""
        while not self._stop.is_set():
            try:
                self._once()
            except Exception as trouble:  # also a surprise, such as a password file that is just being replaced
                log.warning("directory.unheard", detail=type(trouble).__name__)
            finally:
                self._listener.lost()
            self._stop.wait(min(self._poll_s, 5.0))

    def _once(self) -> None:
        connection = self._opened()
        connection.listener = self._listener
        try:
            # What the server has told so far; without it the whole directory would be sent (RFC 4533 §1.3).
            where = standing(connection, self._base)
            if where and _offers(connection):
                self._listen(connection, where)
            else:
                self._ask_again_and_again(connection)
        finally:
            connection.unbind_ext_s()

    def _listen(self, connection: Changes, where: Sequence[str]) -> None:
        connection.syncrepl_set_cookie(f"rid=000,csn={';'.join(where)}")
        number = connection.syncrepl_search(
            self._base,
            ldap.SCOPE_SUBTREE,
            mode="refreshAndPersist",
            filterstr=_MAILBOX,
            attrlist=list(_NAMES),
        )
        while not self._stop.is_set():
            try:
                if not connection.syncrepl_poll(msgid=number, timeout=1.0):
                    return
            except ldap.TIMEOUT:
                if connection.settled:
                    self._listener.heard(How.FOLLOWED)

    def _ask_again_and_again(self, connection: Any) -> None:
        since = self._clock() - _SKEW
        while True:
            since = max(since, self._changed_since(connection, since))
            self._listener.heard(How.POLLED)
            if self._stop.wait(self._poll_s):
                return

    def _changed_since(self, connection: Any, since: datetime) -> datetime:
        """Tells them; answers when the last one changed, by the server's clock."""
        asked = filters.every(_MAILBOX, filters.since("modifyTimestamp", entries.written(since)))
        last, cookie = since, ""
        while True:
            pages = SimplePagedResultsControl(True, size=PAGE, cookie=cookie)
            wanted = [*_NAMES, "entryUUID", "modifyTimestamp"]
            number = connection.search_ext(self._base, ldap.SCOPE_SUBTREE, asked, wanted, serverctrls=[pages])
            _, rows, _, told = connection.result3(number)
            for _, values in rows:
                uuids = [raw.decode("ascii", "replace") for raw in values.get("entryUUID", ())]
                self._listener.changed([*uuids, *addresses(values)])
                last = max(last, entries.moment(values, "modifyTimestamp") or last)
            cookie = next((each.cookie for each in told if isinstance(each, SimplePagedResultsControl)), "")
            if not cookie:
                return last


def _offers(connection: Any) -> bool:
    rows = connection.search_s("", ldap.SCOPE_BASE, "(objectClass=*)", ["supportedControl"])
    return SYNC_REQUEST.encode() in rows[0][1].get("supportedControl", ())


def standing(connection: Any, base: str) -> list[str]:
    """contextCSN of the suffix: how far this server is, one for each that takes writes."""
    rows = connection.search_s(base, ldap.SCOPE_BASE, "(objectClass=*)", ["contextCSN"])
    return sorted(raw.decode("ascii", "replace") for raw in rows[0][1].get("contextCSN", ()))

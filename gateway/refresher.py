"""The refresher: CRLs and OCSP answers fetched ahead of their need, in a process of its own, outside any session.

Promises: asks only for what the certificates of paths to our anchors name: our authorities' and our own, and those
that doors and carrier left because nobody could tell their standing; one log line for each fetch, an alarm before a
list that counts here ends. Without an address to ask it idles. Does not: judge peers or letters, or hold a key.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs import fetch, refresh
from certs.cache import Cache
from certs.chain import TrustStore
from certs.crl import Crl
from certs.reach import Reach
from certs.refresh import Refresh
from certs.revocation import Question
from certs.seen import Seen
from gateway import app
from gateway.config import Settings

LOOK_S = 1.0
"""Between two looks at what doors and carrier left."""
ROUND_S = 60.0
"""Between two rounds when nothing new was left."""

_log = structlog.get_logger(__name__)


def serve(settings: Settings, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Refreshes until `stop`. A fetch that is under way then is left where it is: copies appear whole or not at all."""
    if settings.trust.fetch:
        threading.Thread(target=Refresher(settings).run, args=(stop,), daemon=True).start()
    if settings.trust.white_list_url:
        from gateway import lists

        threading.Thread(target=lists.keep_fresh, args=(settings, stop), daemon=True).start()
    ready()
    stop.wait()


class Refresher:
    """One node's."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = app.trust(settings)
        self._seen = Seen(settings.paths.run / "seen")
        self._warned: set[str] = set()
        self._refresh = Refresh(
            known=lambda: self._store().crls,
            cache=Cache(settings.revocation_cache),
            fetch=partial(fetch.fetch, reach=reach(settings), budget=fetch.Budget()),
            clock=app.clock,
            chance=random.random,
            report=_report,
        )

    def run(self, stop: threading.Event) -> None:
        waited, left = ROUND_S, frozenset[str]()
        while not stop.is_set():
            now_left = self._left()
            if waited >= ROUND_S or now_left != left:
                self._guarded_round()
                waited, left = 0.0, now_left
            stop.wait(LOOK_S)
            waited += LOOK_S

    def _left(self) -> frozenset[str]:
        return frozenset(file.name for file in self._seen.folder.glob("[!.]*.der"))

    def _guarded_round(self) -> None:
        """A surprise ends a round, not the process: the next one may find a disk with room again."""
        try:
            self.round(app.clock())
        except Exception as error:
            _log.error("refresher-surprise", error=type(error).__name__)

    def round(self, at: datetime) -> None:
        store = self._store()
        self._refresh.round(questions(store, self._certificates(store), at))
        for crl in ending(self._store(), at):
            if crl.name not in self._warned:
                self._warned.add(crl.name)
                _log.error("alarm-list-ends", list=crl.name, until=f"{crl.until:%Y-%m-%dT%H:%M:%SZ}")

    def _certificates(self, store: TrustStore) -> Iterator[Sequence[bytes]]:
        """Paths to ask about, end certificate first: our authorities', our own, and those left by others."""
        for each in store.intermediates:
            yield (each.public_bytes(Encoding.DER),)
        yield from filter(None, map(_shown, self._own()))
        yield from self._seen.paths()

    def _own(self) -> tuple[Path, ...]:
        views = self._settings.views
        dossiers = [each.dossier.certificate for each in views if each.dossier]
        return tuple(
            dict.fromkeys([self._settings.tls.certificate, *(each.tls.certificate for each in views), *dossiers])
        )


def reach(settings: Settings) -> Reach:
    places = (place.rpartition(":") for place in settings.trust.fetch_from)
    return Reach(frozenset((host.strip("[]").lower(), int(port)) for host, _, port in places))


def questions(store: TrustStore, ders: Iterator[Sequence[bytes]], at: datetime) -> tuple[Question, ...]:
    """Each certificate once, however many paths it stands on."""
    found: dict[x509.Certificate, Question] = {}
    for leaf, *above in ders:
        for asked in store.questions(leaf, above, at):
            found.setdefault(asked.certificate, asked)
    return tuple(found.values())


def ending(store: TrustStore, at: datetime) -> Iterator[Crl]:
    """The newest list of each scope, where it is over or soon will be."""
    newest: list[Crl] = []
    for crl in store.crls:
        if not crl.delta and not any(crl.issuer == each.issuer and crl.scope == each.scope for each in newest):
            newest.append(crl)
    return (crl for crl in newest if crl.until is not None and crl.until < at + refresh.SOON)


def _shown(file: Path) -> tuple[bytes, ...]:
    """Our own chain as we show it; a file that cannot be read is the doors' trouble."""
    try:
        return tuple(each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(file.read_bytes()))
    except (OSError, ValueError):
        return ()


def _report(event: str, facts: dict[str, str]) -> None:
    say = _log.error if event.startswith("alarm-") else _log.info
    say(event, **facts)

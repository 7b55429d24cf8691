"""To which host a document goes, where several stand side by side.

Promises: a document that we have begun to deposit stays with its host, and one that replaces another goes where that
one lies; any other goes to the host that its patient chose, as the choice stands at the deposit; the rest to the
host of the configuration. Each answer has the name of the rule that gave it. Does not: match patients, nor ask a host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Engine

from dmp_bridge import choices, codes, filings
from dmp_bridge.dmp import DossierClient
from dmp_bridge.model import Code, Document, Flag, Match, Matched
from dmp_bridge.patients import Register

BEGUN, REPLACES, CHOSEN, DEFAULT, ONLY = "begun-there", "replaces-there", "patient-chose", "default", "only-one"


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Hosts:
    """Clients by the name of their host; `default` is one of them."""

    clients: Mapping[str, DossierClient]
    default: str
    engine: Engine | None = None
    clock: Callable[[], datetime] = _now

    @staticmethod
    def only(client: DossierClient) -> Hosts:
        return Hosts({client.profile.name: client}, client.profile.name)

    def of(
        self, tenant: str, documents: Sequence[Document], match: Callable[[Document], Match]
    ) -> tuple[DossierClient, str]:
        """The host of one patient's documents, and the rule that chose it. `match` is asked only where it matters."""
        if len(self.clients) == 1 or self.engine is None or not documents:
            return self.clients[self.default], ONLY
        name, rule = self._chosen(self.engine, tenant, documents, match)
        # A host that was taken out of the configuration gets nothing any more.
        return (self.clients[name], rule) if name in self.clients else (self.clients[self.default], DEFAULT)

    def _chosen(
        self, engine: Engine, tenant: str, documents: Sequence[Document], match: Callable[[Document], Match]
    ) -> tuple[str, str]:
        for ids, rule in (
            ([each.unique_id for each in documents], BEGUN),
            ([each.replaces for each in documents if each.replaces], REPLACES),
        ):
            held = filings.host_of(engine, tenant, ids)
            if held:
                return held, rule
        matched = match(documents[0])
        chosen = choices.at(engine, tenant, matched.patient_id, self.clock()) if isinstance(matched, Matched) else None
        return (chosen, CHOSEN) if chosen else (self.default, DEFAULT)


class Matches:
    """Whose each document of one letter is: asked of the register once."""

    def __init__(self, register: Register, tenant: str) -> None:
        self._register, self._tenant = register, tenant
        self._held: dict[str, Match] = {}

    def of(self, document: Document) -> Match:
        if document.unique_id not in self._held:
            found = self._register.match(self._tenant, document.patient, document.unique_id)
            self._held[document.unique_id] = found
        return self._held[document.unique_id]

    def row(self, document: Document) -> str:
        """The register's own number of the patient: a dossier that was fed counts once (relay.indicators); ''
        where it is nobody's."""
        match = self.of(document)
        return match.patient_id if isinstance(match, Matched) else ""

    def hidden_from(self, document: Document) -> str:
        """The same, where a professional must announce the document to him first; '' otherwise."""
        match = self.of(document)
        return match.patient_id if isinstance(match, Matched) and Flag.NOT_VISIBLE in match.flags else ""

    def lots(self, documents: Sequence[Document]) -> list[list[Document]]:
        """What is sent together: masks are a lot's."""
        hidden = [each for each in documents if self.hidden_from(each)]
        return [lot for lot in ([each for each in documents if each not in hidden], hidden) if lot]

    def masks(self, document: Document) -> tuple[Code, ...]:
        """Beside the document's own confidentiality (dossier §1.7)."""
        return (codes.INVISIBLE,) if self.hidden_from(document) else ()

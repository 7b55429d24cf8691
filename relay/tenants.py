"""Several tenants of one node: whose intake, keys, couriers and words a letter meets.

Promises: a recipient's domain chooses the tenant; a letter with recipients of two tenants becomes one letter for each,
with a body, a row and a journal of its own, all kept in one transaction or none; what is carried is opened by its own
tenant's keys and handed to its own tenant's courier, and one of a tenant that is not here waits. Does not: decide
anything that one tenant's intake, gate or courier decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, TypeAlias

import structlog
from sqlalchemy import Connection

from certs import meter
from directory.model import Address
from relay import spool
from relay.intake import Intake, Weighed, kept
from relay.model import (
    Addressee,
    BodyRef,
    Courier,
    Done,
    Door,
    DoorProof,
    Envelope,
    Job,
    Later,
    Letter,
    Mode,
    Never,
    Outcome,
    Quarantined,
    Reason,
    Receipt,
    Recipient,
    Refusal,
    State,
    new_id,
)
from relay.spooler import SpoolClient, Write

Raw: TypeAlias = Callable[[], bytes]
_log = structlog.get_logger(__name__)


class Bodies(Protocol):
    """One tenant's relay.store.bodies.BodyStore, as far as it is needed here."""

    def put(self, data: bytes) -> BodyRef: ...

    def erase(self, ref: BodyRef) -> None: ...


@dataclass(frozen=True)
class Desk:
    """Where one tenant's letters come in."""

    intake: Intake
    bodies: Bodies

    @property
    def tenant(self) -> str:
        return self.intake.node.tenant


def desk_of(desks: Sequence[Desk], recipient: Address) -> Desk | None:
    """The tenant whose domain this is: there is one, or none."""
    return next((desk for desk in desks if desk.intake.node.serves(recipient)), None)


# --- in: the door of peers ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """One tenant's part of a letter."""

    desk: Desk
    envelope: Envelope
    body: BodyRef


@dataclass(frozen=True)
class Reception:
    """What the peers' door calls where several tenants stand behind it: each recipient meets his tenant's intake."""

    desks: tuple[Desk, ...]
    client: SpoolClient

    def check_sender(self, sender: Address | None, proof: DoorProof, door: Door) -> Refusal | None:
        """The white list is the node's: one intake answers for all."""
        return self.desks[0].intake.check_sender(sender, proof, door)

    def check_recipient(self, recipient: Address, door: Door) -> Addressee | Refusal:
        desk = desk_of(self.desks, recipient)
        return desk.intake.check_recipient(recipient, door) if desk else Refusal(Reason.NO_RELAY, permanent=True)

    def check_route(self, addressee: Addressee, sender: Address | None, size: int) -> Refusal | None:
        desk = desk_of(self.desks, addressee.address)
        return desk.intake.check_route(addressee, sender, size) if desk else None

    def accept(self, envelope: Envelope, raw: bytes, body: BodyRef) -> Receipt | Refusal:
        """`body` is sealed for the first recipient's tenant; each further one gets its own. As Intake.accept: on a
        Refusal that is certain the caller erases `body`, and the others are gone already."""
        parts: list[_Part] = []
        try:
            parts += self._parts(envelope, raw, body)
        except OSError:
            return Refusal(Reason.DISK_FULL, permanent=False)
        answer = self._accept(parts, raw)
        if isinstance(answer, Refusal) and answer.certain:
            _forget(parts[1:])
        return answer

    def _parts(self, envelope: Envelope, raw: bytes, body: BodyRef) -> list[_Part]:
        """Raises OSError, and then leaves no further body behind."""
        parts: list[_Part] = []
        try:
            for desk, addressees in split(self.desks, envelope.addressees):
                own = body if not parts else desk.bodies.put(raw)
                told = replace(envelope, tenant=desk.tenant, addressees=addressees)
                parts.append(_Part(desk, told if not parts else replace(told, id=new_id(envelope.received_at)), own))
        except OSError:
            _forget(parts[1:])
            raise
        return parts

    def _accept(self, parts: Sequence[_Part], raw: bytes) -> Receipt | Refusal:
        weighed: list[Weighed] = []
        for part in parts:
            found = part.desk.intake.weigh(part.envelope, raw, part.body)
            if isinstance(found, Refusal):
                return found  # of the letter, not of a recipient: it is the same for everybody
            weighed.append(found)
        if not any(row.state is State.QUEUED for each in weighed for row in each.rows):
            return Refusal(weighed[0].rows[0].reason, permanent=True)
        with meter.step("enqueue"):
            answer = kept(lambda: keep_each(self.client, weighed), weighed[0])
        return answer if isinstance(answer, Refusal) else _receipt(weighed)


def _receipt(weighed: Sequence[Weighed]) -> Receipt:
    return Receipt(weighed[0].letter.id, tuple(each for one in weighed for each in one.receipt.refused))


def split(desks: Sequence[Desk], addressees: Sequence[Addressee]) -> Iterator[tuple[Desk, tuple[Addressee, ...]]]:
    """Each tenant with its own recipients, in the order in which they were named; nobody sees another's."""
    found: dict[str, tuple[Desk, list[Addressee]]] = {}
    for each in addressees:
        if desk := desk_of(desks, each.address):
            found.setdefault(desk.tenant, (desk, []))[1].append(each)
    return ((desk, tuple(of_desk)) for desk, of_desk in found.values())


def _forget(parts: Sequence[_Part]) -> None:
    for part in parts:
        try:
            part.desk.bodies.erase(part.body)
        except OSError as error:  # the next sweep takes it
            _log.warning("body-not-erased", letter=part.envelope.id, error=type(error).__name__)


def keep_each(client: SpoolClient, weighed: Sequence[Weighed]) -> None:
    """Custody of all of them in one transaction. Raises StoreDown, StoreFull, StoreRefused."""
    letters = [
        spool.kept_parts(each.letter, each.rows, each.events, each.origin, each.answers)
        | {"tenant": each.letter.tenant}
        for each in weighed
    ]
    client.write("relay.keep-each", "", letters=letters)


def _keep_each(conn: Connection, _tenant: str, params: Mapping[str, Any], now: datetime) -> None:
    """Inside the spooler: each letter as if it came alone, under its own tenant."""
    for each in params["letters"]:
        spool.WRITES["relay.keep"](conn, each["tenant"], each, now)


WRITES: dict[str, Write] = {"relay.keep-each": _keep_each}


# --- out: the carrier's table -------------------------------------------------------------------------------------


class Notice(Protocol):
    def __call__(self, letter: Letter, recipients: tuple[Recipient, ...], raw: Raw) -> bool: ...


@dataclass(frozen=True)
class Service:
    """What one tenant's letters need on their way."""

    opened: Callable[[Letter], bytes]
    """Opens a body, by this tenant's keys."""
    couriers: Mapping[Mode, Courier]
    notice: Notice
    scrub: Callable[[str], str]
    """Takes patients' identities out of a courier's words: by this tenant's pseudonyms."""


Services: TypeAlias = Mapping[str, Service]


class TenantUnknown(Exception):
    """A letter of a tenant that the configuration does not name any more. It waits."""


def service_of(services: Services, letter: Letter) -> Service:
    """The service of the letter's own tenant, and of no other. Raises TenantUnknown."""
    if letter.tenant not in services:
        raise TenantUnknown
    return services[letter.tenant]


def opened(services: Services) -> Callable[[Letter], bytes]:
    return lambda letter: service_of(services, letter).opened(letter)


def notice(services: Services) -> Notice:
    return lambda letter, recipients, raw: service_of(services, letter).notice(letter, recipients, raw)


def couriers(services: Services) -> dict[Mode, Courier]:
    modes = {mode for service in services.values() for mode in service.couriers}
    return {mode: _Each(mode, services) for mode in modes}


@dataclass(frozen=True)
class _Each:
    """The couriers of one mode: a letter goes to its own tenant's."""

    mode: Mode
    services: Services

    def deliver(self, job: Job) -> dict[str, Outcome]:
        service = service_of(self.services, job.letter)
        courier = service.couriers.get(self.mode)
        if courier is None:
            return {each.id: Later(Reason.NO_ROUTE, "no courier for this mode") for each in job.recipients}
        return {key: _clean(outcome, service.scrub) for key, outcome in courier.deliver(job).items()}


def _clean(outcome: Outcome, scrub: Callable[[str], str]) -> Outcome:
    match outcome:
        case Done(reference, _):
            return replace(outcome, reference=scrub(reference))
        case Later(_, detail) | Never(_, detail) | Quarantined(_, detail):
            return replace(outcome, detail=scrub(detail))

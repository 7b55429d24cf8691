"""The wiring of the hospital's bus: a message's bytes in, its acknowledgement out, and the patient in the register.

Promises: AA only once the register has it on the disk; AE for what the message says wrongly, AR for what is not taken
here or cannot be now; log lines hold event, answer and place, never a value of the message. The process has no key that
opens an identity. Does not: speak MLLP (gateway.doors.mllp), or read HL7 (dmp_bridge.hl7, dmp_bridge.adt).
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from certs import tls
from certs.model import Clock
from certs.renewal import Renewed
from dmp_bridge import adt, enrolment, hl7
from dmp_bridge.hl7 import Acknowledged, Fault, Message
from gateway import app, patients_desk
from gateway.config import ConfigError, Settings
from gateway.doors import mllp
from gateway.doors.mllp import BusSpec
from gateway.doors.ports import PortUnusable
from gateway.hl7_section import Hl7Section
from relay.model import new_id
from relay.pseudonym import Pseudonyms
from relay.spooler import StoreDown, StoreRefused
from relay.store.bodies import seal_bytes

_log = structlog.get_logger(__name__)

BUS_IN = tls.Role("bus-in", serves=True, theirs=ssl.CERT_NONE)
BUS_IN_KNOWN = tls.Role("bus-in-known", serves=True, theirs=ssl.CERT_REQUIRED, resumes=False)


@dataclass(frozen=True)
class Feed:
    """One tenant's register, fed by its bus."""

    tenant: str
    client: enrolment.Writer
    pseudonyms: Pseudonyms
    seal: enrolment.Seal
    profile: adt.Profile
    clock: Clock
    lifted: Callable[[str], object] = lambda _: None
    """Told of a patient who refuses something no more: what waited for that is sent."""

    def answer(self, data: bytes) -> bytes:
        """The acknowledgement of one message, after what it says is on the disk."""
        try:
            message = hl7.read(data)
        except hl7.Malformed as malformed:
            fault = Fault("100", "", f"not readable: {malformed.check}")
            return self._told(hl7.header(data), Acknowledged("AE", fault))
        return self._told(message, self._taken(message))

    def too_large(self, begun: bytes) -> bytes:
        return self._told(hl7.header(begun), Acknowledged("AR", Fault("207", "", "larger than this door takes")))

    def _taken(self, message: Message) -> Acknowledged:
        notice = adt.read(message, self.profile, self.clock())
        if isinstance(notice, Acknowledged):
            return notice
        try:
            fed = enrolment.feed(self.client, self.tenant, notice, self.pseudonyms, self.seal)
        except StoreRefused as refused:
            return Acknowledged("AE", Fault("204", "", str(refused)))
        except StoreDown:
            return Acknowledged("AR", Fault("207", "", "the store does not answer: send it again"))
        except Exception as surprise:  # a mistake of ours is not the message's: it may be sent again
            _log.error("hl7-surprise", error=type(surprise).__name__)
            return Acknowledged("AR", Fault("207", "", "something went wrong here: send it again"))
        if fed.lifted:
            self._go_on(fed.patient_id)
        return Acknowledged("AA")

    def _go_on(self, patient_id: str) -> None:
        """The message is in the register, whatever becomes of this: what is not sent stays on the work list."""
        try:
            self.lifted(patient_id)
        except Exception as surprise:
            _log.error("hl7-not-sent-again", error=type(surprise).__name__)

    def _told(self, message: Message | None, answer: Acknowledged) -> bytes:
        kind, event = message.kind if message else ("", "")
        known = event if event in adt.EVENTS and kind == "ADT" else "other"
        facts = {"answer": answer.code, "trigger": known, "tenant": self.tenant}
        if answer.fault:
            facts |= {"code": answer.fault.code, "at": answer.fault.location, "why": answer.fault.words}
        (_log.info if answer.code == "AA" else _log.warning)("hl7-answered", **facts)
        at = self.clock()
        return hl7.acknowledgement(message, answer, new_id(at)[:20], at)


# --- the process ----------------------------------------------------------------------------------------------------


def serve(settings: Settings, stop: threading.Event, ready: Callable[[], None]) -> None:
    """Opens every tenant's bus and serves until `stop`. Raises ConfigError where a port or a file cannot be used."""
    specs = [_spec(view, view.hl7) for view in settings.views if view.hl7]
    try:
        asyncio.run(_serve(specs, stop, ready))
    except PortUnusable as error:
        raise ConfigError(str(error)) from None


async def _serve(specs: list[BusSpec], stop: threading.Event, ready: Callable[[], None]) -> None:
    ended = asyncio.Event()
    watching = asyncio.create_task(asyncio.to_thread(stop.wait))
    watching.add_done_callback(lambda _: ended.set())
    await mllp.serve(specs, ended, lambda _: ready())


def feed_of(settings: Settings, section: Hl7Section) -> Feed:
    public = app.body_key(settings)
    profile = adt.Profile(section.authorities, frozenset(section.processing))
    names = app.pseudonyms(settings)
    client, tenant = app.client(settings), settings.node.tenant
    lifted = partial(_lifted, settings)
    return Feed(tenant, client, names, lambda data: seal_bytes(public(), data), profile, app.clock, lifted)


def _lifted(settings: Settings, patient_id: str) -> None:
    """What waited for it is sent; a refusal that stands elsewhere keeps it back."""
    sent = patients_desk.send_waiting(settings, patient_id, "bus", "ZFA")
    _log.info("hl7-lifted", tenant=settings.node.tenant, sent=sent)


def _spec(settings: Settings, section: Hl7Section) -> BusSpec:
    feed = feed_of(settings, section)
    return BusSpec(
        tenant=settings.node.tenant,
        host=section.host,
        port=section.port,
        answer=feed.answer,
        too_large=feed.too_large,
        allowed=section.networks,
        tls=_context(settings, section) if section.tls else None,
        max_bytes=section.max_bytes,
        connections=section.connections,
        message_s=section.message_s,
        idle_s=section.idle_s,
    )


def _context(settings: Settings, section: Hl7Section) -> Callable[[], ssl.SSLContext]:
    """Read again when the certificate, or who vouches for the application's, is renewed."""
    role = app.tls_role(settings, BUS_IN_KNOWN if section.clients else BUS_IN)
    ours = (settings.tls.certificate, settings.tls.key)
    files = (*ours, section.clients) if section.clients else ours
    try:
        return Renewed(role.name, lambda: tls.context(role, ours, None, section.clients), files)
    except (OSError, ValueError) as error:
        raise ConfigError(f"hl7: its TLS files cannot be used ({type(error).__name__}: {error})") from None

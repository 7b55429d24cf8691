"""Asking INSi for one patient of the register, and noting what it says.

Promises: who asked about whom is journalled before the question leaves, and how it ended after; only an answer that
counts changes the register. Does not: ask by itself, or for many at once.
"""

from __future__ import annotations

import getpass
from functools import partial

from certs import tls
from dmp_bridge import enrolment, insi
from dmp_bridge.insi import Identity, Insi, Unsure
from dmp_bridge.model import Patient
from gateway import app
from gateway.config import ConfigError, Settings
from gateway.insi_section import InsiSection
from gateway.patients_desk import NotDone
from relay.journal import SpoolJournal
from relay.model import Event
from relay.store.bodies import seal_bytes


def service(settings: Settings, section: InsiSection) -> Insi:
    """Raises ConfigError where its files cannot be used."""
    ours = (section.certificate, section.key)
    try:
        context = tls.context(insi.INSI_OUT, ours, app.trust(settings)(), section.authorities)
    except (OSError, ValueError) as error:
        raise ConfigError(f"insi: its files cannot be used ({type(error).__name__}: {error})") from None
    said = section.assertion
    return Insi(section.url, context, section.software, app.clock, said.read_bytes if said else None)


def ask(settings: Settings, patient: Patient) -> str:
    """The patient's status after the answer. Raises NotDone with why nothing was changed."""
    section = settings.insi
    if section is None or not section.enabled:
        raise NotDone("INSi is off: [insi] with enabled = true names where it is asked")
    asked = service(settings, section)
    _note(settings, "insi-asked", patient, ())
    answer = asked.ask(patient.traits)
    if not isinstance(answer, Identity):
        why = (
            ("several" if answer.several else "none")
            if isinstance(answer, Unsure)
            else f"{answer.reason} {answer.detail}"
        )
        _note(settings, "insi-answered", patient, (("outcome", why.strip()),))
        raise NotDone(f"INSi: {why.strip()}; nothing was changed")
    found = insi.learned(patient, answer)
    seal = partial(seal_bytes, app.body_key(settings)())
    enrolment.put(app.client(settings), settings.node.tenant, [found], app.pseudonyms(settings), seal, "insi")
    _note(settings, "insi-answered", patient, (("outcome", found.ins_status.value),))
    return found.ins_status.value


def _note(settings: Settings, event: str, patient: Patient, facts: tuple[tuple[str, str], ...]) -> None:
    told = (("patient", patient.id), ("by", getpass.getuser()), *facts)
    SpoolJournal(app.client(settings)).add(settings.node.tenant, [Event(event, facts=told)])

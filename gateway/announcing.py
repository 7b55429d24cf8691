"""Shows patients what was filed hidden from them, where nothing stands against it any more.

Promises: a result is shown once no flag keeps it from its patient, whoever lifted it; what a host does not take now is
asked again at the next turn, and counted meanwhile. Does not: lift a flag (pli patients lift, the hospital's bus).
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from dmp_bridge import filings
from dmp_bridge.announcing import Announcing
from dmp_bridge.model import Filing, FilingReason, Flag
from dmp_bridge.patients import Register
from gateway import app, dossier_hosts
from gateway.config import Settings
from relay.model import Done, Later, Never

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Shown:
    """How many entries: shown now, those whose host must be asked again, and those that still wait for a person."""

    shown: int = 0
    left: int = 0
    waiting: int = 0


def run(settings: Settings) -> Shown:
    """One turn. Raises StoreDown, KeeperDown."""
    tenant, register = settings.node.tenant, app.register(settings)
    hidden = filings.hidden(app.reader(settings.database_url), tenant)
    due = [
        each for each in hidden if Flag.NOT_VISIBLE not in register.flags(tenant, each.hidden_from, each.document_id)
    ]
    shown = sum(_shown(settings, register, each) for each in due)
    return Shown(shown, len(due) - shown, len(hidden) - len(due))


def _shown(settings: Settings, register: Register, filing: Filing) -> bool:
    answer = _asked(settings, register, filing)
    if isinstance(answer, Done):
        return True
    _log.warning("announcing.left", letter=filing.letter_id, host=filing.host, reason=str(answer.reason))
    return False


def _asked(settings: Settings, register: Register, filing: Filing) -> Done | Later | Never:
    told = dossier_hosts.sections(settings).get(filing.host)
    patient = register.find(settings.node.tenant, filing.hidden_from)
    if told is None or patient is None or patient.ins is None:
        return Never(FilingReason.HOST_FORBIDS if told is None else FilingReason.INS_ABSENT)
    announcing = Announcing(dossier_hosts.client(settings, told), app.client(settings))
    return announcing.show(filing, patient.ins, app.clock())

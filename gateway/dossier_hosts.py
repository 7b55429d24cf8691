"""The wiring of dossier hosts: that of [dossier], those of [dossiers.NAME] beside it, and in whose name they are asked.

Promises: two hosts of one name, or further hosts without a first one, are refused in a sentence; a host that was
disabled is not called. Does not: choose a host (dmp_bridge.hosts does).
"""

from __future__ import annotations

from datetime import timedelta

from certs.keys import Signer
from dmp_bridge.dmp import DossierClient
from dmp_bridge.hosts import Hosts
from dmp_bridge.norms import norm
from dmp_bridge.standing import Standing
from dmp_bridge.vihf import Software, Structure
from gateway import app
from gateway.config import ConfigError, DossierSection, Settings

VERSION = "0.1.0"


def sections(settings: Settings) -> dict[str, DossierSection]:
    """By the host's name, the default one first."""
    first = settings.dossier
    further = {name: told.model_copy(update={"name": name}) for name, told in settings.dossiers.items()}
    if first is None:
        if further:
            raise ConfigError("[dossiers.NAME] are further hosts: write the one that counts by default as [dossier]")
        return {}
    if first.name in further:
        raise ConfigError(f"two dossier hosts are called '{first.name}'")
    found = {first.name: first, **further}
    return {name: told for name, told in found.items() if told.enabled or told is first}


def section(settings: Settings, name: str = "") -> DossierSection:
    """The host of that name, or the default one."""
    known = sections(settings)
    found = known.get(name) if name else next(iter(known.values()), None)
    if found is None:
        names = ", ".join(known) or "none is configured"
        raise ConfigError(
            f"'{name}' is no dossier host: {names}" if name else "no dossier host: [dossier] is not there"
        )
    return found


def client(settings: Settings, told: DossierSection) -> DossierClient:
    host = app.profile(told)
    assert host is not None
    return DossierClient(host, told.certificate, told.key, app.trust(settings), standing=standing(settings, told))


def hosts(settings: Settings) -> Hosts:
    clients = {name: client(settings, told) for name, told in sections(settings).items()}
    return Hosts(clients, next(iter(clients)), app.reader(settings.database_url), app.clock)


def standing(settings: Settings, told: DossierSection) -> Standing:
    """Requests are made with the establishment's seal: of the first of its mail domains, held by the keeper."""
    domain = min(app.node(settings).domains, default="")
    keeper = app.keeper_client(settings)

    def signer() -> Signer | None:
        return keeper.seal_for(domain, "dossier")

    number = app.secret(told.homologation_file).decode() if told.homologation_file else ""
    software = Software(name="Pli", version=VERSION, id=settings.node.product_number, homologation=number)
    structure = Structure(settings.node.establishment, told.sector)
    return Standing(norm(told.norm), structure, software, signer, app.clock)


def undo_within(told: DossierSection) -> timedelta:
    return timedelta(hours=told.undo_hours)

"""What of a node expires when: its settings' files, named for certs.expiry, and what is said of them in words.

Promises: every certificate and list that the node depends on is looked at, the white list as the doors would believe
it. Does not: renew anything, or ask anybody.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from datetime import datetime, timedelta

from certs import xml
from certs.chain import TrustStore
from certs.expiry import LISTING, Chains, Expiring, Level, Listings, Pairs, Source, watched
from certs.identities import identity
from certs.identities import read as certificate
from gateway import app
from gateway.config import ConfigError, Settings
from gateway.readiness import Check, of


def expiring(settings: Settings, at: datetime) -> tuple[Expiring, ...]:
    """All of this node, what needs a person first."""
    return watched(_sources(settings), at, _white_list(settings, at))


def _sources(settings: Settings) -> Iterator[Source]:
    yield Chains("tls.certificate", settings.tls.certificate)
    for view in settings.views:
        yield from _of_tenant(view, of(settings, view))
    for name in ("anchors", "intermediates"):
        yield Chains(f"trust/{name}", settings.trust.folder / name)
    yield Listings("trust/crls", settings.trust.folder / "crls")
    yield Listings("fetched/crls", settings.revocation_cache / "crls")


def _of_tenant(view: Settings, where: str) -> Iterator[Source]:
    """`where`: what stands before the names of one of several tenants."""
    if where:
        yield Chains(f"{where}tls.certificate", view.tls.certificate)
    if view.dossier:
        yield Chains(f"{where}dossier.certificate", view.dossier.certificate)
    for name, mailbox in view.collect.items():
        if mailbox.certificate:
            yield Chains(f"{where}collect.{name}.certificate", mailbox.certificate)
    for name in ("mailbox", "seal", "decrypt"):
        yield Pairs(f"{where}keeper/{name}", view.keeper.folder / name)


def _white_list(settings: Settings, at: datetime) -> Iterator[Expiring]:
    """Until when it counts, and until when its signer does."""
    try:
        store = TrustStore.load(settings.trust.folder, settings.revocation_cache)
        held = app.white_list(settings, lambda: store)()
    except (ConfigError, OSError, ValueError) as error:
        yield Expiring("trust/white-list", at, None, LISTING, fault=str(error))
        return
    most = timedelta(hours=settings.trust.white_list_max_age_hours)
    yield Expiring("trust/white-list", at, held.generated_at + most, LISTING)
    for der in _shown(settings.trust.white_list.read_bytes()):
        if held.signer and identity(der).fingerprint == held.signer.fingerprint:
            yield Expiring("trust/white-list-signer", at, certificate(der).not_valid_after_utc)


def _shown(data: bytes) -> Iterator[bytes]:
    """The certificates in a list that was believed."""
    for each in xml.parse(data).iter("{http://www.w3.org/2000/09/xmldsig#}X509Certificate"):
        yield b64decode(each.text or "")


def sentence(each: Expiring) -> str:
    """For an operator, with the date and the days."""
    if each.until is None or each.days is None:
        return each.fault
    day = each.until.strftime("%Y-%m-%d %H:%M UTC")
    if each.replaced:
        return f"ends {day}; another certificate follows it"
    if each.level is Level.OVER:
        return f"ended {day}, {-each.days:.0f} days ago: renew it"
    return f"ends {day}, in {each.days:.0f} days" + ("" if each.level is Level.OK else ": renew it")


def warnings(settings: Settings, at: datetime) -> tuple[Check, ...]:
    """For `pli config check`: what ends soon is told, what is over or unreadable is to be mended."""
    found = [each for each in expiring(settings, at) if each.level is not Level.OK]
    mended = (Level.OVER, Level.UNREADABLE)
    return tuple(Check(each.name, each.level not in mended, sentence(each)) for each in found)

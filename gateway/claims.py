"""What may not be claimed of a node as it is configured, in plain words (design: say it each time).

Promises: each sentence follows from the configuration, its key files and this machine's clock; what always holds of Pli
comes first. Does not: judge whether a node may serve (gateway.readiness does).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.config import Settings
from gateway.install.kernel_clock import Kept

ALWAYS = (
    "Pli is not homologated: the operator contract and the ANS audit, the DMP homologation number, the ORG "
    "certificates and HDS hosting are the deployer's.",
    "Delivered mail is encrypted at rest only where Dovecot's mail_crypt or an encrypted disk does it.",
)


def not_claimed(settings: Settings, clock: Kept) -> tuple[str, ...]:
    return (
        *ALWAYS,
        *_filing(settings),
        *(sentence for view in settings.views for sentence in _unsigned(view)),
        *_unwatched(settings),
        *_clock(clock),
    )


def _filing(settings: Settings) -> Iterator[str]:
    hosts = [host for view in settings.views for host in (view.dossier, *view.dossiers.values()) if host]
    if any(host.norm == "national" and host.enabled for host in hosts):
        yield "National filing is configured: it may be used only under the deployer's own homologation number."
    else:
        yield "National filing ships disabled."
    if not any(host.enabled for host in hosts):
        yield "No document is filed into any dossier: no [dossier] is enabled."


def _unsigned(view: Settings) -> Iterator[str]:
    seals = _certificates(view.keeper.folder / "seal")
    boxes = _certificates(view.keeper.folder / "mailbox")
    if not seals:
        also = "those of mailboxes without a certificate of their own" if boxes else "all"
        where = f"no seal in {view.keeper.folder}/seal"
        yield f"Letters of {', '.join(view.node.domains)} leave unsigned ({also}): {where}."
        yield "The journal's heads are not sealed: a cut tail would not show."
    if not _certificates(view.keeper.folder / "decrypt"):
        yield f"Nobody can encrypt to {', '.join(view.node.domains)}: no key in {view.keeper.folder}/decrypt."


def _certificates(folder: Path) -> list[Path]:
    return [*folder.glob("*.pem"), *folder.glob("*.p12")]


def _unwatched(settings: Settings) -> Iterator[str]:
    if settings.scan is None:
        yield "Attachments are not scanned for malware: no [scan] is configured."
    if not settings.trust.fetch:
        yield "Revocation is not followed by itself: trust.fetch is false, somebody puts the lists there."
    if not settings.trust.white_list_url:
        yield "The white list is not followed by itself: trust.white_list_url is empty, somebody puts it there."


def _clock(clock: Kept) -> Iterator[str]:
    if clock is not Kept.YES:
        yield f"Times in evidence and journal are this machine's, whose clock is: {clock}."

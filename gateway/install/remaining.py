"""What `pli quickstart` cannot do: the list of what is left to people, in the order in which it is done.

Promises: each task is a sentence, and where it is typed, the command; what is done already is not listed. Does not: do
any of it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.install.kernel_clock import Kept
from gateway.install.layout import DIRECTORY, MAIL, NODE, Layout
from gateway.install.requests import Request

_PACKAGES = {"slapd": "slapd", "dovecot": "dovecot-core dovecot-imapd dovecot-lmtpd", "nft": "nftables"}
"""Program -> Debian's packages of it."""


@dataclass(frozen=True)
class Task:
    what: str
    command: str = ""


def tasks(layout: Layout, asked: Sequence[Request], clock: Kept, strangers: frozenset[str]) -> tuple[Task, ...]:
    """`strangers`: accounts that the machine does not have."""
    return (
        *_machine(layout, strangers),
        *_clock(clock),
        *_certificates(layout, asked),
        *_trust(layout),
        *_world(layout),
        *_start(layout),
    )


def _machine(layout: Layout, strangers: frozenset[str]) -> Iterator[Task]:
    if missing := [packages for program, packages in _PACKAGES.items() if not _there(program)]:
        yield Task("Install the servers that it stands on.", f"apt-get install {' '.join(missing)}")
    if os.geteuid() != 0:
        yield Task("Type this as root: files then belong to those who use them.", "pli quickstart")
    elif unmade := sorted(strangers - {DIRECTORY}):
        file = layout.answers.sysusers / "pli.conf"
        yield Task(f"Make the accounts {', '.join(unmade)}, then type quickstart again.", f"systemd-sysusers {file}")
    elif strangers:
        yield Task(f"The account {DIRECTORY} comes with slapd; then type quickstart again.")
    if not layout.answers.program.exists():
        yield Task(f"Install Pli so that {layout.answers.program} is its command (docs/install.md).")


def _there(program: str) -> bool:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def _clock(clock: Kept) -> Iterator[Task]:
    if clock is not Kept.YES:
        yield Task(f"Have the clock kept: signatures and lists depend on it (now: {clock}).", "apt-get install chrony")


def _certificates(layout: Layout, asked: Sequence[Request]) -> Iterator[Task]:
    for each in asked:
        if not each.certificate.exists():
            yield Task(
                f"Have {each.request} answered: {each.profile}, {each.purpose}. The certificate with its chain, in "
                f"PEM, goes to {each.certificate} (owner {NODE})."
            )
    if any(each.certificate.exists() for each in asked):
        return
    yield Task(f"Copy {layout.answers.etc} to a safe place apart: what is sealed to a key that is lost stays closed.")


def _trust(layout: Layout) -> Iterator[Task]:
    if not _filled(layout.trust / "anchors"):
        yield Task(f"Put the root of IGC-Santé into {layout.trust}/anchors, after you have compared its fingerprint.")
    if not _filled(layout.trust / "intermediates"):
        yield Task(f"Put its issuing authorities into {layout.trust}/intermediates.")
    if not (layout.trust / "white-list.xml").exists():
        yield Task(
            f"Put the white list at {layout.trust}/white-list.xml the first time; it is then fetched by itself from "
            f"{layout.answers.white_list_url or 'nowhere, since white_list_url is empty'}."
        )
    yield Task("Be an operator of the trust space: contract, audit, your domains with this certificate's DN listed.")


def _filled(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _world(layout: Layout) -> Iterator[Task]:
    yield Task(
        f"Publish the records of {layout.records}, and A and AAAA of {layout.answers.hostname}.", "pli dns --check"
    )
    yield Task("Look at the firewall, then apply it.", f"nft -c -f {layout.firewall} && nft -f {layout.firewall}")


def _start(layout: Layout) -> Iterator[Task]:
    yield Task("See what is still missing, and what may not be claimed.", f"pli -c {layout.config} config check")
    yield Task("Start it.", "systemctl daemon-reload && systemctl enable --now pli-annuaire pli-dovecot pli")
    if layout.answers.pages_port:
        yield Task(
            "Let the administrator sign in at the pages: one-time codes here, or Pro Santé Connect or a card "
            "(docs/signing-in.md). Where browsers do not know IGC-Santé, web.certificate may be one that they do.",
            f"pli account code {layout.answers.administrator}",
        )
    yield Task(
        "Fill the directory: the mailboxes of your establishments (docs/directory.md).", "pli directory template"
    )
    told = layout.answers
    yield Task(
        f"Say who keeps mailboxes: [administration] with bind_dn cn=passerelle,{told.suffix} and password_file "
        f"{told.etc}/passerelle.password, [administration.people] (docs/directory.md)."
    )
    yield Task(f"Give {MAIL}'s folder {layout.answers.mail} a backup of its own (docs/backup.md).")

"""A new node, from the answers to what lies on the disk: every step in its order.

Promises: typed again it changes nothing; edited files stay; a secret is shown once, when it is made; a dry run writes
nothing. Does not: start, enable, apply or publish anything: what is left to people is listed (gateway.install
.remaining).
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gateway import service_records
from gateway.accounts import Accounts
from gateway.install import kernel_clock, node_file, remaining, requests, secret_files, servers, surroundings
from gateway.install.answers import Answers, House
from gateway.install.kernel_clock import Kept
from gateway.install.layout import NODE, Layout
from gateway.install.placing import Folder, Ground, Piece, Placed


@dataclass(frozen=True)
class Founded:
    """What was done, and what is left."""

    placed: tuple[Placed, ...]
    requests: tuple[requests.Request, ...]
    records: tuple[str, ...]
    clock: Kept
    administrator: str
    password: str = field(repr=False)
    """Of the first administrator; empty where he had one already."""
    left: tuple[remaining.Task, ...]


def found(answers: Answers, *, dry: bool = False) -> Founded:
    """Raises OSError naming the file that cannot be written, ValueError for a name that no certificate carries."""
    layout = Layout(answers)
    ground = Ground.of(layout.record, dry)
    placed = [*_accounts_of_the_machine(layout, ground)]
    ground.folders(layout.folders())
    placed += [ground.put(piece) for piece in _pieces(layout)]
    asked = requests.requests(layout)
    placed += [_request(each, ground) for each in asked]
    password, added = _administrator(layout, ground)
    records = tuple(str(each) for view in node_file.settings(answers).views for each in service_records.records(view))
    placed += [*added, ground.put(Piece(layout.records, "".join(f"{each}\n" for each in records).encode()))]
    ground.remember()
    clock = kernel_clock.kept()
    left = remaining.tasks(layout, asked, clock, frozenset(ground.strangers))
    return Founded(tuple(placed), asked, records, clock, answers.administrator, password, left)


def _accounts_of_the_machine(layout: Layout, ground: Ground) -> Iterator[Placed]:
    """The file of sysusers.d(5), and the accounts themselves where systemd's own tool is there to make them."""
    ground.folders([Folder(layout.answers.sysusers)])
    piece = surroundings.sysusers(layout)
    yield ground.put(piece)
    tool = shutil.which("systemd-sysusers")
    ours = layout.answers.sysusers == _SYSUSERS  # a trial in another folder makes no account of the machine
    if tool and ours and not ground.dry and os.geteuid() == 0 and not _known(NODE):
        subprocess.run([tool, str(piece.path)], check=False, capture_output=True)


_SYSUSERS = Path("/etc/sysusers.d")


def _known(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _pieces(layout: Layout) -> Iterator[Piece]:
    answers = layout.answers
    passwords = secret_files.passwords(layout)
    yield Piece(layout.config, node_file.text(answers).encode(), 0o600, NODE)
    for house in answers.tenants:
        yield from secret_files.of_house(layout, house)
    yield from secret_files.of_directory(layout, passwords)
    yield from servers.directory(layout, passwords)
    yield from servers.dovecot(layout)
    yield surroundings.firewall(layout)
    yield from surroundings.units(layout)


def _request(each: requests.Request, ground: Ground) -> Placed:
    """With its key, which is the node's."""
    placed = requests.make(each, dry=ground.dry)
    if not ground.dry and each.key.exists():
        ground.give(each.key, NODE)
    return placed


# --- who may log in ----------------------------------------------------------------------------------------------


def _administrator(layout: Layout, ground: Ground) -> tuple[str, list[Placed]]:
    """The first account with a password that is shown once, and each tenant's file of accounts."""
    told = layout.answers
    placed = [ground.put(_no_accounts(layout, house)) for house in told.tenants]
    for house in told.tenants:
        _links(layout, house, ground)
    file = layout.accounts_of(told.home)
    accounts = Accounts(file)
    if any(line.name == told.administrator for line in accounts.lines()):
        return "", placed
    password = "-".join(secrets.token_hex(3) for _ in range(4))
    if not ground.dry:
        accounts.add(told.administrator, password)
        ground.give(file, NODE)
    return ("" if ground.dry else password), placed


def _no_accounts(layout: Layout, house: House) -> Piece:
    return Piece(layout.accounts_of(house), b"", 0o640, NODE, once=True)


def _links(layout: Layout, house: House, ground: Ground) -> None:
    """Dovecot finds the file by the domain of the login; a further domain leads to the same."""
    for domain in house.domains[1:]:
        link: Path = layout.accounts / domain
        if not ground.dry and not link.exists():
            link.symlink_to(layout.accounts_of(house).name)

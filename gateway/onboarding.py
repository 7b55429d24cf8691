"""Many arrive at once, from one table: tenants, structures, mailboxes, each with all that belongs to it.

Promises: a dry run changes nothing and rejects the same rows; what is there already is left as it is, so that the same
file applied again changes nothing; a run that was cut is finished by asking again. Each step is journalled with who and
why. The region's keeper alone may (directory.roles). Does not: read the table (gateway.onboarding_table), or change
what stands (`pli mailbox` does).
"""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from directory import access, arrivals, entries, slapd
from directory.arrivals import Values
from directory.desk import Kept, octets
from directory.ldif import escaped
from directory.lifecycle import Lifecycle
from directory.model import Entry
from directory.names import words
from directory.roles import Act
from gateway import administration, app, feeding, mailboxes, new_tenants, publishing
from gateway.accounts import Accounts
from gateway.config import Settings
from gateway.install.answers import House
from gateway.mailboxes import Order
from gateway.onboarding_table import SOURCE, Box, Rejected, Structure, Table
from relay.journal import SpoolJournal
from relay.model import Event

BATCH = 500
"""Rows of the journal of one write."""


@dataclass(frozen=True)
class Where:
    """The node's file, and the folder in which new tenants' files lie."""

    config: Path
    homes: Path


@dataclass
class Arrived:
    """What a run did, or would do: (what, how) -> number; how is 'new', 'there' or, once applied, 'published'."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    rejected: list[Rejected] = field(default_factory=list)
    restart: bool = False
    """New tenants are served once the node is started again."""


Progress = Callable[[str, int], None]


def run(
    settings: Settings,
    table: Table,
    where: Where,
    order: Order,
    *,
    dry: bool,
    progress: Progress = lambda what, count: None,
) -> Arrived:
    """`settings`: the whole node's. Raises NotYours, ConfigError, ldap.LDAPError, StoreDown, OSError."""
    done = Arrived(rejected=list(table.rejected))
    with administration.desk(settings.views[0] if settings.tenants else settings, order.by) as at:
        at.require(Act.CREATE, "")
    target = feeding.target(settings)
    crowd = _Crowd(settings, target.connection, target.suffix, done)
    houses = crowd.houses(table)
    boxes = crowd.boxes(table, houses)
    if dry:
        crowd.counted(table.structures, boxes)
        return done
    return _Arrival(crowd, where, order, progress).all(houses, table.structures, boxes)


@dataclass
class _Crowd:
    """Who of the table is new, who is there, and who cannot be."""

    settings: Settings
    link: Any
    suffix: str
    done: Arrived

    def houses(self, table: Table) -> list[House]:
        """Those that are new."""
        taken = {domain: view.node.tenant for view in self.settings.views for domain in _domains(view)}
        new: list[House] = []
        for line, house in table.houses.values():
            if reason := self._house(house, taken):
                self.done.rejected.append(Rejected(line, reason))
            elif taken.get(house.domains[0]) == house.name:
                self.done.counts["tenant", "there"] += 1
            else:
                self.done.counts["tenant", "new"] += 1
                new.append(house)
        return new

    def _house(self, house: House, taken: Mapping[str, str]) -> str:
        """Why it cannot be a tenant here."""
        if any(taken.get(each, house.name) != house.name for each in house.domains):
            return "domain-taken"
        known = next((view for view in self.settings.views if view.node.tenant == house.name), None)
        if known is not None:
            return "" if set(house.domains) == set(_domains(known)) else "tenant-differs"
        return "" if self.settings.tenants else "one-tenant-node"

    def boxes(self, table: Table, houses: Sequence[House]) -> list[tuple[Box, str, Kept | None]]:
        """Each with its tenant, and what stands there already."""
        tenants = {domain: view.node.tenant for view in self.settings.views for domain in _domains(view)}
        tenants |= {domain: house.name for house in houses for domain in house.domains}
        wanted = {each.entry.address.domain for each in table.boxes if each.entry.address.domain in tenants}
        there, found = arrivals.present(self.link, self.suffix, sorted(wanted)), []
        for box in table.boxes:
            kept = there.get(box.entry.address.key)
            reason = "" if box.entry.address.domain in tenants else "domain"
            if reason := reason or (_differs(box.entry, kept) if kept else ""):
                self.done.rejected.append(Rejected(box.line, reason))
            else:
                found.append((box, tenants[box.entry.address.domain], kept))
        return found

    def counted(self, structures: Sequence[Structure], boxes: Sequence[tuple[Box, str, Kept | None]]) -> None:
        names = arrivals.names(self.link, f"ou=structures,{self.suffix}")
        for structure in structures:
            there = _structure_dn(structure, self.suffix).lower() in names
            self.done.counts["structure", "there" if there else "new"] += 1
        for _, _, kept in boxes:
            self.done.counts["mailbox", "there" if kept else "new"] += 1


def _domains(view: Settings) -> tuple[str, ...]:
    return tuple(each.lower() for each in view.node.domains)


def _differs(entry: Entry, kept: Kept) -> str:
    """Why this row cannot be the mailbox that has the address (spec/operator.md §1.3)."""
    said = entries.read(kept.dn, kept.values, "")
    if kept.state is Lifecycle.CLOSED:
        return "address-closed"
    if not isinstance(said, Entry) or said.kind is not entry.kind:
        return "type-immutable"
    return "" if (said.rpps, said.finess) == (entry.rpps, entry.finess) else "other-holder"


# --- applied ------------------------------------------------------------------------------------------------------


@dataclass
class _Arrival:
    """One run that changes things."""

    crowd: _Crowd
    where: Where
    order: Order
    progress: Progress

    def all(
        self, houses: Sequence[House], structures: Sequence[Structure], boxes: Sequence[tuple[Box, str, Kept | None]]
    ) -> Arrived:
        settings = self._tenants(houses)
        self._places({tenant for _, tenant, _ in boxes} | {house.name for house in houses})
        self._structures(structures)
        by_tenant: dict[str, list[tuple[Box, Kept | None]]] = defaultdict(list)
        for box, tenant, kept in boxes:
            by_tenant[tenant].append((box, kept))
        for tenant, theirs in by_tenant.items():
            self._mailboxes(settings.view(tenant), theirs)
        return self.crowd.done

    def _tenants(self, houses: Sequence[House]) -> Settings:
        """Their files first: the configuration names what is there."""
        counts, owner = self.crowd.done.counts, self.crowd.settings.paths.data.stat()
        for house in houses:
            counts["request", "new"] += new_tenants.make(self.where.homes, house, owner)
            self.progress("tenant", 1)
        settings = new_tenants.join(self.where.config, self.where.homes, houses)
        self.crowd.done.restart = bool(houses)
        for house in houses:
            facts = self._facts() | {"tenant": house.name, "domains": " ".join(house.domains)}
            self._note(settings.view(house.name), [Event("tenant.onboarded", facts=tuple(facts.items()))])
        return settings

    def _places(self, tenants: set[str]) -> None:
        """The subtree of each establishment. Its administrator's password is nobody's: the gateway acts in his name."""
        base = f"{access.TENANTS},{self.crowd.suffix}"
        known = arrivals.names(self.crowd.link, base)
        missing = [each for each in sorted(tenants) if f"ou={each},{base}".lower() not in known]
        made = [slapd.establishment(each, secrets.token_urlsafe(24), self.crowd.suffix) for each in missing]
        # What is on its way together is done in any order: the branches first, then what stands below them.
        for level in zip(*map(arrivals.records, made), strict=True):
            for dn, answer in arrivals.added(self.crowd.link, level, feeding.LDAP_S):
                if answer not in ("", "there"):
                    raise feeding.DirectoryAway(f"{dn}: {answer}")

    def _structures(self, structures: Sequence[Structure]) -> None:
        """Many tenants name one structure: the first that came is kept."""
        suffix, line = self.crowd.suffix, {_structure_dn(each, self.crowd.suffix): each.line for each in structures}
        wanted = ((_structure_dn(each, suffix), _structure(each)) for each in structures)
        for dn, answer in arrivals.added(self.crowd.link, wanted, feeding.LDAP_S):
            if answer in ("", "there"):
                self.crowd.done.counts["structure", answer or "new"] += 1
            else:
                self.crowd.done.rejected.append(Rejected(line[dn], f"directory-{answer}"))

    def _mailboxes(self, view: Settings, boxes: Sequence[tuple[Box, Kept | None]]) -> None:
        """Of one tenant: in the directory, then the accounts and the publication of all that stand there."""
        base = f"ou={view.node.tenant},{access.TENANTS},{self.crowd.suffix}"
        new = {_dn(box.entry, base): box for box, kept in boxes if kept is None}
        standing = [(box.entry, kept) for box, kept in boxes if kept is not None]
        self.crowd.done.counts["mailbox", "there"] += len(standing)
        made = [new[dn].entry for dn in self._made(new)]
        self._note(view, [Event("mailbox.onboarded", facts=tuple(self._made_facts(each))) for each in made])
        current = [_read(kept) for _, kept in standing if kept.state is Lifecycle.ACTIVE]
        living = [*made, *current]
        subjects = {each.address.key: mailboxes.subject_of(each) for each in living}
        self.crowd.done.counts["account", "new"] += Accounts(view.accounts.file).open(subjects)
        self.crowd.done.counts["publication", "new"] += publishing.wish(
            view, self._unwished(view, living), self.order.by
        )

    def _made(self, new: Mapping[str, Box]) -> Iterator[str]:
        wanted = ((dn, octets(entries.attributes(box.entry))) for dn, box in new.items())
        for dn, answer in arrivals.added(self.crowd.link, wanted, feeding.LDAP_S):
            self.progress("mailbox", 1)
            if answer:
                self.crowd.done.rejected.append(Rejected(new[dn].line, f"directory-{answer}"))
                continue
            self.crowd.done.counts["mailbox", "new"] += 1
            yield dn

    def _unwished(self, view: Settings, living: Sequence[Entry]) -> list[Entry]:
        """Of whom nothing is wanted yet: what somebody withdrew since stays withdrawn."""
        known = publishing.known(view)
        return [each for each in living if each.address.key not in known]

    def _facts(self) -> dict[str, str]:
        return {"by": self.order.by, "because": self.order.why}

    def _made_facts(self, entry: Entry) -> Iterator[tuple[str, str]]:
        yield from {
            **self._facts(),
            "mailbox": entry.address.key,
            "before": "",
            "after": Lifecycle.ACTIVE.value,
        }.items()

    def _note(self, view: Settings, events: Sequence[Event]) -> None:
        records, listed = SpoolJournal(app.client(view)), iter(events)
        while batch := list(islice(listed, BATCH)):
            records.add(view.node.tenant, batch)


def _read(kept: Kept) -> Entry:
    read = entries.read(kept.dn, kept.values, "")
    assert isinstance(read, Entry)  # _differs has read it
    return read


def _dn(entry: Entry, base: str) -> str:
    return f"{entries.attribute_of(entry.address)}={escaped(str(entry.address))},{base}"


def _structure_dn(structure: Structure, suffix: str) -> str:
    return f"uid={escaped(structure.finess)},ou=structures,{suffix}"


def _structure(structure: Structure) -> Values:
    values: dict[str, list[str | bytes]] = {
        "objectClass": ["organization", "uidObject", "pliStructure", "pliSource"],
        "uid": [structure.finess],
        "o": [structure.name],
        "l": [structure.town] if structure.town else [],
        "postalCode": [structure.postal_code] if structure.postal_code else [],
        "hcIdentifier": [f"{entries.ISSUER}:FINESS:{structure.finess}:active"],
        "pliWord": list(words(structure.name, structure.finess, structure.town)),
        "dataSource": [SOURCE],
        "dataOwner": [SOURCE],
        "lifecycleState": ["active"],
    }
    return octets(values)

"""The desk at which people keep mailboxes: each act asked of the roles, then made on the server as whom they are.

Promises: `directory.roles.permitted` is asked once for each act, here and nowhere else; then slapd is asked as the
administrator, help desk or delegate himself (proxied authorisation), so that its own rules decide once more. Address
and type of a mailbox that stands never change. What was done is a value with before and after, for the journal.
Does not: keep the journal, the logins or the publication (gateway.mailboxes does all three).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import ldap

from directory import access, delegated, entries, filters, lifecycle, roles
from directory.entries import Values
from directory.ldif import escaped
from directory.lifecycle import Lifecycle
from directory.merging import Done
from directory.model import Address, Entry
from directory.roles import Act, Actor, NotYours, Role

_NAMES = ("displayName", "title", "sn", "givenName", "o", "hcSpecialisation", "mssService", "l", "postalCode")
CHANGEABLE = frozenset({*_NAMES, "mssPreferred", "mssDematerialisation"})
"""What a person may change of a mailbox that stands; not its address, nor its type (spec/operator.md §1.3)."""
_CERTIFICATES = "userCertificate;binary"
_SEEN = (*entries.READ, "pliWord", "createTimestamp")


class NoSuchMailbox(Exception):
    """None that this person can see."""


class AddressTaken(Exception):
    """There is, or was, such a mailbox: an address is never given again."""


class Immutable(Exception):
    """The attribute does not change once the mailbox stands."""


@dataclass(frozen=True)
class Kept:
    """One mailbox as its keeper sees it."""

    dn: str
    values: Values

    @property
    def state(self) -> Lifecycle:
        return lifecycle.read(self.text("lifecycleState"))

    @property
    def created(self) -> datetime | None:
        return entries.moment(self.values, "createTimestamp")

    def text(self, attribute: str) -> str:
        return next(iter(self.values.get(attribute, ())), b"").decode("utf-8", "replace")


@dataclass(frozen=True)
class Adoption:
    """How many mailboxes of one kind and state a structure has."""

    structure: str
    kind: str
    state: str
    number: int


class Desk:
    def __init__(self, actor: Actor, connection: Any, suffix: str) -> None:
        """`connection`: bound as access.FEEDER for the region's keeper, as access.GATEWAY for everybody else."""
        self.actor, self._link, self._suffix = actor, connection, suffix
        self._whom = whom(actor, suffix)

    # --- looking --------------------------------------------------------------------------------------------

    def see(self, address: Address, establishment: str | None = None) -> Kept:
        """Raises NotYours, NoSuchMailbox, ldap.LDAPError, as all that follows does."""
        return self._found(Act.SEE, address, self._of(establishment))

    def every(self, domain: str, establishment: str | None = None) -> Iterator[Kept]:
        """All mailboxes of a domain that he sees, page by page; the help desk at once, since it may not page: more than
        access.SEARCH_LIMIT are ldap.SIZELIMIT_EXCEEDED."""
        place = self._of(establishment)
        self._ask(Act.SEE, place)
        asked = filters.every(filters.equal("objectClass", entries.CLASS), filters.equal("pliDomain", domain))
        look = delegated.search if self.actor.role is Role.SUPPORT else delegated.pages
        for dn, values in look(self._link, self._whom, self._base(place), asked, _SEEN):
            yield Kept(dn, values)

    def adoption(self, establishment: str | None = None) -> list[Adoption]:
        """Counts, read without a name or an address (access.ADOPTION)."""
        place = self._of(establishment)
        self._ask(Act.COUNT, place)
        asked, names = filters.equal("objectClass", entries.CLASS), ("mssType", "o", "lifecycleState")
        counted: Counter[tuple[str, str, str]] = Counter()
        for dn, values in delegated.pages(self._link, self._whom, self._base(place), asked, names):
            one = Kept(dn, values)
            counted[one.text("o"), one.text("mssType"), one.state.value] += 1
        return [Adoption(*key, number) for key, number in sorted(counted.items())]

    # --- keeping --------------------------------------------------------------------------------------------

    def create(self, entry: Entry, establishment: str | None = None) -> Done:
        """Raises AddressTaken too."""
        place = self._of(establishment)
        self._ask(Act.CREATE, place)
        if self._search(entry.address, place):
            raise AddressTaken(str(entry.address))
        branch = self._base(place) if place else f"ou=bal,{self._suffix}"
        dn = f"{entries.attribute_of(entry.address)}={escaped(str(entry.address))},{branch}"
        try:
            delegated.add(self._link, self._whom, dn, octets(entries.attributes(entry)))
        except ldap.ALREADY_EXISTS:
            raise AddressTaken(str(entry.address)) from None
        return Done(dn, "", Lifecycle.ACTIVE.value)

    def change(self, address: Address, attribute: str, value: str, establishment: str | None = None) -> Done:
        """One text; empty removes it. Raises Immutable too."""
        if attribute not in CHANGEABLE:
            raise Immutable(attribute)
        kept = self._found(Act.CHANGE, address, self._of(establishment))
        self._write(kept, _with_words(kept, {attribute: [value.encode()] if value else []}))
        return Done(kept.dn, f"{attribute}={kept.text(attribute)}", f"{attribute}={value}")

    def certify(self, address: Address, certificates: Sequence[bytes], establishment: str | None = None) -> Done:
        """These and no others (DER, RFC 4523 §2.1) are its certificates; none takes them away."""
        kept = self._found(Act.CHANGE, address, self._of(establishment))
        self._write(kept, {_CERTIFICATES: certificates})
        held = kept.values.get(_CERTIFICATES, ())
        return Done(kept.dn, f"certificates: {len(held)}", f"certificates: {len(certificates)}")

    def move(self, address: Address, act: Act, at: datetime, establishment: str | None = None) -> Done:
        """Suspends, resumes or closes. Raises lifecycle.CannotMove too."""
        kept = self._found(act, address, self._of(establishment))
        after = lifecycle.moved(kept.state, act)
        if after is not kept.state:
            ends = [entries.written(at).encode()] if after is Lifecycle.CLOSED else []
            self._write(kept, {"lifecycleState": [after.value.encode()], "validTo": ends})
        return Done(kept.dn, kept.state.value, after.value)

    def red_list(self, address: Address, to: bool, establishment: str | None = None) -> Done:
        """Hides it from everybody but the relay, or shows it again."""
        kept = self._found(Act.RED_LIST, address, self._of(establishment))
        before = entries.is_red(kept.dn, kept.values)
        if before is not to:
            self._write(kept, {"mssListeRouge": [b"TRUE"] if to else []})
        return Done(kept.dn, _mark(before), _mark(to))

    def require(self, act: Act, establishment: str | None = None) -> None:
        """For what others then do in his name. Raises NotYours."""
        self._ask(act, self._of(establishment))

    # --- how ------------------------------------------------------------------------------------------------

    def _of(self, establishment: str | None) -> str:
        return self.actor.establishment if establishment is None else establishment

    def _ask(self, act: Act, establishment: str) -> None:
        if not roles.permitted(self.actor, act, establishment):
            raise NotYours(self.actor, act, establishment)

    def _base(self, establishment: str) -> str:
        if not establishment:
            return self._suffix
        return f"ou={ldap.dn.escape_dn_chars(establishment)},{access.TENANTS},{self._suffix}"

    def _found(self, act: Act, address: Address, establishment: str) -> Kept:
        self._ask(act, establishment)
        found = self._search(address, establishment)
        if not found:
            raise NoSuchMailbox(str(address))
        return Kept(*found[0])

    def _search(self, address: Address, establishment: str) -> Sequence[tuple[str, Values]]:
        asked = filters.equal(entries.attribute_of(address), address.key)
        return delegated.search(self._link, self._whom, self._base(establishment), asked, _SEEN)

    def _write(self, kept: Kept, values: Mapping[str, Sequence[bytes]]) -> None:
        delegated.change(self._link, self._whom, kept.dn, values)


def whom(actor: Actor, suffix: str) -> str:
    """In whose name slapd is asked; empty: in that of the connection, the feeder's."""
    if actor.role is Role.REGION:
        return ""
    if actor.role is Role.ESTABLISHMENT:
        return delegated.administrator(actor.establishment, suffix)
    return f"{access.DELEGATE if actor.role is Role.DELEGATE else access.SUPPORT},{suffix}"


def _with_words(kept: Kept, values: dict[str, list[bytes]]) -> dict[str, list[bytes]]:
    """What a search finds it by follows from its names."""
    entry = entries.read(kept.dn, {**kept.values, **values}, "")
    if isinstance(entry, Entry):
        values["pliWord"] = [word.encode() for word in entries.search_words(entry)]
    return values


def _mark(red: bool) -> str:
    return "red-list" if red else "listed"


def octets(values: Mapping[str, Sequence[str | bytes]]) -> dict[str, list[bytes]]:
    return {name: [v if isinstance(v, bytes) else v.encode() for v in each] for name, each in values.items() if each}

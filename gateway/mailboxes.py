"""One mailbox from its making to its end: the directory, the logins, the publication and the journal, in step.

Promises: the journal has the order (who, what, why) before anything changes, and before and after once it has; the
directory is asked first, as whom he is, and what it refuses changes nothing else; an act that was cut is finished by
asking again. Letters for a suspended or closed mailbox are refused at RCPT (recipient-closed), what is in custody is
still delivered while it is suspended. Does not: ask who may (directory.desk does), or remove a letter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography import x509

from certs.chain import identity
from directory import entries
from directory.desk import Desk, Kept
from directory.lifecycle import Lifecycle
from directory.merging import Done
from directory.model import Address, Entry, Kind
from directory.roles import Act
from gateway import administration, app, publishing
from gateway.accounts import Accounts
from gateway.config import Settings
from relay.journal import SpoolJournal
from relay.model import Event


@dataclass(frozen=True)
class Order:
    """Who wants it, and why."""

    by: str
    why: str


class NotOurs(Exception):
    """The address is of no domain of this tenant; the text is for the operator."""


def create(settings: Settings, entry: Entry, order: Order, establishment: str | None = None) -> Done:
    """In the directory, with an account that has no password yet, and wanted in the national one. `establishment`: in
    whose subtree; the keeper's own otherwise. Raises what the desk does, NotOurs, StoreDown."""
    _require_ours(settings, entry.address)

    def made(at: Desk) -> Done:
        done = at.create(entry, establishment)
        _open_account(settings, entry)
        publishing.wish(settings, [entry], order.by)
        return done

    return _done(settings, Act.CREATE, entry.address, order, made)


def move(settings: Settings, address: Address, act: Act, order: Order) -> Done:
    """Suspends, resumes or closes. Raises as `create`."""
    _require_ours(settings, address)

    def moved(at: Desk) -> Done:
        done = at.move(address, act, app.clock())
        logins = Accounts(settings.accounts.file)
        if act is Act.CLOSE:
            logins.remove(address.key)
        else:
            logins.suspend(address.key, act is Act.SUSPEND)
        _wish_again(settings, at.see(address), order)
        return done

    return _done(settings, act, address, order, moved)


def red_list(settings: Settings, address: Address, to: bool, order: Order) -> Done:
    """Raises as `create`."""
    _require_ours(settings, address)

    def marked(at: Desk) -> Done:
        done = at.red_list(address, to)
        _wish_again(settings, at.see(address), order)
        return done

    return _done(settings, Act.RED_LIST, address, order, marked)


def change(settings: Settings, address: Address, attribute: str, value: str, order: Order) -> Done:
    """One text of the entry. Raises as `create`."""
    _require_ours(settings, address)

    def changed(at: Desk) -> Done:
        done = at.change(address, attribute, value)
        _wish_again(settings, at.see(address), order)
        return done

    return _done(settings, Act.CHANGE, address, order, changed)


def certify(settings: Settings, address: Address, certificates: Sequence[bytes], order: Order) -> Done:
    """The certificates with which others encrypt to it, in the directory. Raises NotFor too, and as `create`."""
    _require_ours(settings, address)
    for each in certificates:
        _require_for(address, each)
    return _done(settings, Act.CHANGE, address, order, lambda at: at.certify(address, certificates))


class NotFor(Exception):
    """A certificate with which nobody encrypts to this mailbox; the text is for the operator."""


def _require_for(address: Address, der: bytes) -> None:
    """Names it, and takes keys (RFC 8551 §4.4.2). That it is believed is for whoever encrypts to judge, each time."""
    loaded = x509.load_der_x509_certificate(der)
    if address.key not in {each.lower() for each in identity(der).addresses}:
        raise NotFor(f"a certificate does not name {address}")
    try:
        usage = loaded.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not (usage.key_encipherment or usage.key_agreement):
        raise NotFor(f"the certificate {loaded.serial_number:x} is for signing: nobody encrypts with it")


def withdraw(settings: Settings, address: Address, order: Order) -> Done:
    """Out of the national directory, while it stands here. Raises as `create`."""
    _require_ours(settings, address)

    def withdrawn(at: Desk) -> Done:
        at.require(Act.PUBLISH)
        kept = at.see(address)
        changed = publishing.wish(settings, [_entry(kept)], order.by, published=False)
        return Done(kept.dn, "published" if changed else "withdrawn", "withdrawn")

    return _done(settings, Act.PUBLISH, address, order, withdrawn)


# --- the parts ----------------------------------------------------------------------------------------------------


def _done(settings: Settings, act: Act, address: Address, order: Order, work: Callable[[Desk], Done]) -> Done:
    """With the order before and what became of it after, in the journal."""
    records, tenant = SpoolJournal(app.client(settings)), settings.node.tenant
    facts = {"act": act.value, "mailbox": address.key, "by": order.by, "because": order.why}
    with administration.desk(settings, order.by) as at:
        facts |= {"as": at.actor.role.value}
        records.add(tenant, [Event("mailbox.asked", facts=tuple(facts.items()))])
        try:
            done = work(at)
        except Exception as refusal:
            told = {**facts, "why": type(refusal).__name__}
            records.add(tenant, [Event("mailbox.not-changed", facts=tuple(told.items()))])
            raise
    told = {**facts, "before": done.before, "after": done.after}
    records.add(tenant, [Event("mailbox.changed", facts=tuple(told.items()))])
    return done


def _require_ours(settings: Settings, address: Address) -> None:
    if address.domain not in {each.lower() for each in settings.node.domains}:
        raise NotOurs(f"{address} is of no domain of {settings.node.tenant}: {', '.join(settings.node.domains)}")


def _open_account(settings: Settings, entry: Entry) -> None:
    Accounts(settings.accounts.file).open({entry.address.key: subject_of(entry)})


def subject_of(entry: Entry) -> str:
    """A person's account is opened by Pro Santé Connect, whose subject is his national identifier (idNat_PS: 8 and the
    RPPS, spec/operator.md §3.2); another one gets its application password or certificate by `pli account`."""
    return f"8{entry.rpps}" if entry.kind is Kind.PER and entry.rpps else ""


def _wish_again(settings: Settings, kept: Kept, order: Order) -> None:
    """Wanted in the national directory while it is not closed; a suspended one stays as it is, there or withdrawn."""
    if kept.state is Lifecycle.SUSPENDED and not publishing.is_wanted(settings, kept.text("mail").lower()):
        return
    publishing.wish(settings, [_entry(kept)], order.by, published=kept.state is not Lifecycle.CLOSED)


def _entry(kept: Kept) -> Entry:
    read = entries.read(kept.dn, kept.values, "")
    if not isinstance(read, Entry):
        raise NotOurs(f"the entry cannot be read: {read.attribute}")
    return dataclasses.replace(read, red_list=entries.is_red(kept.dn, kept.values))

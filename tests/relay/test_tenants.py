"""Several tenants behind one door and on one carrier: whose each letter is, and how neighbours write to each other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from certs.chain import TrustStore, identity
from certs.throwaway import Issued, Pki
from directory.address import parse
from relay import spool, tenants
from relay.couriers.neighbour import House, Street, same_id
from relay.intake import Intake
from relay.journal import SpoolJournal
from relay.model import (
    Addressee,
    Asked,
    BodyRef,
    Done,
    Door,
    DoorProof,
    Job,
    Later,
    Letter,
    Mode,
    Never,
    Reason,
    Receipt,
    Recipient,
    Refusal,
    Route,
    State,
    Verdict,
    new_id,
)
from relay.partners import Listed, WhiteList
from relay.pseudonym import Pseudonyms
from relay.routing import Node
from relay.spooler import SpoolClient, Spooler
from relay.store import engine, migrations, tables
from relay.store.bodies import BodyStore
from relay.tenants import Desk, Reception, Service, TenantUnknown
from tests.relay.town import FAR, FAR_DN, NAMES, Known, Town, box


@pytest.fixture(scope="module")
def quick(today: datetime) -> Pki:
    return Pki.create(today, kind="p256")


@pytest.fixture(scope="module")
def servers(quick: Pki) -> dict[str, Issued]:
    return {name: quick.tls_server(f"mss.{name}.example", name.upper(), "1750000001") for name in NAMES}


@pytest.fixture(scope="module")
def believed(quick: Pki, today: datetime, tmp_path_factory: pytest.TempPathFactory) -> TrustStore:
    folder = tmp_path_factory.mktemp("trust")
    quick.write_trust(folder, today)
    return TrustStore.load(folder)


@pytest.fixture
def town(
    tmp_path: Path, today: datetime, believed: TrustStore, servers: dict[str, Issued], keys: bytes
) -> Iterator[Town]:
    url = f"sqlite:///{tmp_path / 'pli.sqlite'}"
    migrations.upgrade(url, [tables.metadata])
    stop, writes = threading.Event(), {**spool.WRITES, **tenants.WRITES}
    spooler = Spooler(engine.writer_engine(url), tmp_path / "s.sock", writes, lambda: today)
    thread = threading.Thread(target=spooler.serve, args=(stop,))
    thread.start()
    assert spooler.ready.wait(10)

    def end() -> None:
        stop.set()
        thread.join(10)

    client = SpoolClient(tmp_path / "s.sock", timeout=5.0)
    listed = [Listed(f"{name}.mssante.example", identity(each.der).subject) for name, each in servers.items()]
    white_list = WhiteList.of([*listed, Listed(FAR, FAR_DN)], today)
    known = Known(*map(box, NAMES))
    desks = {}
    for name in NAMES:
        intake = Intake(
            node=Node(name, frozenset({f"{name}.mssante.example"}), f"mss.{name}.example"),
            client=client,
            directory=known,
            white_list=lambda: white_list,
            trust=lambda: believed,
            finders=(),
            pseudonyms=Pseudonyms(name.encode() * 8),
            clock=lambda: today,
        )
        desks[name] = Desk(intake, BodyStore(tmp_path / name, keys, name.encode() * 8))
    houses = tuple(House(desks[name], f"mss.{name}.example", lambda n=name: servers[n].der) for name in NAMES)  # type: ignore[misc]
    street = Street(houses, lambda: believed, lambda: white_list, SpoolJournal(client), lambda: today)
    reception = Reception(tuple(desks.values()), client)
    yield Town(desks, reception, street, engine.reader_engine(url), tmp_path, today, end)
    end()


@pytest.fixture(scope="module")
def keys() -> bytes:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.generate().public_key().public_bytes_raw()


# --- one door -----------------------------------------------------------------------------------------------------


def test_each_recipient_meets_his_own_tenant(town: Town) -> None:
    """A recipient of a tenant here is taken; one of nobody here is refused, and so is an unknown one."""
    assert isinstance(town.reception.check_recipient(parse(box("parc")), Door.PEER), Addressee)
    stray = town.reception.check_recipient(parse(f"labo@{FAR}"), Door.PEER)
    assert stray == Refusal(Reason.NO_RELAY, permanent=True)
    unknown = town.reception.check_recipient(parse("x@parc.mssante.example"), Door.PEER)
    assert isinstance(unknown, Refusal)
    assert unknown.reason == Reason.UNKNOWN_RECIPIENT


def test_one_letter_for_two_tenants_is_two(town: Town, make_mail: Callable[..., bytes]) -> None:
    """Each has an id, a body under its own digest key, and its own recipients; both are kept at once."""
    raw = make_mail(From=f"labo@{FAR}")
    receipt = town.taken(raw, box("parc"), box("lilas"))
    assert isinstance(receipt, Receipt)
    kept = town.letters()
    assert set(kept) == {"parc", "lilas"}
    assert kept["parc"].id == receipt.letter_id != kept["lilas"].id
    assert kept["parc"].body_digest != kept["lilas"].body_digest
    assert (town.bodies("parc"), town.bodies("lilas"), town.bodies("nord")) == (1, 1, 0)
    for name in ("parc", "lilas"):
        found = spool.letter(town.rows, name, kept[name].id)
        assert found
        assert [row.address for row in found[1]] == [box(name)]
        assert [step.event for step in spool.timeline(town.rows, name, kept[name].id)][:2] == ["accepted", "verified"]


def test_a_letter_that_cannot_be_kept_for_one_is_kept_for_none(town: Town, make_mail: Callable[..., bytes]) -> None:
    """Without the store nobody has it, and no second body is left; what the door sealed stays, for it may be in
    custody."""
    town.stop()
    answer = town.taken(make_mail(From=f"labo@{FAR}"), box("parc"), box("lilas"))
    assert answer == Refusal(Reason.STORE_DOWN, permanent=False)
    assert town.letters() == {}


def test_a_letter_that_is_refused_leaves_no_second_body(town: Town, make_mail: Callable[..., bytes]) -> None:
    """A letter whose author the peer may not name is refused whole; the bodies of the others are gone."""
    answer = town.taken(make_mail(From="x@parc.mssante.example"), box("parc"), box("lilas"))
    assert answer == Refusal(Reason.FROM_NOT_ALLOWED, permanent=True)
    assert (town.bodies("lilas"), town.letters()) == (0, {})


def test_one_tenants_refusal_is_told_and_hurts_no_other(town: Town, make_mail: Callable[..., bytes]) -> None:
    """Whom one tenant's patient objects to gets nothing and the sender is told; the other tenant has its letter; where
    nobody is served, the letter is refused."""
    parc = town.desks["parc"]
    objecting = replace(parc, intake=replace(parc.intake, opposed=lambda message, to: True))
    mixed = replace(town, reception=Reception((town.desks["lilas"], objecting), town.reception.client))
    raw = make_mail(From=f"labo@{FAR}")
    receipt = mixed.taken(raw, box("parc"), box("lilas"))
    assert isinstance(receipt, Receipt)
    assert [(str(who), why) for who, why in receipt.refused] == [(box("parc"), Reason.OPPOSED)]
    assert {name: _state(town, name) for name in ("parc", "lilas")} == {"parc": State.FAILED, "lilas": State.QUEUED}
    assert mixed.taken(raw, box("parc")) == Refusal(Reason.OPPOSED, permanent=True)


def _state(town: Town, name: str) -> State:
    found = spool.letter(town.rows, name, town.letters()[name].id)
    assert found
    return found[1][0].state


# --- one carrier --------------------------------------------------------------------------------------------------


def letter_of(tenant: str, today: datetime, sender: str = "") -> Letter:
    ref = BodyRef("n", 1, "d")
    return Letter(new_id(today), tenant, Door.SUBMISSION, sender, "<1@x>", ref, today, "", Verdict(), DoorProof())


def recipient_of(letter: Letter, address: str, mode: Mode = Mode.PEER_PLAIN, **more: Any) -> Recipient:
    target = address.rpartition("@")[2]
    return Recipient(new_id(letter.received_at), letter.id, letter.tenant, address, Route(mode, target, "r"),
                     State.RUNNING, **more)  # fmt: skip


class Marks:
    """A courier that says whose it is."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant

    def deliver(self, job: Job) -> dict[str, Any]:
        return {each.id: Done(f"by {self.tenant} 279035121518989") for each in job.recipients}


def service(tenant: str) -> Service:
    marks = Marks(tenant)
    return Service(
        opened=lambda letter: tenant.encode(),
        couriers={Mode.MAILBOX: marks},
        notice=lambda letter, recipients, raw: tenant == "parc",
        scrub=lambda text: text.replace("279035121518989", f"of-{tenant}"),
    )


def test_a_letter_is_opened_carried_and_told_by_its_own_tenant(today: datetime) -> None:
    """Keys, courier, notice and pseudonyms are the letter's tenant's."""
    services = {name: service(name) for name in NAMES}
    for name in NAMES:
        letter = letter_of(name, today)
        to = recipient_of(letter, box(name), Mode.MAILBOX)
        assert tenants.opened(services)(letter) == name.encode()
        assert tenants.notice(services)(letter, (to,), bytes) == (name == "parc")
        outcomes = tenants.couriers(services)[Mode.MAILBOX].deliver(Job(letter, (to,), bytes, 1))
        assert outcomes[to.id] == Done(f"by {name} of-{name}")


def test_a_letter_of_a_tenant_that_is_gone_is_touched_by_nobody(today: datetime) -> None:
    """The twin: its body is not opened by another's keys, and no courier has it."""
    services, letter = {"parc": service("parc")}, letter_of("lilas", today)
    job = Job(letter, (recipient_of(letter, box("lilas"), Mode.MAILBOX),), bytes, 1)
    with pytest.raises(TenantUnknown):
        tenants.opened(services)(letter)
    with pytest.raises(TenantUnknown):
        tenants.couriers(services)[Mode.MAILBOX].deliver(job)


def test_a_mode_that_only_another_tenant_has_waits(today: datetime) -> None:
    """A tenant without a dossier host does not reach the neighbour's."""
    dossier = replace(service("parc"), couriers={Mode.DOSSIER: Marks("parc")})
    letter = letter_of("lilas", today)
    to = recipient_of(letter, "dossier:r", Mode.DOSSIER)
    table = tenants.couriers({"parc": dossier, "lilas": service("lilas")})
    assert table[Mode.DOSSIER].deliver(Job(letter, (to,), bytes, 1)) == {
        to.id: Later(Reason.NO_ROUTE, "no courier for this mode")
    }


# --- neighbours ---------------------------------------------------------------------------------------------------


@dataclass
class Writing:
    """A letter of lilas on its way to parc."""

    town: Town
    raw: bytes
    job: Job

    def hand(self, street: Street | None = None) -> dict[str, Any]:
        near = (street or self.town.street).near("lilas")("parc.mssante.example")
        assert near
        return near(self.job, lambda: self.raw)


@pytest.fixture
def writing(town: Town, make_mail: Callable[..., bytes], today: datetime) -> Writing:
    letter = letter_of("lilas", today, box("lilas"))
    to = recipient_of(letter, box("parc"), asked=Asked(frozenset({"SUCCESS"})))
    return Writing(town, make_mail(From=box("lilas")), Job(letter, (to,), bytes, 1))


def test_a_neighbour_gets_the_letter_as_from_a_peer(writing: Writing) -> None:
    """It is kept under the other tenant, with the certificate that the sender would have shown; the report is the other
    tenant's to send."""
    outcome = writing.hand()[writing.job.recipients[0].id]
    kept = writing.town.letters()["parc"]
    assert outcome == Done(f"parc {kept.id}", "receipt-by-peer")
    found = spool.letter(writing.town.rows, "parc", kept.id)
    assert found
    assert (found[0].door, found[0].proof.neighbour, found[0].sender) == (Door.PEER, "lilas", box("lilas"))
    assert found[0].proof.peer.startswith("CN=mss.lilas.example")
    assert "(Pli, neighbour)" in found[0].trace
    assert found[1][0].asked.notify == {"SUCCESS"}


def test_what_was_handed_over_before_a_crash_is_not_kept_twice(writing: Writing) -> None:
    """The same letter for the same recipient, asked again: one letter."""
    assert writing.hand() == writing.hand()
    with writing.town.rows.connect() as conn:
        assert len(conn.execute(select(tables.letters)).all()) == 1


def test_another_recipient_of_the_same_letter_is_another_letter(writing: Writing, today: datetime) -> None:
    """The twin: the id is of the letter, the tenant and the recipients."""
    letter = writing.job.letter
    ids = {same_id(letter, "parc", ["1"]), same_id(letter, "nord", ["1"]), same_id(letter, "parc", ["1", "2"])}
    assert len(ids) == 3
    assert {len(each) for each in ids} == {26}
    assert same_id(letter, "parc", ["2", "1"]) in ids


def test_nobody_but_a_neighbour_is_near(town: Town) -> None:
    """Other domains, and one's own, are not handed over: a letter that came in cannot go out again."""
    near = town.street.near("lilas")
    assert near("parc.mssante.example")
    assert near(FAR) is None
    assert near("lilas.mssante.example") is None


@pytest.mark.parametrize("missing", ["parc.mssante.example", "lilas.mssante.example"])
def test_a_neighbour_whom_the_white_list_does_not_name_waits(writing: Writing, missing: str) -> None:
    """In both directions, as between operators: who is not listed gets nothing, and who is not listed sends nothing."""
    town = writing.town
    entries = town.street.white_list().entries
    short = WhiteList({name: who for name, who in entries.items() if name != missing}, town.today)
    desks = {n: replace(d, intake=replace(d.intake, white_list=lambda: short)) for n, d in town.desks.items()}
    houses = tuple(replace(each, desk=desks[each.desk.tenant]) for each in town.street.houses)
    answer = writing.hand(replace(town.street, houses=houses, white_list=lambda: short))
    outcome = answer[writing.job.recipients[0].id]
    assert isinstance(outcome, Later)
    assert outcome.reason == Reason.PEER_NOT_LISTED
    assert town.letters() == {}


def test_a_neighbour_with_a_certificate_of_nobody_waits(writing: Writing, today: datetime) -> None:
    """A certificate that leads to no anchor of ours is no neighbour's, whichever side shows it."""
    town, to = writing.town, writing.job.recipients[0].id
    stranger = Pki.create(today, "STRANGER", kind="p256").tls_server("mss.parc.example", "PARC", "1750000001").der
    for side, reason in (("parc", Reason.PEER_UNTRUSTED), ("lilas", Reason.PEER_REFUSED_TLS)):
        houses = tuple(
            replace(each, shown=lambda: stranger) if each.desk.tenant == side else each for each in town.street.houses
        )
        answer = writing.hand(replace(town.street, houses=houses))[to]
        assert isinstance(answer, Later)
        assert answer.reason == reason
    assert town.letters() == {}


def test_a_sender_whose_keys_are_away_hands_nothing_over(writing: Writing) -> None:
    """What the letter's making answers is the outcome."""
    near = writing.town.street.near("lilas")("parc.mssante.example")
    assert near
    assert near(writing.job, lambda: Later(Reason.NO_KEY)) == {writing.job.recipients[0].id: Later(Reason.NO_KEY)}
    assert writing.town.letters() == {}


def test_an_unknown_recipient_fails_alone(writing: Writing) -> None:
    """Of two recipients the one without a mailbox is refused, the other gets the letter."""
    stray = recipient_of(writing.job.letter, "inconnu@parc.mssante.example")
    writing.job = replace(writing.job, recipients=(*writing.job.recipients, stray))
    answer = writing.hand()
    assert answer[stray.id] == Never(Reason.UNKNOWN_RECIPIENT)
    assert isinstance(answer[writing.job.recipients[0].id], Done)


def test_a_store_that_is_down_leaves_the_letter_with_its_sender(writing: Writing) -> None:
    """It waits, and is handed over later."""
    writing.town.stop()
    assert writing.hand()[writing.job.recipients[0].id] == Later(Reason.STORE_DOWN)

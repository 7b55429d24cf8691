"""Several tenants on one node: each writes to each, and nobody gets what is another's.

The full size is 44 tenants, 44 x 43 = 1,892 letters: PLI_TENANTS=44 pytest tests/journeys/test_tenants.py
"""

from __future__ import annotations

import imaplib
import re
import smtplib
import ssl
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import pytest
from sqlalchemy import select

from gateway import config as configuration
from gateway.demo.cast import PASSWORD
from gateway.demo.town import PEER, Tenant, Town
from relay.store import engine
from relay.store.tables import journal, letters, recipients

pytestmark = pytest.mark.journey


def mail(sender: str, to: Sequence[str], message_id: str) -> bytes:
    made = EmailMessage(policy=SMTP)
    made["From"], made["To"], made["Subject"] = sender, ", ".join(to), "Essai"
    made["Date"] = "Wed, 25 Nov 2026 09:30:00 +0000"
    made["Message-ID"] = message_id
    made.set_content("Bonjour")
    return made.as_bytes()


@contextmanager
def client(town: Town, login: str, password: str = PASSWORD) -> Iterator[smtplib.SMTP]:
    """A mail client, logged in."""
    with smtplib.SMTP("127.0.0.1", town.submission, local_hostname="poste.example", timeout=60) as session:
        session.starttls(context=ssl.create_default_context(cafile=str(town.ca)))
        session.login(login, password)
        yield session


@contextmanager
def peer(town: Town) -> Iterator[smtplib.SMTP]:
    """Another operator's host, by its certificate."""
    context = ssl.create_default_context(cafile=str(town.ca))
    context.load_cert_chain(*map(str, town.peer))
    with smtplib.SMTP("127.0.0.1", town.peers, local_hostname=f"mss.{PEER}", timeout=60) as session:
        session.starttls(context=context)
        session.ehlo()
        yield session


def held(town: Town, tenant: Tenant) -> list[str]:
    """Message-IDs in the mailbox, by IMAP, as its owner sees them."""
    with imaplib.IMAP4("127.0.0.1", town.imap) as box:
        box.starttls(ssl.create_default_context(cafile=str(town.ca)))
        box.login(tenant.address, PASSWORD)
        box.select("INBOX", readonly=True)
        parts: Any = box.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")[1]
    texts = (part[1].decode() for part in parts if isinstance(part, tuple))
    return [found[1] for text in texts if (found := re.search(r"Message-ID:\s*(<\S+>)", text, re.IGNORECASE))]


def rows(town: Town, *columns: Any) -> list[Any]:
    reader = engine.reader_engine(configuration.load(town.config).database_url)
    with reader.connect() as conn:
        found = list(conn.execute(select(*columns)))
    reader.dispose()
    return found


def settled(town: Town, tag: str, count: int) -> None:
    """Until every recipient of the letters whose Message-ID holds `tag` is settled, `count` of them."""
    last, since = -1, time.monotonic()
    of = recipients.join(letters, (recipients.c.letter_id == letters.c.id) & (recipients.c.tenant == letters.c.tenant))
    while time.monotonic() - since < 60:  # without any progress
        reader = engine.reader_engine(configuration.load(town.config).database_url)
        with reader.connect() as conn:
            found = conn.execute(select(recipients.c.state).select_from(of).where(letters.c.message_id.contains(tag)))
            states = Counter(found.scalars())
        reader.dispose()
        if states["done"] == count == states.total():
            return
        if states["done"] != last:
            last, since = states["done"], time.monotonic()
        time.sleep(0.2)
    raise AssertionError(f"{states} of {count}")


def test_each_tenant_writes_to_each_and_each_letter_arrives_once(town: Town, summary: list[str]) -> None:
    """N tenants, N x (N - 1) letters: every one in the right mailbox once and in no other; both tenants have it in
    custody, each with a body, rows and a journal of its own."""
    begun, tag = time.monotonic(), f"each.{time.time_ns()}"
    expected = {
        tenant.name: {f"<{other.number}.{tenant.number}.{tag}@t>" for other in town.tenants if other is not tenant}
        for tenant in town.tenants
    }

    def write(tenant: Tenant) -> None:
        with client(town, tenant.address) as session:
            for other in town.tenants:
                if other is not tenant:
                    letter = mail(tenant.address, [other.address], f"<{tenant.number}.{other.number}.{tag}@t>")
                    assert session.sendmail(tenant.address, [other.address], letter) == {}

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, town.tenants))
    count = len(town.tenants) * (len(town.tenants) - 1)
    settled(town, tag, 2 * count)
    spent = time.monotonic() - begun

    boxes = {tenant.name: [each for each in held(town, tenant) if tag in each] for tenant in town.tenants}
    assert {name: Counter(box) for name, box in boxes.items()} == {
        name: Counter(wanted) for name, wanted in expected.items()
    }
    mine = [row for row in rows(town, letters) if tag in row.message_id]
    sides = Counter((row.tenant, row.door) for row in mine)
    assert set(sides.values()) == {len(town.tenants) - 1}
    assert len(sides) == 2 * len(town.tenants)
    assert len({row.body_name for row in mine}) == len({row.body_digest for row in mine}) == 2 * count
    of = {row.id: row.tenant for row in mine}
    told = {(row.letter_id, row.tenant) for row in rows(town, journal) if row.letter_id in of}
    assert told == set(of.items())
    summary.append(f"tenants: {len(town.tenants)} on one node, {count} letters each once in {spent:.0f} s")


def test_a_letter_for_two_tenants_becomes_one_for_each(town: Town) -> None:
    """One transaction on 25 for two tenants: two letters, each with its own body and its own recipients alone."""
    first, second = town.tenants[:2]
    tag = f"two.{time.time_ns()}"
    writer, to = f"labo@{PEER}", [second.address, first.address]
    with peer(town) as session:
        assert session.sendmail(writer, to, mail(writer, to, f"<{tag}@t>")) == {}
    settled(town, tag, 2)
    kept = [row for row in rows(town, letters) if tag in row.message_id]
    assert {row.tenant for row in kept} == {first.name, second.name}
    assert len({row.body_name for row in kept}) == len({row.body_digest for row in kept}) == 2
    whose = {(row.tenant, row.address) for row in rows(town, recipients) if row.letter_id in {each.id for each in kept}}
    assert whose == {(first.name, first.address), (second.name, second.address)}
    assert held(town, first).count(f"<{tag}@t>") == held(town, second).count(f"<{tag}@t>") == 1


def test_a_recipient_of_no_tenant_is_refused_beside_others(town: Town) -> None:
    """The twin: who is of no tenant here is refused at RCPT, and the others get the letter."""
    tag, writer, first = f"none.{time.time_ns()}", f"labo@{PEER}", town.tenants[0]
    with peer(town) as session:
        stray = f"labo@{PEER}"
        refused = session.sendmail(writer, [stray, first.address], mail(writer, [first.address], f"<{tag}@t>"))
    assert {address: code for address, (code, _) in refused.items()} == {stray: 550}
    settled(town, tag, 1)


def test_a_login_writes_for_its_own_tenant_alone(town: Town) -> None:
    """An account of one tenant is no sender of another, in the envelope or in From."""
    first, second = town.tenants[:2]
    with client(town, first.address) as session:
        session.ehlo_or_helo_if_needed()
        assert session.mail(second.address)[0] == 550
        session.rset()
        with pytest.raises(smtplib.SMTPDataError) as refused:
            session.sendmail(first.address, [second.address], mail(second.address, [second.address], "<forged@t>"))
        assert refused.value.smtp_code == 550


def test_an_unknown_neighbour_is_refused_as_anywhere(town: Town) -> None:
    """Who has no mailbox at the other tenant is refused when he is named, as at any operator."""
    first, second = town.tenants[:2]
    with client(town, first.address) as session, pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        session.sendmail(first.address, [f"inconnu@{second.domain}"], mail(first.address, [], "<unknown@t>"))
    assert next(iter(refused.value.recipients.values()))[0] == 550

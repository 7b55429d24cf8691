"""The tables of custody: letters, their recipients, and the journal.

Promises: every row has a tenant; keys are (tenant, id), so that one tenant's ids never meet another's; the
same tables on SQLite and PostgreSQL. Does not: read or write (relay/spool.py), nor create (migrations).
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
    text,
)
from sqlalchemy.types import TypeDecorator

metadata = MetaData()


class Moment(TypeDecorator[datetime]):
    """A timezone-aware UTC moment. SQLite keeps no zone, so one is never stored there and always put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


letters = Table(
    "letters",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("door", String(16), nullable=False),
    Column("sender", String(320), nullable=False),
    # For comparing: lower case.
    Column("sender_key", String(320), nullable=False, server_default=""),
    Column("message_id", String(1000), nullable=False),
    Column("body_name", String(128), nullable=False),
    Column("body_size", Integer, nullable=False),
    Column("body_digest", String(128), nullable=False),
    Column("received_at", Moment(), nullable=False),
    Column("trace", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("proof", Text, nullable=False),
    Column("envid", String(200), nullable=False),
    Column("require_tls", Boolean, nullable=False, server_default=false()),
    Column("utf8", Boolean, nullable=False, server_default=false()),
    Index("letters_by_message_id", "tenant", "message_id"),
    Index("letters_by_sender", "tenant", "sender_key"),
)

recipients = Table(
    "recipients",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("letter_id", String(64), nullable=False),
    Column("address", String(320), nullable=False),
    Column("address_key", String(320), nullable=False, server_default=""),
    Column("mode", String(32), nullable=False),
    Column("target", String(255), nullable=False),
    # What shares a connection and a cap: mode and target in one column, so that one index walks the lanes.
    Column("lane", String(300), nullable=False),
    Column("rule", String(128), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    # Leases in a row which ended without a settlement: a letter that kills its carrier.
    Column("lapses", Integer, nullable=False, server_default=text("0")),
    # When this recipient's five days began; a resend begins them again.
    Column("queued_at", Moment(), nullable=False),
    Column("due_at", Moment(), nullable=False),
    Column("settled_at", Moment()),
    Column("worker", String(128), nullable=False, server_default=""),
    Column("lease", String(32), nullable=False, server_default=""),
    Column("lease_until", Moment()),
    Column("reason", String(128), nullable=False),
    Column("reference", Text, nullable=False),
    Column("note", String(128), nullable=False),
    Column("notify", String(64), nullable=False),
    Column("orcpt", String(600), nullable=False),
    # '' (none to send), 'due' or 'sent'.
    Column("notice", String(8), nullable=False, server_default=""),
    # The same of the warning that it is delayed; once in a recipient's five days.
    Column("warning", String(8), nullable=False, server_default=""),
    # Of the other side's people: relay.model.Word. '' where none was asked.
    Column("word", String(16), nullable=False, server_default=""),
    ForeignKeyConstraint(["tenant", "letter_id"], ["letters.tenant", "letters.id"], name="recipients_of_letter"),
    Index("recipients_by_letter", "tenant", "letter_id", "lane"),
    Index("recipients_by_address", "tenant", "address_key"),
    Index("recipients_by_lane", "state", "tenant", "lane", "due_at"),
    Index("recipients_by_lease", "state", "lease_until"),
    Index("recipients_by_age", "state", "queued_at"),
    Index(
        "recipients_by_word",
        "word",
        "settled_at",
        sqlite_where=text("word = 'awaited'"),
        postgresql_where=text("word = 'awaited'"),
    ),
    Index(
        "recipients_by_warning",
        "warning",
        sqlite_where=text("warning = 'due'"),
        postgresql_where=text("warning = 'due'"),
    ),
    Index(
        "recipients_by_notice",
        "notice",
        sqlite_where=text("notice = 'due'"),
        postgresql_where=text("notice = 'due'"),
    ),
)

lanes = Table(
    "lanes",
    metadata,
    # What waits, gathered: one row for each tenant's queue towards one target by one mode.
    Column("tenant", String(64), primary_key=True),
    Column("lane", String(300), primary_key=True),
    Column("destination", String(300), nullable=False),
    # When there is something to take; NULL where nothing waits. A lane that was served goes to the end of the row.
    Column("due_at", Moment()),
    Index("lanes_by_due", "due_at"),
    Index("lanes_by_destination", "destination"),
)

destinations = Table(
    "destinations",
    metadata,
    # '': the node's own knowledge of who is at the other end, whichever tenant writes to him.
    Column("tenant", String(64), primary_key=True),
    Column("destination", String(300), primary_key=True),
    Column("width", Float, nullable=False),
    Column("failures", Integer, nullable=False),
    # Dead: not called before.
    Column("until", Moment()),
    Column("reason", String(128), nullable=False),
    # When one of its people, or its server, last sent a receipt that named a letter of ours.
    Column("answered_at", Moment()),
)

journal = Table(
    "journal",
    metadata,
    # One chain per writer; `number` counts from 1 without a gap.
    Column("chain", String(64), primary_key=True),
    Column("number", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=False),
    Column("tenant", String(64), nullable=False),
    Column("at", Moment(), nullable=False),
    Column("event", String(64), nullable=False),
    Column("letter_id", String(64), nullable=False),
    Column("recipient_id", String(64), nullable=False),
    Column("facts", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("journal_by_letter", "tenant", "letter_id"),
)

collected = Table(
    "collected",
    metadata,
    # Every letter seen in a mailbox at another operator, entered or refused.
    Column("tenant", String(64), primary_key=True),
    Column("source", String(64), primary_key=True),
    Column("uid_validity", BigInteger, primary_key=True, autoincrement=False),
    Column("uid", BigInteger, primary_key=True, autoincrement=False),
    Column("letter_id", String(64), nullable=False),
    # Keyed per tenant: finds the letter again when the server renumbers the mailbox.
    Column("digest", String(128), nullable=False),
    Column("reason", String(128), nullable=False),
    Column("at", Moment(), nullable=False),
    Index("collected_by_digest", "tenant", "source", "digest"),
)

collectors = Table(
    "collectors",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("source", String(64), primary_key=True),
    # 'watching', 'waiting', 'failing'
    Column("state", String(16), nullable=False),
    Column("reason", String(128), nullable=False),
    Column("detail", String(200), nullable=False),
    Column("since", Moment(), nullable=False),
    Column("well_at", Moment()),
)

policies = Table(
    "policies",
    metadata,
    # What people have set; what files say stands in files (relay.policy).
    Column("tenant", String(64), primary_key=True),
    # 'tenant', 'domain', 'mailbox'
    Column("level", String(16), primary_key=True),
    # A domain or mailbox of ours; empty for the tenant
    Column("holder", String(320), primary_key=True),
    Column("key", String(400), primary_key=True),
    Column("value", String(64), nullable=False),
    Column("by", String(128), nullable=False),
    Column("at", Moment(), nullable=False),
)

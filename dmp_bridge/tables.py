"""The bridge's tables: patients (the register), and what the filing side appends.

Promises: every table has a tenant; no column holds a matricule or a trait in clear. Does not: run a
statement.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

from relay.store.tables import Moment

metadata = MetaData()

patients = Table(
    "patients",
    metadata,
    Column("tenant", String(64), nullable=False),
    Column("id", String(26), nullable=False),
    # A keyed pseudonym of the matricule, never the matricule: '' where the patient has no INS.
    Column("ins", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("merged", Boolean, nullable=False, default=False),
    # Traits, matricule and local identifiers, sealed to the body key's public half.
    Column("identity", LargeBinary, nullable=False),
    Column("updated_at", Moment(), nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
    Index("patients_by_ins", "tenant", "ins"),
)

filings = Table(
    "filings",
    metadata,
    Column("tenant", String(64), nullable=False),
    # Derived from letter, document, bytes and host: one row however often the attempt is made.
    Column("id", String(64), nullable=False),
    Column("letter_id", String(64), nullable=False),
    Column("document_id", String(128), nullable=False),
    Column("submission_id", String(64), nullable=False),
    Column("set_id", String(256), nullable=False),
    Column("version", Integer, nullable=False),
    Column("sha1", String(40), nullable=False),
    Column("size", Integer, nullable=False),
    Column("host", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("entry_id", String(64), nullable=False),
    Column("reason", String(64), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("begun_at", Moment(), nullable=False),
    Column("ended_at", Moment()),
    PrimaryKeyConstraint("tenant", "id"),
    Index("filings_by_letter", "tenant", "letter_id"),
    Index("filings_by_document", "tenant", "host", "document_id"),
    Index("filings_by_set", "tenant", "host", "set_id"),
)

worklist = Table(
    "worklist",
    metadata,
    Column("tenant", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("letter_id", String(64), nullable=False),
    # '' where what was found is no readable document.
    Column("document_id", String(128), nullable=False),
    Column("host", String(64), nullable=False),
    Column("reason", String(64), nullable=False),
    # JSON: names of traits and their answers; row ids of the register. Never a value.
    Column("evidence", Text, nullable=False),
    Column("candidates", Text, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("added_at", Moment(), nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
    Index("worklist_open", "tenant", "open", "added_at"),
    Index("worklist_by_letter", "tenant", "letter_id"),
)

"""The bridge's tables: patients (the register), and what the filing side appends.

Promises: every table has a tenant; no column holds a matricule or a trait in clear. Does not: run a
statement.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
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

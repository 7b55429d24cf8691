"""The register: where an identity came from, what it was before, what was linked, merged and refused, and decisions.

Revision 0007, after 0006.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _text(name: str, length: int, default: str | None = None) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=False, server_default=default)


def _moment(name: str, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    _patients()
    _identifiers()
    _links()
    _oppositions()
    _worklist()


def _patients() -> None:
    for name, length in (("merged_into", 26), ("source", 64), ("birth_key", 26), ("name_key", 26)):
        op.add_column("patients", _text(name, length, ""))
    op.add_column("patients", _moment("said_at"))
    op.create_index("patients_by_birth", "patients", ["tenant", "birth_key"])
    op.create_index("patients_by_name", "patients", ["tenant", "name_key"])
    op.create_index("patients_merged", "patients", ["tenant", "merged_into"])


def _identifiers() -> None:
    op.create_table(
        "patient_identifiers",
        _text("tenant", 64),
        _text("patient_id", 26),
        _text("kind", 8),
        _text("key", 26),
        _text("root", 128),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        _text("source", 64),
        _moment("since", nullable=False),
        _moment("until"),
        sa.PrimaryKeyConstraint("tenant", "patient_id", "kind", "key", "root"),
    )
    op.create_index("patient_identifiers_by_key", "patient_identifiers", ["tenant", "kind", "key"])


def _links() -> None:
    op.create_table(
        "patient_links",
        _text("tenant", 64),
        _text("id", 26),
        _text("kind", 16),
        _text("key", 256),
        _text("patient_id", 26),
        _text("learned_from", 64),
        _text("made_by", 64),
        _moment("made_at", nullable=False),
        _text("why", 200),
        _text("ended_by", 64, ""),
        _moment("ended_at"),
        _text("ended_why", 200, ""),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_index("patient_links_by_key", "patient_links", ["tenant", "kind", "key"])
    op.create_index("patient_links_by_patient", "patient_links", ["tenant", "patient_id"])


def _oppositions() -> None:
    op.create_table(
        "oppositions",
        _text("tenant", 64),
        _text("id", 26),
        _text("patient_id", 26),
        _text("flag", 32),
        _text("document_id", 128),
        _text("source", 64),
        _text("set_by", 64),
        _moment("set_at", nullable=False),
        _text("why", 200),
        _text("lifted_by", 64, ""),
        _moment("lifted_at"),
        _text("lifted_why", 200, ""),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_index("oppositions_by_patient", "oppositions", ["tenant", "patient_id"])
    op.create_index("oppositions_by_flag", "oppositions", ["tenant", "flag", "lifted_at"])


def _worklist() -> None:
    for name in ("sides", "presented"):
        op.add_column("worklist", sa.Column(name, sa.Text, nullable=False, server_default="[]"))
    for name, length in (("decision", 16), ("patient_id", 26), ("decided_by", 64), ("why", 200)):
        op.add_column("worklist", _text(name, length, ""))
    op.add_column("worklist", _moment("decided_at"))

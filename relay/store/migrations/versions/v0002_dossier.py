"""The dossier bridge: the register of patients, what was filed, and what waits for a person.

Revision 0002, after 0001.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _text(name: str, length: int) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=False)


def _moment(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    _patients()
    _filings()
    _worklist()


def _patients() -> None:
    op.create_table(
        "patients",
        _text("tenant", 64),
        _text("id", 26),
        _text("ins", 64),
        _text("status", 16),
        sa.Column("merged", sa.Boolean, nullable=False),
        sa.Column("identity", sa.LargeBinary, nullable=False),
        _moment("updated_at"),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_index("patients_by_ins", "patients", ["tenant", "ins"])


def _filings() -> None:
    op.create_table(
        "filings",
        _text("tenant", 64),
        _text("id", 64),
        _text("letter_id", 64),
        _text("document_id", 128),
        _text("submission_id", 64),
        _text("set_id", 256),
        sa.Column("version", sa.Integer, nullable=False),
        _text("sha1", 40),
        sa.Column("size", sa.Integer, nullable=False),
        _text("host", 64),
        _text("state", 16),
        _text("entry_id", 64),
        _text("reason", 64),
        sa.Column("attempts", sa.Integer, nullable=False),
        _moment("begun_at"),
        _moment("ended_at", nullable=True),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_index("filings_by_letter", "filings", ["tenant", "letter_id"])
    op.create_index("filings_by_document", "filings", ["tenant", "host", "document_id"])
    op.create_index("filings_by_set", "filings", ["tenant", "host", "set_id"])


def _worklist() -> None:
    op.create_table(
        "worklist",
        _text("tenant", 64),
        _text("id", 64),
        _text("letter_id", 64),
        _text("document_id", 128),
        _text("host", 64),
        _text("reason", 64),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("candidates", sa.Text, nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        _moment("added_at"),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_index("worklist_open", "worklist", ["tenant", "open", "added_at"])
    op.create_index("worklist_by_letter", "worklist", ["tenant", "letter_id"])

"""Custody: letters, recipients and the journal.

Revision 0001, the first.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _text(name: str, length: int, default: str | None = None) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=False, server_default=default)


def _moment(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    _letters()
    _recipients()
    _journal()


def _letters() -> None:
    op.create_table(
        "letters",
        _text("tenant", 64),
        _text("id", 64),
        _text("door", 16),
        _text("sender", 320),
        _text("message_id", 1000),
        _text("body_name", 128),
        sa.Column("body_size", sa.Integer, nullable=False),
        _text("body_digest", 128),
        _moment("received_at"),
        sa.Column("trace", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("proof", sa.Text, nullable=False),
        _text("envid", 200),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_index("letters_by_message_id", "letters", ["tenant", "message_id"])
    op.create_index("letters_by_sender", "letters", ["tenant", "sender"])


def _recipients() -> None:
    op.create_table("recipients", *_recipient_columns(), *_recipient_constraints())
    op.create_index("recipients_by_letter", "recipients", ["tenant", "letter_id", "lane"])
    op.create_index("recipients_by_address", "recipients", ["tenant", "address"])
    op.create_index("recipients_by_lane", "recipients", ["state", "lane", "due_at"])
    op.create_index("recipients_by_lease", "recipients", ["state", "lease_until"])
    op.create_index("recipients_by_due", "recipients", ["state", "due_at"])
    due = sa.text("notice = 'due'")
    op.create_index("recipients_by_notice", "recipients", ["notice"], sqlite_where=due, postgresql_where=due)


def _recipient_columns() -> list[sa.Column[Any]]:
    return [
        _text("tenant", 64),
        _text("id", 64),
        _text("letter_id", 64),
        _text("address", 320),
        _text("mode", 32),
        _text("target", 255),
        _text("lane", 300),
        _text("rule", 128),
        _text("state", 16),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("lapses", sa.Integer, nullable=False, server_default=sa.text("0")),
        _moment("queued_at"),
        _moment("due_at"),
        _moment("settled_at", nullable=True),
        _text("worker", 128, ""),
        _text("lease", 32, ""),
        _moment("lease_until", nullable=True),
        _text("reason", 128),
        sa.Column("reference", sa.Text, nullable=False),
        _text("note", 128),
        _text("notify", 64),
        _text("orcpt", 600),
        _text("notice", 8, ""),
    ]


def _recipient_constraints() -> list[sa.Constraint]:
    letter = (["tenant", "letter_id"], ["letters.tenant", "letters.id"])
    return [
        sa.PrimaryKeyConstraint("tenant", "id"),
        sa.ForeignKeyConstraint(*letter, name="recipients_of_letter"),
    ]


def _journal() -> None:
    op.create_table(
        "journal",
        _text("chain", 64),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        _text("tenant", 64),
        _moment("at"),
        _text("event", 64),
        _text("letter_id", 64),
        _text("recipient_id", 64),
        sa.Column("facts", sa.Text, nullable=False),
        _text("previous", 64),
        _text("hash", 64),
        sa.PrimaryKeyConstraint("chain", "number"),
    )
    op.create_index("journal_by_letter", "journal", ["tenant", "letter_id"])

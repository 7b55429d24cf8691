"""Collectors: what was seen in mailboxes at other operators, and how each collector is.

Revision 0003, after 0002.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _text(name: str, length: int) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=False)


def _number(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, nullable=False, autoincrement=False)


def upgrade() -> None:
    op.create_table(
        "collected",
        _text("tenant", 64),
        _text("source", 64),
        _number("uid_validity"),
        _number("uid"),
        _text("letter_id", 64),
        _text("digest", 128),
        _text("reason", 128),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "source", "uid_validity", "uid"),
    )
    op.create_index("collected_by_digest", "collected", ["tenant", "source", "digest"])
    op.create_table(
        "collectors",
        _text("tenant", 64),
        _text("source", 64),
        _text("state", 16),
        _text("reason", 128),
        _text("detail", 200),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("well_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("tenant", "source"),
    )

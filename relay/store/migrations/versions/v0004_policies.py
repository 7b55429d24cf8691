"""Policies: what people have set for the tenant, a domain or a mailbox.

Revision 0004, after 0003.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _text(name: str, length: int) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=False)


def upgrade() -> None:
    op.create_table(
        "policies",
        _text("tenant", 64),
        _text("level", 16),
        _text("holder", 320),
        _text("key", 400),
        _text("value", 64),
        _text("by", 128),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "level", "holder", "key"),
    )

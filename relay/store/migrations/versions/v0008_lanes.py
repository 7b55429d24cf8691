"""Lanes and destinations, what the other side's people answered, warnings, and addresses that compare in lower case.

Revision 0008, after 0007.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_KIND = "CASE WHEN mode = 'mailbox' THEN 'mailbox' WHEN mode LIKE 'dossier%' THEN 'dossier' ELSE 'peer' END"


def _text(name: str, length: int, default: str | None = None) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=False, server_default=default)


def _moment(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True))


def upgrade() -> None:
    _lanes()
    _recipients()
    op.add_column("letters", _text("sender_key", 320, ""))
    op.execute("UPDATE letters SET sender_key = lower(sender)")
    op.drop_index("letters_by_sender", "letters")
    op.create_index("letters_by_sender", "letters", ["tenant", "sender_key"])


def _lanes() -> None:
    op.create_table(
        "lanes",
        _text("tenant", 64),
        _text("lane", 300),
        _text("destination", 300),
        _moment("due_at"),
        sa.PrimaryKeyConstraint("tenant", "lane"),
    )
    op.create_index("lanes_by_due", "lanes", ["due_at"])
    op.create_index("lanes_by_destination", "lanes", ["destination"])
    op.create_table(
        "destinations",
        _text("tenant", 64),
        _text("destination", 300),
        sa.Column("width", sa.Float, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        _moment("until"),
        _text("reason", 128),
        _moment("answered_at"),
        sa.PrimaryKeyConstraint("tenant", "destination"),
    )
    # What waits when the store is upgraded is known from then on
    op.execute(
        "INSERT INTO lanes (tenant, lane, destination, due_at) "  # noqa: S608  # our own words
        f"SELECT tenant, lane, min({_KIND} || ' ' || target), min(due_at) FROM recipients "
        "WHERE state IN ('queued', 'running', 'held') GROUP BY tenant, lane"
    )


def _recipients() -> None:
    op.add_column("recipients", _text("address_key", 320, ""))
    op.execute("UPDATE recipients SET address_key = lower(address)")
    op.add_column("recipients", _text("warning", 8, ""))
    op.add_column("recipients", _text("word", 16, ""))
    for name in ("recipients_by_address", "recipients_by_lane", "recipients_by_due"):
        op.drop_index(name, "recipients")
    op.create_index("recipients_by_address", "recipients", ["tenant", "address_key"])
    op.create_index("recipients_by_lane", "recipients", ["state", "tenant", "lane", "due_at"])
    op.create_index("recipients_by_age", "recipients", ["state", "queued_at"])
    for column, value, more in (("word", "awaited", ["settled_at"]), ("warning", "due", [])):
        some = sa.text(f"{column} = '{value}'")
        op.create_index(
            f"recipients_by_{column}", "recipients", [column, *more], sqlite_where=some, postgresql_where=some
        )

"""The journal's numbers outgrow four octets: a busy node writes two thousand million rows in some years.

Revision 0012, after 0011. SQLite's numbers have eight octets already.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("journal", "number", type_=sa.BigInteger(), existing_type=sa.Integer(), existing_nullable=False)

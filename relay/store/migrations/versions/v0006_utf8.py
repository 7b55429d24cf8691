"""Letters that are international, in header or envelope (RFC 6531).

Revision 0006, after 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("letters", sa.Column("utf8", sa.Boolean, nullable=False, server_default=sa.false()))

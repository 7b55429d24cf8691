"""From whom a filed document is hidden until a professional has announced it.

Revision 0014, after 0013.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("filings", sa.Column("hidden_from", sa.String(26), nullable=False, server_default=""))
    op.create_index("filings_hidden", "filings", ["tenant", "hidden_from"])

"""Letters whose sender asked for TLS on each further hop (RFC 8689).

Revision 0005, after 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("letters", sa.Column("require_tls", sa.Boolean, nullable=False, server_default=sa.false()))

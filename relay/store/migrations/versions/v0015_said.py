"""By what a patient's identity is known again when it is said again.

Revision 0015, after 0014.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("patients", sa.Column("content_key", sa.String(26), nullable=False, server_default=""))

"""Several dossier hosts: patients' choices among them; and the canonical form of what was filed.

Revision 0009, after 0008.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("filings", sa.Column("canonical", sa.String(64), nullable=False, server_default=""))
    op.create_table(
        "dossier_choices",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("patient_id", sa.String(26), nullable=False),
        sa.Column("host", sa.String(64), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "id"),
    )
    op.create_index("dossier_choices_by_patient", "dossier_choices", ["tenant", "patient_id", "since"])

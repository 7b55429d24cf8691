"""Who decided may be an account of the pages, whose name is a mail address (RFC 5321 §4.5.3.1): longer than a login.

Revision 0013, after 0012. SQLite's texts have no length.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_COLUMNS = {
    "worklist": ("decided_by",),
    "patient_links": ("made_by", "ended_by"),
    "oppositions": ("set_by", "lifted_by"),
    "dossier_choices": ("recorded_by",),
}


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table, columns in _COLUMNS.items():
        for column in columns:
            op.alter_column(table, column, type_=sa.String(320), existing_type=sa.String(64), existing_nullable=False)

"""Alembic's environment: runs the steps on the connection and the tables that the caller hands over.

Promises: nothing is configured here; logging is left as it is. Does not: work without a caller
(relay.store.migrations).

Every step runs on SQLite and on PostgreSQL, with rows in place (tests/relay/test_migrations.py runs each on both):
name types that both have, give a new NOT NULL column a server_default, and let what only one of them needs ask
op.get_bind().dialect.name.
"""

from __future__ import annotations

from alembic import context

_attributes = context.config.attributes

if context.is_offline_mode() or "connection" not in _attributes:
    raise SystemExit("run relay.store.migrations.upgrade(url, metadatas)")

# transaction_per_migration stays off: the caller's transaction holds all steps, SQLite's DDL included.
context.configure(connection=_attributes["connection"], target_metadata=list(_attributes["metadatas"]))
context.run_migrations()

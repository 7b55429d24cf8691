"""The settings of where rows are kept: SQLite on one machine, PostgreSQL where several nodes share one database.

Promises: a URL of another kind, or one that holds a password, is a fault of the configuration. Does not: connect
(relay.store.engine does).
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError


class StoreSection(BaseModel):
    """Where rows are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(
        default="",
        description="postgresql://USER@HOST/NAME, with libpq's parameters (passfile, sslmode, host); by default an "
        "SQLite file in paths.data.",
    )

    @field_validator("url")
    @classmethod
    def postgresql_without_password(cls, url: str) -> str:
        if not url:
            return url
        try:
            address = make_url(url)
        except ArgumentError:
            raise ValueError("this is no URL: postgresql://USER@HOST/NAME") from None
        if address.get_backend_name() != "postgresql" or not address.database:
            raise ValueError("postgresql://USER@HOST/NAME, or nothing for the SQLite file in paths.data")
        if address.password:
            raise ValueError("no password stands here: name a file for it, ?passfile=/etc/pli/pgpass")
        return url

"""The settings of how mail clients find this node: what DNS and configuration files tell them.

Promises: names and ports as clients see them, which need not be those that a process listens on. Does not: open them.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

_HOST = r"^([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)?$"


class ClientsSection(BaseModel):
    """How mail clients find this node; nothing of it opens a port."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(default="", description="What clients call the account; node.hostname otherwise.")
    imap_host: str = Field(default="", pattern=_HOST, description="Dovecot's public name; node.hostname otherwise.")
    imap_port: int = Field(default=993, ge=1, le=65535, description="IMAP over TLS (RFC 8314).")
    submission_host: str = Field(default="", pattern=_HOST, description="node.hostname otherwise.")
    submission_port: int = Field(default=587, ge=1, le=65535, description="Submission with STARTTLS.")
    submissions_port: int | None = Field(
        default=None, ge=1, le=65535, description="Where something in front of the door speaks TLS at once (465)."
    )

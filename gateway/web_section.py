"""The settings of the pages: where they are served, and how people sign in.

Promises: they are served over TLS only. Does not: serve (gateway.web does).
"""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class WebSection(BaseModel):
    """Pages for people: professionals, administrators, operators."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(default="127.0.0.1", description="Address at which they are served, over TLS.")
    port: int = Field(default=8443, ge=1, le=65535)
    certificate: Path | None = Field(
        default=None, description="PEM chain that the pages show, where browsers do not believe tls.certificate."
    )
    key: Path | None = Field(default=None, description="Its key, PEM.")
    people: Path | None = Field(
        default=None, description="Roles and one-time secrets; by default people.json in paths.data."
    )
    imap_host: str = Field(default="127.0.0.1", description="Where mailboxes are read: IMAP over TLS (RFC 8314).")
    imap_port: int = Field(default=993, ge=1, le=65535)
    imap_name: str = Field(default="", description="Name in that server's certificate, where it is not imap_host.")
    imap_authorities: Path | None = Field(
        default=None, description="PEM file of the authorities of that server's certificate; by default the anchors."
    )
    time_zone: str = Field(
        default="Europe/Paris",
        description="Whose time people read and write at the pages, by its IANA name: America/Guadeloupe, "
        "Indian/Reunion. Commands and logs keep UTC.",
    )
    lock_minutes: int = Field(default=120, ge=15, le=240, description="A session that nobody uses so long is locked.")
    locked_hours: float = Field(
        default=12,
        ge=0,
        le=72,
        description="So long a locked session keeps the letter that its person was writing; 0: not at all.",
    )
    url: str = Field(
        default="",
        pattern=r"^(https://[^/?#@]+)?$",
        description="https://NAME[:PORT] at which people reach the pages; https://node.hostname:web.port otherwise.",
    )
    certificate_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="A second port, under the same name, where a card or client certificate signs in; none: it cannot.",
    )
    upload_mb: int = Field(default=25, ge=1, le=100, description="Most that one sending may hold.")
    import_mb: int = Field(
        default=512, ge=1, le=2048, description="Most that one file of the directory's sources may be."
    )

    @field_validator("time_zone")
    @classmethod
    def known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ValueError, OSError, ZoneInfoNotFoundError):
            raise ValueError(
                f"{name!r} is no time zone that this machine knows, e.g. Europe/Paris (Debian: tzdata)"
            ) from None
        return name

    @model_validator(mode="after")
    def fits_together(self) -> WebSection:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key come together")
        if self.certificate_port == self.port:
            raise ValueError("certificate_port is another than port: nobody else is asked for a certificate")
        return self

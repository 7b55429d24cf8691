"""The settings of INSi, the national teleservice of matricules: off unless it is turned on.

Promises: what turns it on names where it is and with what it is asked. Does not: ask (gateway.insi_desk does).
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class InsiSection(BaseModel):
    """INSi: needs the structure's own agreement and certificate."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(default=False, description="Ask it, by `pli patients ask`.")
    url: str = Field(pattern=r"^https://.+", description="The service that finds by traits.")
    certificate: Path = Field(description="The structure's certificate, PEM chain.")
    key: Path
    authorities: Path | None = Field(
        default=None, description="PEM of who vouches for the service; the anchors of trust.folder otherwise."
    )
    assertion: Path | None = Field(
        default=None, description="A signed SAML assertion, read anew for each question; made by the deployer's tool."
    )
    software: str = Field(default="PLI", description="Emetteur: as the structure is registered there.")

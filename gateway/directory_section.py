"""The settings of the directories that are looked up, and of how long their answers are kept.

Promises: passwords lie in files. Does not: connect.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from directory.cache import CachePolicy


class DirectorySection(BaseModel):
    """The regional directory, as the relay's identity reads it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str = Field(pattern=r"^ldaps?://.+|^ldapi://.+")
    base: str
    bind_dn: str
    password_file: Path
    timeout_s: float = Field(default=5.0, gt=0, le=60)
    cache_entries: int = Field(
        default=20_000, ge=0, le=1_000_000, description="Mailboxes that each process remembers; 0: none."
    )
    cache_fresh_s: float = Field(
        default=60.0, ge=0, description="So long one is taken as it is, where the directory does not tell its changes."
    )
    cache_stale_s: float = Field(
        default=86_400.0, ge=0, description="So old one may be while the directory is down; then letters wait."
    )
    cache_follow: bool = Field(
        default=True, description="Hear of changes: RFC 4533 where offered (overlay syncprov), else asked for by date."
    )
    cache_poll_s: float = Field(default=30.0, ge=1, description="Between two questions for what changed by date.")

    @property
    def cache(self) -> CachePolicy:
        fresh, stale = timedelta(seconds=self.cache_fresh_s), timedelta(seconds=self.cache_stale_s)
        return CachePolicy(self.cache_entries, fresh, stale=stale)


class NationalSection(BaseModel):
    """A second directory over LDAP, asked where the region's own does not know an address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str = Field(pattern=r"^ldaps?://.+|^ldapi://.+")
    base: str
    bind_dn: str
    password_file: Path
    mapping: Path = Field(description="TOML: how it names its attributes (docs/directory.md).")
    ca: Path | None = Field(default=None, description="PEM of whoever vouches for its server.")
    timeout_s: float = Field(default=5.0, gt=0, le=60)


class FhirSection(BaseModel):
    """The national directory's public API (Annuaire Santé FHIR v2), asked last."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(default="https://gateway.api.esante.gouv.fr/fhir/v2", pattern=r"^https?://.+")
    key_file: Path = Field(description="The subscription's key (ESANTE-API-KEY).")
    calls_per_s: int = Field(
        default=5, ge=1, le=17, description="Of each process; all that use this key may make 17 together."
    )
    timeout_s: float = Field(default=5.0, gt=0, le=60)

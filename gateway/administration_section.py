"""The settings of whoever keeps mailboxes: who may do what in the directory, when an unused one is suspended, and how
the national directory is told.

Promises: without [administration] only the feeder's own operator keeps mailboxes; passwords and keys lie in files; the
draft of FHIR PATCH is not used unless it is asked for by name. Does not: connect.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from directory.lifecycle import Ladder
from directory.model import Kind
from directory.roles import Role


class Person(BaseModel):
    """One of those who keep the directory, by his login on this machine or in the pages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Role
    establishment: str = Field(default="", description="Of role establishment: which; the tenant's name otherwise.")


class AdministrationSection(BaseModel):
    """Who keeps mailboxes. Each is refused by this table and again by slapd's rules."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bind_dn: str = Field(
        description="cn=passerelle,…: it may act as administrators, help desk and delegate (RFC 4370)."
    )
    password_file: Path
    people: dict[str, Person] = Field(default_factory=dict, description="NAME = { role, establishment }.")


class LifecycleSection(BaseModel):
    """Days without use after which a mailbox is told, suspended, un-published; 0: never."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: str = Field(
        default="", description="Who it is done for, of administration.people: each day. Empty: only when typed."
    )
    notify_days: int = Field(default=365, ge=0, description="Its holder is written to, once.")
    suspend_days: int = Field(default=548, ge=0, description="Suspended: no login, letters are refused.")
    unpublish_days: int = Field(default=730, ge=0, description="Taken out of the national directory.")

    @property
    def ladder(self) -> Ladder:
        return Ladder(self.notify_days, self.suspend_days, self.unpublish_days)


class Adapter(StrEnum):
    NONE = "none"
    DROP = "drop"
    FHIR_PATCH = "fhir-patch"


class PublicationSection(BaseModel):
    """How the national directory is told of our mailboxes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    adapter: Adapter = Field(default=Adapter.NONE, description="none: what is wanted is kept until there is another.")
    folder: Path | None = Field(default=None, description="Of drop: aller/ is written, retour/ read.")
    url: str = Field(
        default="", pattern=r"^(https?://.+)?$", description="Of fhir-patch: the base of a FHIR R4 server."
    )
    key_file: Path | None = Field(default=None, description="Of fhir-patch: its key (ESANTE-API-KEY).")
    calls_per_s: int = Field(default=5, ge=1, le=17, description="Of fhir-patch.")
    timeout_s: float = Field(default=30.0, gt=0)
    kinds: tuple[Kind, ...] = Field(
        default=(Kind.PER, Kind.ORG), description="Types that are published; APP and CAB only where they are named."
    )
    retry_s: tuple[float, ...] = Field(
        default=(60, 300, 1800, 7200, 21600, 86400), min_length=1, description="Pauses between tries; the last repeats."
    )
    report_s: float = Field(default=3 * 86400, gt=0, description="So long without a report, and it is sent again.")

    @model_validator(mode="after")
    def complete(self) -> PublicationSection:
        if self.adapter is Adapter.DROP and self.folder is None:
            raise ValueError("adapter drop needs folder")
        if self.adapter is Adapter.FHIR_PATCH and not (self.url and self.key_file):
            raise ValueError("adapter fhir-patch needs url and key_file")
        return self

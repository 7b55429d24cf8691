"""The settings of the identity feed over HTTP: where applications say who their patients are, and which of them may.

Promises: who may speak is named, each with the one domain whose numbers are his to state. Does not: open the door
(gateway.identities does).
"""

from __future__ import annotations

import ipaddress

from pydantic import BaseModel, ConfigDict, Field, field_validator

_OID = "urn:oid:"


class IdentitiesSection(BaseModel):
    """Identities of patients over HTTPS: FHIR R4 Patient (IHE PIXm, ITI-104), by client certificate alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(default="127.0.0.1", description="Loopback, or an address of the establishment's own network.")
    port: int = Field(ge=0, le=65535)
    systems: dict[str, str] = Field(
        min_length=1,
        description="Account of an application = OID, or URI, of the domain whose numbers are its to state; "
        "its certificate: pli account certificate.",
    )
    max_bytes: int = Field(default=1_048_576, ge=1024, le=8_388_608, description="Of one request.")
    entries: int = Field(default=200, ge=1, le=1000, description="Patients in one batch.")
    requests_per_minute: int = Field(default=600, ge=1, description="From one address block.")
    connections: int = Field(default=20, ge=1, le=1000, description="At once.")

    @field_validator("host")
    @classmethod
    def an_address(cls, told: str) -> str:
        try:
            ipaddress.ip_address(told)
        except ValueError:
            raise ValueError(f"'{told}' is no address") from None
        return told

    @field_validator("systems")
    @classmethod
    def one_source_each(cls, told: dict[str, str]) -> dict[str, str]:
        """ITI-104 §3.104.4.1.3: of two sources of one domain nobody could say which is right."""
        named = {account.strip().lower(): domain.strip().removeprefix(_OID) for account, domain in told.items()}
        if not all(named.values()):
            raise ValueError("each application has a domain")
        if len(set(named.values())) < len(told):
            raise ValueError("a domain has one source: name it once")
        return named

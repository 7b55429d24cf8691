"""The settings of the hospital's bus: where ADT messages come in, from whom, and how its authorities are called.

Promises: the door opens on loopback, or to named networks alone. Does not: open it (gateway.bus does).
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

_LOOPBACK = ("127.0.0.0/8", "::1/128")


class Hl7Section(BaseModel):
    """The hospital's bus (HL7 v2, PAM-FR) over MLLP: patients, merges, consents."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(default="127.0.0.1", description="Loopback, or an address of the hospital's own network.")
    port: int = Field(ge=0, le=65535)
    allowed: tuple[str, ...] = Field(
        default=(), description="Networks that may connect, beside loopback: needed where host is not loopback."
    )
    tls: bool = Field(default=False, description="Speak TLS, with the certificate of [tls].")
    clients: Path | None = Field(
        default=None, description="PEM of who may vouch for the application's certificate, which is then asked for."
    )
    authorities: dict[str, str] = Field(
        default_factory=dict, description="Name or OID of an assigning authority = OID of its numbers here."
    )
    processing: tuple[str, ...] = Field(default=("P",), description="Taken of MSH-11: P, T or D.")
    max_bytes: int = Field(default=262_144, ge=1024, le=1_048_576, description="Of one message.")
    connections: int = Field(default=20, ge=1, le=1000, description="At once.")
    message_s: float = Field(default=30.0, gt=0, description="From a message's first byte to its last.")
    idle_s: float = Field(default=900.0, gt=0, description="Then a silent connection is closed.")

    @field_validator("allowed")
    @classmethod
    def networks_of_somebody(cls, told: tuple[str, ...]) -> tuple[str, ...]:
        for each in told:
            try:
                network = ipaddress.ip_network(each)
            except ValueError:
                raise ValueError(f"'{each}' is no network, such as 192.0.2.0/24") from None
            if network.prefixlen == 0:
                raise ValueError(f"'{each}' is everybody: name the bus")
        return told

    @field_validator("host")
    @classmethod
    def an_address(cls, told: str) -> str:
        try:
            ipaddress.ip_address(told)
        except ValueError:
            raise ValueError(f"'{told}' is no address") from None
        return told

    @model_validator(mode="after")
    def named(self) -> Hl7Section:
        if not ipaddress.ip_address(self.host).is_loopback and not self.allowed:
            raise ValueError("outside loopback name who may connect: allowed")
        if self.clients and not self.tls:
            raise ValueError("clients show certificates over TLS: tls = true")
        return self

    @property
    def networks(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        return tuple(ipaddress.ip_network(each) for each in (*_LOOPBACK, *self.allowed))

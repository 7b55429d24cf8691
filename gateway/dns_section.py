"""The settings of how other operators' hosts are found.

Promises: a server that is no address with a port is a fault of the configuration. Does not: ask anything (relay.hosts
does).
"""

from __future__ import annotations

import ipaddress

from pydantic import BaseModel, ConfigDict, Field, field_validator


class DnsSection(BaseModel):
    """How other operators' hosts are found, where [peers] names none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    servers: tuple[str, ...] = Field(
        default=(), description="address:port of name servers; by default those of /etc/resolv.conf."
    )
    timeout_s: float = Field(default=10.0, gt=0, le=60, description="For all questions about one domain together.")
    peers_port: int = Field(default=25, ge=1, le=65535, description="Where hosts found by MX are called.")

    @field_validator("servers")
    @classmethod
    def address_and_port(cls, servers: tuple[str, ...]) -> tuple[str, ...]:
        for each in servers:
            address, _, port = each.rpartition(":")
            if not port.isdecimal() or not 0 < int(port) < 65536 or not _is_address(address.strip("[]")):
                raise ValueError(f"'{each}' is no address:port")
        return servers

    @property
    def places(self) -> tuple[tuple[str, int], ...]:
        split = (each.rpartition(":") for each in self.servers)
        return tuple((address.strip("[]"), int(port)) for address, _, port in split)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True

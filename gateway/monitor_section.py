"""The settings of the monitor: where a node's metrics and its health are read.

Promises: it opens on loopback only; who scrapes from another machine puts a proxy of his own before it. Does not: serve
(gateway.monitor does).
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator


class MonitorSection(BaseModel):
    """Prometheus metrics at /metrics, health at /healthz and /readyz."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=9464, ge=1, le=65535)
    destinations: int = Field(
        default=20, ge=0, le=500, description="Destinations with most letters waiting that have a name of their own."
    )
    free_mb: int = Field(default=512, ge=0, description="Not ready under so much free space in paths.data.")

    @field_validator("host")
    @classmethod
    def on_loopback(cls, host: str) -> str:
        if host not in ("127.0.0.1", "::1"):
            raise ValueError(f"the monitor opens on 127.0.0.1 or ::1 only, not on {host}")
        return host

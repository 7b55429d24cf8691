"""The settings of the schemas that a deployer installs, and of what is read on printed pages.

Promises: budgets have bounds. Does not: install or check anything (dmp_bridge.installed does).
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class CdaSection(BaseModel):
    """Schemas and schematrons of others (`pli cda install`), and identities printed on a PDF."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path | None = Field(default=None, description="Where they are installed; by default cda/ in paths.data.")
    seconds: float = Field(default=20.0, gt=0, le=600, description="For one document; then nobody can tell.")
    memory_mb: int = Field(default=3000, ge=256, description="Of the process that checks; beyond, it is ended.")
    pictures: bool = Field(
        default=False,
        description="Look for an INS datamatrix or a 2D-Doc on PDFs that come alone, and propose them to a person.",
    )

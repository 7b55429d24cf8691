"""What `pli quickstart` must be told: whose node it is. Few questions, each with a sentence.

Promises: an answer that no certificate, no domain name or no directory could carry is refused in one sentence that
names it. Does not: ask (gateway.quickstart_command does), or read the machine.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from certs.pkcs10 import Wanted
from directory.address import BadAddress, parse

_DOMAIN = r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"


class NotAnswered(ValueError):
    """What was said cannot be used; the text is for the operator."""


class House(BaseModel):
    """One tenant: an establishment, a practice or a network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,39}$",
        description="Nom court (a-z, 0-9, tirets) / Short name",
        examples=["lilas"],
    )
    organisation: str = Field(description="Raison sociale / Legal name", examples=["IMAGERIE DES LILAS"])
    establishment: str = Field(
        pattern=r"^(1[0-9A-B][0-9A-Z][0-9]{7}|3[0-9]{14})$",
        description="Struct_IdNat : 1 + FINESS ou 3 + SIRET / 1 + FINESS or 3 + SIRET",
        examples=["1930000017"],
    )
    department: str = Field(
        pattern=r"^.+ \([0-9A-Z]{2,3}\)$",
        description="Département, comme au certificat / Department, as in the certificate",
        examples=["Seine-Saint-Denis (93)"],
    )
    domains: tuple[str, ...] = Field(
        min_length=1,
        description="Domaines de messagerie, séparés par des espaces / Mail domains, separated by spaces",
        examples=["imagerie-des-lilas.mssante.fr"],
    )

    @field_validator("domains", mode="before")
    @classmethod
    def in_lower_case(cls, said: Any) -> Any:
        listed = said.split() if isinstance(said, str) else said
        return tuple(str(each).lower() for each in listed)

    @field_validator("domains")
    @classmethod
    def are_domains(cls, domains: tuple[str, ...]) -> tuple[str, ...]:
        for each in domains:
            if not re.match(_DOMAIN, each):
                raise ValueError(f"'{each}' is no mail domain in ASCII")
        return domains

    @model_validator(mode="after")
    def a_certificate_can_name_it(self) -> House:
        Wanted(self.domains[0][:64], self.organisation, self.establishment, self.department).subject()
        return self


class Answers(BaseModel):
    """All that is asked. Folders are asked by nobody: they are Debian's, unless the answers file names others."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hostname: str = Field(
        pattern=_DOMAIN,
        description="Nom DNS de cette machine / DNS name of this machine",
        examples=["mss.imagerie-des-lilas.fr"],
    )
    tenants: tuple[House, ...] = Field(min_length=1)
    administrator: str = Field(
        description="Boîte du premier administrateur / Mailbox of the first administrator",
        examples=["anne.martin@imagerie-des-lilas.mssante.fr"],
    )
    suffix: str = Field(
        default="dc=annuaire",
        pattern=r"^dc=[a-z0-9-]+(,dc=[a-z0-9-]+)*$",
        description="Racine de l'annuaire / The directory's suffix",
    )
    listen: str = Field(default="0.0.0.0", description="Where the doors 25 and 587 listen.")  # noqa: S104
    pages_port: int = Field(default=8443, ge=0, le=65535, description="Port of the pages; 0: there are none.")
    certificate_port: int = Field(
        default=0, ge=0, le=65535, description="Beside it, where a card signs in; 0: nowhere."
    )
    white_list_url: str = "https://espacedeconfiance.mssante.fr/listeblanchemssante.xml"
    white_list_signer: str = "alb@mssante.fr"
    clamd: Path | None = Field(default=None, description="clamd's LocalSocket, where attachments are scanned.")
    ssh_port: int = Field(default=22, ge=1, le=65535, description="Stays open in the firewall.")
    program: Path = Field(default=Path("/opt/pli/bin/pli"), description="The installed command.")
    etc: Path = Field(default=Path("/etc/pli"), description="Configuration and keys.")
    data: Path = Field(default=Path("/var/lib/pli"), description="Letters.")
    mail: Path = Field(default=Path("/var/lib/pli-mail"), description="Dovecot's mailboxes.")
    directory: Path = Field(default=Path("/var/lib/pli-annuaire"), description="slapd's configuration and data.")
    run: Path = Path("/run/pli")
    units: Path = Field(default=Path("/etc/systemd/system"), description="systemd's units.")
    sysusers: Path = Path("/etc/sysusers.d")

    @field_validator("hostname", "administrator", mode="before")
    @classmethod
    def without_case(cls, said: Any) -> Any:
        return said.strip().lower() if isinstance(said, str) else said

    @model_validator(mode="after")
    def fits_together(self) -> Answers:
        names = [house.name for house in self.tenants]
        domains = [domain for house in self.tenants for domain in house.domains]
        for said in (names, domains):
            if twice := [each for each in said if said.count(each) > 1]:
                raise ValueError(f"'{twice[0]}' stands twice")
        try:
            at = parse(self.administrator).domain
        except BadAddress as error:
            raise ValueError(f"administrator: {error}") from None
        if at not in domains:
            raise ValueError(f"the administrator's mailbox is of no domain of this node: {', '.join(domains)}")
        return self

    @property
    def several(self) -> bool:
        return len(self.tenants) > 1

    @property
    def home(self) -> House:
        """The administrator's tenant."""
        domain = self.administrator.rpartition("@")[2]
        return next(house for house in self.tenants if domain in house.domains)


def told(said: Mapping[str, Any]) -> Answers:
    """Raises NotAnswered, a sentence for each answer that cannot be used."""
    try:
        return Answers.model_validate(dict(said))
    except ValidationError as error:
        raise NotAnswered("\n".join(_sentence(fault) for fault in error.errors())) from None


def _sentence(fault: Any) -> str:
    where = ".".join(str(step) for step in fault["loc"])
    if fault["type"] == "missing":
        return f"'{where}' is not answered"
    if fault["type"] == "string_pattern_mismatch":
        return f"'{where}': '{fault['input']}' is not of that shape"
    return f"'{where}': {fault['msg'].removeprefix('Value error, ')}" if where else fault["msg"]


def read(file: Path) -> dict[str, Any]:
    """The answers of a TOML file, not judged yet. Raises NotAnswered."""
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise NotAnswered(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise NotAnswered(f"{file}: not readable as TOML: {error}") from None

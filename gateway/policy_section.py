"""The settings of policy: values that stand in the file, which `pli policy set` overrides at the same level.

Promises: a word that is no value of its key is a fault of the configuration. Does not: know what a value does
(relay.policy, relay.routing).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from relay.policy import TOWARDS, BadPolicy, Level, Line, checked

FILE = "pli.toml"


class Values(BaseModel):
    """What is wanted of letters; a key that is left out is the next level's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sign: Literal["mailbox", "establishment", "none"] | None = Field(
        default=None, description="Whose signature letters to other operators carry. Factory: mailbox."
    )
    encrypt: Literal["never", "when-possible", "always"] | None = Field(
        default=None, description="To the recipient's certificate in the directory. Factory: when-possible."
    )
    without_certificate: Literal["refuse", "wait"] | None = Field(
        default=None, description="What becomes of `encrypt = always` where there is none. Factory: refuse."
    )
    receipt: Literal["as-asked", "always"] | None = Field(
        default=None, description="Whether a delivery report is asked for by itself. Factory: as-asked."
    )
    patient_ins: Literal["as-stated", "qualified"] | None = Field(
        default=None,
        description="Patients' addresses that may be written to: all that the register does not contradict, or only "
        "those of a qualified INS of its. Factory: as-stated.",
    )
    max_bytes: int | None = Field(
        default=None,
        ge=0,
        description="Largest letter, encoded; 0: the door's. Factory: 0, and 25000000 towards patient.mssante.fr.",
    )

    def given(self) -> Iterator[tuple[str, str]]:
        for name in Values.model_fields:
            if (value := getattr(self, name)) is not None:
                yield name, str(value)


class Holder(Values):
    towards: dict[str, Values] = Field(
        default_factory=dict, description='A domain or address written to = the same keys, e.g. towards."a.example".'
    )

    def lines(self, level: Level, holder: str) -> Iterator[Line]:
        yield from (Line(level, holder, name, value, FILE) for name, value in self.given())
        for destination, values in self.towards.items():
            for name, value in values.given():
                yield Line(level, holder, f"{TOWARDS}{destination}.{name}", value, FILE)


class PolicySection(Holder):
    """What is wanted of each letter, for the tenant, and nearer for one domain or mailbox of ours."""

    domain: dict[str, Holder] = Field(default_factory=dict, description="A domain of ours = the same keys.")
    mailbox: dict[str, Holder] = Field(default_factory=dict, description="A mailbox of ours = the same keys.")

    @model_validator(mode="after")
    def known_destinations(self) -> PolicySection:
        try:
            self.all_lines()
        except BadPolicy as error:
            raise ValueError(str(error)) from None
        return self

    def all_lines(self) -> tuple[Line, ...]:
        found = [*self.lines(Level.TENANT, "")]
        for name, holder in self.domain.items():
            found += holder.lines(Level.DOMAIN, name)
        for name, holder in self.mailbox.items():
            found += holder.lines(Level.MAILBOX, name)
        return tuple(checked(each) for each in found)

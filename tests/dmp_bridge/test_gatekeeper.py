"""Whose address may be written to: made of a qualified INS that one patient of the register bears."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from directory.address import parse
from directory.model import Address
from dmp_bridge.gatekeeper import Gatekeeper
from dmp_bridge.model import InsStatus
from gateway.demo.sample import PATIENT

TENANT = "tilleuls"


def of(matricule: str) -> Address:
    return parse(f"{matricule}@patient.mssante.fr")


@pytest.fixture
def gatekeeper(custody: Any) -> Gatekeeper:
    return Gatekeeper(custody.engine, TENANT, custody.pseudonyms)


@pytest.mark.parametrize("status", list(InsStatus))
def test_only_a_qualified_ins_makes_an_address(custody: Any, gatekeeper: Gatekeeper, status: InsStatus) -> None:
    """Every other status of a patient whom we know is a no, in either case of the letters."""
    assert PATIENT.ins is not None
    custody.know(TENANT, replace(PATIENT, ins_status=status))
    assert gatekeeper.qualified(of(PATIENT.ins.value.lower())) is (status is InsStatus.QUALIFIED)


def test_whom_nobody_here_knows(custody: Any, gatekeeper: Gatekeeper) -> None:
    """Cannot tell; a patient of another tenant is no patient of ours."""
    assert PATIENT.ins is not None
    custody.know("ailleurs", PATIENT)
    assert gatekeeper.qualified(of(PATIENT.ins.value)) is None


def test_a_matricule_of_two_patients_or_of_the_past(custody: Any, gatekeeper: Gatekeeper) -> None:
    """Two rows of one matricule are nobody's address; nor is a matricule that its patient bears no more."""
    assert PATIENT.ins is not None
    root = PATIENT.local_ids[0][0]
    other = replace(PATIENT, local_ids=((root, "another"),))
    custody.know(TENANT, PATIENT, other)
    assert gatekeeper.qualified(of(PATIENT.ins.value)) is False
    now = replace(PATIENT.ins, value="279035121518989")
    custody.know(TENANT, replace(PATIENT, ins=now), replace(other, ins=now))
    assert gatekeeper.qualified(of(PATIENT.ins.value)) is False

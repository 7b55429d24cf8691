"""NIST's PKITS (2011), run against TrustStore.judge: every case gives its answer, or is named below with its reason.

Each case runs under the inputs that it names (initial policy set, explicit policy, inhibitions), under a profile that
permits an authority's own certificate. The table of sections and exclusions is printed at the end of a test run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from certs import checks, policies, revocation
from certs.chain import TrustStore
from certs.model import CannotTell, Fault, Trust, Trusted, Untrusted
from certs.policies import ANY
from certs.profiles import Profile
from certs.revocation import Crls

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.filterwarnings("ignore:Parsed a serial number:UserWarning"),
]

AT = datetime(2026, 11, 25, tzinfo=UTC)
ANY_USE = Profile(
    "pkits",
    frozenset({"digital_signature", "content_commitment", "key_encipherment", "key_cert_sign"}),
    authority=True,
)
SECTIONS = {
    "401": "signatures",
    "402": "validity",
    "403": "name chaining",
    "404": "revocation",
    "405": "self-issued",
    "406": "basic constraints",
    "407": "key usage",
    "408": "policies",
    "409": "require explicit policy",
    "410": "policy mappings",
    "411": "inhibit policy mapping",
    "412": "inhibit any policy",
    "413": "name constraints",
    "414": "distribution points",
    "415": "delta CRLs",
    "416": "private extensions",
}
POLICY_SECTIONS = ("408", "409", "410", "411", "412")

EXCLUDED = {
    "valid_dsa_signatures_test4": (Fault.WEAK_ALGORITHM, "DSA with SHA-1: we believe neither"),
    "valid_dsa_parameter_inheritance_test5": (Fault.UNREADABLE, "a DSA key without its parameters is no key to us"),
}
"""Valid by PKITS; what we answer instead, and why."""

REASONED = {
    "402": {Fault.EXPIRED, Fault.NOT_YET_VALID},
    "413": {Fault.NAME_CONSTRAINT},
    **{section: {Fault.POLICY} for section in POLICY_SECTIONS},
}
"""Sections in which an invalid case must be refused for exactly this."""


@cache
def every_case(folder: Path) -> tuple[dict[str, Any], ...]:
    """All cases, with those of user notices, which PKITS holds to be valid."""
    cases: list[dict[str, Any]] = json.loads((folder / "pkits.json").read_text())
    notices: list[dict[str, Any]] = json.loads((folder / "pkits-user-notice.json").read_text())
    return (*cases, *notices)


def cases(folder: Path, *sections: str) -> list[dict[str, Any]]:
    return [case for case in every_case(folder) if case["id"].startswith(sections)]


def profile_of(case: dict[str, Any]) -> Profile:
    given = case.get("params", {})
    return replace(
        ANY_USE,
        initial_policies=tuple(given.get("user_initial_policy_set", (ANY,))),
        require_explicit_policy=given.get("initial_explicit_policy", False),
        inhibit_policy_mapping=given.get("initial_policy_mapping_inhibit", False),
        inhibit_any_policy=given.get("initial_any_policy_inhibit", False),
    )


def judge(folder: Path, case: dict[str, Any]) -> Trust:
    def certificate(name: str) -> bytes:
        return (folder / "certs" / name).read_bytes()

    names = ("TrustAnchorRootCRL.crl", *case.get("crls", ()))
    lists = [revocation.read((folder / "crls" / name).read_bytes()) for name in names]
    anchor = x509.load_der_x509_certificate(certificate("TrustAnchorRootCertificate.crt"))
    store = TrustStore((anchor,), (), Crls(lists))
    extra = [certificate(name) for name in case.get("other_certs", ())]
    return store.judge(certificate(case["cert"]), extra, profile_of(case), AT)


def said(trust: Trust) -> str:
    return "trusted" if isinstance(trust, Trusted) else trust.fault.value


def wrong(folder: Path, *sections: str) -> set[str]:
    """The cases which are trusted though invalid, or not trusted though valid."""
    return {case["name"] for case in cases(folder, *sections) if trusted(folder, case) is ("error" in case)}


def trusted(folder: Path, case: dict[str, Any]) -> bool:
    return isinstance(judge(folder, case), Trusted)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda number: SECTIONS[number])
def test_every_case_of_a_section_gets_its_answer(corpus: Path, section: str, summary: list[str]) -> None:
    """Valid cases are Trusted, invalid ones never are; those excluded get the answer that is written down."""
    folder = corpus / "pkits"
    expected: dict[str, object] = {}
    answers: dict[str, object] = {}
    for case in cases(folder, section):
        name = case["name"]
        trust = judge(folder, case)
        if "error" in case:
            expected[name], answers[name] = False, isinstance(trust, Trusted)
        else:
            excluded = EXCLUDED.get(name)
            expected[name], answers[name] = excluded[0].value if excluded else "trusted", said(trust)
    assert expected
    assert answers == expected
    summary.extend(rows(folder, section))


def rows(folder: Path, section: str) -> list[str]:
    """What the table says of a section: how many cases, how many as NIST says, and each exclusion with its reason."""
    every = cases(folder, section)
    out = [(case["name"], *EXCLUDED[case["name"]]) for case in every if case["name"] in EXCLUDED]
    line = f"PKITS 4.{int(section) - 400} {SECTIONS[section]}: {len(every) - len(out)} of {len(every)} cases"
    return [line, *(f"    excluded {name}: {fault.value}; {why}" for name, fault, why in out)]


@pytest.mark.parametrize("section", REASONED, ids=lambda number: SECTIONS[number])
def test_invalid_cases_are_refused_for_their_own_reason(corpus: Path, section: str) -> None:
    """A refusal for the wrong reason would hide that the right check is missing."""
    folder = corpus / "pkits"
    invalid = [case for case in cases(folder, section) if "error" in case]
    odd = {case["name"]: said(judge(folder, case)) for case in invalid}
    assert {name: why for name, why in odd.items() if Fault(why) not in REASONED[section]} == {}


@pytest.mark.parametrize(
    ("name", "kind", "fault"),
    [
        ("invalid_ca_signature_test2", Untrusted, Fault.BAD_SIGNATURE),
        ("invalid_ee_signature_test3", Untrusted, Fault.BAD_SIGNATURE),
        ("invalid_revoked_ca_test2", Untrusted, Fault.REVOKED),
        ("invalid_revoked_ee_test3", Untrusted, Fault.REVOKED),
        ("missing_crl_test1", CannotTell, Fault.REVOCATION_UNKNOWN),
        ("invalid_old_crl_nextupdate_test11", CannotTell, Fault.STALE_CRL),
        ("invalid_pathlenconstraint_test5", Untrusted, Fault.CHAIN),
    ],
)
def test_some_refusals_in_detail(corpus: Path, name: str, kind: type, fault: Fault) -> None:
    """The kind of answer and its reason, for the cases that matter most."""
    folder = corpus / "pkits"
    (case,) = [case for case in every_case(folder) if case["name"] == name]
    trust = judge(folder, case)
    assert isinstance(trust, kind)
    assert said(trust) == fault.value


def test_nothing_is_left_out_in_vain(corpus: Path) -> None:
    """Each case belongs to a section, and each exclusion names a case which PKITS holds to be valid."""
    folder = corpus / "pkits"
    every = every_case(folder)
    assert {case["id"][:3] for case in every} == set(SECTIONS)
    assert len(every) == 256
    assert set(EXCLUDED) <= {case["name"] for case in every if "error" not in case}


# --- each check, switched off, is missed by exactly its cases ----------------------------------------------


@pytest.mark.parametrize(
    ("module", "check", "sections"),
    [
        (checks, "policy_path", POLICY_SECTIONS),
        (checks, "critical_extensions", ("416",)),
    ],
    ids=["policies", "critical extensions"],
)
def test_a_check_that_is_switched_off_is_missed(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, module: Any, check: str, sections: tuple[str, ...]
) -> None:
    """Without the check exactly the invalid cases of its sections are trusted, and no case of another is."""
    folder = corpus / "pkits"
    others = [section for section in SECTIONS if section not in sections]
    before = wrong(folder, *others)
    assert wrong(folder, *sections) == set()
    monkeypatch.setattr(module, check, lambda *_: None)
    assert wrong(folder, *sections) == {case["name"] for case in cases(folder, *sections) if "error" in case}
    assert wrong(folder, *others) == before == set(EXCLUDED)


STEPS: dict[str, Callable[..., Any]] = {
    "_map": lambda *_: None,
    "_constrain": lambda *_: None,
    "_count_down": lambda *_: None,
    "self_issued": lambda *_: False,
    "_chosen": lambda levels, _wanted: policies._granted(levels) if levels else frozenset(),
}


@pytest.mark.parametrize("step", STEPS)
def test_each_step_of_policy_processing_is_needed(corpus: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Mappings, constraints, their counting down and the rule of self-issued certificates each decide some case."""
    folder = corpus / "pkits"
    assert wrong(folder, *POLICY_SECTIONS) == set()
    monkeypatch.setattr(policies, step, STEPS[step])
    assert wrong(folder, *POLICY_SECTIONS) != set()

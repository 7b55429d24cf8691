"""NIST's PKITS (2011), run against TrustStore.judge: every case gives its answer, or is named below.

What is left out is what we say we do not do: certificates of authorities as signers, DSA, CRLs signed by keys
outside the chain, indirect CRLs of another authority, initial policy sets. For each
case left out the answer that we do give is written down; it is never Trusted where PKITS says invalid.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from certs import revocation
from certs.chain import TrustStore
from certs.model import CannotTell, Fault, Trust, Trusted, Untrusted
from certs.profiles import Profile
from certs.revocation import Crls

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.filterwarnings("ignore:Parsed a serial number:UserWarning"),
]

AT = datetime(2026, 11, 25, tzinfo=UTC)
ANY_USE = Profile("pkits", frozenset({"digital_signature", "content_commitment", "key_encipherment"}))
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

AUTHORITY = Fault.WRONG_USAGE, "a CA's own certificate plays no role with us"
OTHER_KEY = Fault.REVOCATION_UNKNOWN, "the CRL is signed by a key outside the chain"
INDIRECT = Fault.REVOCATION_UNKNOWN, "indirect CRLs are not read"
POLICY = Fault.UNSUPPORTED, "an authority requires explicit policies"
LEFT_OUT = {
    "valid_dsa_signatures_test4": (Fault.WEAK_ALGORITHM, "DSA with SHA-1"),
    "valid_dsa_parameter_inheritance_test5": (Fault.UNREADABLE, "a DSA key without parameters"),
    "valid_separate_certificate_and_crl_keys_test19": OTHER_KEY,
    "valid_basic_self_issued_new_with_old_test4": OTHER_KEY,
    "valid_basic_self_issued_crl_signing_key_test6": OTHER_KEY,
    "valid_pathlenconstraint_test8": AUTHORITY,
    "valid_pathlenconstraint_test14": AUTHORITY,
    "valid_onlycontainscacerts_crl_test13": AUTHORITY,
    "valid_idp_with_indirectcrl_test24": INDIRECT,
    "valid_idp_with_indirectcrl_test25": INDIRECT,
    "valid_crlissuer_test28": INDIRECT,
    "valid_crlissuer_test29": INDIRECT,
    "valid_crlissuer_test30": INDIRECT,
    "valid_crlissuer_test33": INDIRECT,
    "overlapping_policies_test6": POLICY,
    "all_certificates_same_policies_test10": POLICY,
    "all_certificates_any_policy_test11": POLICY,
    "all_certificates_same_policies_test13": POLICY,
    "any_policy_test14": POLICY,
    "valid_require_explicit_policy_test4": POLICY,
    "valid_policy_mapping_test9": POLICY,
    "valid_policy_mapping_test11": POLICY,
    "valid_policy_mapping_test13": POLICY,
    "valid_policy_mapping_test14": POLICY,
    "valid_inhibit_policy_mapping_test2": POLICY,
    "valid_inhibit_policy_mapping_test4": POLICY,
    "valid_self_issued_inhibit_policy_mapping_test7": POLICY,
    "valid_inhibit_any_policy_test2": POLICY,
    "inhibit_any_policy_test3": POLICY,
    "valid_self_issued_inhibit_any_policy_test7": POLICY,
    "valid_self_issued_inhibit_any_policy_test9": POLICY,
}
"""Valid by PKITS; what we answer instead, and why."""

REASONED = {
    "402": {Fault.EXPIRED, Fault.NOT_YET_VALID},
    "413": {Fault.NAME_CONSTRAINT},
}
"""Sections in which an invalid case must be refused for exactly this."""


def cases(folder: Path, section: str) -> list[dict[str, Any]]:
    """The cases of a section, without those that set initial policies, which no profile of ours does."""
    every: list[dict[str, Any]] = json.loads((folder / "pkits.json").read_text())
    return [case for case in every if case["id"].startswith(section) and "params" not in case]


def judge(folder: Path, case: dict[str, Any]) -> Trust:
    def certificate(name: str) -> bytes:
        return (folder / "certs" / name).read_bytes()

    names = ("TrustAnchorRootCRL.crl", *case.get("crls", ()))
    lists = [revocation.read((folder / "crls" / name).read_bytes()) for name in names]
    anchor = x509.load_der_x509_certificate(certificate("TrustAnchorRootCertificate.crt"))
    store = TrustStore((anchor,), (), Crls([crl for crl in lists if crl is not None]))
    extra = [certificate(name) for name in case.get("other_certs", ())]
    return store.judge(certificate(case["cert"]), extra, ANY_USE, AT)


def said(trust: Trust) -> str:
    return "trusted" if isinstance(trust, Trusted) else trust.fault.value


@pytest.mark.parametrize("section", SECTIONS, ids=lambda number: SECTIONS[number])
def test_every_case_of_a_section_gets_its_answer(corpus: Path, section: str) -> None:
    """Valid cases are Trusted, invalid ones never are; those left out get the answer that is written down."""
    folder = corpus / "pkits"
    expected: dict[str, object] = {}
    answers: dict[str, object] = {}
    for case in cases(folder, section):
        name = case["name"]
        trust = judge(folder, case)
        if "error" in case:
            expected[name], answers[name] = False, isinstance(trust, Trusted)
        else:
            left_out = LEFT_OUT.get(name)
            expected[name], answers[name] = left_out[0].value if left_out else "trusted", said(trust)
    assert expected
    assert answers == expected


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
    every = [case for section in SECTIONS for case in cases(folder, section)]
    (case,) = [case for case in every if case["name"] == name]
    trust = judge(folder, case)
    assert isinstance(trust, kind)
    assert said(trust) == fault.value


def test_nothing_is_left_out_in_vain(corpus: Path) -> None:
    """Each exclusion names a case that exists, and the rest of the suite is far the larger part."""
    folder = corpus / "pkits"
    names = [case["name"] for section in SECTIONS for case in cases(folder, section)]
    assert set(LEFT_OUT) <= set(names)
    assert len(names) - len(LEFT_OUT) >= 170

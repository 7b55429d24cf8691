"""Evidence as it is kept beside a letter."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from certs import profiles
from certs.chain import TrustStore
from certs.evidence import summary
from certs.model import Consulted, Evidence, Trusted
from certs.throwaway import Issued


def test_evidence_is_json_without_anybodys_name(store: TrustStore, doctor: Issued, now: datetime) -> None:
    """Chain, algorithms and the lists with their digests; neither the signer's name nor his address."""
    trust = store.judge(doctor.der, (), profiles.SMIME, now)
    assert isinstance(trust, Trusted)
    kept = json.dumps(summary(trust.evidence), ensure_ascii=False)
    assert "JEANNE" not in kept
    assert "@hopital" not in kept
    back = json.loads(kept)
    assert back["chain"][0] == trust.identity.fingerprint
    assert [each["kind"] for each in back["consulted"]] == ["crl", "crl"]
    assert all(len(each["digest"]) == 64 for each in back["consulted"])


def test_what_counted_by_grace_says_so(now: datetime) -> None:
    """A mark only where there is one; an answer's bytes are not in it."""
    seen = (Consulted("crl", "a", "00"), Consulted("ocsp", "b", "11", now, stale=True, der=b"\x30"))
    told: dict[str, Any] = summary(Evidence(now, consulted=seen))
    assert told["consulted"] == [
        {"kind": "crl", "name": "a", "digest": "00", "until": ""},
        {"kind": "ocsp", "name": "b", "digest": "11", "until": "2026-11-25T09:30:00+00:00", "stale": True},
    ]

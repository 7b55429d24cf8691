"""Meeting another operator: one rule for both directions, and what policy makes of "nobody can tell"."""

from __future__ import annotations

from datetime import datetime

import pytest

from certs.model import CannotTell, Evidence, Fault, Identity, Trusted, Untrusted
from relay.model import Reason
from relay.peering import Met, Turned, Unsure, meet

WHO = Identity("CN=mss.theirs.example", "CN=ca", 1, "ab" * 32)


@pytest.mark.parametrize("unsure", Unsure)
def test_trusted_and_untrusted_need_no_policy(unsure: Unsure, now: datetime) -> None:
    """Policy is asked where nobody can tell, and nowhere else."""
    assert meet(Trusted(WHO, Evidence(now)), unsure) == Met(WHO)
    refused = Turned(Reason.PEER_UNTRUSTED, "revoked", permanent=True)
    assert meet(Untrusted(Fault.REVOKED, identity=WHO), unsure) == refused


@pytest.mark.parametrize(
    ("unsure", "answer"),
    [
        (Unsure.DEFER, Turned(Reason.PEER_CANNOT_TELL, "stale-crl", permanent=False)),
        (Unsure.REFUSE, Turned(Reason.PEER_CANNOT_TELL, "stale-crl", permanent=True)),
        (Unsure.ACCEPT_MARKED, Met(WHO, "stale-crl")),
    ],
)
def test_who_cannot_be_told_is_met_as_policy_says(unsure: Unsure, answer: Met | Turned) -> None:
    """It waits, is refused, or is taken with a mark."""
    assert meet(CannotTell(Fault.STALE_CRL, identity=WHO), unsure) == answer


@pytest.mark.parametrize("fault", [Fault.UNSUPPORTED, Fault.UNREADABLE])
def test_only_an_unknown_revocation_is_taken(fault: Fault) -> None:
    """What cannot be told for another reason waits, whatever policy says; so does a certificate without a name."""
    turned = Turned(Reason.PEER_CANNOT_TELL, fault.value, permanent=False)
    assert meet(CannotTell(fault, identity=WHO), Unsure.ACCEPT_MARKED) == turned
    assert isinstance(meet(CannotTell(Fault.STALE_CRL), Unsure.ACCEPT_MARKED), Turned)

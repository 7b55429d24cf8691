"""The eight audit cases (spec/operator.md §2.6), in both directions, decided by our judgement alone: the handshake's
own look at certificates, a wall before it, is taken away here. A check that is switched off is missed by its case and
by no other. tests/journeys/test_audit.py plays the same cases on a live node."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import crypto

from certs import chain, paths, tls
from certs.chain import TrustStore
from certs.model import Fault, Untrusted
from certs.throwaway import Pki
from gateway.audit import CASES, Case
from gateway.demo.auditor import Auditor, platform
from gateway.demo.processes import free_port
from gateway.doors import replies, session
from relay import hosts, partners
from relay.couriers import meeting
from relay.couriers.peer import PeerCourier
from relay.intake import Intake
from relay.model import Door, Later, Never
from relay.partners import WhiteList
from relay.pseudonym import Pseudonyms
from relay.routing import Node

PARENT = "espace.audit.example"
NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME, openssl/x509_vfy.h."""
OK = ("", "")
Answer = tuple[str, str]
"""Reason and detail; empty where letters pass."""


@dataclass(frozen=True)
class Space:
    """A trust space with its audit platform."""

    pki: Pki
    foreign: Pki
    auditor: Auditor
    folder: Path
    own: tuple[Path, Path]

    def trust(self) -> TrustStore:
        return TrustStore.load(self.folder)

    def white_list(self) -> WhiteList:
        return WhiteList.of(self.auditor.listed, self.pki.now)


@pytest.fixture(scope="module")
def space(trust_space: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    folder, pki = tmp_path_factory.mktemp("audit"), trust_space.pki
    foreign = Pki.create(pki.now, "AILLEURS")
    auditor = platform(pki, foreign, PARENT, free_port(), folder)
    pki.write_trust(folder, pki.now)
    with auditor.answering():
        yield Space(pki, foreign, auditor, folder, trust_space.host)


# --- the two directions -----------------------------------------------------------------------------------------------


def outward(space: Space, name: str) -> Answer:
    """What a letter of ours to the case's domain would meet."""
    host, trust = space.auditor.hosts[name], space.trust()
    context = tls.context(tls.Role("blind", serves=False, theirs=ssl.CERT_NONE), space.own)
    courier = PeerCourier(
        hostname="mss.lilas.example",
        where=hosts.Hosts(hosts.resolver([]), {host.domain: (host.address, host.port)}),
        context=lambda: context,
        trust=lambda: trust,
        white_list=space.white_list,
        keeper=None,  # type: ignore[arg-type]  # nothing is signed
        journal=None,  # type: ignore[arg-type]  # nothing is written
        clock=lambda: space.pki.now,
    )
    looked = courier.look(host.domain)
    assert isinstance(looked, tuple)
    trouble = looked[0].trouble
    assert isinstance(trouble, Later | Never | None)
    return (trouble.reason, trouble.detail) if trouble else OK


def inward(space: Space, name: str, door: Any) -> Answer:
    """What our door answers to MAIL from the case's domain."""
    host = space.auditor.hosts[name]
    client = door.client()
    client.say("EHLO audit.example")
    if host.shown:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(*host.shown)
        client.start_tls(context)
        client.say("EHLO audit.example")
    return read(client.say(f"MAIL FROM:<controle@{host.domain}>"))


def read(reply: str) -> Answer:
    """The reason whose sentence stands in a reply."""
    if reply.startswith("250 "):
        return OK
    found = [reason for reason, row in replies.REASONS.items() if replies.ascii_only(row.french) in reply]
    assert len(found) == 1, reply
    return found[0].value, reply.partition("cause: ")[2]


@pytest.fixture
def door(space: Space, open_door: Callable[..., Any]) -> Callable[[], Any]:
    """Opens the peers' door: its handshake knows the foreign authority too, and no time."""

    def start() -> Any:
        trust = space.trust()
        context = tls.peer_side(*space.own, trust)
        foreign = TrustStore((space.foreign.root.certificate, space.foreign.authority.certificate))
        context.load_verify_locations(cadata=foreign.anchors_pem())
        context.verify_flags |= ssl.VerifyFlags(NO_CHECK_TIME)
        return open_door(Door.PEER, trust=trust, contexts=lambda: context, intake=intake(space))

    return start


def intake(space: Space) -> Intake:
    """As far as MAIL goes."""
    return Intake(
        node=Node("lilas", frozenset({"lilas.example"}), "mss.lilas.example"),
        client=None,  # type: ignore[arg-type]
        directory=None,  # type: ignore[arg-type]
        white_list=space.white_list,
        trust=space.trust,
        finders=(),
        pseudonyms=Pseudonyms(b"p" * 32),
        clock=lambda: space.pki.now,
    )


def as_expected(case: Case, answers: tuple[Answer, Answer]) -> bool:
    return all(case.expects(*each) for each in answers)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_case_is_answered_by_its_name(space: Space, door: Callable[[], Any], case: Case) -> None:
    """Accepted or refused for the reason and fault that the case names, as their server and as their client."""
    answers = outward(space, case.name), inward(space, case.name, door())
    assert as_expected(case, answers), answers


# --- each check, switched off ---------------------------------------------------------------------------------------


def leaf_alone(find: Any) -> Any:
    """The check of the anchor, without an objection: a certificate vouches for itself."""

    def found(self: Any, leaf: Any, hints: Any, at: Any) -> Any:
        answer = find(self, leaf, hints, at)
        unknown = isinstance(answer, Untrusted) and answer.fault is Fault.UNKNOWN_ISSUER
        return paths.Path((leaf,), paths._NEVER, paths._EVER) if unknown else answer

    return found


def without_time(store: crypto.X509Store, at: Any) -> None:
    store.set_flags(NO_CHECK_TIME)


def any_domain(self: WhiteList, domain: str, subject: str) -> bool:
    """Somebody's listed certificate, whoever's domain it is."""
    shown = partners.read_subject(subject)
    return any(shown in listed for listed in self.entries.values())


def same_cn(comparable: Callable[[str, str], str]) -> Callable[[str, str], str]:
    return lambda key, value: "any" if key == "CN" else comparable(key, value)


SWITCHES: dict[str, tuple[tuple[Any, str, Any], ...]] = {
    "cert-expire-audit": ((paths, "tell_moment", without_time),),
    "cert-revoque-audit": ((chain, "not_revoked", lambda answer, certificate: None),),
    "cert-non-igc-audit": ((paths.Finder, "find", leaf_alone(paths.Finder.find)),),
    "cert-no-match-audit": ((WhiteList, "permits", any_domain),),
    "cert-cn-diff-dn-audit": ((partners, "_comparable", same_cn(partners._comparable)),),
    "sans-tls-audit": ((meeting, "offers_tls", lambda session: True), (session, "tls_first", lambda: False)),
}


def test_every_case_of_refusal_has_its_switch() -> None:
    """A case without one would prove nothing."""
    assert SWITCHES.keys() == {case.name for case in CASES if case.reason}


@pytest.mark.parametrize("switched", SWITCHES)
def test_a_check_that_is_switched_off_is_missed_by_its_case_alone(
    space: Space, door: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, switched: str
) -> None:
    """In both directions exactly this case is answered otherwise; all others stay as they were."""
    for target, name, no_objection in SWITCHES[switched]:
        monkeypatch.setattr(target, name, no_objection)
    opened = door()
    wrong_out = {case.name for case in CASES if not case.expects(*outward(space, case.name))}
    wrong_in = {case.name for case in CASES if not case.expects(*inward(space, case.name, opened))}
    assert (wrong_out, wrong_in) == ({switched}, {switched})

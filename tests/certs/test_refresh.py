"""From an address in a certificate to an answer about it: what is fetched, what is kept, what never is."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as library
from cryptography.x509.oid import AuthorityInformationAccessOID

from certs import fetch, profiles
from certs.cache import Cache
from certs.chain import TrustStore
from certs.model import CannotTell, Fault, Trust, Trusted, Untrusted
from certs.reach import Reach
from certs.refresh import Refresh
from certs.revocation import Patience
from certs.throwaway import Issued

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ROLE = profiles.Profile("any", frozenset({"digital_signature"}))


def points(*urls: str, kind: type[Any] = x509.CRLDistributionPoints) -> tuple[x509.ExtensionType, bool]:
    named = [x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None) for url in urls]
    return kind(named), False


def responders(*urls: str) -> tuple[x509.ExtensionType, bool]:
    at = [
        x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url)) for url in urls
    ]
    return x509.AuthorityInformationAccess(at), False


@dataclass
class Node:
    """A trust folder, a cache, a clock that a test moves, and what was reported."""

    office: Any
    folder: Path
    cache: Path
    at: datetime
    reach: Reach
    patience: Patience = field(default_factory=Patience)
    reports: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def store(self) -> TrustStore:
        return TrustStore.load(self.folder, self.cache, self.patience)

    def judge(self, leaf: Issued) -> Trust:
        return self.store.judge(leaf.der, (), ROLE, self.at)

    def round(self, *leaves: Issued) -> None:
        asked = [each for leaf in leaves for each in self.store.questions(leaf.der, (), self.at)]
        Refresh(
            known=lambda: self.store.crls,
            cache=Cache(self.cache),
            fetch=partial(fetch.fetch, reach=self.reach, budget=fetch.Budget(total_s=5, silence_s=2)),
            clock=lambda: self.at,
            chance=lambda: 1.0,
            report=lambda event, facts: self.reports.append((event, facts)),
        ).round(asked)

    @property
    def said(self) -> list[str]:
        return [event for event, _ in self.reports]


@pytest.fixture
def node(office: Any, server: Any, tmp_path: Path) -> Node:
    """One that trusts the office's root and may fetch from the server."""
    allowed = Reach(frozenset({("crl.example", server.port)}), lambda *_: ["127.0.0.1"])
    return Node(office, office.folder(tmp_path / "trust"), tmp_path / "cache", office.at, allowed)


@pytest.fixture
def leaf(office: Any, server: Any) -> Issued:
    """Its list is said to be at /a.crl."""
    return office.leaf(points(server.url("/a.crl")))


def test_a_list_is_fetched_and_then_decides(node: Node, server: Any, leaf: Issued, office: Any) -> None:
    """Before, nobody can tell, and nothing is asked in the session; after one round the list says good."""
    server.say("/a.crl", office.listing())
    assert isinstance(node.judge(leaf), CannotTell)
    assert server.asked == []
    node.round(leaf)
    assert isinstance(node.judge(leaf), Trusted)
    assert server.asked == ["/a.crl"]
    assert node.said == ["revocation-fetched"]


def test_a_fresh_copy_is_not_fetched_again(node: Node, server: Any, leaf: Issued, office: Any) -> None:
    """A second round asks nothing; one after half the list's life does."""
    server.say("/a.crl", office.listing())
    node.round(leaf)
    node.round(leaf, office.leaf(points(server.url("/a.crl"))))
    assert server.asked == ["/a.crl"]
    node.at += 12 * HOUR
    node.round(leaf)
    assert server.asked == ["/a.crl"] * 2


def test_a_fetched_list_revokes(node: Node, server: Any, leaf: Issued, office: Any) -> None:
    """Revoked at once, and for ever: also when the list is over and its address gone."""
    server.say("/a.crl", office.listing(leaf))
    node.round(leaf)
    trust = node.judge(leaf)
    assert isinstance(trust, Untrusted)
    assert trust.fault is Fault.REVOKED
    server.close()
    node.at += 3 * DAY
    node.patience = Patience(grace=timedelta(0))
    (node.folder / "crls/root.crl").write_bytes(office.listing(issuer=office.root, at=node.at))
    trust = node.judge(leaf)
    assert isinstance(trust, Untrusted)
    assert trust.fault is Fault.REVOKED


def test_a_list_that_is_over_counts_within_the_grace_and_is_marked(
    node: Node, server: Any, leaf: Issued, office: Any
) -> None:
    """Grace is policy: none, nobody can tell; four hours, good and marked; after them nobody can tell again."""
    server.say("/a.crl", office.listing())
    node.round(leaf)
    node.at += DAY + HOUR
    (node.folder / "crls/root.crl").write_bytes(office.listing(issuer=office.root, at=node.at))
    assert isinstance(node.judge(leaf), CannotTell)
    node.patience = Patience(grace=4 * HOUR)
    trust = node.judge(leaf)
    assert isinstance(trust, Trusted)
    assert [each.stale for each in trust.evidence.consulted] == [False, True]
    node.at += 4 * HOUR
    trust = node.judge(leaf)
    assert isinstance(trust, CannotTell)
    assert trust.fault is Fault.STALE_CRL


def altered(der: bytes) -> bytes:
    return der[:-1] + bytes([der[-1] ^ 1])


BAD: dict[str, Callable[[Any], bytes]] = {
    "the bytes are no CRL": lambda office: b"<!DOCTYPE html><title>403</title>",
    "the bytes are no CRL, cut": lambda office: office.listing()[:-10],
    "the list is of another issuer": lambda office: office.listing(issuer=office.root),
    "nobody signed it who may": lambda office: altered(office.listing(at=office.at + HOUR)),
    "the list is older than the one held": lambda office: office.listing(at=office.at - HOUR),
    "its date is in the future": lambda office: office.listing(at=office.at + DAY),
    "the list is not usable": lambda office: office.listing(
        at=office.at + HOUR,
        extensions=[(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), True)],
    ),
    "the list is over, the one held is not": lambda office: office.listing(
        at=office.at + HOUR, lives=timedelta(minutes=1)
    ),
}


@pytest.mark.parametrize("why", BAD)
def test_what_is_worse_never_replaces_what_is_better(
    node: Node, server: Any, leaf: Issued, office: Any, why: str
) -> None:
    """An error page, another's list, a forged, older or unusable one: the good copy stays, the reason is told."""
    good = office.listing()
    server.say("/a.crl", good)
    node.round(leaf)
    server.say("/a.crl", BAD[why](office))
    node.at += 12 * HOUR
    node.round(leaf)
    assert server.asked == ["/a.crl"] * 2
    assert isinstance(node.judge(leaf), Trusted)
    assert [file.read_bytes() for file in (node.cache / "crls").iterdir()] == [good]
    event, facts = node.reports[-1]
    assert event != "revocation-fetched"
    assert facts["why"].startswith(why.partition(",")[0])


def test_a_newer_list_replaces_an_older_one(node: Node, server: Any, leaf: Issued, office: Any) -> None:
    """The twin: what is better is taken, and revokes."""
    server.say("/a.crl", office.listing())
    node.round(leaf)
    server.say("/a.crl", office.listing(leaf, at=office.at + HOUR))
    node.at += 12 * HOUR
    node.round(leaf)
    assert isinstance(node.judge(leaf), Untrusted)


def test_an_address_that_fails_is_left_alone_and_named(node: Node, server: Any, leaf: Issued, office: Any) -> None:
    """403: not asked again before its pause is over, while another address goes on; the answer says since when."""
    other = office.leaf(points(server.url("/b.crl")), name="autre")
    server.say("/a.crl", b"challenge", "403 Forbidden")
    server.say("/b.crl", office.listing())
    for _ in range(3):
        node.round(leaf, other)
    assert sorted(server.asked) == ["/a.crl", "/b.crl"]
    assert isinstance(node.judge(other), Trusted)
    lonely = office.leaf(points(server.url("/a.crl")), responders("ldap://annuaire.example/"))
    (node.cache / "crls").rename(node.cache / "away")
    trust = node.judge(lonely)
    assert isinstance(trust, CannotTell)
    since = office.at.isoformat(timespec="seconds")
    assert f"{server.url('/a.crl')} since {since}: status 403" in trust.detail
    assert "ldap://annuaire.example/ is not followed" in trust.detail
    node.at += timedelta(minutes=6)
    node.round(leaf)
    assert server.asked.count("/a.crl") == 2


def test_a_stranger_makes_us_fetch_nothing(node: Node, server: Any, office_at: Callable[..., Any]) -> None:
    """A certificate of another hierarchy names an address: its chain reaches no anchor, nobody goes there."""
    stranger = office_at(node.at)
    server.say("/a.crl", stranger.listing())
    node.round(stranger.leaf(points(server.url("/a.crl")), responders(server.url("/o"))))
    assert server.asked == []
    assert node.reports == []


def test_an_address_inside_our_network_is_named_not_reached(node: Node, server: Any, office: Any) -> None:
    """SSRF: an entitled certificate whose address points into our network. The refusal is remembered and told."""
    inside = office.leaf(points(f"http://127.0.0.1:{server.port}/a.crl", "http://169.254.169.254/latest"))
    node.round(inside)
    assert server.asked == []
    assert [facts["why"].split()[0] for _, facts in node.reports] == ["not-allowed"] * 2


def test_a_copy_that_ends_while_its_address_fails_is_an_alarm(
    node: Node, server: Any, leaf: Issued, office: Any
) -> None:
    """A failure with days to go is a line; within the last hours it wants a person."""
    server.say("/a.crl", office.listing(lives=3 * DAY))
    node.round(leaf)
    server.say("/a.crl", b"", "503 Busy")
    node.at += DAY
    node.round(leaf)
    node.at += 1.75 * DAY
    node.round(leaf)
    assert node.said == ["revocation-fetched", "revocation-not-fetched", "alarm-revocation-expires"]


def test_a_delta_is_found_by_its_list_and_by_the_certificate(node: Node, server: Any, office: Any) -> None:
    """freshestCRL in the complete list: the delta is fetched in the same round, and revokes."""
    leaf = office.leaf(points(server.url("/a.crl")))
    number = [(x509.CRLNumber(1), False)]
    server.say("/a.crl", office.listing(extensions=[*number, points(server.url("/d.crl"), kind=x509.FreshestCRL)]))
    delta = [(x509.CRLNumber(2), False), (x509.DeltaCRLIndicator(1), True)]
    server.say("/d.crl", office.listing(leaf, extensions=delta))
    node.round(leaf)
    assert server.asked == ["/a.crl", "/d.crl"]
    trust = node.judge(leaf)
    assert isinstance(trust, Untrusted)
    assert trust.fault is Fault.REVOKED


# --- OCSP -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def asked_of_server(office: Any, server: Any) -> Issued:
    """Whose standing only the server's /o tells."""
    return office.leaf(responders(server.url("/o")))


def posted(server: Any) -> list[library.OCSPRequest]:
    return [library.load_der_ocsp_request(request.partition(b"\r\n\r\n")[2]) for request in server.requests]


def answering(
    office: Any, leaf: Issued, at: datetime, *, nonce: bytes | None = None, only_sha1: bool = False
) -> Callable[[Any, bytes], None]:
    """A responder. `nonce`: always this one, instead of the question's."""

    def reply(connection: Any, request: bytes) -> None:
        asked = library.load_der_ocsp_request(request.partition(b"\r\n\r\n")[2])
        told = nonce or asked.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
        if only_sha1 and asked.hash_algorithm.name != "sha1":
            unknown = library.OCSPResponseBuilder.build_unsuccessful(library.OCSPResponseStatus.UNAUTHORIZED)
            body = unknown.public_bytes(Encoding.DER)
        else:
            builder = library.OCSPResponseBuilder().add_response(
                leaf.certificate, office.authority.certificate, asked.hash_algorithm, library.OCSPCertStatus.GOOD,
                at, at + HOUR, None, None,
            )  # fmt: skip
            builder = builder.responder_id(library.OCSPResponderEncoding.NAME, office.authority.certificate)
            builder = builder.add_extension(x509.OCSPNonce(told), critical=False)
            body = builder.sign(office.authority.key, hashes.SHA256()).public_bytes(Encoding.DER)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    return reply


def test_a_responder_is_asked_where_no_list_decides(
    node: Node, server: Any, office: Any, asked_of_server: Issued
) -> None:
    """One question, by SHA-256, with a nonce; the answer decides and is evidence. With a list, none is asked."""
    server.scripts["/o"] = answering(office, asked_of_server, node.at)
    node.round(asked_of_server)
    trust = node.judge(asked_of_server)
    assert isinstance(trust, Trusted)
    assert [each.kind for each in trust.evidence.consulted] == ["crl", "ocsp"]
    (request,) = posted(server)
    assert request.hash_algorithm.name == "sha256"
    assert len(request.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce) == 32
    listed = office.leaf(responders(server.url("/o")), points(server.url("/a.crl")))
    server.say("/a.crl", office.listing())
    node.round(listed, asked_of_server)
    assert server.asked == ["/o", "/a.crl"]


def test_a_replayed_answer_is_not_kept(node: Node, server: Any, office: Any, asked_of_server: Issued) -> None:
    """An answer that was true, to another question: its nonce gives it away, and it decides nothing."""
    server.scripts["/o"] = answering(office, asked_of_server, node.at, nonce=b"n" * 32)
    node.round(asked_of_server)
    assert isinstance(node.judge(asked_of_server), CannotTell)
    assert "nonce" in node.reports[-1][1]["why"]
    assert not list(node.cache.glob("ocsp/*"))


def test_a_responder_of_old_habits_is_asked_by_sha1(
    node: Node, server: Any, office: Any, asked_of_server: Issued
) -> None:
    """Who does not know SHA-256 in CertID is asked once more, by SHA-1."""
    server.scripts["/o"] = answering(office, asked_of_server, node.at, only_sha1=True)
    node.round(asked_of_server)
    assert [request.hash_algorithm.name for request in posted(server)] == ["sha256", "sha1"]
    assert isinstance(node.judge(asked_of_server), Trusted)


def test_openssl_as_responder(server: Any, office_at: Callable[..., Any], tmp_path: Path) -> None:
    """A real responder's own words: good, revoked, and one that it does not know; its answer repeats our nonce."""
    now = datetime.now(UTC).replace(microsecond=0)
    office = office_at(now)
    leaves = {state: office.leaf(responders(server.url("/o")), name=state) for state in ("V", "R", "unknown")}
    (tmp_path / "index.txt").write_text(
        "".join(
            f"{state}\t301231235959Z\t{'200101000000Z' if state == 'R' else ''}\t"
            f"{leaf.certificate.serial_number:040X}\tunknown\t/CN={state}\n"
            for state, leaf in leaves.items()
            if state in "VR"
        )
    )
    server.scripts["/o"] = openssl_responder(tmp_path, *office.authority.write(tmp_path, "authority"))
    allowed = Reach(frozenset({("crl.example", server.port)}), lambda *_: ["127.0.0.1"])
    node = Node(office, office.folder(tmp_path / "trust"), tmp_path / "cache", now, allowed)
    node.round(*leaves.values())
    answers = {state: type(node.judge(leaf)) for state, leaf in leaves.items()}
    assert answers == {"V": Trusted, "R": Untrusted, "unknown": CannotTell}


def openssl_responder(folder: Path, certificate: Path, key: Path) -> Callable[[Any, bytes], None]:
    """`openssl ocsp`, one process for each question: its own server would listen on every interface."""

    def reply(connection: Any, request: bytes) -> None:
        (folder / "request.der").write_bytes(request.partition(b"\r\n\r\n")[2])
        subprocess.run(
            ["openssl", "ocsp", "-reqin", "request.der", "-respout", "answer.der", "-index", "index.txt", "-nmin", "30",
             "-CA", certificate, "-rsigner", certificate, "-rkey", key, "-rmd", "sha256"],
            cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
        body = (folder / "answer.der").read_bytes()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    return reply

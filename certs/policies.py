"""Certificate policies along a path: RFC 5280 §6.1, with the policy graph of RFC 9618 in place of the tree.

Promises: pure functions over a chain that was found elsewhere. At most one node for each policy and depth, and a
budget on nodes and edges, so that no chain makes the work grow beyond its own size (RFC 9618 §1: the tree of
RFC 5280 doubles with each certificate). Does not: build chains, nor read policy qualifiers: nobody acts on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.asn1 import decode_der, sequence
from cryptography.x509 import ObjectIdentifier

from certs import ber

ANY = "2.5.29.32.0"
"""anyPolicy (RFC 5280 §4.2.1.4)."""
MAX_WORK = 20_000
"""Nodes and edges of one path's graph: ten certificates that are full of policies stay below."""

_POLICY_MAPPINGS = ObjectIdentifier("2.5.29.33")


@dataclass(frozen=True)
class Initial:
    """The inputs of RFC 5280 §6.1.1 (c), (e), (f), (g)."""

    policies: frozenset[str] = frozenset({ANY})
    """user-initial-policy-set, dotted."""
    explicit: bool = False
    inhibit_mapping: bool = False
    inhibit_any: bool = False


@dataclass(frozen=True)
class Accepted:
    """The path stands; `policies` is the user-constrained policy set (RFC 5280 §6.1.6), perhaps empty."""

    policies: frozenset[str]


@dataclass(frozen=True)
class Refused:
    """Why the path does not stand, for operators."""

    why: str
    budget: bool = False


class _TooMuch(Exception):
    """The graph is larger than any honest chain's."""


@dataclass(eq=False)
class _Node:
    """A policy at one depth (RFC 9618 §3.1)."""

    policy: str
    parents: tuple[_Node, ...]
    expected: frozenset[str]


_Level = dict[str, _Node]


@dataclass
class _State:
    """What goes from certificate to certificate (RFC 5280 §6.1.2 (a), (d) to (f))."""

    levels: list[_Level] = field(default_factory=list)
    """The graph, anchor's depth first; empty is the NULL graph."""
    explicit: int = 0
    mapping: int = 0
    any_allowed: int = 0
    left: int = MAX_WORK

    def spend(self, work: int) -> None:
        self.left -= work
        if self.left < 0:
            raise _TooMuch


def process(chain: Sequence[x509.Certificate], initial: Initial = Initial()) -> Accepted | Refused:
    """Whether a chain (end certificate first, anchor last) stands under its authorities' and our policies.

    Raises what cryptography raises on an extension that it cannot read, and ValueError.
    """
    path = list(reversed(chain[:-1]))  # RFC 5280 §6.1: the anchor is no part of the path
    if not path:
        return Refused("an anchor states no policy") if initial.explicit else Accepted(frozenset())
    state = _begin(len(path), initial)
    try:
        for certificate in path[:-1]:
            refusal = _step(state, certificate, last=False) or _prepare(state, certificate)
            if refusal:
                return Refused(refusal)
        refusal = _step(state, path[-1], last=True)
        return Refused(refusal) if refusal else _wrap_up(state, path, initial)
    except _TooMuch:
        return Refused("more policies than an honest chain has", budget=True)


def _begin(size: int, initial: Initial) -> _State:
    """RFC 5280 §6.1.2."""
    return _State(
        levels=[{ANY: _Node(ANY, (), frozenset({ANY}))}],
        explicit=0 if initial.explicit else size + 1,
        mapping=0 if initial.inhibit_mapping else size + 1,
        any_allowed=0 if initial.inhibit_any else size + 1,
    )


def _step(state: _State, certificate: x509.Certificate, *, last: bool) -> str:
    """RFC 5280 §6.1.3 (d) to (f)."""
    stated = policies_of(certificate)
    if stated is None:
        state.levels = []
    elif state.levels:
        may_be_any = state.any_allowed > 0 or (not last and self_issued(certificate))
        state.levels.append(_grown(state, stated, may_be_any=may_be_any))
        _prune(state)
    if not state.levels and state.explicit == 0:
        return f"no policy is left at {certificate.subject.rfc4514_string()}"
    return ""


def _grown(state: _State, stated: frozenset[str], *, may_be_any: bool) -> _Level:
    """RFC 9618 §3.2, its step (d): the nodes of the next depth."""
    above = state.levels[-1]
    expecting = _expecting(state, above)
    level: _Level = {}
    for policy in stated - {ANY}:
        parents = expecting.get(policy) or ([above[ANY]] if ANY in above else [])
        if parents:
            level[policy] = _Node(policy, tuple(parents), frozenset({policy}))
    if ANY in stated and may_be_any:
        for policy, parents in expecting.items():
            if policy not in level:
                level[policy] = _Node(policy, tuple(parents), frozenset({policy}))
    state.spend(len(stated) + sum(len(node.parents) for node in level.values()))
    return level


def _expecting(state: _State, level: _Level) -> dict[str, list[_Node]]:
    """For each policy the nodes that expect it."""
    found: dict[str, list[_Node]] = {}
    for node in level.values():
        state.spend(len(node.expected))
        for policy in node.expected:
            found.setdefault(policy, []).append(node)
    return found


def _prune(state: _State) -> None:
    """RFC 9618 §3.2 (d)(3): what has no child goes, from below upwards; a graph without leaves is NULL."""
    below = state.levels[-1]
    for place in range(len(state.levels) - 2, -1, -1):
        used = {parent.policy for node in below.values() for parent in node.parents}
        state.spend(len(used))
        below = {policy: node for policy, node in state.levels[place].items() if policy in used}
        state.levels[place] = below
    if not state.levels[-1]:
        state.levels = []


def _prepare(state: _State, certificate: x509.Certificate) -> str:
    """RFC 5280 §6.1.4 (a), (b), (h) to (j)."""
    mappings = mappings_of(certificate)
    if ANY in mappings or any(ANY in mapped for mapped in mappings.values()):
        return f"anyPolicy is mapped by {certificate.subject.rfc4514_string()}"
    if state.levels and mappings:
        _map(state, mappings)
    if not self_issued(certificate):
        _count_down(state)
    _constrain(state, certificate)
    return ""


def _map(state: _State, mappings: Mapping[str, frozenset[str]]) -> None:
    """RFC 9618 §3.3 (b)."""
    level = state.levels[-1]
    for policy, mapped in mappings.items():
        state.spend(1 + len(mapped))
        if state.mapping == 0:
            level.pop(policy, None)
        elif policy in level:
            level[policy].expected = mapped
        elif ANY in level:
            level[policy] = _Node(policy, level[ANY].parents, mapped)
    _prune(state)


def _count_down(state: _State) -> None:
    """RFC 5280 §6.1.4 (h)."""
    state.explicit = max(0, state.explicit - 1)
    state.mapping = max(0, state.mapping - 1)
    state.any_allowed = max(0, state.any_allowed - 1)


def _constrain(state: _State, certificate: x509.Certificate) -> None:
    """RFC 5280 §6.1.4 (i), (j)."""
    constraints = _extension(certificate, x509.PolicyConstraints)
    if constraints is not None:
        state.explicit = _lower(state.explicit, constraints.require_explicit_policy)
        state.mapping = _lower(state.mapping, constraints.inhibit_policy_mapping)
    inhibit = _extension(certificate, x509.InhibitAnyPolicy)
    if inhibit is not None:
        state.any_allowed = _lower(state.any_allowed, inhibit.skip_certs)


def _lower(present: int, stated: int | None) -> int:
    return present if stated is None else min(present, stated)


def _wrap_up(state: _State, path: Sequence[x509.Certificate], initial: Initial) -> Accepted | Refused:
    """RFC 5280 §6.1.5 (a), (b), (g) and RFC 9618 §3.4."""
    explicit = max(0, state.explicit - 1)
    constraints = _extension(path[-1], x509.PolicyConstraints)
    if constraints is not None and constraints.require_explicit_policy == 0:
        explicit = 0
    accepted = _chosen(state.levels, initial.policies)
    if explicit == 0 and not accepted:
        return Refused("no policy of the end certificate is one that we accept")
    return Accepted(accepted)


def _chosen(levels: Sequence[_Level], wanted: frozenset[str]) -> frozenset[str]:
    """RFC 9618 §3.4 (g): the user-constrained policy set."""
    if not levels:
        return frozenset()
    granted = _granted(levels)
    if ANY in wanted:
        return granted
    return wanted if ANY in granted else granted & wanted


def _granted(levels: Sequence[_Level]) -> frozenset[str]:
    """The authority-constrained policy set, in the words of the anchor's domain: what comes right under anyPolicy."""
    under_any = {
        node.policy
        for level in levels[1:]
        for node in level.values()
        if node.policy != ANY and any(parent.policy == ANY for parent in node.parents)
    }
    return frozenset(under_any | ({ANY} & levels[-1].keys()))


# --- what a certificate says -------------------------------------------------------------------------------


def policies_of(certificate: x509.Certificate) -> frozenset[str] | None:
    """The dotted policies that a certificate states; None where it has no such extension."""
    stated = _extension(certificate, x509.CertificatePolicies)
    return None if stated is None else frozenset(each.policy_identifier.dotted_string for each in stated)


@sequence
class PolicyMapping:
    """RFC 5280 §4.2.1.5: two policies, one in the words of the issuer, one in those of the subject."""

    issuer: ObjectIdentifier
    subject: ObjectIdentifier


def mappings_of(certificate: x509.Certificate) -> dict[str, frozenset[str]]:
    """Issuer's policies, each with the subject's that count as it. Raises ValueError on unreadable mappings."""
    try:
        value = certificate.extensions.get_extension_for_oid(_POLICY_MAPPINGS).value
    except x509.ExtensionNotFound:
        return {}
    if not isinstance(value, x509.UnrecognizedExtension):
        raise ValueError("policy mappings in a form that we do not know")
    found: dict[str, set[str]] = {}
    for mapping in _pairs(value.value):
        found.setdefault(mapping.issuer.dotted_string, set()).add(mapping.subject.dotted_string)
    return {policy: frozenset(mapped) for policy, mapped in found.items()}


def _pairs(der: bytes) -> Iterable[PolicyMapping]:
    if not der.startswith(b"\x30"):
        raise ValueError("policy mappings are no sequence")
    return [decode_der(PolicyMapping, each) for each in ber.members(ber.content(der))]


def self_issued(certificate: x509.Certificate) -> bool:
    """RFC 5280 §3.2: subject and issuer are one name, whatever their case and spacing (§7.1)."""
    if certificate.subject == certificate.issuer:
        return True
    return _folded(certificate.subject) == _folded(certificate.issuer)


def _folded(name: x509.Name) -> list[frozenset[tuple[str, str]]]:
    return [
        frozenset((each.oid.dotted_string, " ".join(str(each.value).split()).casefold()) for each in part)
        for part in name.rdns
    ]


Extension = TypeVar("Extension", bound=x509.ExtensionType)


def _extension(certificate: x509.Certificate, kind: type[Extension]) -> Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None

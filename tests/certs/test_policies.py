"""Certificate policies along a path: the graph agrees with the tree of RFC 5280, and does not grow like it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier
from hypothesis import given, settings
from hypothesis import strategies as st

from certs import ber, policies
from certs.policies import ANY, Accepted, Initial, Refused

KEY = ec.generate_private_key(ec.SECP256R1())
BEGINS, ENDS = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
ONE, TWO, THREE = (f"1.2.3.{number}" for number in (1, 2, 3))


@dataclass(frozen=True)
class Said:
    """What one certificate of a path says of policies."""

    policies: frozenset[str] | None = frozenset({ANY})
    mappings: frozenset[tuple[str, str]] = frozenset()
    explicit: int | None = None
    mapping: int | None = None
    any_after: int | None = None
    self_issued: bool = False


def oid(dotted: str) -> bytes:
    octets: list[int] = []
    first, second, *rest = map(int, dotted.split("."))
    for number in (first * 40 + second, *rest):
        octets += [part | 0x80 for part in _base128(number)[:-1]] + _base128(number)[-1:]
    return ber.tlv(0x06, bytes(octets))


def _base128(number: int) -> list[int]:
    parts = [number & 0x7F]
    while number := number >> 7:
        parts.insert(0, number & 0x7F)
    return parts


def certificate(said: Said, place: int) -> x509.Certificate:
    """One certificate of a path: only its extensions and whether its names are one matter here."""
    names = [
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority {place - (not said.self_issued)}")]),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority {place}")]),
    ]
    builder = x509.CertificateBuilder(names[0], names[1], KEY.public_key(), 1, BEGINS, ENDS)
    for extension in _extensions(said):
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(KEY, hashes.SHA256())


def _extensions(said: Said) -> list[x509.ExtensionType]:
    found: list[x509.ExtensionType] = []
    if said.policies:
        stated = [x509.PolicyInformation(ObjectIdentifier(each), None) for each in sorted(said.policies)]
        found.append(x509.CertificatePolicies(stated))
    if said.mappings:
        pairs = (ber.tlv(0x30, oid(ours), oid(theirs)) for ours, theirs in sorted(said.mappings))
        found.append(x509.UnrecognizedExtension(ObjectIdentifier("2.5.29.33"), ber.tlv(0x30, *pairs)))
    if said.explicit is not None or said.mapping is not None:
        found.append(x509.PolicyConstraints(said.explicit, said.mapping))
    if said.any_after is not None:
        found.append(x509.InhibitAnyPolicy(said.any_after))
    return found


def chain(*path: Said) -> tuple[x509.Certificate, ...]:
    """Given from the anchor downwards, answered end certificate first, under an anchor that says nothing."""
    below = [certificate(said, place) for place, said in enumerate(path, start=1)]
    return (*reversed(below), certificate(Said(None), 0))


# --- the tree of RFC 5280 §6.1, as written there, for an oracle --------------------------------------------


@dataclass(eq=False)
class Node:
    policy: str
    expected: set[str]
    parent: Node | None
    children: list[Node] = field(default_factory=list)

    def child(self, policy: str, expected: set[str]) -> None:
        self.children.append(Node(policy, expected, self))


def at_depth(root: Node, depth: int) -> list[Node]:
    return [root] if depth == 0 else [each for child in root.children for each in at_depth(child, depth - 1)]


def pruned(root: Node, depth: int) -> Node | None:
    """Without nodes above `depth` that have no children; None for the NULL tree."""
    for level in range(depth - 1, -1, -1):
        for node in at_depth(root, level):
            if not node.children and node.parent is not None:
                node.parent.children.remove(node)
    return root if at_depth(root, depth) else None


def grow(root: Node, depth: int, stated: frozenset[str], *, may_be_any: bool) -> Node | None:
    above = at_depth(root, depth - 1)
    for policy in stated - {ANY}:
        matching = [node for node in above if policy in node.expected]
        for node in matching or [node for node in above if node.policy == ANY]:
            node.child(policy, {policy})
    if ANY in stated and may_be_any:
        for node in above:
            for policy in node.expected - {child.policy for child in node.children}:
                node.child(policy, {policy})
    return pruned(root, depth)


def remap(root: Node, depth: int, said: Said, *, allowed: bool) -> Node | None:
    for ours in {ours for ours, _ in said.mappings}:
        theirs = {theirs for each, theirs in said.mappings if each == ours}
        nodes = [node for node in at_depth(root, depth) if node.policy == ours]
        for node in nodes:
            if allowed:
                node.expected = theirs
            elif node.parent is not None:
                node.parent.children.remove(node)
        if allowed and not nodes:
            for node in [node for node in at_depth(root, depth) if node.policy == ANY and node.parent]:
                assert node.parent is not None
                node.parent.child(ours, theirs)
    return pruned(root, depth)


def chosen(root: Node | None, depth: int, wanted: frozenset[str]) -> frozenset[str]:
    """§6.1.5 (g): the policies of the valid_policy_node_set that remain."""
    if root is None:
        return frozenset()
    leaves = at_depth(root, depth)
    every = [node for level in range(1, depth + 1) for node in at_depth(root, level)]
    domain = {node.policy for node in every if node.parent is not None and node.parent.policy == ANY} - {ANY}
    any_left = any(node.policy == ANY for node in leaves)
    if ANY in wanted:
        return frozenset(domain | ({ANY} if any_left else set()))
    return wanted if any_left else frozenset(domain & wanted)


def by_the_tree(path: Sequence[Said], initial: Initial) -> frozenset[str] | None:
    """The user-constrained policies, or None where the path does not stand."""
    size = len(path)
    root: Node | None = Node(ANY, {ANY}, None)
    explicit, mapping, any_left = (
        0 if inhibited else size + 1 for inhibited in (initial.explicit, initial.inhibit_mapping, initial.inhibit_any)
    )
    for depth, said in enumerate(path, start=1):
        last = depth == size
        if root is not None:
            may_be_any = any_left > 0 or (not last and said.self_issued)
            root = grow(root, depth, said.policies, may_be_any=may_be_any) if said.policies else None
        if root is None and explicit == 0:
            return None
        if last:
            break
        if any(ANY in pair for pair in said.mappings):
            return None
        if root is not None:
            root = remap(root, depth, said, allowed=mapping > 0)
        if not said.self_issued:
            explicit, mapping, any_left = (max(0, each - 1) for each in (explicit, mapping, any_left))
        explicit = explicit if said.explicit is None else min(explicit, said.explicit)
        mapping = mapping if said.mapping is None else min(mapping, said.mapping)
        any_left = any_left if said.any_after is None else min(any_left, said.any_after)
    explicit = 0 if path[-1].explicit == 0 else max(0, explicit - 1)
    found = chosen(root, size, initial.policies)
    return None if explicit == 0 and not found else found


_policy = st.sampled_from([ONE, TWO, THREE])
_skip = st.none() | st.integers(0, 2)
_said = st.builds(
    Said,
    policies=st.none() | st.frozensets(_policy | st.just(ANY), min_size=1, max_size=4),
    mappings=st.frozensets(st.tuples(_policy, _policy), max_size=3),
    explicit=_skip,
    mapping=_skip,
    any_after=_skip,
    self_issued=st.booleans(),
)
_initial = st.builds(
    Initial,
    policies=st.just(frozenset({ANY})) | st.frozensets(_policy, min_size=1, max_size=2),
    explicit=st.booleans(),
    inhibit_mapping=st.booleans(),
    inhibit_any=st.booleans(),
)


@settings(max_examples=400, deadline=None)
@given(path=st.lists(_said, min_size=1, max_size=4), initial=_initial)
def test_the_graph_answers_as_the_tree(path: list[Said], initial: Initial) -> None:
    """On any short path the graph of RFC 9618 says what the tree of RFC 5280 says, and leaves the same policies."""
    answer = policies.process(chain(*path), initial)
    tree = by_the_tree(path, initial)
    assert (answer.policies if isinstance(answer, Accepted) else None) == tree


def test_the_oracle_is_not_blind() -> None:
    """The generator's kind of path is accepted and refused both by the tree itself."""
    assert by_the_tree([Said(frozenset({ONE}), explicit=0), Said(frozenset({ONE}))], Initial()) == {ONE}
    assert by_the_tree([Said(frozenset({ONE}), explicit=0), Said(frozenset({TWO}))], Initial()) is None


# --- growth ------------------------------------------------------------------------------------------------


def test_a_path_that_doubles_the_tree_costs_its_own_size() -> None:
    """RFC 9618 §1.1: two policies, each mapped to both, over sixty certificates: 2^60 leaves in the old tree."""
    both = frozenset({ONE, TWO})
    doubling = Said(both, frozenset((ours, theirs) for ours in both for theirs in both))
    answer = policies.process(chain(*[doubling] * 60, Said(both)), Initial(explicit=True))
    assert answer == Accepted(both)


@pytest.mark.parametrize(("count", "refused"), [(100, False), (2500, True)])
def test_the_budget_ends_what_is_no_honest_chain(count: int, refused: bool) -> None:
    """A hundred policies in each of four certificates are read; ten thousand edges more are refused by name."""
    many = frozenset(f"1.2.3.{number}" for number in range(count))
    answer = policies.process(chain(*[Said(many)] * 4), Initial(explicit=True))
    assert isinstance(answer, Refused) is refused
    assert answer == Accepted(many) or (isinstance(answer, Refused) and answer.budget)


# --- rules by name -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", [(ANY, ONE), (ONE, ANY)])
def test_any_policy_is_never_mapped(pair: tuple[str, str]) -> None:
    """RFC 5280 §6.1.4 (a), even where nobody asks for a policy; a mapping between two others is fine."""
    answer = policies.process(chain(Said(mappings=frozenset({pair})), Said()))
    assert isinstance(answer, Refused)
    assert "mapped" in answer.why
    assert isinstance(policies.process(chain(Said(mappings=frozenset({(ONE, TWO)})), Said())), Accepted)


def test_an_anchor_s_own_word_does_not_count() -> None:
    """RFC 5280 §6.1: the anchor is no part of the path, so what it states constrains nothing."""
    end, _ = chain(Said(frozenset({ONE})))
    anchor = certificate(Said(frozenset({TWO}), explicit=0), 0)
    assert policies.process((end, anchor)) == Accepted(frozenset({ONE}))
    under = chain(Said(frozenset({TWO}), explicit=0), Said(frozenset({ONE})))
    assert isinstance(policies.process(under), Refused)


def test_an_anchor_alone_states_no_policy() -> None:
    """The anchor as its own end certificate stands, unless somebody asks for a policy."""
    alone = (certificate(Said(frozenset({ONE})), 0),)
    assert policies.process(alone) == Accepted(frozenset())
    assert isinstance(policies.process(alone, Initial(explicit=True)), Refused)


@pytest.mark.parametrize("der", [b"\x04\x00", b"\x30\x02\x30\x00", b"\x30\x05\x06"])
def test_unreadable_mappings_are_no_mappings(der: bytes) -> None:
    """A mapping that cannot be read is ValueError, never an empty mapping."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a")])
    builder = x509.CertificateBuilder(name, name, KEY.public_key(), 1, BEGINS, ENDS)
    odd = builder.add_extension(x509.UnrecognizedExtension(ObjectIdentifier("2.5.29.33"), der), critical=True)
    with pytest.raises(ValueError, match=r"."):
        policies.mappings_of(odd.sign(KEY, hashes.SHA256()))
    assert policies.mappings_of(certificate(Said(mappings=frozenset({(ONE, TWO)})), 1)) == {ONE: frozenset({TWO})}


@pytest.mark.parametrize(("spelling", "same"), [("Authority  A", True), ("authority a", True), ("authority b", False)])
def test_self_issued_is_a_matter_of_names_not_of_spelling(spelling: str, same: bool) -> None:
    """RFC 5280 §7.1: case and white space do not make another name."""
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, each)]) for each in ("authority a", spelling)]
    made = x509.CertificateBuilder(names[0], names[1], KEY.public_key(), 1, BEGINS, ENDS).sign(KEY, hashes.SHA256())
    assert policies.self_issued(made) is same

"""What a store remembers: it saves a search, changes no answer and outlives no certificate."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from certs import chain, paths, profiles, revocation
from certs.chain import TrustStore
from certs.model import CannotTell, Fault, Trust, Trusted
from certs.paths import Finder, Memory, Path
from certs.revocation import Crls
from certs.throwaway import Issued, Pki

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
Times = tuple[datetime, datetime]


@dataclass(frozen=True)
class World:
    """A root, one authority whose certificate was renewed while the old one still ran, and a mailbox under it."""

    now: datetime
    root: x509.Certificate
    renewed: tuple[x509.Certificate, ...]
    crls: tuple[bytes, ...]
    leaf: bytes

    def store(self) -> TrustStore:
        return TrustStore((self.root,), self.renewed, Crls(map(revocation.read, self.crls)))

    @property
    def borders(self) -> list[datetime]:
        every = (self.root, *self.renewed, x509.load_der_x509_certificate(self.leaf))
        return [border for each in every for border in (each.not_valid_before_utc, each.not_valid_after_utc)]


def _certificate(
    names: tuple[str, str],
    keys: tuple[ec.EllipticCurvePrivateKey, ...],
    when: tuple[datetime, datetime],
    authority: bool,
) -> x509.Certificate:
    subject, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in names)
    builder = x509.CertificateBuilder(issuer, subject, keys[0].public_key(), x509.random_serial_number(), *when)
    builder = builder.add_extension(x509.BasicConstraints(authority, None), critical=True)
    return builder.sign(keys[1], hashes.SHA256())


def _crl(name: x509.Name, key: ec.EllipticCurvePrivateKey, when: tuple[datetime, datetime]) -> bytes:
    return x509.CertificateRevocationListBuilder(name, *when).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.fixture(scope="module")
def world(moment: datetime) -> World:
    root_key, key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    at = partial(_days, moment)
    root = _certificate(("root", "root"), (root_key, root_key), at(0, 40), True)
    old = _certificate(("authority", "root"), (key, root_key), at(2, 12), True)
    new = _certificate(("authority", "root"), (key, root_key), at(8, 30), True)
    leaf = _certificate(("mailbox", "authority"), (leaf_key, key), at(4, 20), False)
    # The lists end inside the mailbox's life too, so that their border is asked about as well.
    lists = (_crl(root.subject, root_key, at(0, 60)), _crl(old.subject, key, at(0, 18)))
    return World(moment, root, (new, old), lists, leaf.public_bytes(Encoding.DER))


def _days(moment: datetime, begins: int, ends: int) -> tuple[datetime, datetime]:
    return moment + begins * DAY, moment + ends * DAY


def judged(world: World, store: TrustStore, at: datetime) -> Trust:
    return store.judge(world.leaf, (), profiles.SMIME, at)


def around(world: World) -> list[datetime]:
    """Each border of a certificate, the seconds beside it, and fractions of them; and the list's end."""
    steps = (-SECOND, -SECOND / 2, timedelta(0), SECOND / 2, SECOND, 3 * SECOND / 2)
    borders = [*world.borders, world.now + 18 * DAY]
    return [border + step for border in borders for step in steps]


def test_a_warm_store_answers_as_a_cold_one_at_every_border(world: World) -> None:
    """Whatever moment was asked about before, each moment around each border has the answer of a fresh store."""
    moments = around(world)
    cold = {at: judged(world, world.store(), at) for at in moments}
    kinds = {type(answer).__name__ for answer in cold.values()}
    assert kinds == {"Trusted", "Untrusted", "CannotTell"}
    for start in moments:
        warm = world.store()
        judged(world, warm, start)
        assert {at: judged(world, warm, at) for at in moments} == cold


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_warm_store_answers_as_a_cold_one_in_any_order(world: World, data: st.DataObject) -> None:
    """Any sequence of moments, forwards and backwards, has the answers of fresh stores."""
    seconds = st.integers(-DAY.days * 86400, 45 * 86400)
    moments = data.draw(
        st.lists(st.sampled_from(around(world)) | seconds.map(lambda each: world.now + each * SECOND), max_size=8)
    )
    warm = world.store()
    assert [judged(world, warm, at) for at in moments] == [judged(world, world.store(), at) for at in moments]


def test_the_renewed_authority_is_found_as_from_cold(world: World) -> None:
    """Where two certificates of one authority are valid, what was remembered does not choose between them."""
    alone, both = world.now + 6 * DAY, world.now + 10 * DAY
    warm = world.store()
    before = judged(world, warm, alone)
    after = judged(world, warm, both)
    assert isinstance(before, Trusted)
    assert isinstance(after, Trusted)
    assert after == judged(world, world.store(), both)
    assert before.evidence.chain != after.evidence.chain, "or this world shows nothing"


def test_without_its_interval_memory_would_outlive_the_certificate(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After its last day a remembered certificate is expired; with the check of the interval off it is not."""
    inside, after = world.now + 10 * DAY, world.now + 20 * DAY + 2 * SECOND
    lists = (world.crls[0], world.crls[0])
    for holds, expected in ((Path.holds, Fault.EXPIRED), (lambda *_: True, Fault.STALE_CRL)):
        warm = replace(world, crls=(*lists, world.crls[1])).store()
        assert isinstance(judged(world, warm, inside), Trusted)
        monkeypatch.setattr(Path, "holds", holds)
        answer = judged(world, warm, after)
        assert not isinstance(answer, Trusted)
        assert answer.fault is expected


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """Each search of a path, by its moment."""
    seen: list[datetime] = []
    real = Finder.find

    def find(self: Finder, leaf: x509.Certificate, hints: tuple[x509.Certificate, ...], at: datetime) -> object:
        seen.append(at)
        return real(self, leaf, hints, at)

    monkeypatch.setattr(Finder, "find", find)
    return seen


def test_the_second_judgement_searches_nothing(world: World, searches: list[datetime]) -> None:
    """While the path holds it is found once, whoever asks; when it no longer holds it is searched again."""
    warm = world.store()
    inside = [world.now + 13 * DAY + step * SECOND for step in range(50)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda at: judged(world, warm, at), [inside[0], *inside]))
    assert all(isinstance(answer, Trusted) for answer in answers)
    assert len(searches) <= 4, "threads may begin at once, and no more"
    before = len(searches)
    judged(world, warm, inside[-1])
    assert len(searches) == before
    judged(world, warm, world.now + 31 * DAY)
    assert len(searches) == before + 1


def test_revocation_is_asked_each_time(world: World, searches: list[datetime]) -> None:
    """A remembered path is no remembered standing: when the list is over nobody can tell."""
    warm = world.store()
    assert isinstance(judged(world, warm, world.now + 18 * DAY - SECOND), Trusted)
    later = judged(world, warm, world.now + 18 * DAY + SECOND)
    assert isinstance(later, CannotTell)
    assert later.fault is Fault.STALE_CRL
    assert len(searches) == 1


def test_memory_is_by_profile(pki: Pki, doctor: Issued, now: datetime, store: TrustStore) -> None:
    """What was trusted to sign mail is not therefore trusted to shake hands, nor the other way round."""
    warm = replace(store)
    assert isinstance(warm.judge(doctor.der, (), profiles.SMIME, now), Trusted)
    refused = warm.judge(doctor.der, (), profiles.TLS_PEER, now)
    assert not isinstance(refused, Trusted)
    assert refused.fault is Fault.WRONG_USAGE
    stricter = replace(profiles.SMIME, policies=("1.2.3",))
    assert not isinstance(warm.judge(doctor.der, (), stricter, now), Trusted), "a profile is its rules, not its name"


def test_memory_is_by_what_was_brought_along(pki: Pki, doctor: Issued, now: datetime, store: TrustStore) -> None:
    """A path that needed the stranger's certificates is not found without them."""
    bare = replace(store, intermediates=())
    assert isinstance(bare.judge(doctor.der, doctor.chain, profiles.SMIME, now), Trusted)
    alone = bare.judge(doctor.der, (), profiles.SMIME, now)
    assert not isinstance(alone, Trusted)
    assert alone.fault is Fault.UNKNOWN_ISSUER
    assert isinstance(bare.judge(doctor.der, doctor.chain, profiles.SMIME, now), Trusted)


def test_strangers_do_not_push_out_what_is_remembered(
    pki: Pki, doctor: Issued, now: datetime, store: TrustStore, searches: list[datetime]
) -> None:
    """What is not trusted is not remembered, so a flood of unknown certificates costs the others nothing."""
    warm = replace(store)
    warm.judge(doctor.der, (), profiles.SMIME, now)
    stranger = Pki.create(now, "ANOTHER").smime("a@b.mssante.fr", "A", "B", "1", key="p256")
    for _ in range(3):
        warm.judge(stranger.der, (), profiles.SMIME, now)
    assert len(warm._known) == 1
    before = len(searches)
    warm.judge(doctor.der, (), profiles.SMIME, now)
    assert len(searches) == before


def test_memory_is_bounded() -> None:
    """One more than fits pushes out what was asked for longest ago, and only that."""
    memory: Memory[int] = Memory(size=3)
    keys = [paths.key_of("x", bytes([number])) for number in range(4)]
    for number, key in enumerate(keys[:3]):
        memory.put(key, number, 1)
    assert memory.get(keys[0]) == 0
    memory.put(keys[3], 3, 1)
    assert [memory.get(key) for key in keys] == [0, None, 2, 3]
    assert len(memory) == 3


def test_memory_is_bounded_in_bytes() -> None:
    """Large ones push out more than one; what alone is over the budget is not kept; put again, one counts once."""
    memory: Memory[int] = Memory(budget=10)
    keys = [paths.key_of("x", bytes([number])) for number in range(4)]
    for _ in range(5):
        memory.put(keys[0], 0, 4)
    memory.put(keys[1], 1, 4)
    assert len(memory) == 2
    memory.put(keys[2], 2, 10)
    assert [memory.get(key) for key in keys] == [None, None, 2, None]
    memory.put(keys[3], 3, 11)
    assert len(memory) == 0
    memory.put(keys[0], 0, 10)
    assert memory.get(keys[0]) == 0


def test_what_is_too_large_is_neither_read_nor_remembered(doctor: Issued, now: datetime, store: TrustStore) -> None:
    """A stranger's enormous hints are left away before anything is done with them; his own certificate is refused."""
    warm = replace(store)
    enormous = doctor.der + bytes(chain.MAX_CERTIFICATE)
    for _ in range(2):
        assert isinstance(warm.judge(doctor.der, (enormous,), profiles.SMIME, now), Trusted)
    assert isinstance(warm.judge(doctor.der, (), profiles.SMIME, now), Trusted)
    assert len(warm._known) == 1, "the same question with and without them"
    refused = warm.judge(enormous, (), profiles.SMIME, now)
    assert not isinstance(refused, Trusted)
    assert (refused.fault, refused.check) == (Fault.UNREADABLE, "size")


def test_a_border_between_certificates_cannot_be_moved() -> None:
    """The same bytes cut elsewhere are another question."""
    assert paths.key_of("x", b"ab", b"c") != paths.key_of("x", b"a", b"bc")
    assert paths.key_of("x", b"ab") != paths.key_of("y", b"ab")
    assert paths.key_of("x", b"ab", b"c") == paths.key_of("x", b"ab", b"c")

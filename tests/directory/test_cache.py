"""What is remembered of a directory, for how long, and what is said when it is down: a real slapd, stopped, started."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import ldap
import pytest

from directory import cache as caching
from directory import connection, entries, slapd
from directory.address import parse
from directory.cache import CachePolicy, DirectoryCache, How
from directory.following import Changes, Follower
from directory.ldap import LdapDirectory
from directory.model import Address, DirectoryDown, Entry, Found, Kind, Listing, Lookup, NotFound
from directory.region import SUFFIX
from directory.slapd import FEEDER
from gateway.demo.servers import Slapd

KNOWN = parse("marie.martin@medecin.mssante.example")
KNOWN_DN = f"mail={KNOWN},ou=bal,{SUFFIX}"
POLICY = CachePolicy(entries=3, fresh=timedelta(minutes=1), stale=timedelta(hours=1), pause=timedelta(seconds=5))
View = Callable[..., LdapDirectory]


@dataclass
class Clock:
    now: datetime = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def on(self, **more: float) -> None:
        self.now += timedelta(**more)


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Counting:
    """A directory that counts what it is asked, in front of a real one or of one entry."""

    def __init__(self, clock: Clock, inner: LdapDirectory | None = None) -> None:
        self.asked: list[Address] = []
        self._inner, self._clock = inner, clock
        self.down = False
        self.ends: datetime | None = None
        self.meanwhile: Callable[[], None] = lambda: None

    def find(self, address: Address) -> Lookup:
        self.asked.append(address)
        self.meanwhile()
        if self.down:
            return DirectoryDown("away")
        if self._inner:
            return self._inner.find(address)
        return Found(Entry(address, Kind.PER, "X", ends=self.ends)) if address.local != "nobody" else NotFound()

    def search(self, text: str, limit: int = 100) -> Listing | DirectoryDown:
        return Listing(())


@pytest.fixture
def inner(clock: Clock) -> Counting:
    return Counting(clock)


@pytest.fixture
def cache(inner: Counting, clock: Clock) -> DirectoryCache:
    return DirectoryCache(inner, clock, POLICY)


# --- how long -----------------------------------------------------------------------------------------------------


def test_a_second_question_is_not_asked(cache: DirectoryCache, inner: Counting) -> None:
    """Within its life an answer is taken as it is, without case, and not called stale."""
    first = cache.find(KNOWN)
    assert cache.find(replace(KNOWN, local="MARIE.Martin")) == first
    assert isinstance(first, Found)
    assert (len(inner.asked), first.stale) == (1, False)


def test_after_its_life_it_is_asked_again(cache: DirectoryCache, inner: Counting, clock: Clock) -> None:
    """The twin: a minute later the directory is asked."""
    cache.find(KNOWN)
    clock.on(seconds=60)
    cache.find(KNOWN)
    assert len(inner.asked) == 2


def test_a_clock_put_back_makes_nothing_young(cache: DirectoryCache, inner: Counting, clock: Clock) -> None:
    """What seems to come from the future is asked for again, and is no stop-gap."""
    cache.find(KNOWN)
    clock.on(hours=-2)
    inner.down = True
    assert isinstance(cache.find(KNOWN), DirectoryDown)


def test_nobody_is_not_remembered(cache: DirectoryCache, inner: Counting) -> None:
    """A mailbox made a second ago is found: what is not found is asked for each time."""
    cache.find(parse("nobody@a.example"))
    cache.find(parse("nobody@a.example"))
    assert (len(inner.asked), cache.freshness().entries) == (2, 0)


def test_a_patient_is_not_remembered(cache: DirectoryCache) -> None:
    """A citizen's address is an identity: it is in no memory of ours."""
    cache.find(parse("279035121518989@patient.mssante.fr"))
    assert cache.freshness().entries == 0


def test_it_is_bounded(cache: DirectoryCache, inner: Counting) -> None:
    """Of four with room for three, the one not used for longest goes."""
    one, *others = (parse(f"a{number}@a.example") for number in range(4))
    for each in (one, *others[:2], one, others[2]):
        cache.find(each)
    assert cache.freshness().entries == 3
    cache.find(one)
    assert len(inner.asked) == 4


def test_an_entry_whose_time_is_over_is_asked_for(cache: DirectoryCache, inner: Counting, clock: Clock) -> None:
    """validTo passes while it is remembered: neither fresh nor a stop-gap."""
    inner.ends = clock.now + timedelta(seconds=10)
    cache.find(KNOWN)
    clock.on(seconds=10)
    inner.down = True
    assert isinstance(cache.find(KNOWN), DirectoryDown)


# --- down ---------------------------------------------------------------------------------------------------------


def test_a_stopped_directory_is_stood_in_for(own_slapd: Slapd, view_of_relay: View, clock: Clock) -> None:
    """A real slapd: found while it runs; stopped, the answer says stale; past its time, DirectoryDown; then again."""
    cache = DirectoryCache(view_of_relay(own_slapd), clock, POLICY)
    own_slapd.start()
    running = cache.find(KNOWN)
    own_slapd.stop()
    clock.on(minutes=30)
    stopped = cache.find(KNOWN)
    assert isinstance(running, Found)
    assert stopped == replace(running, stale=True)
    assert isinstance(cache.find(parse("zzz@ailleurs.example")), DirectoryDown)
    clock.on(minutes=30)
    assert isinstance(cache.find(KNOWN), DirectoryDown)
    own_slapd.start()
    clock.on(minutes=1)
    assert cache.find(KNOWN) == running


def test_a_directory_that_is_down_is_left_alone_a_while(cache: DirectoryCache, inner: Counting, clock: Clock) -> None:
    """Letters do not each wait for its time-out; after the pause it is asked again."""
    cache.find(KNOWN)
    clock.on(minutes=5)
    inner.down = True
    for _ in range(10):
        assert getattr(cache.find(KNOWN), "stale", False)
    assert len(inner.asked) == 2
    inner.down = False
    clock.on(seconds=5)
    assert getattr(cache.find(KNOWN), "stale", None) is False


# --- told of changes ------------------------------------------------------------------------------------------------


def test_what_is_vouched_for_lives_longer(cache: DirectoryCache, inner: Counting, clock: Clock) -> None:
    """While changes are heard, an answer asked for since then stays; once they are not, the short life holds again."""
    cache.heard(How.FOLLOWED)
    cache.find(KNOWN)
    clock.on(hours=1)
    cache.find(KNOWN)
    assert len(inner.asked) == 1
    cache.lost()
    cache.find(KNOWN)
    assert len(inner.asked) == 2


def test_what_was_asked_before_is_not_vouched_for(cache: DirectoryCache, inner: Counting, clock: Clock) -> None:
    """Between two followings a change may have been missed."""
    cache.heard(How.FOLLOWED)
    cache.find(KNOWN)
    cache.lost()
    cache.heard(How.FOLLOWED)
    clock.on(hours=1)
    cache.find(KNOWN)
    assert len(inner.asked) == 2


def test_a_change_that_overtakes_the_answer_wins(cache: DirectoryCache, inner: Counting) -> None:
    """Told while the directory was being asked: the answer is given, and not kept as fresh."""
    cache.heard(How.FOLLOWED)
    inner.meanwhile = lambda: cache.changed([KNOWN.key])
    cache.find(KNOWN)
    inner.meanwhile = lambda: None
    cache.find(KNOWN)
    assert len(inner.asked) == 2


@pytest.fixture(params=[How.FOLLOWED, How.POLLED])
def how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> How:
    """A server that tells its changes, and one that does not."""
    if request.param is How.POLLED:
        monkeypatch.setattr(slapd, "_changes", list)
    return How(request.param)


@pytest.fixture
def followed(own_slapd: Slapd, view_of_relay: View, clock: Clock, how: How) -> Iterator[DirectoryCache]:
    own_slapd.start()
    cache = DirectoryCache(view_of_relay(own_slapd), clock, replace(POLICY, fresh=timedelta(0)))

    def opened() -> Changes:
        made = connection.opened(own_slapd.uri, own_slapd.relay_dn, own_slapd.passwords.relay, 5.0, make=Changes)
        assert isinstance(made, Changes)
        return made

    follower = Follower(opened, SUFFIX, cache, lambda: datetime.now(UTC), poll_s=0.2)
    follower.start()
    yield cache
    follower.stop()


def within(seconds: float, true: Callable[[], bool]) -> bool:
    """Whether it becomes true; the bound is only against waiting for ever."""
    ended = time.monotonic() + seconds
    while not true() and time.monotonic() < ended:
        time.sleep(0.02)
    return true()


def _change(server: Slapd, name: bytes) -> None:
    link = connection.opened(server.uri, f"{FEEDER},{SUFFIX}", server.passwords.feeder, 5.0)
    link.modify_s(KNOWN_DN, [(ldap.MOD_REPLACE, "displayName", [name])])
    link.unbind_s()


def _named(cache: DirectoryCache) -> str:
    answer = cache.find(KNOWN)
    return answer.entry.display_name if isinstance(answer, Found) else type(answer).__name__


def test_a_change_in_the_directory_reaches_the_cache(followed: DirectoryCache, own_slapd: Slapd, how: How) -> None:
    """A name changed by the feeder is the next answer, though nothing had grown old; where it is heard can be seen."""
    assert within(20, lambda: followed.freshness().how is how)
    assert _named(followed) == "Dr Marie MARTIN"
    _change(own_slapd, b"Dr Marie NOUVELLE")
    assert within(20, lambda: _named(followed) == "Dr Marie NOUVELLE")
    assert followed.freshness().heard is not None


@pytest.mark.parametrize("how", [How.FOLLOWED], indirect=True)
def test_a_removal_in_the_directory_reaches_the_cache(followed: DirectoryCache, own_slapd: Slapd) -> None:
    """A mailbox removed is not found any more; a restart of the server is followed again."""
    assert within(20, lambda: followed.freshness().how is How.FOLLOWED)
    assert isinstance(followed.find(KNOWN), Found)
    own_slapd.stop()
    assert within(20, lambda: followed.freshness().how is How.ALONE)
    own_slapd.start()
    assert within(20, lambda: followed.freshness().how is How.FOLLOWED)
    assert isinstance(followed.find(KNOWN), Found)
    link = connection.opened(own_slapd.uri, f"{FEEDER},{SUFFIX}", own_slapd.passwords.feeder, 5.0)
    link.delete_s(KNOWN_DN)
    link.unbind_s()
    assert within(20, lambda: isinstance(followed.find(KNOWN), NotFound))


@pytest.mark.parametrize("how", [How.FOLLOWED], indirect=True)
def test_without_the_telling_the_old_name_would_stay(
    followed: DirectoryCache, own_slapd: Slapd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The twin: it is the change told that ends an answer."""
    assert within(20, lambda: followed.freshness().how is How.FOLLOWED)
    told: list[object] = []
    monkeypatch.setattr(caching.DirectoryCache, "changed", lambda _, names: told.append(list(names)))
    assert _named(followed) == "Dr Marie MARTIN"
    _change(own_slapd, b"Dr Marie NOUVELLE")
    assert within(20, lambda: bool(told))
    assert _named(followed) == "Dr Marie MARTIN"


def test_a_uuid_is_enough(own_slapd: Slapd, view_of_relay: View, clock: Clock) -> None:
    """A removal is told by entryUUID alone (RFC 4533 §2.3): entries come with theirs."""
    own_slapd.start()
    cache = DirectoryCache(view_of_relay(own_slapd), clock, POLICY)
    answer = cache.find(KNOWN)
    assert isinstance(answer, Found)
    cache.changed([answer.entry.provenance.uuid])
    assert cache.freshness().entries == 0
    assert "entryUUID" in entries.READ


def test_a_surprise_does_not_end_the_listening(own_slapd: Slapd, view_of_relay: View, clock: Clock) -> None:
    """A password file that is just being replaced, say: asked again, and heard then."""
    own_slapd.start()
    tries: list[int] = []

    def opened() -> Changes:
        tries.append(1)
        if len(tries) == 1:
            raise FileNotFoundError("directory.password")
        made = connection.opened(own_slapd.uri, own_slapd.relay_dn, own_slapd.passwords.relay, 5.0, make=Changes)
        assert isinstance(made, Changes)
        return made

    cache = DirectoryCache(view_of_relay(own_slapd), clock, POLICY)
    follower = Follower(opened, SUFFIX, cache, lambda: datetime.now(UTC), poll_s=0.2)
    follower.start()
    try:
        assert within(20, lambda: cache.freshness().how is How.FOLLOWED)
    finally:
        follower.stop()
    assert len(tries) == 2

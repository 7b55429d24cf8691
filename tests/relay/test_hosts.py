"""Where a domain's letters go, asked of a real name server: order, loops, null MX, and each kind of trouble."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from gateway.demo.nameserver import NameServer, Record
from gateway.demo.processes import free_port, new_folder
from relay import hosts
from relay.hosts import Exchange, Host, Hosts, Us
from relay.model import Later, Never, Reason

PORT = 2525
US = "mss.lilas.example"


def mx(*preferences_and_names: str, ttl: int = 60) -> list[Record]:
    return [Record("@", "MX", f"{each}.", ttl) for each in preferences_and_names]


def a(**names: str) -> list[Record]:
    return [Record(name, "A", address) for name, address in names.items()]


ZONES: dict[str, Sequence[Record]] = {
    "lilas.example": a(mss="127.0.0.9"),
    "several.example": [
        *mx("20 b.several.example", "10 a.several.example", "10 c.several.example"),
        *a(a="127.0.0.2", b="127.0.0.3", c="127.0.0.4"),
    ],
    "two-addresses.example": [
        *mx("10 a.two-addresses.example"),
        *a(a="127.0.0.2"),
        Record("a", "A", "127.0.0.3"),
        Record("a", "AAAA", "2001:db8::1"),
    ],
    "implicit.example": [Record("@", "A", "127.0.0.2")],
    "implicit-v6.example": [Record("@", "AAAA", "2001:db8::2")],
    "alias.example": [*mx("10 www.alias.example"), Record("www", "CNAME", "real.alias.example."), *a(real="127.0.0.2")],
    "null.example": [Record("@", "MX", "0 ."), Record("@", "A", "127.0.0.2")],
    "null-and-more.example": [Record("@", "MX", "0 ."), *mx("10 a.null-and-more.example"), *a(a="127.0.0.2")],
    "mailless.example": [Record("@", "TXT", '"nothing here"')],
    "dangling.example": mx("10 gone.dangling.example", "20 also-gone.dangling.example"),
    "half.example": [*mx("10 x.broken.example", "20 a.half.example"), *a(a="127.0.0.2")],
    "lost.example": mx("10 x.broken.example", "20 gone.lost.example"),
    "loop.example": [
        *mx("10 a.loop.example", f"20 {US}", "20 equal.loop.example", "30 worse.loop.example"),
        *a(a="127.0.0.2", equal="127.0.0.3", worse="127.0.0.4"),
    ],
    "circle.example": [*mx(f"10 {US}", "20 backup.circle.example"), *a(backup="127.0.0.3")],
    "other-name.example": [*mx("10 mail.other-name.example"), *a(mail="127.0.0.9")],
    "our-door.example": [*mx("10 mail.our-door.example"), *a(mail="127.0.0.10")],
    "big.example": [
        *mx(*(f"{number} host-with-a-rather-long-name-{number}.big.example" for number in range(100, 0, -1))),
        *a(**{f"host-with-a-rather-long-name-{number}": f"127.0.1.{number}" for number in range(1, 101)}),
    ],
    "odd.example": [*mx(r"10 a\.b\@c.odd.example", "10 -x.odd.example", "20 a.odd.example"), *a(a="127.0.0.2")],
}


@pytest.fixture(scope="module")
def server() -> Iterator[NameServer]:
    folder = new_folder("pli-ns-")
    made = NameServer(folder / "nsd", free_port(), ZONES, broken=("broken.example",))
    made.start()
    yield made
    made.stop()
    shutil.rmtree(folder)


@dataclass
class Clock:
    at: float = 0.0

    def __call__(self) -> float:
        return self.at


def asking(server: NameServer, **changes: Any) -> Hosts:
    made = Hosts(
        hosts.resolver([("127.0.0.1", server.port)]),
        us=Us(frozenset({US}), frozenset({"127.0.0.10"})),
        port=PORT,
        shuffle=list.reverse,
    )
    return replace(made, **changes)


def way(domain: str, **names: str) -> tuple[Host, ...]:
    return tuple(Host(f"{name}.{domain}" if name != "_" else domain, PORT, at) for name, at in names.items())


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        # the preferences, and equals as the (reversing) shuffle leaves them
        ("several.example", way("several.example", c="127.0.0.4", a="127.0.0.2", b="127.0.0.3")),
        ("Several.Example.", way("several.example", c="127.0.0.4", a="127.0.0.2", b="127.0.0.3")),
        ("implicit.example", way("implicit.example", _="127.0.0.2")),
        ("implicit-v6.example", way("implicit-v6.example", _="2001:db8::2")),
        ("alias.example", way("alias.example", www="127.0.0.2")),
        ("null.example", Never(Reason.DOMAIN_NO_MAIL)),
        ("null-and-more.example", way("null-and-more.example", a="127.0.0.2")),
        ("mailless.example", Never(Reason.DOMAIN_NO_HOST, "neither MX nor address")),
        ("dangling.example", Never(Reason.DOMAIN_NO_HOST, "no MX has an address")),
        ("gone.several.example", Never(Reason.DOMAIN_UNKNOWN)),
        ("broken.example", Later(Reason.DNS_DOWN, "NoNameservers")),  # SERVFAIL
        ("elsewhere.example", Later(Reason.DNS_DOWN, "NoNameservers")),  # REFUSED
        ("half.example", way("half.example", a="127.0.0.2")),
        ("lost.example", Later(Reason.DNS_DOWN, "NoNameservers")),
        ("loop.example", way("loop.example", a="127.0.0.2")),
        ("circle.example", Never(Reason.DOMAIN_LOOPS, f"{US}, backup.circle.example")),
        ("other-name.example", Never(Reason.DOMAIN_LOOPS, "mail.other-name.example")),
        ("our-door.example", Never(Reason.DOMAIN_LOOPS, "mail.our-door.example")),
        ("odd.example", way("odd.example", a="127.0.0.2")),
        ("no..name", Never(Reason.DOMAIN_UNKNOWN, "no name that can be asked for")),
        ("x" * 64 + ".example", Never(Reason.DOMAIN_UNKNOWN, "no name that can be asked for")),
    ],
)
def test_each_answer_of_the_name_server_has_its_meaning(
    server: NameServer, domain: str, expected: tuple[Host, ...] | Later | Never
) -> None:
    """Hosts in their order, or the reason why there are none: Later where asking again may help, Never otherwise."""
    assert asking(server)(domain) == expected


def test_each_address_of_a_host_is_tried(server: NameServer) -> None:
    """RFC 5321 §5.1: A before AAAA, since few networks of ours have the other."""
    found = asking(server)("two-addresses.example")
    assert isinstance(found, tuple)
    assert {host.address for host in found[:2]} == {"127.0.0.2", "127.0.0.3"}
    assert [(host.name, host.address) for host in found[2:]] == [("a.two-addresses.example", "2001:db8::1")]


def test_an_answer_larger_than_a_datagram_is_read_and_cut_to_the_best(server: NameServer) -> None:
    """A hundred exchanges come by TCP; the twenty best are kept."""
    found = asking(server)("big.example")
    assert isinstance(found, tuple)
    names = [f"host-with-a-rather-long-name-{number}.big.example" for number in range(1, hosts.EXCHANGES_MOST + 1)]
    assert [host.name for host in found] == names


def test_equals_share_the_work(server: NameServer) -> None:
    """Without a shuffle of the test's own, both of two equal hosts come first now and then."""
    ask = asking(server, shuffle=Hosts(hosts.resolver([])).shuffle)
    firsts = {found[0].name for _ in range(60) if isinstance(found := ask("several.example"), tuple)}
    assert firsts == {"a.several.example", "c.several.example"}


def test_a_configured_host_is_taken_without_asking() -> None:
    """[peers] wins, also for a domain that DNS does not know, and in any case of letters."""
    ask = Hosts(hosts.resolver([("127.0.0.1", 1)]), {"parc.example": ("10.0.0.5", 26)})
    assert ask("Parc.example") == (Host("10.0.0.5", 26),)


def test_a_silent_name_server_is_later_in_bounded_time(server: NameServer) -> None:
    """Nobody answers: the time for one domain ends, and the next server is asked where there is one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        deaf = ("127.0.0.1", int(silent.getsockname()[1]))
        alone = Hosts(hosts.resolver([deaf]), total_s=0.2)
        assert alone("several.example") == Later(Reason.DNS_DOWN, "no answer in time")
        resolver = hosts.resolver([deaf, ("127.0.0.1", server.port)])
        resolver.timeout = 0.1
        both = asking(server, resolver=resolver, us=Us())
        assert isinstance(both("implicit.example"), tuple)


def test_no_name_server_at_all_is_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without resolv.conf starts, and says so letter by letter."""

    def absent(self: Any, f: Any) -> None:
        raise hosts.dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(hosts.dns.resolver.Resolver, "read_resolv_conf", absent)
    answer = Hosts(hosts.resolver([]))("several.example")
    assert isinstance(answer, Later)
    assert answer.reason == Reason.DNS_DOWN


# --- what is kept -----------------------------------------------------------------------------------------------------


@dataclass
class Changing:
    """A name server of its own, whose zones change while it runs."""

    server: NameServer
    clock: Clock = field(default_factory=Clock)

    def now_says(self, *records: Record, domain: str = "parc.example") -> None:
        self.server.stop()
        self.server = replace(self.server, zones={domain: [*records, *a(old="127.0.0.2", new="127.0.0.3")]})
        self.server.start()


@pytest.fixture
def changing() -> Iterator[Changing]:
    folder = new_folder("pli-ns-")
    made = Changing(NameServer(folder / "nsd", free_port(), {}))
    yield made
    made.server.stop()
    shutil.rmtree(folder)


def first(found: hosts.Found) -> str:
    assert isinstance(found, tuple), found
    return str(found[0].name)


@pytest.mark.parametrize(("ttl", "held"), [(30, 30.0), (86_400, 60.0)])
def test_an_answer_is_kept_no_longer_than_its_shortest_ttl(changing: Changing, ttl: int, held: float) -> None:
    """MX for `ttl`, addresses for 60 s: until then nobody is asked, afterwards the new answer counts."""
    ask = asking(changing.server, now=changing.clock)
    changing.now_says(*mx("10 old.parc.example", ttl=ttl))
    assert first(ask("parc.example")) == "old.parc.example"
    changing.now_says(*mx("10 new.parc.example", ttl=ttl))
    changing.clock.at = held - 1
    assert first(ask("parc.example")) == "old.parc.example"
    changing.clock.at = held
    assert first(ask("parc.example")) == "new.parc.example"


def test_a_long_ttl_is_cut_to_an_hour(changing: Changing) -> None:
    """Whatever a zone says, a day-old answer is not believed."""
    ask = asking(changing.server, now=changing.clock, us=Us())
    records = [Record("@", "A", "127.0.0.2", ttl=86_400)]
    changing.now_says(*records)
    assert isinstance(ask("parc.example"), tuple)
    changing.now_says(Record("@", "MX", "0 ."))
    changing.clock.at = hosts.KEPT_S - 1
    assert isinstance(ask("parc.example"), tuple)
    changing.clock.at = hosts.KEPT_S
    assert ask("parc.example") == Never(Reason.DOMAIN_NO_MAIL)


def test_trouble_and_half_an_answer_are_not_kept(changing: Changing) -> None:
    """The moment the server answers again, so do we."""
    ask = asking(changing.server, now=changing.clock, us=Us())
    assert isinstance(replace(ask, total_s=0.3)("parc.example"), Later)
    changing.now_says(*mx("10 x.broken.example", "20 old.parc.example"))
    assert first(ask("parc.example")) == "old.parc.example"
    changing.now_says(*mx("10 new.parc.example"))
    assert first(ask("parc.example")) == "new.parc.example"


def test_what_is_kept_is_bounded(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The domain kept longest is forgotten first."""
    monkeypatch.setattr(hosts, "KEPT_MOST", 2)
    ask = asking(server, us=Us())
    for domain in ("several.example", "implicit.example", "alias.example"):
        ask(domain)
    assert list(ask._kept) == ["implicit.example", "alias.example"]


# --- the rules, switched off ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "no_objection", "missed"),
    [
        ("refuses_mail", lambda records: False, "null.example"),
        ("is_us", lambda exchange, us: False, "circle.example"),
        ("without_us", lambda exchanges, us: list(exchanges), "loop.example"),
    ],
)
def test_a_rule_that_is_switched_off_is_missed(
    server: NameServer, monkeypatch: pytest.MonkeyPatch, rule: str, no_objection: Any, missed: str
) -> None:
    """Each rule has a case that it alone decides."""
    before = asking(server)(missed)
    monkeypatch.setattr(hosts, rule, no_objection)
    assert asking(server)(missed) != before


def test_order_is_by_preference_then_by_the_shuffle() -> None:
    """Pure: a shuffle touches equals only."""
    named = [Exchange(20, "b", ()), Exchange(10, "a", ()), Exchange(10, "c", ())]
    assert [each.name for each in hosts.in_order(named, list.reverse)] == ["c", "a", "b"]

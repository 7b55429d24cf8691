"""Where a fetch may go: every spelling of an inner address is refused, every public one is taken."""

from __future__ import annotations

import pytest

from certs import reach
from certs.reach import Reach, Unreachable

INSIDE = (
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",  # noqa: S104
    "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::1", "::", "::ffff:127.0.0.1", "::ffff:93.184.216.34", "::127.0.0.1", "fe80::1", "fc00::1", "fd12::1", "ff02::1",
    "2001:db8::1", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b:1::1", "2001:0:7f00:1::", "fe80::1%eth0", "no-address",
)  # fmt: skip
PUBLIC = ("93.184.216.34", "1.1.1.1", "2606:4700:4700::1111", "2a01:e0a::1")


@pytest.mark.parametrize("address", INSIDE)
def test_no_inner_address_is_reached(address: str) -> None:
    """SSRF: whatever a name resolves to, none of these is connected to."""
    with pytest.raises(Unreachable):
        Reach(resolve=lambda *_: [address]).addresses(reach.target("http://crl.example/a.crl"))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_reached(address: str) -> None:
    """What everybody may reach is given back, to be connected to."""
    found = Reach(resolve=lambda *_: [address]).addresses(reach.target("http://crl.example/a.crl"))
    assert found == (address,)


def test_one_inner_address_among_public_ones_is_enough() -> None:
    """A name that resolves to a public address and an inner one is not tried at all."""
    with pytest.raises(Unreachable):
        Reach(resolve=lambda *_: [PUBLIC[0], "10.0.0.1"]).addresses(reach.target("http://crl.example/"))


@pytest.mark.parametrize(
    "url",
    [
        "http://2130706433/", "http://0177.0.0.1/", "http://0x7f.0.0.1/", "http://0x7f000001/", "http://127.1/",
        "http://user@crl.example/", "http://crl.example:80@10.0.0.1/", "http://[fe80::1%25eth0]/", "http:///a",
        "http://crl.example\\@10.0.0.1/", "http://crl.example /", "http://crl.example/\r\nHost: a", "http://.example/",
        "http://crl.example:99999/", "http://[::1", "http://é.example/", "http://crl.example/" + "a" * 3000,
    ],
)  # fmt: skip
def test_a_url_with_two_readings_has_none(url: str) -> None:
    """Numbers in other spellings, a user before the host, spaces, line ends, back-slashes."""
    with pytest.raises(Unreachable):
        reach.target(url)


@pytest.mark.parametrize(
    "url",
    ["ldap://annuaire-igc.esante.gouv.fr/cn=a", "file:///etc/passwd", "ftp://crl.example/", "gopher://a/", "//a/"],
)
def test_other_schemes_are_not_followed(url: str) -> None:
    """http and https only; the refusal names the scheme."""
    with pytest.raises(Unreachable, match="not followed"):
        reach.target(url)


@pytest.mark.parametrize("url", ["http://crl.example:8080/", "http://crl.example:443/", "https://crl.example:80/"])
def test_only_the_ports_of_the_web(url: str) -> None:
    """80 for http, 443 for https; any other port is an operator's to allow."""
    where = reach.target(url)
    with pytest.raises(Unreachable, match="port"):
        Reach(resolve=lambda *_: [PUBLIC[0]]).addresses(where)
    allowed = Reach(frozenset({(where.host, where.port)}), lambda *_: ["127.0.0.1"])
    assert allowed.addresses(where) == ("127.0.0.1",)


def test_what_an_operator_allows_is_that_host_and_port() -> None:
    """An allowed mirror opens its own port and no other."""
    mine = Reach(frozenset({("mirror.example", 8080)}), lambda *_: ["10.0.0.1"])
    assert mine.addresses(reach.target("http://mirror.example:8080/a.crl")) == ("10.0.0.1",)
    for url in ("http://mirror.example/a.crl", "http://other.example:8080/a.crl"):
        with pytest.raises(Unreachable):
            mine.addresses(reach.target(url))


def test_the_systems_resolver_reads_numbers_our_way() -> None:
    """A dotted quad is itself, without a question to anybody."""
    assert list(reach.resolve("127.0.0.1", 80)) == ["127.0.0.1"]

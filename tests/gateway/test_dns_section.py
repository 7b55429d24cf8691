"""How other operators' hosts are found, as the configuration says it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway import outward
from gateway.config import ConfigError, Doors, Listen, NodeSection, Settings
from gateway.dns_section import DnsSection
from relay.hosts import Host, Us


@pytest.fixture
def settings() -> Settings:
    """As much of a configuration as finding peers asks for."""
    node = NodeSection(name="lilas", hostname="mss.lilas.example", tenant="lilas", domains=("lilas.example",))
    return Settings.model_construct(node=node, doors=Doors(peers=Listen(port=2525)), peers={}, dns=DnsSection())


@pytest.mark.parametrize("servers", [(), ("127.0.0.1:5353",), ("[::1]:53", "10.0.0.1:53")])
def test_name_servers_are_addresses_with_ports(servers: tuple[str, ...]) -> None:
    """None: those of the system."""
    assert [f"{host}:{port}" for host, port in DnsSection(servers=servers).places] == [
        each.replace("[", "").replace("]", "") for each in servers
    ]


@pytest.mark.parametrize("server", ["ns.example:53", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:70000", ":53"])
def test_what_is_no_address_with_a_port_is_refused(server: str) -> None:
    """The twin: a name would need a name server to be found."""
    with pytest.raises(ValidationError, match="no address:port"):
        DnsSection(servers=(server,))


def test_the_way_out_is_as_configured(settings: Settings) -> None:
    """[peers] in any case of letters, our names and our door's address, the port and the time for the rest."""
    told = settings.model_copy(
        update={"peers": {"Autre.example": "[::1]:26"}, "dns": DnsSection(peers_port=2525, timeout_s=3)}
    )
    where = outward.where(told)
    assert where("autre.EXAMPLE") == (Host("::1", 26),)
    assert where.us == Us(frozenset({settings.node.hostname}), frozenset({"127.0.0.1"}))
    assert (where.port, where.total_s) == (2525, 3)


@pytest.mark.parametrize("place", ["host", "host:", ":25", "host:0", "host:smtp"])
def test_a_peer_without_a_port_is_a_fault_of_the_configuration(settings: Settings, place: str) -> None:
    """Said by name, before anything is carried."""
    with pytest.raises(ConfigError, match="no host:port"):
        outward.where(settings.model_copy(update={"peers": {"autre.example": place}}))


def test_a_door_that_listens_everywhere_has_no_address_of_its_own(settings: Settings) -> None:
    """Then our names alone say who we are."""
    doors: Any = settings.doors
    everywhere = doors.model_copy(update={"peers": doors.peers.model_copy(update={"host": "0.0.0.0"})})  # noqa: S104
    assert outward.where(settings.model_copy(update={"doors": everywhere})).us.addresses == frozenset()

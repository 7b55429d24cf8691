"""The private name server: it runs unprivileged, answers from its zones alone, and ends when told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dns.resolver
import pytest

from gateway.demo.nameserver import NameServer, Record
from gateway.demo.processes import ServerTrouble, account, free_port
from relay.hosts import resolver


@pytest.fixture
def server(servers_folder: Path) -> Iterator[NameServer]:
    zones = {"lilas.example": [Record("@", "MX", "10 mss.lilas.example."), Record("mss", "A", "127.0.0.2")]}
    made = NameServer(servers_folder / "nsd", free_port(), zones)
    yield made
    made.stop()


def test_it_answers_from_its_zones_and_refuses_the_rest(server: NameServer) -> None:
    """What it holds, NXDOMAIN below it, and nothing about others; unprivileged."""
    server.start()
    assert Path(f"/proc/{server.pid}").stat().st_uid == account().uid != 0
    ask = resolver([("127.0.0.1", server.port)])
    assert [each.to_text() for each in ask.resolve("lilas.example.", "MX")] == ["10 mss.lilas.example."]
    with pytest.raises(dns.resolver.NXDOMAIN):
        ask.resolve("other.lilas.example.", "MX")
    with pytest.raises(dns.resolver.NoNameservers):
        ask.resolve("elsewhere.example.", "MX")
    server.stop()
    assert server.pid is None


def test_a_port_that_is_taken_is_said(server: NameServer, servers_folder: Path) -> None:
    """Two on one port: the second says which port, in French."""
    server.start()
    with pytest.raises(ServerTrouble, match=str(server.port)):
        NameServer(servers_folder / "second", server.port, {}).start()

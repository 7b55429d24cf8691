"""The private PostgreSQL: unprivileged, on no network, and what it holds outlives it."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from pydantic import ValidationError

from gateway.demo.postgresql import Postgresql
from gateway.demo.processes import account
from gateway.store_section import StoreSection


def test_it_keeps_what_it_holds_through_a_kill(servers_folder: Path) -> None:
    """Committed, then killed as if by a power cut: the row is there when it runs again; it listens on no network."""
    server = Postgresql(servers_folder / "pg")
    server.start()
    try:
        assert Path(f"/proc/{server.pid}").stat().st_uid == account().uid != 0
        with psycopg.connect(server.url()) as connection:
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
            connection.execute("CREATE TABLE held AS SELECT 1 AS n")
        server.kill()
        assert server.pid is None
        server.start()
        with psycopg.connect(server.url()) as connection:
            assert connection.execute("SELECT n FROM held").fetchone() == (1,)
    finally:
        server.stop()
    assert server.pid is None


@pytest.mark.parametrize("url", ["", "postgresql://pli@db.example/pli?passfile=/etc/pli/pgpass", "postgresql:///pli"])
def test_where_rows_may_be_kept(url: str) -> None:
    """Nothing: SQLite in paths.data; or PostgreSQL, whose password lies in a file."""
    assert StoreSection(url=url).url == url


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://pli:secret@db.example/pli", "no password"),
        ("mysql://pli@db.example/pli", "postgresql://"),
        ("sqlite:////tmp/x", "postgresql://"),
        ("postgresql://db.example", "postgresql://"),
        ("nowhere", "no URL"),
    ],
)
def test_where_they_may_not(url: str, words: str) -> None:
    """The twin: said in a sentence, and the password is not repeated."""
    with pytest.raises(ValidationError, match=words) as caught:
        StoreSection(url=url)
    assert "secret" not in str(caught.value.errors()[0]["msg"])

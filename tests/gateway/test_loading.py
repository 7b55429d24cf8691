"""A first load by the real slapadd: the directory and the ledger of an ordinary apply, and what is refused."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import ldap
import pytest

from directory import connection
from directory.feed import applying, generator, plan, sources
from directory.feed.applying import Result, Target
from directory.feed.generator import Country
from directory.feed.plan import Wish
from directory.region import SUFFIX
from directory.slapd import FEEDER, Passwords
from gateway import app, feeding, loading
from gateway import config as configuration
from gateway.config import ConfigError, Settings
from gateway.demo.processes import programs
from gateway.demo.servers import Slapd, free_port, new_folder
from tests.gateway.spooling import spooler

_MORE = """
[doors]
[feed]
bind_dn = "cn=gestion,{suffix}"
password_file = "{folder}/word"
folder = "{folder}/feed"
"""


@dataclass
class Region:
    settings: Settings
    slapd: Slapd
    folder: Path

    @property
    def server(self) -> loading.Server:
        software = programs("slapd")
        wrapper = self.folder / "slapadd"
        lines = [f"export {name}='{value}'" for name, value in software.environment().items()]
        wrapper.write_text("\n".join(["#!/bin/sh", *lines, f'exec {software.path("slapadd")} "$@"', ""]))
        wrapper.chmod(0o755)
        return loading.Server(self.slapd.folder / "slapd.conf", wrapper)

    def planned(self, name: str) -> Path:
        file = generator.write(Country(200), self.folder / "pays")[name]
        target = self.folder / f"{name}.plan"
        now = app.clock()
        plan.make(feeding.ledger(self.settings), sources.KNOWN[name], file, target, Wish(now, now))
        return target

    def load(self, path: Path) -> int:
        told: list[int] = []
        return loading.load(self.settings, sources.MSSANTE, path, self.server, "anne", told.append)

    def link(self) -> Any:
        return connection.opened(self.slapd.uri, f"{FEEDER},{SUFFIX}", "c", 10.0)

    def held(self) -> list[tuple[Any, ...]]:
        book = sqlite3.connect(self.folder / "feed/ledger.sqlite")
        return sorted(book.execute("select source, branch, key, said, gone_since from held").fetchall())


@pytest.fixture
def region(configure: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Region]:
    """Its slapd has the fixed entries and is stopped; a spooler keeps the journal."""
    folder = new_folder("pli-load-")
    server = Slapd(folder / "slapd", free_port(), SUFFIX, Passwords("a", "b", "c"))
    server.load("")
    (folder / "word").write_text("c")
    (folder / "run").mkdir()
    monkeypatch.setenv("PLI_PATHS__RUN", str(folder / "run"))
    monkeypatch.setenv("PLI_DIRECTORY__URI", server.uri)
    monkeypatch.setenv("PLI_DIRECTORY__BASE", SUFFIX)
    settings = configuration.load(configure(_MORE.format(folder=folder, suffix=SUFFIX)))
    with spooler(settings):
        yield Region(settings, server, folder)
    server.stop()
    shutil.rmtree(folder)


def entries(link: Any) -> dict[str, dict[str, list[bytes]]]:
    rows = link.search_s(f"ou=bal,{SUFFIX}", ldap.SCOPE_ONELEVEL, "(pliKey=*)")
    return {
        dn: {name: sorted(held) for name, held in values.items() if name != "dataSourceDate"} for dn, values in rows
    }


def test_a_load_is_what_an_apply_would_have_been(region: Region) -> None:
    """The same entries and the same ledger; the next plan has no change, and the first applied again makes none."""
    path = region.planned("mssante")
    count = region.load(path)
    region.slapd.start()
    loaded, held = entries(region.link()), region.held()
    assert count == len(loaded) > 150
    assert sum(plan.head_of(region.planned("mssante")).counts.values()) == 0
    for dn in loaded:
        region.link().delete_s(dn)
    shutil.rmtree(region.folder / "feed")
    path = region.planned("mssante")
    target = Target(region.link(), SUFFIX)
    report = applying.apply(feeding.ledger(region.settings), sources.MSSANTE, path, target, app.clock())
    assert report.of(Result.DONE) == count
    assert entries(region.link()) == loaded
    assert region.held() == held
    journal = sqlite3.connect(region.settings.paths.data / "pli.sqlite").execute("select event from journal").fetchall()
    assert [name for (name,) in journal] == ["directory.load-begun", "directory.load-ended"]


def test_what_was_loaded_and_not_noted_is_taken_as_it_is(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut between slapadd and ledger: the same plan is applied, and nothing is there twice."""
    path = region.planned("mssante")

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loading.loading, "note", cut)
        with pytest.raises(KeyboardInterrupt):
            region.load(path)
    region.slapd.start()
    before = entries(region.link())
    later = app.clock() + timedelta(minutes=5)
    report = applying.apply(
        feeding.ledger(region.settings), sources.MSSANTE, path, Target(region.link(), SUFFIX), later
    )
    assert report.conflicts == []
    assert entries(region.link()) == before


def test_what_is_no_first_load_is_refused(region: Region) -> None:
    """While slapd runs; a source that was taken already; a source that only completes. Nothing is noted."""
    path = region.planned("mssante")
    region.slapd.start()
    with pytest.raises(ConfigError, match="stop it first"):
        region.load(path)
    region.slapd.stop()
    skills = region.planned("savoir-faire")
    with pytest.raises(ConfigError, match="pour la source"):
        region.load(skills)
    with pytest.raises(ConfigError, match="complète"):
        loading.load(region.settings, sources.KNOWN["savoir-faire"], skills, region.server, "anne", lambda _: None)
    assert region.held() == []
    region.load(path)
    with pytest.raises(ConfigError, match="déjà"):
        region.load(path)


def test_what_slapadd_refuses_is_told_and_not_noted(region: Region) -> None:
    """An entry that is there already: its words, and the ledger is as it was."""
    path = region.planned("mssante")
    region.load(path)
    shutil.rmtree(region.folder / "feed")
    with pytest.raises(ConfigError, match="slapadd stopped"):
        region.load(region.planned("mssante"))
    assert region.held() == []

"""Which directories a node asks, and what it remembers, by its settings."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from directory.address import parse
from directory.cache import DirectoryCache, How
from directory.model import DirectoryDown
from gateway import lookups
from gateway.config import ConfigError
from gateway.directory_section import DirectorySection, FhirSection, NationalSection

NOWHERE = "ldap://127.0.0.1:1"
MAPPING = 'class = "x"\n[indexed]\nobjectClass = ["eq"]\nmail = ["eq"]\n[attributes]\nmail = "mail"\n'


def now() -> datetime:
    return datetime(2026, 11, 25, 9, 30, tzinfo=UTC)


def settings(folder: Path, **more: Any) -> Any:
    for name, text in {"mot": "secret", "cle": "cle\n", "m.toml": MAPPING}.items():
        (folder / name).write_text(text)
    return SimpleNamespace(directory=own(folder), **{"national": None, "fhir": None, **more})


def own(folder: Path, **more: Any) -> DirectorySection:
    return DirectorySection(uri=NOWHERE, base="dc=x", bind_dn="cn=x", password_file=folder / "mot", **more)


def national(folder: Path, mapping: str = "m.toml") -> NationalSection:
    password = folder / "mot"
    return NationalSection(uri=NOWHERE, base="dc=n", bind_dn="cn=n", password_file=password, mapping=folder / mapping)


def test_those_that_are_configured_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The region's own alone; or, in order, the national one and the national API too, with its key."""
    asked: list[str] = []

    def note(who: str) -> DirectoryDown:
        asked.append(who)
        return DirectoryDown("x")

    monkeypatch.setattr("directory.ldap.LdapDirectory.find", lambda self, _: note(self._base))
    monkeypatch.setattr("directory.fhir.FhirDirectory.find", lambda self, _: note(self._key))
    everything = settings(tmp_path, national=national(tmp_path), fhir=FhirSection(key_file=tmp_path / "cle"))
    for told, expected in ((settings(tmp_path), ["dc=x"]), (everything, ["dc=x", "dc=n", "cle"])):
        asked.clear()
        lookups.every(told, Path.read_bytes, now).find(parse("a@b.example"))
        assert asked == expected


@pytest.mark.parametrize(
    ("text", "said"), [("class = 1", "national.mapping: .*'class'"), (None, "national.mapping: .*No such file")]
)
def test_a_mapping_that_cannot_serve_is_a_fault_of_the_configuration(
    tmp_path: Path, text: str | None, said: str
) -> None:
    """When the node starts, in one sentence."""
    told = settings(tmp_path, national=national(tmp_path, "autre.toml"))
    if text:
        (tmp_path / "autre.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        lookups.every(told, Path.read_bytes, now)


def test_what_is_remembered_is_by_the_settings(tmp_path: Path) -> None:
    """None at all; or a memory, alone unless it is to follow."""
    told = settings(tmp_path)
    asked = lookups.every(told, Path.read_bytes, now)
    assert lookups.remembered(own(tmp_path, cache_entries=0), asked, now) is asked
    cache = lookups.remembered(told.directory, asked, now)
    assert isinstance(cache, DirectoryCache)
    assert cache.freshness().how is How.ALONE
    assert isinstance(cache.find(parse("a@b.example")), DirectoryDown)


def test_changes_are_heard_until_it_is_closed(tmp_path: Path) -> None:
    """In a thread of its own, which ends; in none where there is no memory, or nobody is to be heard."""
    told = settings(tmp_path).directory
    cache = lookups.remembered(told, lookups.regional(told, Path.read_bytes, now), now)
    before = set(threading.enumerate())
    hearing = lookups.heard(told, cache, Path.read_bytes, now)
    assert hearing is not None
    (begun,) = set(threading.enumerate()) - before
    hearing.stop()
    assert not begun.is_alive()
    bare = own(tmp_path, cache_entries=0)
    none = lookups.remembered(bare, lookups.regional(bare, Path.read_bytes, now), now)
    assert lookups.heard(bare, none, Path.read_bytes, now) is None
    assert lookups.heard(own(tmp_path, cache_follow=False), cache, Path.read_bytes, now) is None

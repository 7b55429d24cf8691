"""Our own certificates in the directory: whoever looks a mailbox up there can encrypt to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from certs.throwaway import Pki
from directory.address import parse
from directory.ldap import LdapDirectory
from directory.model import Found
from directory.region import SUFFIX
from gateway import app
from tests.gateway import test_onboarding as onboarding

town = onboarding.town
ONE = "scellee@central.mssante.example"
WHY = ("--tenant", "central", "--because", "essai", "--by", "anne")


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki.create(app.clock(), kind="p256")


def _held(town: Any) -> tuple[bytes, ...]:
    relay = LdapDirectory(town.slapd.uri, SUFFIX, town.slapd.relay_dn, onboarding.WORD, clock=app.clock)
    answer = relay.find(parse(ONE))
    assert isinstance(answer, Found)
    return answer.entry.certificates


def test_what_is_published_is_what_others_find(town: Any, pki: Pki, tmp_path: Path) -> None:
    """One, then its successor beside it, then none; the journal has each."""
    made = [pki.encryption(ONE, "Scellée", "CENTRAL", "1930000001", key="p256") for _ in range(2)]
    files = [str(each.write(tmp_path, f"c{number}")[0]) for number, each in enumerate(made)]
    town.pli("mailbox", "create", ONE, "--kind", "ORG", "--name", "Scellée", "--finess", "930000001", *WHY)
    assert _held(town) == ()
    town.pli("mailbox", "certificates", ONE, files[0], *WHY)
    assert _held(town) == (made[0].der,)
    town.pli("mailbox", "certificates", ONE, *files, *WHY)
    assert sorted(_held(town)) == sorted(each.der for each in made)
    town.pli("mailbox", "certificates", ONE, *WHY)
    assert _held(town) == ()


def test_what_nobody_encrypts_with_is_refused(town: Any, pki: Pki, tmp_path: Path) -> None:
    """A signing certificate, another's, a file that holds none: one sentence, and nothing changes."""
    signing = pki.smime(ONE, "Scellée", "CENTRAL", "1930000001", key="p256").write(tmp_path, "signe")[0]
    others = pki.encryption("autre@central.mssante.example", "A", "CENTRAL", "1930000001", key="p256")
    other, none = others.write(tmp_path, "autre")[0], tmp_path / "rien.pem"
    none.write_text("rien")
    for file, said in ((signing, "for signing"), (other, "does not name"), (none, "no certificate")):
        assert said in town.pli("mailbox", "certificates", ONE, str(file), *WHY, status=2)

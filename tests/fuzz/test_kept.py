"""Kept inputs stay mended, seeds pass their doors, a door that is broken is seen, and the fuzzer itself runs."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from certs import ber, cms, enveloped, profiles
from certs.model import Proof, Trusted
from directory import address
from directory.feed import finess, ldif_records, lines
from directory.model import Address
from dmp_bridge import adt, archive, cda, hl7, mail_html, matrices, mtom, pixm, reading, xdm
from dmp_bridge.model import Bad, FilingReason, Ins
from gateway.doors import commands, sasl
from relay import message, opening, smime
from relay.model import SignatureState
from tests.fuzz import keeping, seeds, surgery
from tests.fuzz.doors import DOORS
from tests.fuzz.keeping import failure
from tests.fuzz.world import CONTENT, NOW, world

KEPT = sorted(path for path in keeping.CRASHES.glob("*/*") if path.suffix == "")


def test_what_was_kept_is_mended() -> None:
    """Each input for which a door once did not hold: it holds now."""
    assert {path.name: failure(DOORS[path.parent.name], path.read_bytes()) for path in KEPT} == {
        path.name: "" for path in KEPT
    }


@pytest.mark.parametrize("name", DOORS)
def test_every_seed_and_some_changes_of_it_pass(name: str) -> None:
    """The doors hold for what the fuzzer begins with, and for a few hundred changes that keep BER in shape."""
    for number, seed in enumerate(seeds.of(name)):
        assert failure(DOORS[name], seed) == ""
        for change in range(4):
            assert failure(DOORS[name], surgery.mutated(seed, 100 * number + change)) == ""


def test_the_seeds_are_worth_changing() -> None:
    """Every signature among them is trusted, and signed letters are valid: what is changed was something."""
    proofs = [cms.verify(each, CONTENT, world().store, profiles.SMIME, NOW) for each in seeds.of("cms")]
    assert [each.valid for each in proofs[:6]] == [True] * 6
    assert len({each.trust.check for each in proofs if not isinstance(each.trust, Trusted)}) > 15
    verdicts = [smime.judge(message.scan(each), world().store, NOW).signature for each in seeds.of("mime")]
    assert verdicts.count(SignatureState.VALID) == 14


def _first_element(text: Any) -> Iterator[None]:
    text._expect("[")
    if text.next() != "]":
        yield
        while text.next() not in ("]", ""):
            text.value()
    text._at += 1


BREAKS = {
    "normalise lets everything through": ("ber", ber, "normalise", lambda data: data),
    "members forgets the last": ("ber", ber, "members", lambda content: iter(())),
    "everything is trusted": ("cms", cms, "proofs", lambda *_, **__: (Proof(_trusted()),)),
    "base64 becomes more than it was": ("mtom", mtom, "unbase64", lambda text: bytes(9000)),
    "an index error gets out": ("cms", enveloped, "read", lambda data: data[len(data)]),
    "text only is forgotten": ("mime", opening, "may_be_rendered", lambda *_: True),
    "a line end is lost": ("mime", message, "_before_line_end", lambda raw, at: at + 40),
    "a sender is not an address": ("commands", commands, "parse", lambda text: Address(text, "x")),
    "a login is read in another way": ("commands", sasl, "_text", lambda blob: blob.decode("latin-1")),
    "a command line is what ends in LF": ("commands", commands.Lines, "readuntil", asyncio.StreamReader.readuntil),
    "a local part is made small": ("addresses", address, "_local", lambda text: text.lower()),
    "a refusal quotes what it read": (
        "zip",
        xdm,
        "refuse",
        lambda rule: Bad(FilingReason.ARCHIVE_REFUSED, f"{rule}: A B"),
    ),
    "an archive's content is not what was packed": ("zip", archive, "_inflate", lambda *_: b""),
    "metadata are believed": ("metadata", xdm, "_faithful", lambda *_: ""),
    "a time has no zone": ("cda", cda, "_instant", lambda *_: datetime(2026, 1, 1)),
    "any copy is a PDF": ("cda", cda, "_pdf", lambda text: b"GIF"),
    "a separator is in a name": ("symbols", matrices, "_value", lambda text, at, least, most: (text[at:], len(text))),
    "an escape is left as it came": ("hl7", hl7, "_meant", lambda code, *_: f"\x0b{code}"),
    "an INS needs no key": ("hl7", adt, "_ins", lambda number, root, place: Ins(number[:14], root)),
    "a matricule needs no key": ("identities", pixm, "_ins", lambda value, root: Ins(value[:14], root)),
    "a control character is a name": ("identities", pixm, "_plain", lambda value, at: value),
    "an answer names another message": ("hl7", hl7, "_safe", lambda words, marks: "\r"),
    "half a character is text": ("finess", finess, "_HALVES", re.compile("(?!)")),
    "an entity ends at its first establishment": ("finess", finess._Text, "elements", _first_element),
    "a fold is a line of its own": (
        "ldif",
        ldif_records,
        "_unfolded",
        lambda lines: [x for x in lines if x[:1] != b" "],
    ),
    "a control character is text": ("table", lines, "controlled", lambda values: False),
    "a stream is not what was packed": ("extraction", archive, "_in_pieces", lambda *_: iter([b"x"])),
    "a link leads anywhere": ("html", mail_html, "link_target", lambda written: written),
    "what is not seen stays in a name": ("letter", reading, "line", lambda text, most=0: text),
    "a name keeps its quotes": ("addresses", address, "_unquoted", lambda word: word),
}


def _trusted() -> Trusted:
    (proof,) = cms_proofs(seeds.of("cms")[0], CONTENT, world().store, profiles.SMIME, NOW)
    assert isinstance(proof.trust, Trusted)
    return proof.trust


cms_proofs = cms.proofs


@pytest.mark.parametrize("fault", BREAKS)
def test_a_broken_door_is_seen(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    """Each door notices one thing that is broken behind it: with some seed it no longer holds."""
    name, module, function, broken = BREAKS[fault]
    begun = seeds.of(name)
    monkeypatch.setattr(module, function, broken)
    assert any(failure(DOORS[name], each) for each in begun)


def test_what_fails_is_kept_small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file holds what the failure needs and no more, and how it failed stands beside it."""

    def door(data: bytes) -> None:
        if b"!" in data:
            raise IndexError("out")

    monkeypatch.setitem(DOORS, "ber", door)
    path = keeping.kept("ber", b"a long text with ! in it", failure(door, b"!"), tmp_path)
    assert path.read_bytes() == b"!"
    assert path.with_suffix(".txt").read_text() == "IndexError in test_kept.py:door\n"


@pytest.mark.parametrize("name", DOORS)
def test_the_fuzzer_runs(name: str, tmp_path: Path) -> None:
    """A short run with a fixed seed, in a process of its own, reaches edges and finds nothing."""
    options = ("--runs", "250", "--seed", "1", "--seconds", "60", "--corpus", tmp_path / "c", "--kept", tmp_path / "k")
    command = [sys.executable, "-m", "tests.fuzz", name, *map(str, options)]
    done = subprocess.run(command, cwd=keeping.CRASHES.parents[2], capture_output=True, text=True, check=False)
    told = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, told["failures"], told["ended"]) == (0, [], 0)
    assert told["runs"] >= 250
    assert told["edges"] > 50

"""What expires when: each kind of file, each level, and what is said of files that cannot be read."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs import expiry
from certs.expiry import Chains, Expiring, Level, Listings, Pairs, metrics, watched, write_metrics
from certs.throwaway import Issued, Pki

MOMENT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
DAY = timedelta(days=1)
DOCTOR = "a@lilas.mssante.example"


@pytest.fixture(scope="module")
def authority() -> Pki:
    return Pki.create(MOMENT)


def mailbox(authority: Pki, begins: int, ends: int, address: str = DOCTOR) -> Issued:
    """Days from the moment."""
    window = {"not_before": MOMENT + begins * DAY, "not_after": MOMENT + ends * DAY}
    return authority.smime(address, "A", "LILAS", "1750000001", key="p256", **window)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("left", "level"),
    [(61 * DAY, "ok"), (60 * DAY, "soon"), (15.1 * DAY, "soon"), (15 * DAY, "urgent"), (0 * DAY, "urgent"),
     (-0.1 * DAY, "over")],
)  # fmt: skip
def test_levels_of_certificates(left: timedelta, level: str) -> None:
    """60 days before its end a certificate is 'soon', 15 days before 'urgent', then over."""
    each = Expiring("x", MOMENT, MOMENT + left)
    assert each.level == level
    assert each.days == pytest.approx(left / DAY)


def test_levels_of_lists() -> None:
    """A list that lives for days is no alarm until its last day, nor is what was replaced; what is unread is one."""
    listing = [Expiring("x", MOMENT, MOMENT + timedelta(hours=hours), expiry.LISTING) for hours in (30, 20, 5, -1)]
    assert [each.level for each in listing] == ["ok", "soon", "urgent", "over"]
    assert Expiring("x", MOMENT, MOMENT - DAY, replaced=True).level is Level.OK
    assert Expiring("x", MOMENT, None, fault="why").level is Level.UNREADABLE


def test_everything_in_files_is_told(tmp_path: Path, authority: Pki) -> None:
    """TLS certificate, keeper's pairs, anchors, intermediates and CRLs, what ends first before the others."""
    authority.write_trust(tmp_path / "trust", MOMENT)
    mailbox(authority, -10, 40).write(tmp_path / "keeper" / "mailbox", "a")
    tls = authority.tls_server("mx.lilas.example", "LILAS", "1", not_after=MOMENT + 10 * DAY).write(tmp_path, "tls")[0]
    found = watched(
        [
            Chains("tls", tls),
            Pairs("keeper/mailbox", tmp_path / "keeper" / "mailbox"),
            Pairs("keeper/decrypt", tmp_path / "keeper" / "decrypt"),
            Chains("anchors", tmp_path / "trust" / "anchors"),
            Chains("intermediates", tmp_path / "trust" / "intermediates"),
            Listings("crls", tmp_path / "trust" / "crls"),
        ],
        MOMENT,
    )
    assert [(each.name, round(each.days or 0), each.level) for each in found] == [
        ("crls/authority.crl", 7, "ok"),
        ("crls/root.crl", 7, "ok"),
        ("tls", 10, "urgent"),
        ("keeper/mailbox/a", 40, "soon"),
        ("anchors/root.pem", 9 * 365, "ok"),
        ("intermediates/authority.pem", 9 * 365, "ok"),
    ]


@pytest.mark.parametrize(
    ("begins", "ends", "address", "level"),
    [
        (-1, 400, DOCTOR, Level.OK),
        (9, 400, DOCTOR, Level.OK),
        (11, 400, DOCTOR, Level.URGENT),
        (-1, 9, DOCTOR, Level.URGENT),
        (-1, 400, "b@lilas.mssante.example", Level.URGENT),
    ],
    ids=["overlap", "begins in time", "begins too late", "ends before", "another mailbox"],
)
def test_a_follower_ends_the_alarm(
    tmp_path: Path, authority: Pki, begins: int, ends: int, address: str, level: Level
) -> None:
    """A certificate with ten days left is no alarm once another one takes over in time, and for the same mailbox."""
    mailbox(authority, -300, 10).write(tmp_path, "old")
    mailbox(authority, begins, ends, address).write(tmp_path, "new")
    found = {each.name: each for each in watched([Pairs("k", tmp_path)], MOMENT)}
    assert found["k/old"].level is level


def test_an_old_decryption_key_is_no_alarm(tmp_path: Path, authority: Pki) -> None:
    """A certificate that ended long ago and has a valid follower stays in the folder in peace; alone it is over."""
    mailbox(authority, -900, -300).write(tmp_path, "old")
    assert [each.level for each in watched([Pairs("k", tmp_path)], MOMENT)] == ["over"]
    mailbox(authority, -290, 400).write(tmp_path, "new")
    assert {each.level for each in watched([Pairs("k", tmp_path)], MOMENT)} == {"ok"}


def test_what_cannot_be_read_comes_first(tmp_path: Path, authority: Pki) -> None:
    """A broken certificate, list or key and a missing file are told by name, and hide nothing else."""
    authority.write_trust(tmp_path / "trust", MOMENT)
    (tmp_path / "trust" / "anchors" / "bad.pem").write_text("rubbish")
    (tmp_path / "trust" / "crls" / "bad.crl").write_text("rubbish")
    mailbox(authority, -1, 400).write(tmp_path / "k", "a")[1].write_text("rubbish")
    found = watched(
        [
            Chains("tls", tmp_path / "absent.pem"),
            Chains("anchors", tmp_path / "trust" / "anchors"),
            Listings("crls", tmp_path / "trust" / "crls"),
            Pairs("k", tmp_path / "k"),
        ],
        MOMENT,
    )
    unread = [each.name for each in found if each.level is Level.UNREADABLE]
    assert unread == [each.name for each in found[:4]] == ["anchors/bad.pem", "crls/bad.crl", "k/a", "tls"]
    assert all(each.fault and each.days is None for each in found[:4])
    assert len(found) == 7


def test_a_closed_folder_is_told(tmp_path: Path, authority: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    """A keeper's folder that this user may not read is told, not taken for empty."""
    mailbox(authority, -1, 400).write(tmp_path / "k", "a")
    assert len(watched([Pairs("k", tmp_path / "k")], MOMENT)) == 1
    monkeypatch.setattr(os, "access", lambda *_: False)
    (told,) = watched([Pairs("k", tmp_path / "k")], MOMENT)
    assert (told.level, "may not be read" in told.fault) == (Level.UNREADABLE, True)


def test_metrics(tmp_path: Path) -> None:
    """The text format of Prometheus: one gauge by tenant and name, quoted, what was replaced left out."""
    found = [
        Expiring("tls", MOMENT, MOMENT + DAY),
        Expiring('od"d\\\n', MOMENT, None, fault="why"),
        Expiring("old", MOMENT, MOMENT - DAY, replaced=True),
    ]
    name = "pli_certificate_expires_seconds"
    assert metrics("lilas", found).splitlines()[1:] == [
        f"# TYPE {name} gauge",
        f'{name}{{tenant="lilas",name="tls"}} {int((MOMENT + DAY).timestamp())}',
        f'{name}{{tenant="lilas",name="od\\"d\\\\\\n"}} 0',
    ]
    write_metrics(tmp_path / "pli.prom", "lilas", found)
    assert (tmp_path / "pli.prom").read_text() == metrics("lilas", found)
    assert (tmp_path / "pli.prom").stat().st_mode & 0o777 == 0o644
    assert [each.name for each in tmp_path.iterdir()] == ["pli.prom"]

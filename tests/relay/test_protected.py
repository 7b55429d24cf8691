"""Header fields inside what is signed or encrypted: names of those that outside are others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

from certs.chain import TrustStore
from certs.throwaway import Issued, Pki
from relay import protected, smime
from relay.message import scan
from relay.model import SignatureState, Verdict
from relay.protected import Form, Protected

FROM = "marie.martin@lilas.mssante.example"
OUTER = f"From: Marie <{FROM}>\r\nTo: paul@parc.mssante.example\r\nSubject: Compte rendu\r\n"


@pytest.fixture(scope="module")
def mailbox(pki: Pki) -> Issued:
    return pki.smime(FROM, "Marie MARTIN", "IMAGERIE DES LILAS", "1750000001")


@pytest.fixture
def judged(mailbox: Issued, trust: TrustStore, today: datetime) -> Callable[..., Verdict]:
    """The verdict on a letter signed by its author, from its outer fields and its content."""

    def judge(content: str, outer: str = OUTER) -> Verdict:
        return smime.judge(scan(smime.sign(f"{outer}{content}".encode(), mailbox.signer(), today)), trust, today)

    return judge


def found(content: str, outer: str = OUTER) -> Protected:
    return protected.of(scan(f"{outer}\r\nx".encode()), scan(content.encode()).root)


def hp(how: str, fields: str) -> str:
    return f'{fields}Content-Type: text/plain; hp="{how}"\r\n\r\nbonjour\r\n'


def wrap(fields: str) -> str:
    return f"Content-Type: message/rfc822\r\n\r\n{fields}\r\nbonjour\r\n"


@pytest.mark.parametrize(("make", "form"), [(lambda f: hp("clear", f), Form.CLEAR), (wrap, Form.WRAPPED)])
def test_protected_fields_that_agree(make: Callable[[str], str], form: Form) -> None:
    """RFC 9788 and RFC 8551 §3.1: by addresses and by words, not by display names, folding or encoding."""
    inside = f"From: <{FROM}>\r\nSubject: =?utf-8?q?Compte?=\r\n =?utf-8?q?_rendu?=\r\n"
    told = found(make(inside))
    assert (told.form, told.names, told.findings) == (form, ("From", "Subject"), ())


@pytest.mark.parametrize("make", [lambda f: hp("clear", f), wrap])
def test_protected_fields_that_differ_are_named(make: Callable[[str], str]) -> None:
    """The twin: names, never values; one that is absent outside differs too."""
    told = found(make("From: x@y.example\r\nSubject: autre\r\nReply-To: z@y.example\r\n"))
    assert told.findings == ("header.differs:From", "header.differs:Subject", "header.differs:Reply-To")


def test_a_field_that_nobody_knows_has_no_name_here() -> None:
    """A stranger may write a patient's name before the colon: it would reach journals and header fields."""
    told = found(wrap(f"From: {FROM}\r\nJeanne-DUPONT-1980: x\r\n{'A' * 5000}: y\r\n"))
    assert told.findings == ("header.differs:other",)


def test_nothing_is_protected_by_a_plain_part() -> None:
    """Fields of an inner part without hp= are that part's own."""
    assert found("Subject: autre\r\nContent-Type: text/plain\r\n\r\nx").form is Form.NONE


def test_a_hidden_subject_is_meant_so() -> None:
    """RFC 9788 §6.1: HP-Outer says what the author put outside; what somebody changed there differs all the same."""
    inside = f"HP-Outer: Subject: [...]\r\nHP-Outer: From: {FROM}\r\nFrom: {FROM}\r\nSubject: Compte rendu de X\r\n"
    told = found(hp("cipher", inside), OUTER.replace("Compte rendu", "[...]"))
    assert (told.form, told.differing, told.hidden) == (Form.CIPHER, (), ("Subject",))
    assert found(hp("cipher", inside)).findings == ("header.differs:Subject",)


def test_no_hp_outer_excuses_another_from() -> None:
    """From inside is From outside, whatever the letter says of itself."""
    inside = f"HP-Outer: From: {FROM}\r\nFrom: x@y.example\r\n"
    assert "header.differs:From" in found(hp("cipher", inside)).findings


def test_our_own_fields_inside_are_named_and_never_read() -> None:
    """CVE-2026-27443: inner headers that became trusted ones."""
    told = found(wrap(f"From: {FROM}\r\nX-Pli-Signature: valid\r\n"))
    assert (told.names, told.findings) == (("From",), ("own-field.inside",))


def test_a_wrapped_letter_of_another_author_is_never_valid(judged: Callable[..., Verdict]) -> None:
    """The signature holds, and the letter inside is written in another name."""
    same = judged(wrap(f"From: {FROM}\r\nSubject: Compte rendu\r\n"))
    assert (same.signature, same.findings) == (SignatureState.VALID, ())
    other = judged(wrap("From: chef@lilas.mssante.example\r\nSubject: Compte rendu\r\n"))
    assert (other.signature, other.signer, other.fault) == (SignatureState.PARTIAL, None, "header.differs:From")


def test_another_subject_is_told_and_holds(judged: Callable[..., Verdict]) -> None:
    """Lists change Subject: its reader is told, the author's word stands."""
    verdict = judged(wrap(f"From: {FROM}\r\nSubject: autre\r\n"))
    assert (verdict.signature, verdict.findings) == (SignatureState.VALID, ("header.differs:Subject",))

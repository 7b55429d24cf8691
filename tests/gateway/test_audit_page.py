"""What `pli audit` shows of what it found: whole on a narrow screen, in both languages, whatever strangers wrote."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from gateway import audit_page
from gateway.audit import _STEPS, CASES, Audit, DomainLook, DoorLook, HostLook, Seen, case_of
from relay.model import Reason

AT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
EXPIRED = "cert-expire-audit.espacedeconfiance.mssante.fr"
VALID = "cert-valide-audit.espacedeconfiance.mssante.fr"
SEEN = Seen("CN=mx.audit.example,O=OUTIL,C=FR", "CN=AC", AT, "ab" * 32, "expired")
HOST = HostLook("mx.audit.example", "192.0.2.4", 25, Reason.PEER_UNTRUSTED, "expired", "TLSv1.3 X", SEEN)
REFUSED = DomainLook(EXPIRED, case_of(EXPIRED), (HOST,), Reason.PEER_UNTRUSTED, "expired")
LOST = DomainLook(VALID, case_of(VALID), (), Reason.DNS_DOWN, "no answer in time")
DOOR = (DoorLook("door", True, "0.0.0.0:25 TLSv1.3"), DoorLook("listed lilas.example", False, "", "another-listed"))


def shown(audit: Audit, language: str = "fr", width: int = 80) -> str:
    """The page as a terminal of that width gets it."""
    out = io.StringIO()
    console = Console(file=out, width=width, soft_wrap=True, highlight=False)
    for each in audit_page.page(audit, language):
        console.print(each, markup=False)
    return out.getvalue()


def test_all_as_expected_is_said_in_both_languages() -> None:
    """A refusal that the case asks for is good, and its reason is told in words, with where it ended."""
    audit = Audit("lilas", AT, (REFUSED,), DOOR[:1])
    assert audit.ok
    fr, en = shown(audit, "fr", 200), shown(audit, "en", 200)
    assert "Tout est comme attendu." in fr
    assert "refusé : certificat non valable (un certificat est expiré) [certificat]" in fr
    assert "All is as expected." in en
    assert "refused: the certificate does not hold (a certificate has expired) [certificate]" in en
    assert "attendu :" not in fr


def test_what_is_not_as_expected_is_said_with_what_was() -> None:
    """The twin: a domain that is not reached, and a door that is not listed."""
    audit = Audit("lilas", AT, (REFUSED, LOST), DOOR)
    text = shown(audit, width=200)
    assert not audit.ok
    assert "Tout n'est pas comme attendu." in text
    assert "attendu : une lettre y est remise" in text
    assert "la liste blanche nous donne lilas.example" in text
    assert "elle en donne un autre" in text


def test_nothing_is_cut_off_on_a_narrow_screen() -> None:
    """Long names go on in the next line."""
    text = shown(Audit("lilas", AT, (REFUSED,), DOOR))
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    first = [line[4:41].strip() for line in text.splitlines()]
    assert EXPIRED in "".join(first)


def test_a_strangers_certificate_says_nothing_to_the_terminal() -> None:
    """Escape sequences and markup in a subject are shown, not obeyed; JSON has them escaped."""
    evil = replace(SEEN, subject="CN=\x1b[2J\r\n[bold red]OK[/]\u202e,C=FR")
    audit = Audit("lilas", AT, (replace(REFUSED, hosts=(replace(HOST, certificate=evil),)),), ())
    text = shown(audit, width=200)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[bold red]OK[/]" in text
    assert "\x1b" not in json.dumps(audit_page.as_json(audit), ensure_ascii=False)


@pytest.mark.parametrize("reason", _STEPS)
def test_every_reason_that_a_look_can_end_with_has_words(reason: Reason) -> None:
    """And a step, in both languages."""
    look = replace(LOST, reason=reason, detail="")
    for language in ("fr", "en"):
        text = shown(Audit("lilas", AT, (look,), ()), language, 200)
        assert reason.value not in text
        assert "[" in text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_expects_its_own_answer_alone(case: object) -> None:
    """No answer satisfies two cases that ask for different things."""
    answers = {(each.reason, each.detail) for each in CASES}
    satisfied = {answer for answer in answers if case.expects(*answer)}  # type: ignore[attr-defined]
    assert satisfied == {(case.reason, case.detail)}  # type: ignore[attr-defined]


def test_any_other_domain_is_expected_to_be_reached() -> None:
    """Only the audit platform's names ask for refusals."""
    assert case_of("clinique.mssante.fr").expects("", "")
    assert not case_of("clinique.mssante.fr").expects(Reason.PEER_UNREACHABLE, "")

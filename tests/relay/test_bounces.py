"""Why a letter came back, by status and by the words of servers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import timeline
from relay.answers import read
from relay.bounces import Bounce, classify
from relay.message import scan

PATIENT = "279035121518989@patient.mssante.fr"


@pytest.mark.parametrize(
    ("status", "text", "bounce"),
    [
        ("5.1.1", "", Bounce.UNKNOWN),
        ("5.1.3", "", Bounce.BAD_ADDRESS),
        ("5.2.1", "", Bounce.CLOSED),
        ("5.2.2", "", Bounce.FULL),
        ("5.3.4", "", Bounce.TOO_LARGE),
        ("5.2.3", "mailbox unknown", Bounce.TOO_LARGE),
        ("5.0.0", "smtp; 550 Messagerie fermée", Bounce.CLOSED),
        ("", "Patient non trouvé", Bounce.UNKNOWN),
        ("5.0.0", "L'ADRESSE EST INVALIDE", Bounce.BAD_ADDRESS),
        ("5.0.0", "552 message size exceeds the maximum size allowed", Bounce.TOO_LARGE),
        ("5.0.0", "Message trop volumineux", Bounce.TOO_LARGE),
        ("", "550 No such user here", Bounce.UNKNOWN),
        ("5.7.1", "refused by policy", None),
        ("", "", None),
    ],
)
def test_a_reason_has_one_word(status: str, text: str, bounce: Bounce | None) -> None:
    """The status counts before the words; what neither says is not guessed."""
    assert classify(status, text) is bounce


@given(st.text(max_size=300), st.text(max_size=5000))
def test_anything_is_a_reason_or_none(status: str, text: str) -> None:
    """Whatever a server writes."""
    assert classify(status, text) in {None, *Bounce}


def test_what_mon_espace_sante_writes_for_people_is_read() -> None:
    """Its report says 5.0.0, and the reason in the text above it; what was written is not kept."""
    parts = (
        "Content-Type: text/plain; charset=utf-8\n\nMessage non distribué : la messagerie du patient est fermée.\n",
        f"Content-Type: message/delivery-status\n\nReporting-MTA: dns; mes\n\nFinal-Recipient: rfc822; {PATIENT}\n"
        "Action: failed\nStatus: 5.0.0\n",
        "Content-Type: text/rfc822-headers\n\nMessage-ID: <1@lilas.mssante.example>\n",
    )
    head = "From: <postmaster@patient.mssante.fr>\nSubject: Message non distribue\n"
    body = "".join(f"--b\n{part}\n" for part in parts)
    raw = f'{head}Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n{body}--b--\n'
    (answer,) = read(scan(raw.encode().replace(b"\n", b"\r\n")))
    assert (answer.bounce, answer.code) == (Bounce.CLOSED, "5.0.0")


def test_each_word_has_its_sentences() -> None:
    """In the timeline, in both languages."""
    for bounce in Bounce:
        assert timeline.note(bounce) != timeline.note(bounce, "en") != bounce

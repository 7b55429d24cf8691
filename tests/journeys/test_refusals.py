"""Who is refused, where, and in which words: twins of the first letter."""

from __future__ import annotations

import smtplib
from typing import Any

import pytest

from directory.model import Address
from gateway.demo.cast import LILAS, PARC, RADIOLOGIST, SURGEON

pytestmark = pytest.mark.journey

UNKNOWN = Address("paul.bernart", PARC)


def _refusal(client: smtplib.SMTP, sender: str, to: str) -> tuple[int, str]:
    client.ehlo_or_helo_if_needed()
    code, said = client.mail(sender)
    assert code == 250, said
    code, said = client.rcpt(to)
    return code, said.decode("ascii")


def test_an_unknown_recipient_is_refused_at_rcpt_with_a_suggestion_to_our_own(world: Any) -> None:
    """A logged-in sender learns why, and which address is nearest."""
    with world.submission(world.lilas, str(RADIOLOGIST.address)) as client:
        code, said = _refusal(client, str(RADIOLOGIST.address), str(UNKNOWN))
    assert code == 550
    assert "5.1.1" in said
    assert str(SURGEON.address) in said


def test_an_unknown_recipient_is_refused_to_a_peer_without_any_suggestion(world: Any) -> None:
    """Another operator learns that the address is unknown, and nothing about its neighbours."""
    with world.peer(world.parc.ports.peers, *world.lilas.tls) as client:
        code, said = _refusal(client, str(RADIOLOGIST.address), str(UNKNOWN))
    assert code == 550
    assert "5.1.1" in said
    assert str(SURGEON.address) not in said


def test_an_address_outside_the_white_list_is_refused(world: Any) -> None:
    """A domain of nobody's is refused at RCPT with the reason."""
    with world.submission(world.lilas, str(RADIOLOGIST.address)) as client:
        code, said = _refusal(client, str(RADIOLOGIST.address), "quelqu.un@ailleurs.example")
    assert (code, "5.7.1" in said, "liste blanche" in said) == (550, True, True)


def test_a_wrong_password_is_refused_in_words(world: Any) -> None:
    """A login that does not hold is 535, and nobody says which half was wrong."""
    client = smtplib.SMTP("127.0.0.1", world.lilas.ports.submission, timeout=20)
    client.starttls(context=_context(world))
    with client, pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        client.login(str(RADIOLOGIST.address), "not-this-one")
    assert refused.value.smtp_code == 535


def test_a_sender_may_not_write_in_anothers_name(world: Any) -> None:
    """An account is bound to its mailbox."""
    with world.submission(world.lilas, str(RADIOLOGIST.address)) as client:
        code, said = client.mail(f"ris@{LILAS}")
    assert code in (550, 553), said


def test_a_peer_without_a_certificate_is_refused(world: Any) -> None:
    """TLS alone is not enough between operators."""
    client = smtplib.SMTP("127.0.0.1", world.parc.ports.peers, timeout=20)
    client.starttls(context=_context(world))
    with client:
        client.ehlo()
        code, said = client.mail(str(RADIOLOGIST.address))
    assert code >= 400, said
    assert b"certificat" in said


def test_a_peer_without_tls_is_refused(world: Any) -> None:
    """In clear nothing is taken."""
    with smtplib.SMTP("127.0.0.1", world.parc.ports.peers, timeout=20) as client:
        client.ehlo()
        code, _ = client.mail(str(RADIOLOGIST.address))
    assert code == 530


def test_a_certificate_that_is_not_the_listed_one_is_refused_on_the_way_in(world: Any) -> None:
    """Parc's own certificate, valid and of the same authority, may not speak for Lilas."""
    with world.peer(world.parc.ports.peers, *world.parc.tls) as client:
        code, said = client.mail(str(RADIOLOGIST.address))
    assert code >= 500, said


def test_a_certificate_that_is_not_the_listed_one_is_refused_on_the_way_out(own_world: Any) -> None:
    """Where the host of the recipient's domain shows another certificate, the letter stays in custody."""

    def another(built: Any) -> None:
        who = built.seats["parc"].who
        issued = built.pki.tls_server(f"other.{who.domain}", who.organisation, who.unit, who.department)
        issued.write(built.seats["parc"].tls[0].parent, "server")

    world = own_world(another)
    letter = world.submit(world.plain(str(RADIOLOGIST.address), str(SURGEON.address)))
    waiting = world.until(
        lambda: next((r for _, r in world.states(world.lilas, letter).values() if r), ""), "a reason for the delay"
    )
    assert waiting == "peer.not-listed"
    assert "relayed" not in [step["event"] for step in world.trail(world.lilas, letter)["steps"]]


def _context(world: Any) -> Any:
    import ssl

    return ssl.create_default_context(cafile=str(world.ca))

"""What becomes of a letter that was altered on the way."""

from __future__ import annotations

import email
import email.policy
from typing import Any

import pytest

from gateway.demo.cast import RADIOLOGIST, SURGEON
from gateway.demo.looks import message_id

pytestmark = pytest.mark.journey


def test_an_altered_letter_arrives_only_as_a_warning_that_holds_the_original(world: Any) -> None:
    """The reader gets a marked warning letter with the original as message/rfc822, never the letter as itself."""
    first = world.packed(world.report())
    world.submit(first)
    signed = _stripped(world.received(world.parc, SURGEON.address, message_id(first)))
    altered = signed.replace(b"Bonjour", b"Bonsoir", 1)
    assert altered != signed
    new_id = message_id(first).replace("<", "<altered.", 1)
    altered = altered.replace(message_id(first).encode(), new_id.encode(), 1)
    with world.peer(world.parc.ports.peers, *world.lilas.tls) as client:
        client.sendmail(str(RADIOLOGIST.address), [str(SURGEON.address)], altered)
    letter = world.until(lambda: _at(world, new_id), "the altered letter at Parc")
    world.settled(world.parc, letter["letter"])
    assert letter["verdict"]["signature"] == "invalid"
    (evidence,) = letter["verdict"]["evidence"]
    assert (evidence["answer"], evidence["fault"], evidence["digest"]) == ("untrusted", "digest-mismatch", "sha256")
    warning = email.message_from_bytes(_last(world), policy=email.policy.default)
    assert warning["X-Pli-Warning"]
    assert "Bonsoir" not in warning.get_body().get_content()
    originals = [part for part in warning.walk() if part.get_content_type() == "message/rfc822"]
    assert len(originals) == 1
    assert originals[0].get_payload(0)["Message-ID"] == new_id


def _stripped(raw: bytes) -> bytes:
    """Without the fields that the receiving side put on top."""
    head, separator, body = raw.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    first = next(i for i, line in enumerate(lines) if line.lower().startswith((b"date:", b"from:")))
    return b"\r\n".join(lines[first:]) + separator + body


def _at(world: Any, wanted: str) -> Any:
    try:
        return world.trail(world.parc, "--message-id", wanted)
    except Exception:
        return None


def _last(world: Any) -> bytes:
    from gateway.demo import clients
    from gateway.demo.cast import PASSWORD
    from gateway.demo.clients import Login

    login = Login(str(SURGEON.address), PASSWORD)

    def look() -> bytes | None:
        said = clients.run(
            "curl", "-sS", "--ssl-reqd", "--cacert", str(world.ca), "-u", f"{login.user}:{login.password}",
            "-X", "UID SEARCH HEADER X-Pli-Warning \"\"", f"imap://127.0.0.1:{world.parc.ports.imap}/INBOX",
        )  # fmt: skip
        uids = said.split(b"SEARCH")[1].split()
        return clients.mailbox_read(world.parc.ports.imap, login, int(uids[-1]), world.ca) if uids else None

    found: bytes = world.until(look, "a warning letter in the surgeon's mailbox")
    return found

"""EFAIL (CVE-2017-17688, -17689): letters under CBC, rewritten without their key, are never rendered or filed."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence

import pytest

from certs import envelope
from certs.envelope import Opened, Recipe
from certs.model import Fault, Untrusted
from certs.openers import LocalOpener
from relay import message as mime
from relay import opening, smime, warning
from relay.couriers.opening import OpenedFor, Unsealer
from relay.message import Message, scan
from relay.model import BodyRef, Door, DoorProof, Job, Letter, Outcome, SignatureState, Verdict
from relay.opening import Opening, Shown
from tests.fuzz.world import FROM, NOW, world
from tests.hostile.cms import gadgets
from tests.hostile.cms.gadgets import Closed, Gadget

HEAD = f"From: <{FROM}>\r\nTo: <paul@b.mssante.fr>\r\nSubject: efail\r\nMIME-Version: 1.0\r\n".encode()
TEXT = "Le patient est stable.\r\n" * 8
LETTERS = {
    "plain": f"Content-Type: text/plain; charset=utf-8\r\n\r\n{TEXT}".encode(),
    "html": f"Content-Type: text/html; charset=utf-8\r\n\r\n<html><body><p>{TEXT}</p></body></html>\r\n".encode(),
}
CBC = ("aes-128-cbc", "aes-256-cbc")


def sealed(content: bytes, cipher: str) -> bytes:
    return envelope.encrypt(content, [world().reader.certificate], Recipe(cipher))


def as_letter(closed: bytes) -> bytes:
    """The CMS as the letter that a stranger sends on."""
    head = b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\n"
    return (
        HEAD + head + b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(closed).replace(b"\n", b"\r\n")
    )


def shown(closed: bytes) -> Opening | None:
    letter = scan(as_letter(closed))
    return opening.opened(letter, Verdict(), [world().reader], world().store, NOW)


def decrypted(closed: bytes) -> bytes | None:
    """What the key makes of it; None where it does not open. Never authenticated."""
    answer = envelope.decrypt(closed, [world().reader])
    if isinstance(answer, Opened):
        assert not answer.authenticated
        return answer.content
    assert isinstance(answer, Untrusted)
    assert answer.fault is Fault.CANNOT_OPEN
    return None


def require_inert(closed: bytes) -> None:
    """Not opened, or shown as text alone: nothing that could be drawn, followed or filed."""
    found = shown(closed)
    assert found is None or found.shown in (Shown.TEXT_ONLY, Shown.CLOSED)
    if found is not None:
        assert found.letter == as_letter(closed)
        assert found.verdict.signature is not SignatureState.VALID
        require_text(found)


def require_text(found: Opening) -> None:
    """What the reader gets is ours: a plain text, the closed original beside it, and nothing that is ever filed."""
    given = warning.wrap(LETTER, warning.unauthenticated(LETTER, found.text), found.letter, "a@b.example", "h", NOW)
    read = scan(given)
    assert {each.type for each in read.parts} == {"multipart/mixed", "text/plain", "message/rfc822"}
    assert mime.automatic(read, null_sender=False)


LETTER = Letter(
    id="efail", tenant="t", door=Door.PEER, sender=FROM, message_id="", body=BodyRef("b", 0, ""), received_at=NOW,
    trace="", verdict=Verdict(), proof=DoorProof(),
)  # fmt: skip


def of(kind: str, cipher: str) -> Closed:
    return Closed.of(sealed(LETTERS[kind], cipher))


def all_gadgets(cipher: str) -> Iterator[Gadget]:
    for kind in LETTERS:
        yield from gadgets.gadgets(of(kind, cipher))


# --- the gadgets are gadgets ---------------------------------------------------------------------------------


@pytest.mark.parametrize("cipher", CBC)
def test_the_generator_writes_into_letters_without_their_key(cipher: str) -> None:
    """What the attacker chose stands in the plaintext of each letter, and the known text around it."""
    count = 0
    for each in all_gadgets(cipher):
        content = decrypted(each.message)
        if content is not None:  # otherwise noise has become its padding
            assert all(chosen in content for chosen in each.chosen), each.name
            count += 1
    assert count > 200


def test_without_the_rule_gadgets_would_be_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one check that holds them back: with it off, markup that sends the text away is opened as a letter."""
    monkeypatch.setattr(opening, "may_be_rendered", lambda answer, verdict: True)
    tried = (each for _ in range(20) for each in gadgets.gadgets(of("html", CBC[1])))  # noise may hold a line end
    rendered = (found.letter for each in tried if (found := opened_as_letter(each)))
    assert any(b"//ev.il/?" in letter and b"stable" in letter for letter in rendered)


def opened_as_letter(each: Gadget) -> Opening | None:
    found = shown(each.message)
    return found if found is not None and found.shown is Shown.OPENED else None


# --- and do nothing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cipher", CBC)
def test_no_gadget_is_rendered(cipher: str) -> None:
    """At every place, in every markup: as plain text in a letter of ours, or not at all."""
    for each in all_gadgets(cipher):
        require_inert(each.message)


@pytest.mark.parametrize("kind", LETTERS)
def test_flipped_and_shuffled_blocks_are_not_rendered(kind: str) -> None:
    """One bit of each block; blocks left out, doubled and turned round."""
    closed = of(kind, CBC[1])
    for message in (*gadgets.flips(closed), *gadgets.shuffles(closed)):
        require_inert(message)


def test_a_signature_inside_vouches_for_no_rewritten_letter() -> None:
    """Signed inside, it is opened as it is. Rewritten, it is opened only where all that is shown of it is as signed:
    what stands between the parts and beside the signature is nobody's text, and shown by nobody."""
    signed = smime.sign(HEAD + LETTERS["plain"], world().author.signer(), NOW)
    entity = signed[signed.index(b"Content-Type: multipart/signed") :]
    closed = Closed.of(sealed(entity, CBC[1]), entity[: gadgets.BLOCK])
    whole = scan(signed)
    assert opened_whole(closed.message) == parts(whole)
    changed = [*gadgets.flips(closed), *gadgets.shuffles(closed), *(each.message for each in gadgets.gadgets(closed))]
    seen = [opened_whole(message) for message in changed[::4]]
    assert [each for each in seen if each not in (None, parts(whole))] == []
    assert seen.count(None) > len(seen) // 2


def opened_whole(message: bytes) -> list[tuple[str, bytes]] | None:
    """The parts of the letter if it is opened."""
    found = shown(message)
    return parts(scan(found.letter)) if found is not None and found.shown is Shown.OPENED else None


def parts(letter: Message) -> list[tuple[str, bytes]]:
    """What a reader is shown: the type of each part, and its content; of the signature its type."""
    shown_parts = [each for each in letter.parts if not each.is_multipart]
    return [(each.type, b"" if each.type.endswith("signature") else each.raw) for each in shown_parts]


@pytest.mark.parametrize("cipher", ["aes-128-gcm", "aes-256-gcm"])
def test_under_gcm_not_one_rewritten_letter_opens(cipher: str) -> None:
    """The tag is over all of it: one answer, and not a byte comes out."""
    message = sealed(LETTERS["html"], cipher)
    assert decrypted_any(message) == LETTERS["html"]
    data = b"".join(envelope.enveloped.read(message).pieces)
    at = message.index(data)
    for place in range(at, at + len(data)):
        changed = message[:place] + bytes([message[place] ^ 0x20]) + message[place + 1 :]
        assert decrypted(changed) is None


def decrypted_any(message: bytes) -> bytes | None:
    answer = envelope.decrypt(message, [world().reader])
    return answer.content if isinstance(answer, Opened) else None


def test_gcm_told_as_cbc_is_not_rendered() -> None:
    """The tag is left out and the mode renamed, the key is the same: what comes out is shown as text, if at all."""
    down = gadgets.downgraded(sealed(LETTERS["html"], "aes-256-gcm"))
    closed = Closed.of(down)
    tried = [down, *gadgets.flips(closed), *gadgets.shuffles(closed)]
    assert any(decrypted(each) is not None for each in ended(closed, tried))
    for message in tried:
        require_inert(message)


def ended(closed: Closed, tried: Sequence[bytes]) -> Iterator[bytes]:
    """Also with a last block of the attacker's: one of 256 such ends is a padding."""
    yield from tried
    for last in range(256):
        for other in (bytes(15) + bytes([last]), bytes([last]) * 16):
            yield closed.rewritten(closed.iv, (*closed.blocks, other, closed.blocks[0]))


# --- and are not filed ---------------------------------------------------------------------------------------


class Ring:
    """A keeper that gives the reader's key to everybody."""

    def openers_for(self, addresses: Sequence[str], letter_id: str) -> Sequence[LocalOpener]:
        return [world().reader]


class Dossier:
    """Keeps what it is handed."""

    def __init__(self) -> None:
        self.handed: list[bytes] = []

    def deliver(self, job: Job) -> dict[str, Outcome]:
        self.handed.append(job.raw())
        return {}


def filed(closed: bytes) -> bytes:
    dossier, letter = Dossier(), as_letter(closed)
    courier = OpenedFor(dossier, Unsealer(Ring(), lambda: world().store), lambda _: ["paul@b.mssante.fr"])
    courier.deliver(Job(LETTER, (), lambda: letter, 1))
    return dossier.handed[0]


def test_no_gadget_reaches_the_dossier_opened() -> None:
    """It is handed over closed, byte for byte, so that nothing is found in it; its twin under GCM is opened."""
    for each in gadgets.gadgets(of("html", CBC[1])):
        assert filed(each.message) == as_letter(each.message)
    assert b"Le patient" in filed(sealed(LETTERS["html"], "aes-256-gcm"))

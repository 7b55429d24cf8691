"""What becomes of letters that another program encrypted for a mailbox of ours: OpenSSL writes them, Dovecot shows
them."""

from __future__ import annotations

import email
import email.policy
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from certs.throwaway import Shape
from gateway.demo.cast import RADIOLOGIST, SURGEON
from gateway.demo.looks import message_id
from relay import canonical
from relay.message import scan

pytestmark = pytest.mark.journey

GCM = ("-aes-256-gcm", "-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256")
CBC = ("-aes256",)


def with_key(stage: Any) -> None:
    parc = stage.seats["parc"]
    shape = Shape(usage=frozenset({"key_encipherment"}), names=(x509.RFC822Name(str(SURGEON.address)),))
    issued = stage.pki.issue(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Dr Paul BERNARD")]), shape)
    issued.write(parc.folder / "keys" / "decrypt", "paul.bernard")


@pytest.fixture(scope="module")
def own(make_world: Callable[..., Any]) -> Iterator[Any]:
    """Parc's keeper holds the surgeon's key for decryption."""
    with make_world(with_key) as world:
        yield world


@dataclass(frozen=True)
class Closed:
    """OpenSSL at the radiologist's desk."""

    world: Any
    folder: Path

    def letter(self, raw: bytes, *how: str, signed: bool = True) -> bytes:
        """`raw`, signed by its author if asked, then encrypted to the surgeon; its own header stays outside."""
        message = scan(raw)
        content = canonical.content(message)
        content = self._signed(content) if signed else content
        head = b"".join(
            raw[each.span[0] : each.span[1]] for each in message.headers if not each.name.lower().startswith("content-")
        )
        return head.replace(b"MIME-Version: 1.0\r\n", b"") + self._encrypted(content, how)

    def _signed(self, content: bytes) -> bytes:
        keys = self.world.lilas.folder / "keys" / "mailbox"
        certificate, key = (keys / f"{RADIOLOGIST.address.local}.{kind}" for kind in ("pem", "key"))
        chain = self.folder / "chain.pem"
        chain.write_bytes(certificate.read_bytes().split(b"-----END CERTIFICATE-----\n", 1)[1])
        return self._openssl(content, "-sign", "-signer", certificate, "-inkey", key, "-certfile", chain)

    def _encrypted(self, content: bytes, how: tuple[str, ...]) -> bytes:
        certificate = self.world.parc.folder / "keys" / "decrypt" / "paul.bernard.pem"
        cipher, *options = how
        return self._openssl(content, "-encrypt", cipher, "-recip", certificate, *options)

    def _openssl(self, content: bytes, *arguments: object) -> bytes:
        source = self.folder / "content"
        source.write_bytes(content)
        command = ["openssl", "cms", *map(str, arguments), "-in", str(source), "-crlfeol"]
        made = subprocess.run(command, capture_output=True, check=True).stdout
        return made.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@pytest.fixture
def closed(own: Any, tmp_path: Path) -> Closed:
    return Closed(own, tmp_path)


def sent(world: Any, letter: bytes) -> dict[str, Any]:
    """From Lilas to Parc, over the peers' door; its trail there, once it is settled."""
    with world.peer(world.parc.ports.peers, *world.lilas.tls) as client:
        assert client.sendmail(str(RADIOLOGIST.address), [str(SURGEON.address)], letter) == {}
    found = world.until(lambda: _at(world, message_id(letter)), "the letter at Parc")
    world.settled(world.parc, found["letter"])
    trail: dict[str, Any] = world.trail(world.parc, found["letter"])
    return trail


def _at(world: Any, wanted: str) -> Any:
    try:
        return world.trail(world.parc, "--message-id", wanted)
    except Exception:
        return None


def arrived(world: Any, wanted: str) -> EmailMessage:
    raw = world.received(world.parc, SURGEON.address, wanted)
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def archive(letter: EmailMessage) -> bytes | None:
    for part in letter.walk():
        if (part.get_filename() or "").upper() == "IHE_XDM.ZIP":
            return bytes(part.get_payload(decode=True))
    return None


def steps(trail: dict[str, Any], event: str) -> list[dict[str, str]]:
    return [step["facts"] for step in trail["steps"] if step["event"] == event]


@pytest.mark.parametrize("how", [GCM, CBC], ids=["gcm", "cbc"])
def test_a_signed_letter_arrives_opened_and_its_documents_are_found(own: Any, closed: Closed, how: Any) -> None:
    """Signature and cipher vouch for it: it is read in clear, with its author's word, and the document inside,
    which its sender has not filed, is put before a person."""
    raw = own.packed(own.report())
    trail = sent(own, closed.letter(raw, *how))
    letter = arrived(own, message_id(raw))
    assert letter["X-Pli-Opened"] == ("aes-256-gcm" if how is GCM else "aes-256-cbc")
    assert (letter["X-Pli-Signature"], letter["X-Pli-Signer"]) == ("valid", "mailbox")
    assert archive(letter) == archive(email.message_from_bytes(raw, policy=email.policy.default))
    (opened,) = steps(trail, "opened")
    assert (opened["signature"], opened["shown"]) == ("valid", "opened")
    assert {row["mode"]: row["note"] for row in trail["recipients"]} == {"mailbox": "", "dossier-show": "proposed"}
    assert [row["reason"] for row in own.worklist(own.parc, trail["letter"])] == ["dossier.not-in-dossier"]


def test_a_letter_that_only_the_cipher_vouches_for_arrives_opened(own: Any, closed: Closed) -> None:
    """GCM without a signature: in clear, and said to be signed by nobody."""
    raw = own.plain(str(RADIOLOGIST.address), str(SURGEON.address), text="Bonjour")
    sent(own, closed.letter(raw, *GCM, signed=False))
    letter = arrived(own, message_id(raw))
    assert (letter["X-Pli-Opened"], letter["X-Pli-Signature"]) == ("aes-256-gcm", "none")
    assert letter.get_content().strip() == "Bonjour"


def test_what_nobody_vouches_for_arrives_as_text_and_is_never_filed(own: Any, closed: Closed) -> None:
    """EFAIL: CBC without a signature. Its text, the closed original, and no dossier row."""
    raw = own.packed(own.report())
    wanted = message_id(raw)
    trail = sent(own, closed.letter(raw, *CBC, signed=False))
    assert [(row["mode"], row["note"]) for row in trail["recipients"]] == [("mailbox", "text-only")]
    letter = arrived(own, f"<warning.{trail['letter']}@{own.parc.who.hostname}>")
    assert letter["X-Pli-Warning"] == "content-unauthenticated"
    kinds = [part.get_content_type() for part in letter.walk()]
    assert kinds == ["multipart/mixed", "text/plain", "message/rfc822", "application/pkcs7-mime"]
    assert archive(letter) is None
    (original,) = [part for part in letter.walk() if part.get_content_type() == "message/rfc822"]
    assert original.get_payload(0)["Message-ID"] == wanted
    assert own.worklist(own.parc, trail["letter"]) == []


def test_what_was_altered_arrives_closed_and_nobody_is_told(own: Any, closed: Closed) -> None:
    """A changed byte of the tag: as it came, marked, Done like any other; no report goes back."""
    raw = own.plain(str(RADIOLOGIST.address), str(SURGEON.address), text="Bonjour")
    letter = closed.letter(raw, *GCM)
    at = len(letter.rstrip()) - 8
    spoilt = letter[:at] + (b"B" if letter[at : at + 1] != b"B" else b"C") + letter[at + 1 :]
    trail = sent(own, spoilt)
    shown = arrived(own, message_id(raw))
    assert (shown["X-Pli-Opened"], shown.get_content_type()) == ("no", "application/pkcs7-mime")
    assert [(row["state"], row["note"]) for row in trail["recipients"]] == [("done", "not-opened")]
    assert steps(trail, "not-opened") == [{}]
    assert steps(trail, "noticed") == []

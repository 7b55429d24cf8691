"""Encrypted letters in BER: streamed, in pieces, cut short or changed, and within their budgets."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.asn1 import encode_der
from hypothesis import example, given, settings
from hypothesis import strategies as st

from certs import asn1, ber, cursor, envelope, enveloped
from certs.envelope import Recipe
from certs.model import CannotTell, Fault, Untrusted
from tests.certs.test_envelope_forms import AUTH_ENVELOPED, LETTER, SIGNED_DATA, Correspondents, opened


def _loosely(der: bytes, piece: int = 0) -> bytes:
    """The same in BER: every constructed value indefinite; with a piece size, the content in pieces of that size."""
    tag, inside = der[0], ber.content(der)
    if tag == 0x80 and piece:
        parts = (ber.tlv(0x04, inside[at : at + piece]) for at in range(0, len(inside), piece))
        return b"\xa0\x80" + b"".join(parts) + b"\x00\x00"
    if not tag & 0x20:
        return bytes([tag, 0x84]) + len(inside).to_bytes(4, "big") + inside
    return bytes([tag, 0x80]) + b"".join(_loosely(each, piece) for each in ber.members(inside)) + b"\x00\x00"


@pytest.mark.parametrize("content", ["aes-256-gcm", "aes-256-cbc"])
@pytest.mark.parametrize("kind", ["rsa", "p384"])
@pytest.mark.parametrize("piece", [1, 7, 16, 100, 4096])
def test_ber_of_streaming_programs(correspondents: Correspondents, kind: str, content: str, piece: int) -> None:
    """Indefinite and long lengths, the content in pieces that fit no block; cut short it is unreadable."""
    person = correspondents[kind]
    loose = _loosely(envelope.encrypt(LETTER, [person.certificate], Recipe(content)), piece)
    assert opened(loose, person) == LETTER
    for cut in (1, 2, 3, len(loose) // 2, len(loose) - 3):
        answer = opened(loose[:-cut], person)
        assert isinstance(answer, Untrusted)
        assert answer.fault is Fault.UNREADABLE


def test_pieces_within_pieces_up_to_a_depth(correspondents: Correspondents, pen: Any) -> None:
    """X.690 §8.7 allows it; a hundred deep is nobody's letter."""
    person = correspondents["p256"]
    cms = envelope.encrypt(LETTER, [person.certificate])
    for depth, expected in ((3, LETTER), (100, None)):
        nested = ber.tlv(0x04, b"".join(envelope.enveloped.read(cms).pieces))
        for _ in range(depth):
            nested = ber.tlv(0x24, nested)
        looser = _with_content(cms, ber.tlv(0xA0, nested))
        answer = opened(looser, person)
        assert answer == expected if expected else isinstance(answer, Untrusted)


def _with_content(cms: bytes, field: bytes) -> bytes:
    """The encrypted content is `field`; every header around it is indefinite."""
    loose = _loosely(cms)
    inside = b"".join(envelope.enveloped.read(cms).pieces)
    written = b"\x80\x84" + len(inside).to_bytes(4, "big") + inside
    assert loose.count(written) == 1
    return loose.replace(written, field)


@pytest.mark.parametrize("content", ["aes-256-gcm", "aes-256-cbc"])
@pytest.mark.parametrize("inner", [envelope.DATA, SIGNED_DATA])
def test_both_readers_see_one_letter(correspondents: Correspondents, content: str, inner: str) -> None:
    """What is DER is read at once, and the same as in one pass; what is not, the quick reader refuses."""
    people = [each.certificate for each in correspondents.values()]
    cms = envelope.encrypt(LETTER, people, Recipe(content), inner=inner)
    assert (
        _seen(enveloped.der(cms)) == _seen(enveloped.indefinite(cms)) == _seen(enveloped.indefinite(_loosely(cms, 7)))
    )
    for refused in (_loosely(cms), cms + b"\0", cms[:-1], b"\x31" + cms[1:]):
        with pytest.raises(ValueError, match=r".*"):
            enveloped.der(refused)


def test_ber_within_der_is_read_in_one_pass(correspondents: Correspondents) -> None:
    """Only the recipients are written loosely, at the same size: the quick reader leaves it to the other."""
    person = correspondents["rsa"]
    cms = envelope.encrypt(LETTER, [person.certificate])
    (info,) = enveloped.der(cms).recipients
    loose = _loosely(info)
    inner = list(ber.members(ber.content(ber.content(list(ber.members(ber.content(cms)))[1]))))
    body = ber.tlv(0x30, inner[0], ber.tlv(0x31, loose), *inner[2:])
    rewritten = ber.tlv(0x30, encode_der(x509.ObjectIdentifier(AUTH_ENVELOPED)), ber.tlv(0xA0, body))
    with pytest.raises(ValueError, match="BER within DER"):
        enveloped.der(rewritten)
    assert opened(rewritten, person) == LETTER


def _seen(read: enveloped.Envelope) -> tuple[object, ...]:
    algorithm = [asn1.whole(each) for each in read.algorithm]
    return algorithm, b"".join(read.pieces), *(getattr(read, each) for each in _PLAIN)


_PLAIN = ("authenticated", "recipients", "content_type", "attributes", "mac", "size")


# --- budgets and surprises -----------------------------------------------------------------------------------


def test_a_thousand_recipients_and_no_more(correspondents: Correspondents, pen: Any) -> None:
    """The last of a thousand opens it; one more is too large, also inside one key agreement."""
    person, other = correspondents["p256"], correspondents["rsa"]
    strangers = [pen.ktri(pen.name(other), bytes(256))] * 999
    assert opened(pen.gcm([*strangers, pen.kari(person)], LETTER), person) == LETTER
    answer = opened(pen.gcm([*strangers, *strangers[:1], pen.kari(person)], LETTER), person)
    assert answer == Untrusted(Fault.TOO_LARGE, "too many recipients", check="budget")


def test_bytes_pieces_and_parts_have_budgets(correspondents: Correspondents, pen: Any) -> None:
    """Over 64 MiB, over 100,000 pieces, a part of over a megabyte, an encrypted key of over 2,048 bytes."""
    person = correspondents["p256"]
    assert opened(bytes(ber.MAX_BYTES + 1), person) == Untrusted(
        Fault.TOO_LARGE, "the letter is too large", check="budget"
    )
    cms = envelope.encrypt(bytes(ber.MAX_VALUES + 1), [person.certificate])
    rid = pen.name(person)
    for attempt in (
        _loosely(cms, 1),
        pen.gcm([pen.ktri(rid, bytes(256))], LETTER, attributes=[ber.tlv(0x30, bytes(cursor.MAX_PART))]),
        pen.gcm([pen.ktri(rid, bytes(2049))], LETTER),
    ):
        answer = opened(attempt, person)
        assert isinstance(answer, Untrusted)
        assert answer.fault is Fault.UNREADABLE
    assert opened(_loosely(cms, 2), person) == bytes(ber.MAX_VALUES + 1)


@pytest.mark.parametrize("inspect", [envelope.recipients, envelope.algorithm])
@pytest.mark.parametrize("garbage", [b"", b"0", b"0\x80", b"0\x80\x00\x00", b"Received: from x\r\n"])
def test_what_is_no_letter_is_not_inspected(inspect: Callable[[bytes], object], garbage: bytes) -> None:
    """ValueError, as for other content types."""
    with pytest.raises(ValueError, match=r".+"):
        inspect(garbage)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=300))
@example(data=b"0\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03\xa0\x80\x30\x80\x02\x01\x00\x31\x00")
def test_any_bytes_have_an_answer(correspondents: Correspondents, data: bytes) -> None:
    """No surprise comes out of bytes."""
    openers = [each.opener for each in correspondents.values()]
    assert isinstance(envelope.decrypt(data, openers), Untrusted | CannotTell)


@settings(max_examples=600, deadline=None)
@given(data=st.data())
def test_any_change_has_an_answer(correspondents: Correspondents, data: st.DataObject) -> None:
    """A good letter with bytes changed, cut out or put in, in DER and in BER: an answer, and never another content."""
    person = correspondents[data.draw(st.sampled_from(sorted(correspondents)))]
    cms = envelope.encrypt(LETTER, [person.certificate])
    cms = _loosely(cms, 100) if data.draw(st.booleans()) else cms
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(cms) - 1))
        gone = data.draw(st.integers(0, 4))
        cms = cms[:at] + data.draw(st.binary(max_size=4)) + cms[at + gone :]
    answer = opened(cms, person)
    assert answer == LETTER or isinstance(answer, Untrusted | CannotTell)
    with suppress(ValueError):
        envelope.recipients(cms)

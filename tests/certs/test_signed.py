"""SignedData read as streaming clients write it: in pieces, without lengths, and large, without copying."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certs import ber, cms, profiles, signed
from certs.chain import TrustStore
from certs.keys import LocalSigner
from certs.model import Fault, Proof, Trusted, Untrusted
from certs.throwaway import Issued

CONTENT = b"Content-Type: text/plain\r\n\r\nBonjour\r\n"
END = b"\x00\x00"
MB = 1024 * 1024
Answer = TypeVar("Answer")


def pieces(content: bytes, size: int) -> bytes:
    """An octet string in pieces of `size`, without a length (X.690 §8.7.3)."""
    parts = (content[at : at + size] for at in range(0, len(content), size))
    return b"\x24\x80" + b"".join(ber.tlv(0x04, part) for part in parts) + END


@dataclass(frozen=True)
class Streamed:
    """An opaque signature as a streaming client writes it: `wrap` says how the octets of the content stand."""

    message: bytes
    """DER."""
    content: bytes

    def written(self, wrap: Callable[[bytes], bytes]) -> bytes:
        small = ber.tlv(0x04, b"<content>")
        outline = b"".join(_rewritten(self.message, ber.tlv(0x04, self.content), small))
        assert outline.count(small) == 1
        return outline.replace(small, wrap(self.content))


def _rewritten(der: bytes, mark: bytes, small: bytes) -> Iterator[bytes]:
    """Every constructed length indefinite, and `small` in the place of `mark`."""
    if not der[0] & 0x20:
        yield small if der == mark else der
        return
    yield der[:1] + b"\x80"
    for each in ber.members(ber.content(der)):
        yield from _rewritten(each, mark, small)
    yield END


@pytest.fixture(scope="session")
def large(doctor: Issued, moment: datetime) -> Streamed:
    """Over the size below which DER is tried first."""
    content = bytes(range(256)) * (2 * signed.SMALL // 256)
    return Streamed(cms.sign(content, doctor.signer(), moment, inside=True), content)


@pytest.fixture(scope="session")
def short(doctor: Issued, moment: datetime) -> Streamed:
    return Streamed(cms.sign(CONTENT, doctor.signer(), moment, inside=True), CONTENT)


@pytest.fixture
def ask(store: TrustStore, now: datetime) -> Callable[..., Proof]:
    def verify(message: bytes, content: bytes | None = None) -> Proof:
        return cms.proofs(message, content, store, profiles.SMIME, now)[0]

    return verify


WAYS: dict[str, Callable[[bytes], bytes]] = {
    "whole": lambda content: ber.tlv(0x04, content),
    "4 kB": lambda content: pieces(content, 4096),
    "1000 bytes": lambda content: pieces(content, 1000),
    "nested": lambda content: b"\x24\x80" + pieces(content[:10], 3) + pieces(content[10:], 700) + END,
    "empty ones between": lambda content: b"\x24\x80\x04\x00" + ber.tlv(0x04, content) + b"\x04\x00" + END,
    "with lengths": lambda content: ber.tlv(0x24, ber.tlv(0x04, content[:9]), ber.tlv(0x04, content[9:])),
}


@pytest.mark.parametrize("size", ["short", "large"])
@pytest.mark.parametrize("way", WAYS)
def test_the_same_signature_however_it_is_written(
    request: pytest.FixtureRequest, ask: Callable[..., Proof], way: str, size: str
) -> None:
    """Whole or in pieces, with or without lengths: one content, one answer; a byte changed, and it is another."""
    one: Streamed = request.getfixturevalue(size)
    message = one.written(WAYS[way])
    assert ask(message).valid
    assert ask(message, one.content).valid
    assert cms.encapsulated(message) == one.content
    assert cms.kind(message) == "signed-data"
    changed = one.written(lambda content: WAYS[way](b"c" + content[1:]))
    refused = ask(changed).trust
    assert not isinstance(refused, Trusted)
    assert refused.fault is Fault.DIGEST_MISMATCH


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "a number among the pieces": lambda content: b"\x24\x80" + b"\x02\x01\x01" + ber.tlv(0x04, content) + END,
    "a piece too long": lambda content: b"\x24\x80" + b"\x04\x84\x7f\xff\xff\xff" + content + END,
    "no end": lambda content: b"\x24\x80" + ber.tlv(0x04, content),
    "two contents": lambda content: ber.tlv(0x04, content) * 2,
    "too deep": lambda content: b"\x24\x80" * 40 + ber.tlv(0x04, content) + END * 40,
    "too many": lambda content: b"\x24\x80" + b"\x04\x00" * ber.MAX_VALUES + ber.tlv(0x04, content) + END,
    "a primitive without a length": lambda content: b"\x04\x80" + content + END,
}


@pytest.mark.parametrize("way", BROKEN)
def test_what_is_no_octet_string_is_unreadable(short: Streamed, ask: Callable[..., Proof], way: str) -> None:
    """What two readers could take for two contents is read by nobody here."""
    refused = ask(short.written(BROKEN[way])).trust
    assert not isinstance(refused, Trusted)
    assert (refused.fault, refused.check) == (Fault.UNREADABLE, "readable")


@pytest.mark.parametrize("after", [b"\x00", END, b"\x30\x00"])
@pytest.mark.parametrize("size", ["short", "large"])
def test_nothing_may_follow(request: pytest.FixtureRequest, ask: Callable[..., Proof], size: str, after: bytes) -> None:
    """A message ends where it says, in DER and in BER."""
    one: Streamed = request.getfixturevalue(size)
    for message in (one.message, one.written(WAYS["4 kB"])):
        assert ask(message).valid
        assert not ask(message + after).valid
        assert not ask(message[:-1]).valid


def test_a_large_content_is_not_copied(doctor: Issued, moment: datetime, ask: Callable[..., Proof]) -> None:
    """Signing writes it once; verifying reads it where it lies, also in pieces of 4 kB."""
    content = bytes(8 * MB)
    made, spent = _spent(lambda: cms.sign(content, doctor.signer(), moment, inside=True))
    assert spent < 8 * MB + MB
    detached, spent = _spent(lambda: cms.sign(content, doctor.signer(), moment))
    assert spent < MB
    streamed = Streamed(made, content).written(WAYS["4 kB"])
    for message, beside in ((made, None), (detached, content), (streamed, None), (streamed, content)):
        proof, spent = _spent(partial(ask, message, beside))
        assert proof.valid
        assert spent < MB


def _spent(work: Callable[[], Answer]) -> tuple[Answer, int]:
    """(what it answers, the most bytes that it held at once)."""
    tracemalloc.start()
    try:
        return work(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_hint_that_openssl_cannot_read_is_left_away(
    store: TrustStore, doctor: Issued, moment: datetime, ask: Callable[..., Proof]
) -> None:
    """One library reads names late, the other early: a certificate that one refuses spoils nothing, nor surprises."""
    hint = _with_odd_name(doctor.chain[0], b"PLI DEMO")
    message = cms.sign(CONTENT, LocalSigner(doctor.der, (*doctor.chain, hint), doctor.key), moment)
    assert set(ask(message, CONTENT).certificates) == {doctor.der, hint, *doctor.chain}
    assert ask(message, CONTENT).valid
    refused = store.judge(_with_odd_name(doctor.der, b"HOPITAL A"), doctor.chain, profiles.SMIME, moment)
    assert isinstance(refused, Untrusted)
    assert refused.fault is Fault.UNREADABLE


def _with_odd_name(der: bytes, value: bytes) -> bytes:
    """A name's UTF8String, the first of this value, under a tag that no name may have."""
    name = ber.tlv(0x0C, value)
    assert name in der
    return der.replace(name, b"\x4c" + name[1:], 1)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_stream_never_crashes_nor_speaks_for_others(
    short: Streamed, ask: Callable[..., Proof], data: st.DataObject
) -> None:
    """Whatever octet of a streamed message is changed, cut or added, only the content that was signed is proven."""
    whole = bytearray(short.written(WAYS["nested"]))
    place = data.draw(st.integers(0, len(whole) - 1))
    kind = data.draw(st.sampled_from(["change", "cut", "add"]))
    if kind == "change":
        whole[place] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del whole[place : place + data.draw(st.integers(1, 40))]
    else:
        whole[place:place] = data.draw(st.binary(min_size=1, max_size=40))
    if ask(bytes(whole)).valid:
        assert cms.encapsulated(bytes(whole)) == CONTENT

"""The BER reader: what it makes into DER, and where it stops."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certs import ber, cursor

OCTETS, SEQUENCE, PIECES = 0x04, 0x30, b"\x24"
END = b"\x00\x00"

values = st.recursive(
    st.binary(max_size=300).map(lambda data: ber.tlv(OCTETS, data)),
    lambda inner: st.lists(inner, max_size=4).map(lambda parts: ber.tlv(SEQUENCE, *parts)),
    max_leaves=20,
)


def indefinite(der: bytes) -> bytes:
    """The same value with every constructed length indefinite."""
    if not der[0] & 0x20:
        return der
    return der[:1] + b"\x80" + b"".join(map(indefinite, ber.members(ber.content(der)))) + END


@given(values)
def test_der_comes_back_unchanged(der: bytes) -> None:
    """What is DER already stays byte for byte, also from indefinite lengths."""
    assert ber.normalise(der) == der
    assert ber.normalise(indefinite(der)) == der


@given(values, st.integers(0, 2**32), st.sampled_from((0x00, 0x04, 0x24, 0x30, 0x7F, 0x80, 0x81, 0x82)))
def test_what_is_settled_is_what_comes_back_unchanged(der: bytes, place: int, octet: int) -> None:
    """The look that spares the making agrees with it, also where one octet is another."""
    place %= len(der)
    for data in (der, der[:place] + bytes([octet]) + der[place + 1 :], der[: place + 1], indefinite(der), der + der):
        made = _made(data)
        assert ber.settled(data) == (made == data)


def _made(data: bytes) -> bytes | None:
    """What normalise makes when it may not look first."""
    try:
        whole, end = ber._Reader(data).value(0, len(data), 0)
    except ValueError:
        return None
    return whole if end == len(data) else None


@pytest.mark.parametrize("depth", [ber.MAX_DEPTH, ber.MAX_DEPTH + 1])
def test_the_look_has_the_same_depth(depth: int) -> None:
    """At the last depth that is read it is settled, one deeper it is neither."""
    deep = b"\x05\x00"
    for _ in range(depth):
        deep = ber.tlv(0x30, deep)
    assert ber.settled(deep) == (_made(deep) == deep) == (depth == ber.MAX_DEPTH)


@pytest.mark.parametrize("count", [ber.MAX_VALUES - 1, ber.MAX_VALUES])
def test_the_look_has_the_same_number_of_values(count: int) -> None:
    """Up to the cap, which counts the value around them too."""
    many = ber.tlv(0x30, b"\x05\x00" * count)
    assert ber.settled(many) == (_made(many) == many) == (count < ber.MAX_VALUES)


def test_octets_in_pieces_are_joined() -> None:
    """An octet string in nested pieces is one; one with another type among its pieces is refused."""
    pieces = PIECES + b"\x80" + b"\x04\x02ab" + PIECES + b"\x03\x04\x01c" + b"\x04\x00" + END
    assert ber.normalise(pieces) == b"\x04\x03abc"
    with pytest.raises(ValueError, match="something else"):
        ber.normalise(PIECES + b"\x80" + b"\x02\x01\x01" + END)


def test_long_lengths_are_shortened() -> None:
    """A length in more octets than needed is read, and written in the fewest."""
    assert ber.normalise(b"\x04\x83\x00\x00\x01x") == b"\x04\x01x"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30",
        b"\x30\x05\x04",
        b"\x30\x80\x04\x01a",
        b"\x04\x80a\x00\x00",
        b"\x04\x89" + b"\x01" * 9,
        b"\x1f\x81\x01\x00",
        b"\x30\x82\x01",
        b"\x04\x01ab",
        b"\x30\x03\x04\x05abcde",
    ],
    ids=bytes.hex,
)
def test_what_does_not_fit_is_refused(data: bytes) -> None:
    """Cut short, overlong, without its end, with something after it: ValueError each."""
    with pytest.raises(ValueError, match=r".+"):
        ber.normalise(data)


def test_depth_is_capped() -> None:
    """32 levels are read, 200 are refused, and so are a million open ones, at once."""
    fine, deep = b"\x04\x00", b"\x04\x00"
    for _ in range(ber.MAX_DEPTH):
        fine = ber.tlv(SEQUENCE, fine)
    for _ in range(200):
        deep = ber.tlv(SEQUENCE, deep)
    assert ber.normalise(fine) == fine
    for data in (deep, b"\x30\x80" * 1_000_000):
        with pytest.raises(ValueError, match="too deep"):
            ber.normalise(data)


def test_the_number_of_values_is_capped() -> None:
    """A flat crowd of empty values is refused at the cap."""
    assert ber.normalise(ber.tlv(SEQUENCE, b"\x05\x00" * 1_000))
    with pytest.raises(ValueError, match="too many"):
        ber.normalise(ber.tlv(SEQUENCE, b"\x05\x00" * ber.MAX_VALUES))


def test_size_is_capped() -> None:
    """More bytes than the cap are not even looked at."""
    with pytest.raises(ValueError, match="too large"):
        ber.normalise(bytes(ber.MAX_BYTES + 1))


def test_a_set_keeps_its_order_when_read_and_is_sorted_when_written() -> None:
    """Received sets stay as signed; our own sets are DER."""
    unsorted = ber.tlv(0x31, b"\x04\x01b", b"\x04\x01a")
    assert ber.normalise(unsorted) == unsorted
    assert ber.set_of(b"\x04\x01b", b"\x04\x01a") == ber.tlv(0x31, b"\x04\x01a", b"\x04\x01b")


def test_one_value_and_no_more() -> None:
    """`content` and `members` refuse what does not end where it says."""
    assert ber.content(b"\x04\x01a") == b"a"
    for data in (b"\x04\x01ab", b"\x04\x02a", b"\x30\x80\x00\x00"):
        with pytest.raises(ValueError, match=r".+"):
            ber.content(data)
    with pytest.raises(ValueError, match="past its end"):
        list(ber.members(b"\x04\x01a\x04\x02b"))


@settings(max_examples=500)
@given(st.binary(max_size=200))
def test_noise_is_der_or_refused(data: bytes) -> None:
    """Any bytes either become DER that is stable, or are a ValueError; nothing else happens."""
    try:
        der = ber.normalise(data)
    except ValueError:
        return
    assert ber.normalise(der) == der


def test_an_end_lies_inside_what_holds_its_value() -> None:
    """An end-of-contents that begins inside a value of stated size and ends outside ends nothing, in either reader."""
    assert ber.normalise(b"\x30\x04\x30\x80\x00\x00") == b"\x30\x02\x30\x00"
    for straddling in (b"\x30\x03\x30\x80\x00\x00", b"\x30\x05\x30\x03\x30\x80\x00\x00"):
        with pytest.raises(ValueError, match=r"without its end|past its end|cut short"):
            ber.normalise(straddling)
        with pytest.raises(ValueError, match=r"without its end|past its end|cut short"):
            cursor.Cursor(straddling).part()

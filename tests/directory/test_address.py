"""One text, one address: what is accepted, and what another hop could read differently."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.address import BadAddress, parse, parse_list
from directory.model import Address

ACCEPTED = {
    "claire.moreau@lilas.mssante.example": ("claire.moreau", "lilas.mssante.example"),
    "Claire.Moreau@Lilas.MSSante.Example": ("Claire.Moreau", "lilas.mssante.example"),
    "279035121518989@patient.mssante.fr": ("279035121518989", "patient.mssante.fr"),
    "a+b*c/d{e}~!#$%&'=?^_`|-@x.fr": ("a+b*c/d{e}~!#$%&'=?^_`|-", "x.fr"),
    "a@hôpital.fr": ("a", "xn--hpital-ixa.fr"),
    "a@xn--hpital-ixa.fr": ("a", "xn--hpital-ixa.fr"),
    f"{'l' * 64}@x.fr": ("l" * 64, "x.fr"),
    f"a@{'d' * 63}.fr": ("a", f"{'d' * 63}.fr"),
}
REFUSED = [
    "",
    "a",
    "@x.fr",
    "a@",
    "a@x",
    "a@b@x.fr",
    "a@x.fr@y.fr",
    '"a b"@x.fr',
    '"a"@x.fr',
    "a b@x.fr",
    " a@x.fr",
    "a@x.fr ",
    "a @x.fr",
    "a@ x.fr",
    "a@x.fr\n",
    "a@x.fr\x00",
    "a\x00@x.fr",
    "a(comment)@x.fr",
    "a@x.fr(comment)",
    "<a@x.fr>",
    "a@[127.0.0.1]",
    ".a@x.fr",
    "a.@x.fr",
    "a..b@x.fr",
    "é@x.fr",
    "\uff41@x.fr",
    "a@x..fr",
    "a@x.fr.",
    "a@-x.fr",
    "a@x-.fr",
    "a@x_y.fr",
    "a@x.f\u200br",
    "a@\u212aelvin.fr",
    "a@HÔPITAL.fr",
    "a@hôpital\u3002fr",
    "a@xn--zzzzz9999.fr",
    "a,b@x.fr",
    "a;b@x.fr",
    "@y.fr:a@x.fr",
    f"{'l' * 65}@x.fr",
    f"a@{'d' * 64}.fr",
    f"a@{'.'.join(['d' * 60] * 5)}.fr",
    f"{'l' * 64}@{'.'.join(['d' * 60] * 3)}.example",
    "a" * 100_000,
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_a_mailbox_has_one_reading(text: str) -> None:
    """A strict mailbox is read, its domain as lower-case A-labels and its local part as written."""
    assert parse(text) == Address(*ACCEPTED[text])


@pytest.mark.parametrize("text", REFUSED)
def test_what_has_two_readings_has_none(text: str) -> None:
    """Anything that is not exactly one mailbox is refused."""
    with pytest.raises(BadAddress):
        parse(text)


@pytest.mark.parametrize("text", ["279035121518989 @patient.mssante.fr", "279035121518989@@patient.mssante.fr"])
def test_an_error_never_repeats_an_identity(text: str) -> None:
    """The text of BadAddress holds nothing of what was read, which may be a patient's identity."""
    with pytest.raises(BadAddress) as refused:
        parse(text)
    assert "279035121518989" not in str(refused.value)


def test_case_is_kept_and_not_compared() -> None:
    """Two spellings of one mailbox have one key."""
    upper, lower = parse("Claire.MOREAU@X.fr"), parse("claire.moreau@x.FR")
    assert upper.key == lower.key
    assert str(upper) == "Claire.MOREAU@x.fr"


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """Whatever is given, the answer is BadAddress or an address which reads as itself."""
    with contextlib.suppress(BadAddress):
        address = parse(text)
        assert parse(str(address)) == address


LISTS = {
    "a@x.fr": [("", "a@x.fr")],
    " <a@x.fr> ": [("", "a@x.fr")],
    "Claire Moreau <a@x.fr>, b@y.fr": [("Claire Moreau", "a@x.fr"), ("", "b@y.fr")],
    "Dr. Claire Moreau <a@x.fr>": [("Dr. Claire Moreau", "a@x.fr")],
    '"Moreau, Claire (\\"CM\\")" <a@x.fr>': [('Moreau, Claire ("CM")', "a@x.fr")],
    '"chef@hopital.fr" <a@x.fr>': [("chef@hopital.fr", "a@x.fr")],
    "=?utf-8?q?H=C3=A9l=C3=A8ne?= <a@x.fr>": [("=?utf-8?q?H=C3=A9l=C3=A8ne?=", "a@x.fr")],
    "Hélène <a@x.fr>": [("Hélène", "a@x.fr")],
    "a@x.fr,\tb@y.fr": [("", "a@x.fr"), ("", "b@y.fr")],
}
BAD_LISTS = [
    "",
    "   ",
    "a@x.fr,",
    ",a@x.fr",
    "a@x.fr, ,b@y.fr",
    "a@x.fr b@y.fr",
    "groupe: a@x.fr, b@y.fr;",
    "undisclosed-recipients:;",
    "(comment) a@x.fr",
    "a@x.fr (comment)",
    "a@x.fr <b@y.fr>",
    "Claire <a@x.fr> <b@y.fr>",
    "Claire a@x.fr",
    "<@y.fr:a@x.fr>",
    "< a@x.fr>",
    "<a@x.fr",
    "a@x.fr>",
    '"Claire <a@x.fr>',
    '"a b"@x.fr',
    "Claire\u202e <a@x.fr>",
    '"Claire\\\x00" <a@x.fr>',
    "a@x.fr\r\nBcc: b@y.fr",
    "a@x.fr;b@y.fr",
    "x, " * 60_000 + "a@x.fr",
]


@pytest.mark.parametrize("value", LISTS)
def test_a_header_list_is_read(value: str) -> None:
    """From, To and their like give each display name and its address, in order."""
    assert [(name, str(address)) for name, address in parse_list(value)] == LISTS[value]


@pytest.mark.parametrize("value", BAD_LISTS, ids=range(len(BAD_LISTS)))
def test_an_ambiguous_header_list_is_refused(value: str) -> None:
    """A group, a comment, an empty element or a doubtful address refuses the whole list."""
    with pytest.raises(BadAddress):
        parse_list(value)


@given(st.text(alphabet='ab@.,<>"() \\;:\t=?é', max_size=40))
def test_any_header_list_is_read_or_refused(value: str) -> None:
    """Whatever is given, the answer is BadAddress or addresses which each read as themselves."""
    with contextlib.suppress(BadAddress):
        assert all(parse(str(address)) == address for _, address in parse_list(value))

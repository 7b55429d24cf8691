"""One text, one address: what is accepted, and what another hop could read differently."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory import address as address_module
from directory.address import BadAddress, parse, parse_list, read_xtext, typed, xtext
from directory.letters import Oddity
from directory.model import Address

ACCEPTED = {
    "claire.moreau@lilas.mssante.example": ("claire.moreau", "lilas.mssante.example"),
    "Claire.Moreau@Lilas.MSSante.Example": ("Claire.Moreau", "lilas.mssante.example"),
    "279035121518989@patient.mssante.fr": ("279035121518989", "patient.mssante.fr"),
    "a+b*c/d{e}~!#$%&'=?^_`|-@x.fr": ("a+b*c/d{e}~!#$%&'=?^_`|-", "x.fr"),
    "a@hôpital.fr": ("a", "xn--hpital-ixa.fr"),
    "a@xn--hpital-ixa.fr": ("a", "xn--hpital-ixa.fr"),
    "Renée.hélène@hôpital.fr": ("Renée.hélène", "xn--hpital-ixa.fr"),
    "rené+tri@x.fr": ("rené+tri", "x.fr"),
    "антон@x.fr": ("антон", "x.fr"),
    "花子@x.fr": ("花子", "x.fr"),
    "שלום@x.fr": ("שלום", "x.fr"),
    f"{'é' * 32}@x.fr": ("é" * 32, "x.fr"),
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
    "\uff41@x.fr",
    f"{'é' * 33}@x.fr",
    f"{'é' * 32}@{'.'.join(['d' * 60] * 3)}.example",
    "é\u00a0@x.fr",
    "é\u3000@x.fr",
    "é\u2028@x.fr",
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


TRICKS = {
    "rene\u0301e@x.fr": Oddity.COMPOSED,
    "\u212aévin@x.fr": Oddity.COMPOSED,
    "ren\u202eeé@x.fr": Oddity.CONTROL,
    "ren\u200bé@x.fr": Oddity.CONTROL,
    "ren\u0085é@x.fr": Oddity.CONTROL,
    "\udce9@x.fr": Oddity.CONTROL,
    "é\u3164@x.fr": Oddity.NOT_PERMITTED,
    "é\ufe0f@x.fr": Oddity.NOT_PERMITTED,
    "\uff11é@x.fr": Oddity.NOT_PERMITTED,
    "\ufb01né@x.fr": Oddity.NOT_PERMITTED,
    "\U0001f600@x.fr": Oddity.NOT_PERMITTED,
    "é\ufffd@x.fr": Oddity.NOT_PERMITTED,
    "\u0301a@x.fr": Oddity.MARK_FIRST,
    "a.\u0301b@x.fr": Oddity.MARK_FIRST,
    "שלוםa@x.fr": Oddity.DIRECTION,
    "b\u0435rt@x.fr": Oddity.SCRIPTS,
    "é\u0967@x.fr": Oddity.SCRIPTS,
    "\u0441\u043e\u0440\u0440\u0430@x.fr": Oddity.LOOKS_ASCII,
    "\u0410\u041d\u0422\u041e\u041d@x.fr": Oddity.LOOKS_ASCII,
    "a@p\u0430rc.fr": Oddity.SCRIPTS,
    "a@xn--prc-6cd.fr": Oddity.SCRIPTS,
    "a@\u0441\u043e\u0440\u0440\u0430.fr": Oddity.LOOKS_ASCII,
}


@pytest.mark.parametrize("text", TRICKS, ids=range(len(TRICKS)))
def test_a_trick_with_letters_is_refused_by_name(text: str) -> None:
    """Bidi overrides, invisible, composed, compatible, mixed and look-alike letters, on both sides of the @."""
    with pytest.raises(BadAddress, match=re.escape(TRICKS[text].value)):
        parse(text)


@pytest.mark.parametrize("text", TRICKS, ids=range(len(TRICKS)))
def test_without_the_check_the_trick_would_pass(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check shown to matter: without it only what IDNA refuses in a domain stays refused."""
    monkeypatch.setattr(address_module, "oddity", lambda word: None)
    assert parse(text).domain in ("x.fr", "xn--prc-6cd.fr", "xn--80a1agac.fr")


def test_a_domain_is_one_in_letters_and_in_ascii() -> None:
    """U-label and A-label are one domain (RFC 5891 §4.4), an international local part is one whatever its case."""
    assert parse("renée@hôpital.fr").key == parse("RENÉE@xn--hpital-ixa.fr").key
    assert parse("renée@hôpital.fr").is_international
    assert not parse("a@hôpital.fr").is_international


@pytest.mark.parametrize("text", ["renée@x.fr", "花子@x.fr", "a+b=c@x.fr", "a@x.fr"])
def test_the_type_utf_8_is_ascii_and_comes_back(text: str) -> None:
    """RFC 6533 §3: the form that every server takes, and the address itself; no SMTP parameter ends within it."""
    assert xtext(text).isascii()
    assert not set("+= ") & set(xtext(text))
    assert read_xtext(xtext(text)) == text
    assert typed(text).split("; ")[0] == ("rfc822" if text.isascii() else "utf-8")


@pytest.mark.parametrize(
    "text",
    ["a b", "a+b", "a=b", "a\\b", "\\x{}", "\\x{e9}", "\\x{D800}", "\\x{110000}", "\\x{0A}", "", "\udce9", "x" * 9999],
)
def test_what_is_not_of_the_type_utf_8_is_refused(text: str) -> None:
    """The twin: signs that SMTP needs, other escapes, surrogates, control characters."""
    with pytest.raises(BadAddress):
        read_xtext(text)


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
    "renée@x.fr, Zoé <zoé@hôpital.fr>": [("", "renée@x.fr"), ("Zoé", "zoé@xn--hpital-ixa.fr")],
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

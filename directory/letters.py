"""Which letters an internationalised address may be made of: what another reader, or an eye, could take for others.

Promises: a local part's word that is not ASCII, and a domain's U-label, is in its composed form (NFC, RFC 6532 §3.1),
has only letters, marks and digits that IDNA 2008 permits (RFC 5892: no control or format character such as a bidi
override, no compatibility form, nothing invisible), is of one script (UTS 39 §5.2, the three mixtures of East Asia
apart), obeys the bidi rule (RFC 5893 §2), and cannot be taken for an ASCII word. What is wrong has a name, without
what was read. Does not: repair, or compare two addresses.
"""

from __future__ import annotations

import unicodedata
from enum import StrEnum

import idna


class Oddity(StrEnum):
    """Why a word is refused; a sentence for whoever wrote it."""

    COMPOSED = "not in its composed form (NFC)"
    CONTROL = "a control, format or bidi character"
    NOT_PERMITTED = "a character that no internationalised name may hold"
    MARK_FIRST = "begins with a combining mark"
    DIRECTION = "mixes the directions of writing"
    SCRIPTS = "mixes letters of several scripts"
    LOOKS_ASCII = "letters that are taken for ASCII ones"


_TOGETHER = (
    frozenset({"CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"CJK", "HANGUL"}),
    frozenset({"CJK", "BOPOMOFO"}),
)
"""UTS 39 §5.2, less Latin beside them."""
# UTS 39 §4, whole-script confusables: the letters that are drawn as ASCII ones are (confusables.txt).
_DRAWN_AS_ASCII = frozenset("аеорсухіјѕһԁԛԝѵӏАВЕКМНОРСТУХІЈЅαγινορσυϳΑΒΕΖΗΙΚΜΝΟΡΤΥΧօսցհոյզգıɡɑɩ")


def oddity(word: str) -> Oddity | None:
    """What is wrong with a word (between two dots) that is not ASCII; None: nothing."""
    if not unicodedata.is_normalized("NFC", word):
        return Oddity.COMPOSED
    letters = "".join(each.lower() for each in word if not each.isascii() or each.isalnum())
    if any(unicodedata.category(each) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for each in letters):
        return Oddity.CONTROL
    if not all(map(_permitted, letters)):
        return Oddity.NOT_PERMITTED
    if unicodedata.category(word[0]).startswith("M"):
        return Oddity.MARK_FIRST
    return _direction(word) or _scripts(letters) or _looks(word)


def _permitted(letter: str) -> bool:
    """RFC 5892 PVALID; what is allowed in a context only is not."""
    return idna.intranges_contain(ord(letter), idna.idnadata.codepoint_classes["PVALID"])


def _direction(word: str) -> Oddity | None:
    try:
        idna.check_bidi(word)
    except idna.IDNAError:
        return Oddity.DIRECTION
    return None


def _scripts(letters: str) -> Oddity | None:
    """Digits of a script count; ASCII ones, and marks, go with every script."""
    named = (each for each in letters if unicodedata.category(each)[0] in "LN" and each not in "0123456789")
    found = {_script(each) for each in named}
    return Oddity.SCRIPTS if len(found) > 1 and not any(found <= each for each in _TOGETHER) else None


def _looks(word: str) -> Oddity | None:
    foreign = [each for each in word if not each.isascii()]
    return Oddity.LOOKS_ASCII if all(each in _DRAWN_AS_ASCII for each in foreign) else None


def _script(letter: str) -> str:
    """The first word of its name in Unicode says it: LATIN, CYRILLIC, CJK."""
    return unicodedata.name(letter, "UNNAMED").replace("-", " ").split()[0]

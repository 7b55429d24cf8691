"""The one address parser: a mailbox (RFC 5321 §4.1.2, RFC 6531 §3.3) and a header's list of them (RFC 5322 §3.4).

Promises: one text has one reading or none. What another hop, or an eye, could read differently (comments, quoted local
parts, source routes, groups, a second @, blanks around an address, letters that directory.letters refuses) is refused,
never repaired. Errors never repeat what was read: an address may be a patient's identity. Linear in time.
Does not: decode display names (RFC 2047), nor say whether a mailbox exists.
"""

from __future__ import annotations

import re

import idna

from directory.letters import oddity
from directory.model import Address

MAX_LOCAL = 64
"""Octets, of UTF-8 too: RFC 5321 §4.5.3.1.1, RFC 6531 §3.3."""
MAX_DOMAIN = 253
"""Octets of a name in presentation form, RFC 1035 §3.1; below RFC 5321 §4.5.3.1.2's 255."""
MAX_ADDRESS = 254
"""Octets: a path of 256 (RFC 5321 §4.5.3.1.3) less its angle brackets."""
MAX_LIST = 131_072
"""Characters of one header value."""

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"
# RFC 5321 §4.1.2 Dot-string; a quoted string is legal there and refused here. Beyond ASCII: RFC 6531 §3.3.
_UATEXT = rf"{_ATEXT}\u0080-\U0010ffff"
_DOT_STRING = re.compile(rf"[{_UATEXT}]+(?:\.[{_UATEXT}]+)*")
# RFC 5321 §4.1.2 sub-domain, length by RFC 1035 §2.3.4; at least two labels.
_LABEL = r"[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}

_BLANK = re.compile(r"[ \t]*")
# RFC 5322 §3.2.5 phrase, with the bare dots of §4.1 that real display names hold ("Dr. Paul").
_WORD = re.compile(rf"[{_ATEXT}.\u0080-\U0010ffff]+")
_QUOTED = re.compile(r'"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"')
_QUOTED_PAIR = re.compile(r"\\(.)")
_ANGLE = re.compile(r"<([^<>]*)>")
_BARE = re.compile(r"[^\s,;:<>\"()]+")


class BadAddress(ValueError):
    """Not one address with one reading. The text says why, in English, without what was read."""


def parse(text: str) -> Address:
    """One `local@domain`, without brackets or display name; raises BadAddress.

    The domain comes out as lower-case A-labels (RFC 5891 §4.4), whether it was written so or in U-labels; the local
    part as written.
    """
    if len(text) > 4 * MAX_ADDRESS:
        raise BadAddress("longer than an address may be")
    local, at, domain = text.partition("@")
    if not at:
        raise BadAddress("no @")
    if "@" in domain:
        raise BadAddress("more than one @")
    address = Address(_local(local), _domain(domain))
    if max(_octets(text), _octets(str(address))) > MAX_ADDRESS:
        raise BadAddress("longer than an address may be")
    return address


def _octets(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _local(text: str) -> str:
    if not text or _octets(text) > MAX_LOCAL:
        raise BadAddress("local part empty or longer than 64 octets")
    if text.startswith('"'):
        raise BadAddress("quoted local part")
    if not _DOT_STRING.fullmatch(text):
        raise BadAddress("character not allowed in a local part")
    _letters("local part", text)
    return text


def _letters(what: str, text: str) -> None:
    """Each word beyond ASCII is one that nobody reads otherwise."""
    for word in text.split("."):
        if not word.isascii() and (odd := oddity(word)):
            raise BadAddress(f"{what}: {odd.value}")


def _domain(text: str) -> str:
    # Only ASCII is folded: lower() would turn look-alikes such as U+212A into ASCII letters.
    domain = text.translate(_ASCII_LOWER)
    if not domain.isascii() or "xn--" in domain:
        domain = _a_labels(domain)
    if len(domain) > MAX_DOMAIN or not _DOMAIN.fullmatch(domain):
        raise BadAddress("not a domain name of at least two labels")
    return domain


def _a_labels(domain: str) -> str:
    try:
        # No UTS 46 mapping: a name must be written in its one registered form (RFC 5891 §4.2).
        made = idna.encode(domain, strict=True).decode("ascii")
        shown = idna.decode(made, strict=True)
    except (idna.IDNAError, UnicodeError):
        raise BadAddress("not an internationalised domain name") from None
    _letters("domain", shown)
    return made


# RFC 6533 §3: utf-8-addr-xtext and -unitext; the signs that SMTP or the encoding itself needs are always written so.
_EMBEDDED = re.compile(r"\\x\{([0-9A-F]{2,6})\}")
_UNSAFE = re.compile(r"[^!-*,-<>-\[\]-~]")
_READABLE = re.compile(r"(?:[!-*,-<>-\[\]-~\u0080-\ud7ff\ue000-\U0010ffff]|\\x\{[0-9A-F]{2,6}\})+")


def xtext(text: str) -> str:
    """An international address in ASCII, for an ORCPT parameter or a report (RFC 6533 §3)."""
    return _UNSAFE.sub(lambda found: f"\\x{{{ord(found[0]):02X}}}", text)


def typed(text: str) -> str:
    """An address with its type, in ASCII, for a report's fields (RFC 3464 §2.1.2, RFC 6533 §3)."""
    return f"rfc822; {text}" if text.isascii() else f"utf-8; {xtext(text)}"


def read_xtext(text: str) -> str:
    """The reverse; raises BadAddress for what is not of that form."""
    points = [int(each, 16) for each in _EMBEDDED.findall(text[: 8 * MAX_ADDRESS])]
    known = all(0x20 < each <= 0x10FFFF and not 0xD800 <= each <= 0xDFFF for each in points)
    if len(text) > 8 * MAX_ADDRESS or not _READABLE.fullmatch(text) or not known:
        raise BadAddress("not an address of the type utf-8")
    return _EMBEDDED.sub(lambda found: chr(int(found[1], 16)), text)


def parse_list(value: str) -> tuple[tuple[str, Address], ...]:
    """The (display name, address) pairs of an unfolded From, Sender, To or Disposition-Notification-To value.

    Display names come out without quotes and otherwise as written: decoding RFC 2047 words is the caller's.
    Raises BadAddress on an empty list or element, a group, a comment, or any address that `parse` refuses.
    """
    if len(value) > MAX_LIST:
        raise BadAddress("longer than a list of addresses may be")
    pairs = []
    position = -1
    while position < len(value):
        pair, position = _mailbox(value, position + 1)
        pairs.append(pair)
        if position < len(value) and value[position] != ",":
            raise BadAddress(_what_is(value[position]))
    return tuple(pairs)


def _mailbox(value: str, start: int) -> tuple[tuple[str, Address], int]:
    """One mailbox from `start`; answers it and the position of what follows it and its blanks."""
    name, position = _phrase(value, start)
    angle = _ANGLE.match(value, position)
    if angle:
        return (name, parse(angle[1])), _skip(value, angle.end())
    bare = _BARE.match(value, _skip(value, start))
    if not bare:
        raise BadAddress("an element without an address")
    return ("", parse(bare[0])), _skip(value, bare.end())


def _phrase(value: str, start: int) -> tuple[str, int]:
    words = []
    position = _skip(value, start)
    while match := _QUOTED.match(value, position) or _WORD.match(value, position):
        words.append(_unquoted(match[0]))
        position = _skip(value, match.end())
    return " ".join(words), position


def _unquoted(word: str) -> str:
    text = _QUOTED_PAIR.sub(r"\1", word[1:-1]) if word.startswith('"') else word
    if not text.isprintable():
        raise BadAddress("control or format character in a display name")
    return text


def _skip(value: str, position: int) -> int:
    blank = _BLANK.match(value, position)
    return blank.end() if blank else position


def _what_is(character: str) -> str:
    reasons = {"(": "a comment", ":": "a group", ";": "a group", "<": "two bracketed addresses"}
    return reasons.get(character, "text after an address")

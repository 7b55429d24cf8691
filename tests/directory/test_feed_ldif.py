"""Another directory's export in LDIF, read as any table is."""

from __future__ import annotations

import base64
import io

import pytest

from directory import entries
from directory.address import parse
from directory.feed import sources
from directory.feed.items import Source
from directory.feed.lines import FeedError, Rejected, Row
from directory.ldif import record
from directory.model import Entry, Kind

HELENE = Entry(
    parse("helene.moreau@lilas.example"),
    Kind.PER,
    "Dr Hélène MOREAU",
    "MOREAU",
    "Hélène",
    "Dr",
    rpps="10900000013",
    finess="930000001",
    structure="CABINET DES LILAS",
    specialty="Médecine générale",
    town="LES LILAS",
    postal_code="93260",
    certificates=(b"\x30\x82" * 400,),
)
PLAIN = b"dn: uid=1,o=x\nmail: a.b@x.example\nmssType: ORG\no: Accueil\n\n"


def rows(data: bytes, source: Source | None = None) -> tuple[list[Row | Rejected], bool]:
    source = source or sources.ldif({})
    read = source.opened(io.BytesIO(data), source.columns, source.shape)
    return list(read), read.ended


def items(data: bytes, source: Source | None = None) -> list[dict[str, str]]:
    source = source or sources.ldif({})
    found = [source.read(row) for row in rows(data, source)[0] if isinstance(row, Row)]
    return [item.named() for each in found if not isinstance(each, Rejected) for item in each]


def test_what_we_write_we_read() -> None:
    """An entry of our schema, accents and identifiers too; branches and people without a mailbox are passed over."""
    tree = record("ou=bal,dc=x", {"objectClass": ["organizationalUnit"], "ou": ["bal"]})
    found = items((tree + record("mail=x,ou=bal,dc=x", entries.attributes(HELENE)) + tree).encode())
    assert len(found) == 1
    assert found[0] == {
        "kind": "PER",
        "address": "helene.moreau@lilas.example",
        "person": "810900000013",
        "structure": "FINESS:930000001",
        "title": "Dr",
        "family": "MOREAU",
        "given": "Hélène",
        "specialty": "Médecine générale",
        "name": "CABINET DES LILAS",
        "town": "LES LILAS",
        "postal_code": "93260",
    }


SAME = {
    "a version": b"version: 1\n\n" + PLAIN,
    "a comment": b"# made by hand\n" + PLAIN.replace(b"mail", b"# mail of\n # the place\nmail"),
    "CRLF": PLAIN.replace(b"\n", b"\r\n"),
    "folded lines": PLAIN.replace(b"a.b@x", b"a.b\n @\n x"),
    "another case": PLAIN.replace(b"mssType", b"MSSTYPE"),
    "an option": PLAIN.replace(b"o: Accueil", b"o;lang-fr: Accueil"),
    "base64": PLAIN.replace(b" Accueil", b": " + base64.b64encode(b"Accueil")),
    "no blank": PLAIN.replace(b": ", b":"),
    "blank lines": PLAIN + b"\n\n",
    "no line at the end": PLAIN[:-1],
    "an add": PLAIN.replace(b"mail", b"changetype: add\nmail"),
    "a picture": PLAIN.replace(b"mail", b"jpegPhoto:< file:///etc/passwd\nmail"),
}


@pytest.mark.parametrize("name", SAME)
def test_what_makes_no_difference(name: str) -> None:
    """RFC 2849: versions, comments, folding, options, base64; what is never read need not be readable."""
    assert items(SAME[name]) == items(PLAIN) != []


REFUSED = {
    "url": PLAIN.replace(b"o: Accueil", b"o:< file:///etc/passwd"),
    "change-record": PLAIN.replace(b"mail", b"changetype: modify\nmail"),
    "not-ldif": PLAIN.replace(b"o: Accueil", b"Accueil"),
    "not-utf-8": PLAIN.replace(b"Accueil", b"\xe9"),
    "control-character": PLAIN.replace(b" Accueil", b": " + base64.b64encode(b"a\nb")),
    "too-long": PLAIN.replace(b"o: Accueil", b"o: x\n" + b"description: x\n" * 80_000),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_record_that_cannot_be_used_is_rejected_by_its_first_line(why: str) -> None:
    """With the reason, never its content; no file is opened for an URL; the next record is read."""
    found, _ = rows(b"version: 1\n\n" + REFUSED[why] + PLAIN)
    assert found[0] == Rejected(3, why)
    assert isinstance(found[1], Row)


def test_a_kind_that_no_attribute_says_is_not_guessed() -> None:
    """The twin: with its own attribute named, the same record makes a mailbox."""
    data = PLAIN.replace(b"mssType: ORG", b"employeeType: org")
    assert items(data) == []
    assert items(data, sources.ldif({"type": "employeeType"}))[0]["kind"] == "ORG"
    with pytest.raises(FeedError, match="modèle"):
        sources.ldif({"couleur": "x"})


def test_what_is_no_ldif_is_an_error_and_a_cut_file_says_so() -> None:
    """Before anything is planned; and nobody is closed on the word of half a file."""
    for data in (b"", b"mail;type\n", b"\x00" * 100):
        with pytest.raises(FeedError, match="LDIF"):
            rows(data)
    assert rows(PLAIN)[1] is True
    assert rows(PLAIN[:-4])[1] is False

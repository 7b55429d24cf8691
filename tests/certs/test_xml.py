"""The one XML door: what it refuses, and within which budgets."""

from __future__ import annotations

import resource
import socket
from pathlib import Path

import pytest

from certs.xml import (
    MAX_DEPTH,
    MAX_MARKUP,
    XmlRefused,
    parse,
)

DS = "{http://www.w3.org/2000/09/xmldsig#}"
PLAIN = b'<list xmlns="urn:test"><name>bonjour</name><name>au revoir</name></list>'


# --- reading -----------------------------------------------------------------------------------------------


def test_a_plain_document_is_read() -> None:
    """A document without any trick is read, in the encoding that it declares."""
    latin = "<?xml version='1.0' encoding='ISO-8859-1'?><a>éé</a>".encode("latin-1")
    assert parse(PLAIN).tag == "{urn:test}list"
    assert parse(latin).text == "éé"
    assert parse("<a>é</a>".encode("utf-16")).text == "é"


LAUGHS = (
    b'<!DOCTYPE a [<!ENTITY l0 "lol">'
    + b"".join(b'<!ENTITY l%d "%s">' % (i, b"&l%d;" % (i - 1) * 10) for i in range(1, 10))
    + b"]><a>&l9;</a>"
)
QUADRATIC = b'<!DOCTYPE a [<!ENTITY x "' + b"x" * 50_000 + b'">]><a>' + b"&x;" * 50_000 + b"</a>"
DTDS = {
    "billion-laughs": LAUGHS,
    "billion-laughs-in-an-attribute": LAUGHS.replace(b"<a>&l9;</a>", b"<a b='&l9;'/>"),
    "quadratic": QUADRATIC,
    "bare-doctype": b"<!DOCTYPE a><a/>",
    "external-subset": b'<!DOCTYPE a SYSTEM "file:///etc/hostname"><a/>',
    "parameter-entity": b'<!DOCTYPE a [<!ENTITY % p SYSTEM "file:///etc/hostname">%p;]><a/>',
    "utf-16": "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>".encode("utf-16"),
    "after-a-long-comment": b"<!--" + b"-x" * 10_000 + b"--><!DOCTYPE a><a/>",
    "undeclared-entity": b"<a>&unknown;</a>",
}


@pytest.mark.parametrize("name", DTDS)
def test_a_dtd_or_an_entity_is_refused(name: str) -> None:
    """No DTD is read, hence no entity: laughs and quadratic growth are refused before anything grows."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(XmlRefused):
        parse(DTDS[name])
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 64 * 1024, "more than 64 MiB were used for a refusal"


def test_the_refusal_of_a_dtd_is_named() -> None:
    """The reason says that it was the DTD, and repeats nothing of the document."""
    with pytest.raises(XmlRefused, match="DTD") as refused:
        parse(DTDS["billion-laughs"])
    assert "lol" not in str(refused.value)


def test_an_external_entity_reads_no_file(tmp_path: Path) -> None:
    """XXE: an entity that names a file is refused, and its text appears nowhere."""
    secret = tmp_path / "secret"
    secret.write_text("le-secret")
    with pytest.raises(XmlRefused) as refused:
        parse(f'<!DOCTYPE a [<!ENTITY x SYSTEM "{secret.as_uri()}">]><a>&x;</a>'.encode())
    assert "le-secret" not in str(refused.value)


@pytest.fixture
def listener() -> socket.socket:
    """A listening socket, to see whether anybody calls."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0)
    return server


def test_nothing_is_fetched(listener: socket.socket) -> None:
    """A stylesheet instruction, a schema location and an XInclude that point outside are read and never
    followed.
    """
    where = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
    document = (
        f'<?xml-stylesheet type="text/xsl" href="{where}"?>'
        f'<a xmlns:xi="http://www.w3.org/2001/XInclude" xmlns:s="http://www.w3.org/2001/XMLSchema-instance" '
        f's:noNamespaceSchemaLocation="{where}"><xi:include href="{where}"/></a>'
    )
    with listener:
        root = parse(document.encode())
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert root.getprevious() is not None, "the instruction is kept, not followed"
    assert len(root) == 1


def test_an_external_dtd_is_not_fetched(listener: socket.socket) -> None:
    """A document type that points outside is refused without a call."""
    where = f"http://127.0.0.1:{listener.getsockname()[1]}/x.dtd"
    with listener:
        with pytest.raises(XmlRefused):
            parse(f'<!DOCTYPE a SYSTEM "{where}"><a/>'.encode())
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize("over", [0, 1])
def test_depth_has_a_budget(over: int) -> None:
    """The deepest allowed nesting is read; one more is refused, and so is very much more."""
    depth = MAX_DEPTH + over
    document = b"<a>" * depth + b"</a>" * depth
    if not over:
        assert parse(document).tag == "a"
        return
    with pytest.raises(XmlRefused, match="deep"):
        parse(document)
    with pytest.raises(XmlRefused):
        parse(b"<a>" * 100_000 + b"</a>" * 100_000)


def test_size_has_a_budget() -> None:
    """As many bytes as allowed are read; one more is refused before it is parsed."""
    assert parse(PLAIN, max_bytes=len(PLAIN)).tag == "{urn:test}list"
    with pytest.raises(XmlRefused, match="large"):
        parse(PLAIN, max_bytes=len(PLAIN) - 1)


def test_markup_has_a_budget() -> None:
    """Elements and attributes are counted before a tree of them is built."""
    assert len(parse(b"<a>" + b"<b/>" * 1000 + b"</a>")) == 1000
    with pytest.raises(XmlRefused, match="markup"):
        parse(b"<a>" + b"<b/>" * MAX_MARKUP + b"</a>")
    with pytest.raises(XmlRefused, match="markup"):
        parse(b"<a " + b" ".join(b'b%d=""' % i for i in range(MAX_MARKUP)) + b"/>")


def test_a_long_text_is_no_attack() -> None:
    """A text beyond libxml2's usual 10 MB, such as a PDF in base64, is read."""
    assert len(parse(b"<a>" + b"x" * 12_000_000 + b"</a>").text or "") == 12_000_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"   ",
        b"<a>",
        b"<a></b>",
        b"<a/><b/>",
        b"text",
        b"<a>\xff</a>",
        b"\x00\x01",
        b"<?xml encoding='x'?><a/>",
    ],
)
def test_what_is_not_xml_is_refused(data: bytes) -> None:
    """Bytes that are no well-formed document are a refusal, never another exception."""
    with pytest.raises(XmlRefused):
        parse(data)


@pytest.mark.corpus
def test_every_published_cda_sample_is_read(corpus: Path) -> None:
    """All published CDA samples pass the door: budgets refuse attacks, not documents."""
    samples = sorted((corpus / "cda" / "ExemplesCDA").rglob("*.xml"))
    assert len(samples) > 50
    for sample in samples:
        parse(sample.read_bytes())

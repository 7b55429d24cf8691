"""Letters unfolded by a process apart: what is read of them, how what they enclose is shown, and what is not."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

import pypdfium2
import pytest
from fpdf import FPDF
from PIL import Image

from dmp_bridge import cda, mail_html, narrative, packing, paged, prose
from dmp_bridge.model import Document
from dmp_bridge.packing import Parcel
from dmp_bridge.prose import Piece, TooLarge
from dmp_bridge.reading import Preview, Reader, Reading, file_name
from dmp_bridge.workshop import Budget, Unanswered
from gateway.demo.cast import RADIOLOGIST, SURGEON
from tests.hostile import xss


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    made.close()


def letter(**parts: bytes) -> bytes:
    """A mail with these files; a name's end is its type."""
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = "a@lilas.example", "b@parc.example", "Essai"
    mail.set_content("Bonjour")
    for name, data in parts.items():
        mail.add_attachment(data, maintype="application", subtype="octet-stream", filename=name.replace("_", "."))
    return mail.as_bytes()


def read(reader: Reader, raw: bytes) -> Reading:
    found = reader.letter(raw)
    assert isinstance(found, Reading), found
    return found


def looked(reader: Reader, raw: bytes, item: str = "2") -> Preview:
    found = reader.preview(raw, item)
    assert isinstance(found, Preview), found
    return found


def pdf(*pages: str, password: str = "") -> bytes:
    made = FPDF()
    for each in pages:
        made.add_page()
        made.set_font("helvetica", size=12)
        made.multi_cell(0, 8, each)
    if password:
        made.set_encryption(owner_password="x", user_password=password)
    return bytes(made.output())


# --- heads and texts --------------------------------------------------------------------------------------------------


def test_a_letter_with_a_document_is_read(reader: Reader, report: Document) -> None:
    """Who, about what without the prefix for programs, the text, and the documents of the archive beside the files."""
    mail = packing.pack(Parcel((report,), RADIOLOGIST, (SURGEON.address,), "2.25.2", "Bonjour é"), datetime.now(UTC))
    assert isinstance(mail, bytes)
    found = read(reader, mail)
    assert found.subject.startswith(report.type.label[:10].replace("é", "e")[:2])
    assert "XDM/" not in found.subject
    assert found.author[0].address == str(RADIOLOGIST.address)
    assert found.text.startswith("Bonjour é")
    kinds = [(each.id, each.kind) for each in found.items]
    assert kinds == [("2", "file"), ("2-0", "document"), ("3", "pdf")]
    assert found.items[1].label == report.type.label


def test_a_patients_address_is_not_shown(reader: Reader) -> None:
    """It is his identity (ECO.3.1.1); a professional's is."""
    raw = b"From: Leo D <279035121518989@patient.mssante.fr>\r\nTo: <b@parc.example>\r\nSubject: x\r\n\r\ny\r\n"
    found = read(reader, raw)
    assert (found.author[0].name, found.author[0].address, found.author[0].patient) == ("Leo D", "", True)
    assert (found.to[0].address, found.to[0].patient) == ("b@parc.example", False)


@pytest.mark.parametrize(
    ("head", "name", "address"),
    [
        ("=?utf-8?q?Dr_=C3=89lise?= <e@lilas.example>", "Dr Élise", "e@lilas.example"),
        ("a@lilas.example <b@parc.example>", "a@lilas.example <b@parc.example>", ""),
        ("<a@lilas.example>, <b@x@y>", "<a@lilas.example>, <b@x@y>", ""),
        ("=?utf-8?q?a=0D=0ABcc:_x?= <e@lilas.example>", "a Bcc: x <e@lilas.example>", ""),
        ("x@y <279035121518989@patient.mssante.fr>", "x@y", ""),
        ("=?utf-8?q?=E2=80=AEelpmaxe=E2=80=AC?= <e@lilas.example>", "elpmaxe", "e@lilas.example"),
    ],
)
def test_a_name_is_one_line_and_an_address_is_certain_or_none(
    reader: Reader, head: str, name: str, address: str
) -> None:
    """Encoded words, control and direction marks, two readings."""
    found = read(reader, f"From: {head}\r\nSubject: x\r\n\r\ny\r\n".encode())
    assert (found.author[0].name, found.author[0].address) == (name, address)


@pytest.mark.parametrize(
    ("charset", "data", "text"),
    [
        ("utf-8", "été".encode(), "été"),
        ("iso-8859-1", "été".encode("latin-1"), "été"),
        ("windows-1252", "l’été".encode("cp1252"), "l’été"),
        ("utf-7", b"+ADw-script+AD4-", "+ADw-script+AD4-"),
        ("hex", b"3c3e", "3c3e"),
        ("nimporte-quoi", "été".encode(), "été"),
    ],
)
def test_a_text_is_read_by_known_charsets_alone(reader: Reader, charset: str, data: bytes, text: str) -> None:
    """Another one gives the best reading of the bytes, and never another text."""
    head = f"From: a@b.example\r\nContent-Type: text/plain; charset={charset}\r\n\r\n".encode()
    assert read(reader, head + data).text == text


def test_a_letter_that_is_encrypted_is_said(reader: Reader) -> None:
    """And nothing of it is guessed."""
    head = b"From: a@b.example\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n"
    found = read(reader, head + b"Content-Transfer-Encoding: base64\r\n\r\nMIAG\r\n")
    assert (found.closed, found.text, found.formed) == (True, "", ())


def test_a_letter_over_a_budget_has_a_name_for_it(reader: Reader) -> None:
    """Of the scanner; the next one is read."""
    deep = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n" for n in range(60))
    assert reader.letter(f"From: a@b.example\r\n{deep}".encode()) == Unanswered("depth")
    assert read(reader, letter()).text.strip() == "Bonjour"


# --- what is enclosed -------------------------------------------------------------------------------------------------


def test_a_pdf_is_pictures_and_text(reader: Reader) -> None:
    """Each page; beyond the last there is none."""
    raw = letter(cr_pdf=pdf("Page une", "Page deux"))
    found = looked(reader, raw)
    assert (found.kind, found.pages, found.count) == ("pdf", 2, 2)
    assert [each.strip() for each in found.texts] == ["Page une", "Page deux"]
    first = reader.picture(raw, "2", 1)
    assert isinstance(first, bytes)
    with Image.open(io.BytesIO(first)) as image:
        assert image.format == "PNG"
        assert 800 < image.width < 1000
    for number in (0, 3, -1):
        assert reader.picture(raw, "2", number) == Unanswered("absent")


@pytest.mark.parametrize(
    ("data", "why"),
    [(pdf("x", password="secret"), "pdf-closed"), (b"%PDF-1.4\nrien", "pdf-broken"), (pdf("x")[:400], "pdf-broken"),
     (b"\x89PNG\r\n\x1a\nrien", "image-broken"), (b"\xff\xd8\xffrien", "image-broken"),
     (b"GIF89a", "not-shown-here"), (b"MZ\x90", "not-shown-here")],
)  # fmt: skip
def test_what_cannot_be_shown_has_a_name(reader: Reader, data: bytes, why: str) -> None:
    """And can be taken home as it is."""
    raw = letter(x_bin=data)
    assert looked(reader, raw).why == why
    taken = reader.file(raw, "2")
    assert not isinstance(taken, Unanswered)
    assert (taken.name, taken.data) == ("x.bin", data)


def test_a_poster_and_a_large_image_are_bounded() -> None:
    """A page of a hundred square metres, and an image of many pixels."""
    made = FPDF(unit="mm", format=(5000, 5000))
    made.add_page()
    with Image.open(io.BytesIO(paged.picture(bytes(made.output()), 1))) as image:
        assert image.width * image.height <= paged.MOST_PIXELS * 1.01
    held = io.BytesIO()
    Image.new("L", (4000, 2000)).save(held, "PNG")
    with Image.open(io.BytesIO(paged.picture(held.getvalue(), 1))) as image:
        assert (image.width, image.height) == (1600, 800)
    Image.new("1", (9000, 9000)).save(held := io.BytesIO(), "PNG")
    assert paged.told(held.getvalue()) == {"unshown": "image-broken"}


def test_a_pdf_with_script_or_a_launch_is_only_drawn(reader: Reader) -> None:
    """What reaches a browser is a picture that is drawn anew: nothing of the file's own bytes."""
    document = pypdfium2.PdfDocument.new()
    document.new_page(200, 200)
    held = io.BytesIO()
    document.save(held)
    evil = held.getvalue().replace(b"/Type/Catalog", b"/Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert(1))>>")
    raw = letter(x_pdf=evil)
    assert looked(reader, raw).pages in (0, 1)
    picture = reader.picture(raw, "2", 1)
    assert isinstance(picture, Unanswered) or b"app.alert" not in picture


def test_what_takes_too_long_ends_and_the_next_is_answered() -> None:
    """Time and memory of the workshop: the name of the limit, then a fresh process."""
    slow = Reader(Budget(seconds=0.0, memory=2**30))
    assert slow.letter(letter()) == Unanswered("too-slow")
    slow.close()
    small = Reader(Budget(seconds=20, memory=1))
    assert small.letter(letter()) == Unanswered("too-large")
    small.close()


@pytest.mark.parametrize("item", ["9", "2-0", "2-99", "", "../x", "2/../3"])
def test_what_is_not_enclosed_is_absent(reader: Reader, item: str) -> None:
    """A number of a reader's own making."""
    assert reader.preview(letter(x_txt=b"x"), item) == Unanswered("absent")


# --- documents --------------------------------------------------------------------------------------------------------


def test_a_document_shows_its_pdf_first(reader: Reader, report: Document) -> None:
    """With what its header says."""
    found = looked(reader, letter(cda_xml=report.raw))
    assert (found.kind, found.pages) == ("document", 1)
    assert dict(found.facts)["patient"].startswith(report.patient.traits.birth_name)
    assert found.passages == ()


def test_every_published_example_can_be_read(reader: Reader, corpus: Path) -> None:
    """Of the 94 of the CI-SIS: pages, passages or a text; and all that a narrative says is said."""
    examples = sorted((corpus / "cda" / "ExemplesCDA").glob("*.xml"))
    assert len(examples) > 80
    for file in examples:
        raw = file.read_bytes()
        found = looked(reader, letter(cda_xml=raw))
        assert found.why == "", file.name
        assert found.pages or found.passages or found.text, file.name
        if found.passages:
            said = "".join(prose.text(each.body) for each in found.passages)
            assert "".join(said.split()) == "".join(_narrative(raw).split()), file.name


def _narrative(raw: bytes) -> str:
    from certs import xml

    root = cda.locate(xml.parse(raw, max_bytes=cda.MAX_BYTES))
    assert root is not None
    blocks = root.iterfind(f".//{{{cda.HL7}}}section/{{{cda.HL7}}}text")
    return "".join(str(text) for block in blocks for text in block.itertext())


def test_a_narrative_keeps_its_form(report: Document) -> None:
    """Lists, tables, weight, and what was crossed out (CDA R2 §4.3.5)."""
    block = (
        '<list listType="ordered"><item>un</item></list>'
        '<table><thead><tr><th colspan="2">h</th></tr></thead><tbody><tr>'
        '<td styleCode="Bold">c</td></tr></tbody></table><content revised="delete">faux</content>'
    )
    (section,) = narrative.sections(xss.written(report.raw, block).encode())
    numbers, table, gone = section.body
    assert numbers == Piece("numbers", (Piece("item", ("un",)),))
    assert table == Piece("table", (Piece("row", (Piece("head", ("h",), across=2),)),
                                    Piece("row", (Piece("cell", (Piece("strong", ("c",)),)),))))  # fmt: skip
    assert gone == Piece("del", ("faux",))


# --- prose ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "target"),
    [("https://a.example/x?y=1", "https://a.example/x?y=1"), ("mailto:a@b.example", "mailto:a@b.example"),
     (" http://a.example ", "http://a.example"), ("javascript:alert(1)", ""), ("JAVASCRIPT:alert(1)", ""),
     ("java\tscript:alert(1)", ""), ("\x01javascript:x", ""), ("data:text/html,x", ""), ("//a.example", ""),
     ("/sortir", ""), ("https:", ""), ("https:///x", ""), ("http://[", ""), ("vbscript:x", ""), ("", "")],
)  # fmt: skip
def test_a_link_leads_to_a_page_or_a_mailbox_or_nowhere(written: str, target: str) -> None:
    """And never into these pages."""
    assert prose.link_target(written) == target


@pytest.mark.parametrize(
    "said",
    ["x", {"a": 1}, [["script", "", 1, 1, []]], [["link", 1, 1, 1, []]], [["block"]], [["block", "", "x", 1, []]],
     [["block", "", 1, 1, "x"]], [1]],
)  # fmt: skip
def test_a_tree_that_is_none_is_not_heard(said: object) -> None:
    """The process apart may have been taken over: what it says is looked at again."""
    with pytest.raises((ValueError, TypeError)):
        prose.heard(said)


def test_a_link_that_was_told_is_looked_at_again() -> None:
    """As above."""
    (link,) = prose.heard([["link", "javascript:alert(1)", 1, 1, ["x"]]])
    assert isinstance(link, Piece)
    assert link.target == ""


def test_prose_has_a_budget() -> None:
    """Nodes, characters and depth; libxml2's own depth too, where it would drop what lies deeper."""
    for html in ("<b>x</b>" * 70_000, "x" * (prose.CHARS_MOST + 1), "<div>" * 3000 + "x"):
        with pytest.raises(TooLarge):
            mail_html.read(html)
    assert "x" in prose.text(mail_html.read("<div>" * 500 + "x"))


@pytest.mark.parametrize(
    ("name", "plain"),
    [("../../etc/passwd", "passwd"), ("C:\\x\\cr.pdf", "cr.pdf"), ("a\r\nb.pdf", "a b.pdf"), ('a"b;c.pdf', "a_b_c.pdf"),
     ("\u202egpj.exe", "gpj.exe"), (".", ""), ("", ""), ("é.pdf", "é.pdf")],
)  # fmt: skip
def test_a_file_is_called_plainly(name: str, plain: str) -> None:
    """No folder, no line, nothing that hides its end."""
    assert file_name(name) == plain
    long = file_name("a" * 300 + ".pdf")
    assert len(long) <= 150
    assert long.endswith(".pdf")

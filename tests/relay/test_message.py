"""The MIME scanner: spans over the bytes as they came, budgets, and the automatic-mail rules."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from directory.address import BadAddress
from relay.message import (
    DEPTH_MOST,
    HEADER_BYTES_MOST,
    PARTS_MOST,
    Malformed,
    Message,
    automatic,
    scan,
    without_own_headers,
)

ZIP = b"PK\x03\x04" + bytes(range(256)) * 20


def crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("utf-8")


MULTIPART = crlf(
    """From: a@x.example
Content-Type: multipart/mixed; boundary="b1"

preamble --b1
--b1
Content-Type: multipart/alternative; boundary=b1-inner

--b1-inner

one
--b1-inner
Content-Type: text/html

<p>two</p>

--b1-inner--
--b1 \t
Content-Type: application/zip
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="IHE_XDM.zip"

UEsDBA==

--b1--
epilogue
--b1
not a part
"""
)


def test_parts_are_spans_over_the_bytes_as_they_came(make_mail: Callable[..., bytes]) -> None:
    """Each part's content decodes to what was attached, and its raw bytes stand in the letter."""
    raw = make_mail(attachments=(("IHE_XDM.zip", "application/zip", ZIP), ("cr.pdf", "application/pdf", b"%PDF-1")))
    message = scan(raw)
    assert [(part.path, part.type, part.filename) for part in message.parts] == [
        ("", "multipart/mixed", ""),
        ("1", "text/plain", ""),
        ("2", "application/zip", "IHE_XDM.zip"),
        ("3", "application/pdf", "cr.pdf"),
    ]
    assert message.parts[2].decode() == ZIP
    assert all(part.raw in raw for part in message.parts)
    assert message.root.raw == raw
    assert message.defects == ()


def test_nested_parts_end_where_rfc_2046_says() -> None:
    """The line end before a delimiter is not the part's; preamble and epilogue are nobody's; a boundary that
    begins like another one is another one."""
    message = scan(MULTIPART)
    assert [part.path for part in message.parts] == ["", "1", "1.1", "1.2", "2"]
    assert message.parts[2].raw == b"\r\none"
    assert message.parts[3].body == b"<p>two</p>\r\n"
    assert message.parts[4].decode() == b"PK\x03\x04"
    assert [part.path for part in message.children(message.parts[1])] == ["1.1", "1.2"]


def test_the_stdlib_parser_sees_the_same_parts() -> None:
    """An independent reader agrees on types and contents."""
    theirs = email.message_from_bytes(MULTIPART, policy=email.policy.SMTP)
    expected = [(part.get_content_type(), part.get_payload(decode=True)) for part in theirs.walk()]
    ours = [(part.type, None if part.is_multipart else part.decode()) for part in scan(MULTIPART).parts]
    assert ours == expected


def test_a_letter_without_mime_is_one_text_part() -> None:
    """RFC 2045 §5.2."""
    message = scan(b"From: a@x.example\r\n\r\nhello\r\n")
    assert [(part.path, part.type, part.body) for part in message.parts] == [("1", "text/plain", b"hello\r\n")]


def test_a_forwarded_message_is_a_leaf() -> None:
    """What hangs inside a message/rfc822 part is not part of this letter."""
    raw = crlf(
        "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: message/rfc822\n\n"
        "Content-Type: multipart/mixed; boundary=i\n\n--i\nContent-Type: application/zip\n\nx\n"
        "--i--\n\n--o--\n"
    )
    assert [part.type for part in scan(raw).parts] == ["multipart/mixed", "message/rfc822"]


@pytest.mark.parametrize(
    ("header", "decoded", "written"),
    [
        ('attachment; filename="IHE_XDM.zip"', "IHE_XDM.zip", "IHE_XDM.zip"),
        ("attachment; filename=ihe_xdm.ZIP", "ihe_xdm.ZIP", "ihe_xdm.ZIP"),
        ("attachment; filename*=utf-8''%C3%A9t%C3%A9.pdf", "été.pdf", "utf-8''%C3%A9t%C3%A9.pdf"),
        (
            "attachment; filename*0*=iso-8859-1'fr'%E9t; filename*1*=%E9.pdf",
            "été.pdf",
            "iso-8859-1'fr'%E9t%E9.pdf",
        ),
        ("attachment; filename*1=.zip; filename*0=IHE_XDM", "IHE_XDM.zip", "IHE_XDM.zip"),
        ('attachment; filename="=?utf-8?Q?=C3=A9t=C3=A9.pdf?="', "été.pdf", "=?utf-8?Q?=C3=A9t=C3=A9.pdf?="),
        ("attachment; filename*=no-such-charset''%41", "A", "no-such-charset''%41"),
        (r'attachment; filename="a\"b.zip"', 'a"b.zip', 'a"b.zip'),
        ("attachment", "", ""),
    ],
)
def test_file_names_decoded_and_as_written(header: str, decoded: str, written: str) -> None:
    """Decisions can be made on both forms of a name (Exim CVE-2024-39929)."""
    part = scan(f"Content-Disposition: {header}\r\n\r\nx".encode()).root
    assert (part.filename, part.raw_filename) == (decoded, written)


def test_unfolded_values_and_encoded_words() -> None:
    """Fields are unfolded; Subject is read word by word, white space between encoded words dropped."""
    subject = b"Subject: =?utf-8?q?R=C3=A9s?=\r\n =?utf-8?b?dWx0YXQ=?= de Paul\r\n"
    raw = subject + b"To: a@x.example,\r\n\tb@x.example\r\n\r\n"
    message = scan(raw)
    assert message.subject == "Résultat de Paul"
    assert message.values("to") == ["a@x.example,\tb@x.example"]


@pytest.mark.parametrize("word", ["=?utf-8?b?!!!?=", "=?no-such?q?x?=", "=?utf-8?b?A?="])
def test_a_broken_encoded_word_never_raises(word: str) -> None:
    """It is shown in the best reading there is."""
    assert scan(f"Subject: {word}\r\n\r\n".encode()).subject


def nested(levels: int) -> bytes:
    raw = b"x"
    for level in range(levels):
        raw = (
            f"Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n".encode()
            + raw
            + f"\n--b{level}--".encode()
        )
    return raw


def many(parts: int) -> bytes:
    return b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * parts + b"--b--\n"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"X: " + b"a" * HEADER_BYTES_MOST + b"\r\n\r\n", "header-size"),
        (b"X: a\r\n" * 3000 + b"\r\n", "header-count"),
        (many(100_000), "parts"),
        (nested(200), "depth"),
        (b"Content-Type: a/b" + b";x=y" * 200 + b"\r\n\r\n", "parameters"),
        (b"Subject: a\0b\r\n\r\n", "header-nul"),
        (b"From a@x.example\r\nSubject: x\r\n\r\n", "header-line"),
        (b" folded: first\r\n\r\n", "header-line"),
        (b"Content-Type: multipart/mixed; boundary=-\r\n\r\n" + b"\n---x" * 1_000_000, "boundary"),
    ],
)
def test_over_a_budget_or_without_a_header_is_malformed(raw: bytes, reason: str) -> None:
    """Each budget of the scanner is a refusal by name, not a slow letter."""
    with pytest.raises(Malformed) as refused:
        scan(raw)
    assert refused.value.reason == reason


def test_just_under_the_budgets_is_read() -> None:
    """The twin: large but allowed."""
    assert len(scan(many(PARTS_MOST - 1)).parts) == PARTS_MOST
    assert len(scan(nested(DEPTH_MOST)).parts) == DEPTH_MOST + 1


@pytest.mark.parametrize(
    ("raw", "defect"),
    [
        (b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n", "mime.unclosed"),
        (b"Content-Type: multipart/mixed; boundary=b\n\nnothing", "mime.no-part"),
        (b"Content-Type: multipart/mixed\n\nnothing", "mime.no-boundary"),
        (b"Content-Type: text/plain\nContent-Type: text/html\n\nx", "mime.repeated-field"),
        (b"Content-Type: multipart/mixed; boundary=b\n\n--b\nno field\n\nx\n--b--\n", "mime.header-line"),
    ],
)
def test_lesser_oddities_are_named(raw: bytes, defect: str) -> None:
    """Oddities that people really send are read and named."""
    assert scan(raw).defects == (defect,)


def test_garbage_in_base64_is_malformed_when_decoded() -> None:
    """Only the part that is asked for is refused, the letter is readable."""
    part = scan(b"Content-Transfer-Encoding: base64\r\n\r\nabcde").root
    with pytest.raises(Malformed):
        part.decode()
    with pytest.raises(Malformed):
        scan(b"\r\n" + b"x" * 11).root.decode(10)


@pytest.mark.parametrize(
    "fields",
    [
        "",
        "From: a@x.example\r\nFrom: b@x.example\r\n",
        "From: a@x.example (b@y.example)\r\n",
        'From: "a@x.example" <b@y.example>, \r\n',
        "From: a@b@x.example\r\n",
    ],
)
def test_an_author_that_could_be_read_in_two_ways_is_refused(fields: str) -> None:
    """CVE-2026-27444: one reading for everyone, or none."""
    with pytest.raises(BadAddress):
        _ = scan(f"{fields}Subject: x\r\n\r\n".encode()).authors


def test_authors_are_strictly_read() -> None:
    """The twin: one mailbox with a display name."""
    message = scan(b"From: Marie Martin <Marie.Martin@X.example>\r\n\r\n")
    assert [str(each) for each in message.authors] == ["Marie.Martin@x.example"]


def with_fields(*fields: str, kind: str = "text/plain") -> Message:
    return scan("".join(f"{field}\r\n" for field in (*fields, f"Content-Type: {kind}")).encode() + b"\r\n")


SIGNED_REPORT = crlf(
    """Content-Type: multipart/signed; boundary=s

--s
Content-Type: multipart/report; boundary=r

--r

x
--r--
--s
Content-Type: application/pkcs7-signature

x
--s--
"""
)


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        (with_fields("Auto-Submitted: auto-generated"), "auto-submitted"),
        (with_fields("auto-submitted: Auto-Replied; x=y"), "auto-submitted"),
        (with_fields("Auto-Submitted: no", "Auto-Submitted: auto-replied"), "auto-submitted"),
        (with_fields(kind="multipart/report; report-type=delivery-status; boundary=b"), "report"),
        (scan(SIGNED_REPORT), "report"),
        (with_fields("Subject: [KO Intégration système !][902] XDM/1.0/DDM+CR VIAL Paul"), "error-subject"),
        (with_fields("Subject: [Erreur d’intégration !][902] XDM/1.0/DDM+CR"), "error-subject"),
        (
            with_fields("Subject: =?utf-8?Q?=5BKO_Int=C3=A9gration_syst=C3=A8me_!=5D=5B906=5D_XDM/1=2E0?="),
            "error-subject",
        ),
        (with_fields("Subject: Re: TR: [KO Int?gration syst?me !][904] XDM/1.0/DDM+"), "error-subject"),
        (with_fields("Subject: [902] XDM/1.0/DDM+"), "error-subject"),
        (with_fields("Auto-Submitted: no"), ""),
        (with_fields("Auto-Submitted: no (a person)"), ""),
        (with_fields("Subject: XDM/1.0/DDM+CR VIAL Paul 26/11/1978"), ""),
        (with_fields("Subject: [Annule et remplace] XDM/1.0/DDM+CR"), ""),
        (with_fields("Subject: Résultats [902] demandés"), ""),
        (with_fields("Subject: [1902] dossier"), ""),
    ],
)
def test_automatic_mail_is_recognised_by_rule(message: Message, rule: str) -> None:
    """Null sender, Auto-Submitted, report and error subject by its three digits; a person's letter by
    none."""
    assert automatic(message, null_sender=False) == rule
    assert automatic(message, null_sender=True) == "null-sender"


def test_our_header_family_is_removed_from_the_outermost_block_only() -> None:
    """CVE-2026-27443: a stranger's X-Pli-* field goes, folded lines and odd spelling included; an inner one
    stays."""
    raw = (
        b"X-Pli-Signature: valid\r\nFrom: a@x.example\r\nx-pli-words : a\r\n folded\r\nSubject: s\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX-Pli-Inner: y\r\n\r\n"
        b"X-Pli-Text: z\r\n--b--\r\n"
    )
    cleaned = without_own_headers(raw)
    assert cleaned.startswith(b"From: a@x.example\r\nSubject: s\r\nContent-Type")
    assert b"X-Pli-Inner: y" in cleaned
    assert b"X-Pli-Text: z" in cleaned


def test_a_letter_without_our_fields_is_the_same_object(make_mail: Callable[..., bytes]) -> None:
    """The twin: nothing is copied, let alone changed."""
    raw = make_mail()
    assert without_own_headers(raw) is raw


def test_nothing_of_a_letter_shows_in_its_repr(make_mail: Callable[..., bytes]) -> None:
    """A log line that holds a Message by mistake holds no content, name or address."""
    raw = make_mail("secret-text", (("VIAL_Paul.pdf", "application/pdf", b"x"),), Subject="secret-subject")
    shown = repr(scan(raw))
    assert not any(word in shown for word in ("secret", "VIAL", "martin"))


PIECES = st.sampled_from(
    [
        b"--b\r\n", b"--b--\r\n", b"--c\r\n", b"--c--", b"\r\n", b"\n", b"\r", b"\0", b" \t", b"\xff\xe9", b"a" * 80,
        b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: multipart/signed; boundary=\"c\"\r\n",
        b"Content-Type: message/rfc822\r\n", b"Content-Transfer-Encoding: base64\r\n", b"From: a@x.example\r\n",
        b"Subject: =?utf-8?b?w6k=?= =?x?q?_?=\r\n", b"Content-Disposition: x; filename*0*=''%e9; filename=\"",
        b"X-Pli-Signature: valid\r\n", b"X-Pli-Words : a\r\n b\r\n", b"Auto-Submitted: no (", b";", b"=?", b"[902]",
    ]
)  # fmt: skip


@given(st.lists(st.one_of(PIECES, st.binary(max_size=12)), max_size=40).map(b"".join))
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_a_message_or_malformed(raw: bytes) -> None:
    """The one scanner never raises anything else, its spans stay inside their parents, and our family can be
    removed from whatever it takes."""
    try:
        message = scan(raw)
    except Malformed:
        return
    _ = message.subject, message.message_id, automatic(message, null_sender=False)
    for part in message.parts:
        assert 0 <= part.header_span[0] <= part.header_span[1] <= part.body_span[0] <= part.body_span[1] <= len(raw)
        for child in message.children(part):
            assert part.body_span[0] <= child.header_span[0]
            assert child.body_span[1] <= part.body_span[1]
    cleaned = scan(without_own_headers(raw))
    assert not any(each.name.lower().startswith("x-pli-") for each in cleaned.headers)

"""Letters that came encrypted, or whose signature does not hold, as their reader sees them at the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from gateway.demo.cast import RADIOLOGIST, SURGEON
from gateway.web.sentences import SENTENCES
from tests.journeys.browsing import Browser, signed_in, with_pages
from tests.journeys.test_encrypted import CBC, GCM, Closed, sent, with_key
from tests.journeys.test_reading import links, opened

pytestmark = pytest.mark.journey

SIGNED = "Signé par la boîte de"


@pytest.fixture(scope="module")
def own(make_world: Callable[..., Any]) -> Iterator[Any]:
    def prepared(built: Any) -> None:
        with_key(built)
        with_pages(built)

    with make_world(prepared) as world:
        yield world


@pytest.fixture(scope="module")
def surgeon(own: Any) -> Browser:
    assert own.pli(own.parc, "account", "role", str(SURGEON.address), "identity").returncode == 0
    return signed_in(own, str(SURGEON.address), own.parc)


@pytest.fixture
def closed(own: Any, tmp_path: Path) -> Closed:
    return Closed(own, tmp_path)


def plain(own: Any, subject: str, text: str = "Texte de la lettre") -> bytes:
    return bytes(own.plain(str(RADIOLOGIST.address), str(SURGEON.address), subject, text))


def said(key: str) -> str:
    return SENTENCES[key][0]


@pytest.mark.parametrize(("signed", "sentence"), [(True, SIGNED), (False, "Non signé.")])
def test_a_letter_opened_on_its_way_has_the_word_of_who_is_inside(
    own: Any, closed: Closed, surgeon: Browser, signed: bool, sentence: str
) -> None:
    """Judged again on what is in the mailbox: the signature was inside, and its verdict is not the closed letter's."""
    subject = f"Ouverte {signed}"
    sent(own, closed.letter(plain(own, subject), *GCM, signed=signed))
    page = unescape(opened(surgeon, subject).text)
    assert sentence in page
    assert "Texte de la lettre" in page
    assert said("read-not-ours") not in page


def test_what_nobody_vouches_for_is_a_warning_and_text(own: Any, closed: Closed, surgeon: Browser) -> None:
    """EFAIL: CBC without a signature, with a document: nothing of it can be looked at, its original stays closed."""
    raw = closed.letter(own.packed(own.report(), SURGEON.address), *CBC, signed=False)
    sent(own, raw)
    page = opened(surgeon, "CONTENU NON GARANTI")
    text = unescape(page.text)
    assert "rien ne garantit" in text
    assert said("read-automatic") in text or "postmaster@" in text
    assert links(page) == []
    (original,) = links(page, "/fichier")
    taken = surgeon.get(original).content
    assert b"pkcs7-mime" in taken
    assert b"IHE_XDM" not in taken


def test_a_signature_that_does_not_hold_is_said(own: Any, closed: Closed, surgeon: Browser) -> None:
    """Changed on the way: a warning in its place, which says so in red and in words."""
    raw = closed._signed(b"Content-Type: text/plain\r\n\r\nUne dose de 10 mg\r\n").replace(b"10 mg", b"90 mg")
    head = plain(own, "Dose").partition(b"\r\n\r\n")[0].partition(b"Content-Type")[0]
    head = head.replace(b"MIME-Version: 1.0\r\n", b"")
    sent(own, head + raw)
    page = opened(surgeon, "SIGNATURE NON VALIDE")
    text = unescape(page.text)
    assert "Signature invalide" in text
    assert 'class="state bad">Signature invalide' in text
    assert "90 mg" not in text


def test_a_document_that_waits_leads_to_its_entry(own: Any, closed: Closed, surgeon: Browser) -> None:
    """From the letter to the evidence, for who has the role."""
    document = own.report()
    trail = sent(own, closed.letter(own.packed(document, SURGEON.address), *GCM))
    (row,) = own.worklist(own.parc, trail["letter"])
    page = opened(surgeon, "PAT-TROIS")
    assert f'href="/liste-de-travail/{row["id"]}"' in page.text
    assert surgeon.get(f"/liste-de-travail/{row['id']}").status_code == 200

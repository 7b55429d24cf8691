"""Pages of a PDF, and images, as pictures that a browser shows and as the text that can be read of them: in the process
apart, by pdfium and Pillow.

Promises: a bounded number of pages, each of a bounded number of pixels, drawn anew: nothing of the file's own bytes
reaches a browser; no script (this pdfium has no engine for one), no link, no form, no other file. Does not: read what
has no text (a scanned page), or open what is under a password.
"""

from __future__ import annotations

import io
from typing import Any

from dmp_bridge.prose import readable

PAGES_MOST = 60
TEXT_MOST = 20_000
"""Characters of one page."""
DPI = 110
MOST_PIXELS = 6_000_000
SIDE_MOST = 1600
"""Pixels of an image's longer side."""
OPENED_MOST = 60_000_000
"""Pixels of an image before it is made smaller."""


def told(data: bytes) -> dict[str, Any]:
    """{"pages", "count", "texts"}, or {"unshown": why}."""
    if not data.startswith(b"%PDF-"):
        return {"pages": 1, "count": 1, "texts": [""]} if _image(data) is not None else {"unshown": "image-broken"}
    import pypdfium2  # loads a large library: only this process pays

    try:
        document = pypdfium2.PdfDocument(data)
        count = len(document)
        texts = [_text(document[number]) for number in range(min(count, PAGES_MOST))]
    except pypdfium2.PdfiumError as error:
        return {"unshown": "pdf-closed" if "password" in str(error).lower() else "pdf-broken"}
    return {"pages": len(texts), "count": count, "texts": texts} if texts else {"unshown": "pdf-broken"}


def _text(page: Any) -> str:
    text = page.get_textpage().get_text_bounded()
    return readable(text.replace("\r\n", "\n").replace("\r", "\n"))[:TEXT_MOST]


def picture(data: bytes, number: int) -> bytes:
    """A page, from 1, as a PNG; empty where there is none."""
    image = _page(data, number) if data.startswith(b"%PDF-") else _image(data) if number == 1 else None
    if image is None:
        return b""
    held = io.BytesIO()
    image.convert("RGB").save(held, "PNG")
    return held.getvalue()


def _page(data: bytes, number: int) -> Any:
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
        if not 1 <= number <= min(len(document), PAGES_MOST):
            return None
        page = document[number - 1]
        width, height = page.get_size()
        scale = DPI / 72
        pixels = width * height * scale * scale
        scale *= min(1.0, (MOST_PIXELS / pixels) ** 0.5) if pixels else 0.0
        return page.render(scale=scale, may_draw_forms=False).to_pil() if scale else None
    except pypdfium2.PdfiumError:
        return None


def _image(data: bytes) -> Any:
    """Of the two formats that letters hold, and no other decoder of Pillow."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as found:
            if found.width * found.height > OPENED_MOST:
                return None
            found.thumbnail((SIDE_MOST, SIDE_MOST))
            return found.copy()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None

"""The Data Matrix symbols on the pages of a PDF: the work of workman, by pdfium and zxing-cpp.

Promises: a few pages, each of a bounded number of pixels, no script (this pdfium has no engine for it), no file;
what comes out is bytes. Does not: know what a symbol says (dmp_bridge.matrices does), nor follow a link.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

MOST_PAGES = 4
"""The first three and the last: the cartouche of an identity stands on the first page (ANS, format datamatrix INS)."""
MOST_PIXELS = 12_000_000
"""A4 at 300 dpi is 8.7 million."""
DPI = 200
MOST_SYMBOLS = 16


def craft() -> Callable[[dict[str, Any], bytes], dict[str, Any]]:
    """Answers {"symbols": [hexadecimal, ...], "pages": how many were looked at}."""
    import pypdfium2  # these two load large libraries: only this process pays
    import zxingcpp

    wanted = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.DataMatrix])

    def look(question: dict[str, Any], data: bytes) -> dict[str, Any]:
        try:
            document = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError:
            return {"symbols": [], "pages": 0}
        symbols: dict[str, None] = {}
        pages = list(_looked_at(len(document)))
        for number in pages:
            for found in zxingcpp.read_barcodes(_drawn(document[number]), formats=wanted):
                symbols[bytes(found.bytes).hex()] = None
        return {"symbols": list(symbols)[:MOST_SYMBOLS], "pages": len(pages)}

    return look


def _looked_at(count: int) -> Iterator[int]:
    yield from sorted({*range(min(count, MOST_PAGES - 1)), *((count - 1,) if count else ())})


def _drawn(page: Any) -> Any:
    """The page in grey, at DPI or less where it is a poster."""
    width, height = page.get_size()
    scale = DPI / 72
    pixels = width * height * scale * scale
    scale *= min(1.0, (MOST_PIXELS / pixels) ** 0.5) if pixels else 0.0
    return page.render(scale=scale, grayscale=True).to_pil()

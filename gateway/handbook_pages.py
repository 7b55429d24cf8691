"""The handbook, served: /aide is the list of pages, /aide/NAME one of them, /aide/pictures/NAME.png what
they show.

Promises: anybody who reaches the port may read it, since it is what ships with the program; it needs no script and asks
nobody else for anything, and the browser is told so. Does not: render (gateway.handbook), or say anything of this node.
"""

from __future__ import annotations

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gateway import handbook

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_STYLE = """\
:root { color-scheme: light dark; }
body { font: 1.0625rem/1.6 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
pre, table { display: block; overflow-x: auto; }
pre { border: 1px solid; padding: .75rem; }
table { border-collapse: collapse; }
th, td { border: 1px solid; padding: .3rem .6rem; text-align: left; vertical-align: top; }
img { max-width: 100%; border: 1px solid; }
a:focus-visible { outline: 3px solid; outline-offset: 2px; }
"""
_SHELL = """\
<!doctype html>
<html lang="{language}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} — Pli</title><link rel="stylesheet" href="/aide/style.css"></head>
<body>{body}</body>
</html>
"""
_BACK = '<nav aria-label="Aide" lang="fr"><a href="/aide">Toutes les pages d’aide</a></nav><main>{html}</main>'


def routes() -> list[Route]:
    """In the order in which they are tried."""
    return [
        Route("/aide", _listing, methods=["GET"]),
        Route("/aide/style.css", _style, methods=["GET"]),
        Route("/aide/pictures/{name}.png", _picture, methods=["GET"]),
        Route("/aide/{name}", _page, methods=["GET"]),
    ]


def _shown(language: str, title: str, body: str, status: int = 200) -> Response:
    text = _SHELL.format(language=language, title=escape(title), body=body)
    return HTMLResponse(text, status, headers=HEADERS)


async def _listing(_request: Request) -> Response:
    lines = (
        f'<li><a href="/aide/{name}">{escape(french)}</a> — <span lang="en">{escape(english)}</span></li>'
        for name, (french, english) in handbook.PAGES.items()
    )
    said = "<p>Pour qui exploite un nœud ; les pages sont en anglais, avec les termes français.</p>"
    return _shown("fr", "Aide", f"<main><h1>Aide</h1>{said}<ul>{''.join(lines)}</ul></main>")


async def _page(request: Request) -> Response:
    found = handbook.page(request.path_params["name"])
    if found is None:
        body = _BACK.format(html="<h1>Cette page n’existe pas.</h1>")
        return _shown("fr", "Page inconnue", body, 404)
    return _shown(found.language, found.title, _BACK.format(html=found.html))


async def _picture(request: Request) -> Response:
    found = handbook.picture(request.path_params["name"])
    return Response(found or b"", 200 if found else 404, media_type="image/png", headers=HEADERS)


async def _style(_request: Request) -> Response:
    return Response(_STYLE, media_type="text/css; charset=utf-8", headers=HEADERS)

"""The handbook within the site: /aide is the list of pages, /aide/NAME one of them, /aide/pictures/NAME.png what
they show.

Promises: what ships with the program, open to whoever reaches the port, as at the monitor. Does not: render
(gateway.handbook does).
"""

from __future__ import annotations

from markupsafe import Markup
from starlette.responses import Response

from gateway import handbook
from gateway.web.roles import Face
from gateway.web.visits import Visit


async def contents(visit: Visit) -> Response:
    pages = {name: pair[visit.language != "fr"] for name, pair in handbook.PAGES.items()}
    return visit.shown("contents.html", pages=pages)


async def page(visit: Visit) -> Response:
    found = await visit.aside(handbook.page, str(visit.request.path_params["page"]))
    if found is None:
        return visit.wrong(404)
    # HTML in the source is shown as text by the renderer: what comes out is ours
    return visit.shown("handbook.html", title=found.title, told=found.language, text=Markup(found.html))  # noqa: S704


async def picture(visit: Visit) -> Response:
    found = await visit.aside(handbook.picture, str(visit.request.path_params["picture"]))
    return visit.wrong(404) if found is None else Response(found, media_type="image/png")


FACES = (
    Face("/aide", contents, public=True),
    Face("/aide/{page}", page, public=True),
    Face("/aide/pictures/{picture}.png", picture, public=True, quiet=True),
)
